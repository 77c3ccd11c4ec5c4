"""Synthetic citizens: the recipe of vietnam.md, section 7, in its SAFE mode."""

import base64

import pytest

from idp.citizens.birthdate import Precision, parse
from idp.citizens.documents import Row, parse_all
from idp.citizens.names import clean
from idp.citizens.numbers import consistency, scheme
from idp.citizens.numbers.vn import places
from idp.core.settings import load
from idp.sandbox.persona_tables import MINORITIES, PROVINCES
from idp.sandbox.personas import MERGER_DAY, REFERENCE_DAY, Persona, Standing, demo_personas, personas

# OpenID Connect Core 1.0, 5.1, without name, which is full_name, and sub and updated_at, which are the provider's.
STANDARD_CLAIMS = {
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "email_verified",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "phone_number_verified",
    "address",
}

DRAWN = personas(42, 2000)
EVERYBODY = (*demo_personas(), *DRAWN)
STRICT = scheme("vn-pin", test_numbers=False)
SANDBOX = scheme("vn-pin", test_numbers=True)


def demo(key: str) -> Persona:
    return next(one for one in demo_personas() if one.key == key)


def test_people_are_the_same_when_the_seed_is() -> None:
    assert personas(42, 100) == DRAWN[:100]
    assert personas(43, 100) != DRAWN[:100]
    assert personas(42, 0) == ()


def test_no_number_can_be_a_real_person_when_drawn() -> None:
    numbers = [number for one in EVERYBODY for number in (one.number, one.replaced_by) if number]
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert not STRICT.read(number, on=REFERENCE_DAY).well_formed
        reading = SANDBOX.read(number, on=REFERENCE_DAY)
        assert reading.test_number
        assert reading.findings == ()


def test_number_agrees_with_birth_and_sex_when_current() -> None:
    for one in EVERYBODY:
        number = one.replaced_by or one.number
        assert consistency(SANDBOX.read(number, on=REFERENCE_DAY), one.birthdate, one.gender) == ()


def test_number_names_a_merged_province_when_born_after_the_merger() -> None:
    units = {unit for _, unit in PROVINCES.values()}
    assert len(units) == 34
    babies = [one for one in personas(5, 20_000) if one.birthdate.iso() >= MERGER_DAY.isoformat()]
    assert len(babies) > 20
    origins = {SANDBOX.read(one.number, on=REFERENCE_DAY).place_code for one in babies}
    assert {origin for origin in origins if origin is not None and origin < "100"} <= units


def test_tables_name_every_province_when_compared_with_the_codes() -> None:
    assert set(PROVINCES) == {code for code in places() if code < "100"}
    merged = {code for code in PROVINCES if places()[code][-1].valid_to is None}
    assert {unit for _, unit in PROVINCES.values()} == merged
    assert {code for minority in MINORITIES for code in minority.provinces} <= set(PROVINCES)


def test_shares_are_near_the_recipe_when_many_are_drawn() -> None:
    many = personas(1, 20_000)

    def share(count: int) -> float:
        return count / len(many)

    assert share(sum(one.birthdate.precision is Precision.YEAR for one in many)) == pytest.approx(0.02, abs=0.006)
    assert share(sum(one.standing is Standing.LOCKED for one in many)) == pytest.approx(0.005, abs=0.002)
    assert share(sum(one.standing is Standing.REPLACED for one in many)) == pytest.approx(0.005, abs=0.002)
    assert share(sum(one.level == "loa2" for one in many)) == pytest.approx(0.7, abs=0.02)
    assert share(sum(one.email is not None for one in many)) == pytest.approx(0.6, abs=0.02)
    abroad = sum((SANDBOX.read(one.number, on=None).place_code or "") >= "100" for one in many)
    assert share(abroad) == pytest.approx(0.01, abs=0.004)
    assert all(one.birthdate.year < 1975 for one in many if one.birthdate.precision is Precision.YEAR)
    deceased = [one for one in many if one.standing is Standing.DECEASED]
    assert deceased
    assert all(one.birthdate.year < 1976 for one in deceased)


@pytest.mark.parametrize("person", EVERYBODY[:40], ids=lambda one: one.key)
def test_document_can_be_imported_when_written(person: Persona) -> None:
    document = person.document()
    assert {"scheme", "number", "full_name", "birthdate", "gender", "password", "level"} <= set(document)
    assert None not in document.values()
    assert clean(person.full_name) == document["full_name"]
    assert parse(str(document["birthdate"])) == person.birthdate
    assert len(str(document["password"])) >= 15
    assert str(document["password"]).isascii()
    assert document["level"] in {"loa1", "loa2", "loa3"}
    if person.totp_secret is not None:
        assert len(base64.b32decode(person.totp_secret)) == 20
    if person.phone_number is not None:
        assert person.phone_number[:5] in {"+8430", "+8440", "+8460"}
        assert len(person.phone_number) == 12


def test_nobody_is_born_later_when_ages_are_counted() -> None:
    assert max(one.birthdate.iso() for one in EVERYBODY) < REFERENCE_DAY.isoformat()
    assert MERGER_DAY < REFERENCE_DAY


def test_secrets_and_mailboxes_are_different_when_many_are_drawn() -> None:
    secrets = [one.totp_secret for one in EVERYBODY if one.totp_secret]
    mailboxes = [one.email for one in DRAWN if one.email]
    assert len(set(secrets)) == len(secrets)
    assert len(set(mailboxes)) == len(mailboxes)
    assert all(mailbox.endswith("@thu.example") for mailbox in mailboxes)


def test_complete_person_carries_every_standard_claim_when_written() -> None:
    document = demo("complete").document()
    assert set(document) >= STANDARD_CLAIMS
    address = document["address"]
    assert isinstance(address, dict)
    assert set(address) == {"formatted", "street_address", "locality", "region", "postal_code", "country"}


def test_hard_cases_are_what_their_keys_say_when_looked_up() -> None:
    assert len(demo("mono-name").full_name.split()) == 1
    assert demo("year-only").document()["birthdate"] == "1942"
    assert "'" in demo("minority-name").full_name
    assert demo("deceased").standing is Standing.DECEASED
    assert demo("locked").standing is Standing.LOCKED
    assert demo("replaced-number").standing is Standing.REPLACED
    assert demo("no-second-factor").totp_secret is None
    assert demo("no-second-factor").level == "loa2"
    assert demo("password-only").level == "loa1"
    assert demo("high").level == "loa3"
    abroad = SANDBOX.read(demo("abroad").number, on=REFERENCE_DAY)
    assert abroad.place_code is not None
    assert places()[abroad.place_code][0].region == "foreign:FR"


def test_replacement_is_named_only_when_the_number_was_replaced() -> None:
    for one in EVERYBODY:
        assert (one.replaced_by is not None) is (one.standing is Standing.REPLACED)


def test_register_is_told_the_standing_when_it_is_not_current() -> None:
    assert "register" not in demo("ordinary").document()
    assert demo("deceased").document()["register"] == {"outcome": "deceased"}
    assert demo("locked").document()["register"] == {"outcome": "locked"}
    assert demo("replaced-number").document()["register"] == {"outcome": "replaced", "replaced_by": "927169000111"}


def test_everybody_is_imported_when_the_sandbox_reads_the_documents() -> None:
    settings = load({"IDP_PROFILE": "sandbox", "IDP_ISSUER": "http://127.0.0.1:1"})
    rows = [Row(one.key, one.document()) for one in EVERYBODY]
    assert len(parse_all(rows, settings=settings, today=REFERENCE_DAY)) == len(EVERYBODY)


def test_keys_are_unique_when_people_are_listed() -> None:
    assert len({one.key for one in EVERYBODY}) == len(EVERYBODY)
    assert all(one.note for one in demo_personas())
