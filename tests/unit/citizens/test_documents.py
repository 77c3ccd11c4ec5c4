"""Citizen documents: every mistake named with row, member and what to do, never with a value."""

from datetime import date
from typing import Any

import pytest

from idp.citizens.documents import MEMBERS, CitizenDocument, DocumentsRefused, Row, parse, parse_all
from idp.citizens.numbers import Finding, Gender
from idp.citizens.registry.table import Answer
from idp.core.levels import Level
from idp.core.scopes import PERSON_CLAIMS
from idp.core.settings import Profile, Settings
from tests.unit.citizens.place import NEW_NUMBER, NUMBER, PASSWORD, SECRET, document

TODAY = date(2026, 1, 1)
SANDBOX = Settings()
PRODUCTION = Settings(profile=Profile.PRODUCTION, issuer="https://id.example")
REAL = "079191000001"


def read(settings: Settings = SANDBOX, **members: Any) -> CitizenDocument:
    return parse(Row("row 1", document(**members)), settings=settings, today=TODAY)


def problems(settings: Settings = SANDBOX, **members: Any) -> list[str]:
    with pytest.raises(DocumentsRefused) as refused:
        read(settings, **members)
    return [str(problem) for problem in refused.value.problems]


def test_document_is_read_when_it_says_the_least() -> None:
    made = parse(
        Row("row 1", {"number": "979 045 000001", "full_name": "Sùng", "birthdate": "1945"}),
        settings=SANDBOX,
        today=TODAY,
    )
    assert (made.scheme, made.number, made.full_name, made.birth.iso()) == ("vn-pin", "979045000001", "Sùng", "1945")
    assert (made.gender, made.level, made.findings, dict(made.claims)) == (None, Level.NONE, (), {})
    assert [person.answer for person in made.people] == [Answer.MATCH]


def test_document_is_read_when_it_says_everything() -> None:
    address = {"formatted": "1 Lê Lợi\nThành phố Hồ Chí Minh", "locality": "Phường Sài Gòn", "country": "VN"}
    made = read(
        scheme="vn-pin",
        name="Nguyễn Thị Hoà",
        password=PASSWORD,
        totp_secret=SECRET.lower(),
        level="LoA2",
        family_name="Nguyễn",
        middle_name="Thị",
        given_name="Hoà",
        nickname="Bé Hoà",
        preferred_username="hoa",
        profile="https://hoa.example/toi",
        picture="https://hoa.example/anh.png",
        website="https://hoa.example",
        zoneinfo="Asia/Ho_Chi_Minh",
        locale="vi-VN",
        email="hoa@thu.example",
        email_verified=False,
        phone_number="+84 30 123 4567",
        phone_number_verified=True,
        address=address,
        place_of_birth={"country": "VN", "locality": "Huế"},
        birth_registration_place="Thành phố Huế",
        nationalities=["VN", "FR"],
    )
    # Number, scheme, name and birth date have fields of their own; updated_at is ours to say.
    ours = {"name", "birthdate", "updated_at", "identification_number", "identification_number_scheme"}
    assert set(made.claims) == set(PERSON_CLAIMS) - ours
    assert (made.gender, made.level, made.totp_secret) == (Gender.FEMALE, Level.LOA2, SECRET)
    assert made.claims["address"] == address
    assert made.claims["email_verified"] is False
    assert made.claims["phone_number"] == "+84301234567"


def test_every_claim_about_a_person_can_be_given() -> None:
    ours = {"updated_at", "identification_number", "identification_number_scheme"}
    assert set(PERSON_CLAIMS) - ours <= set(MEMBERS)


@pytest.mark.parametrize(
    ("members", "advice"),
    [
        ({"number": None}, "row 1: number: is missing"),
        ({"number": 979191000001}, "row 1: number: must be text in quotes"),
        ({"number": "97919100000"}, "row 1: number: has too many or too few"),
        ({"number": "97919100000x"}, "row 1: number: has characters"),
        ({"number": "  "}, "row 1: number: is empty"),
        ({"full_name": None}, "row 1: full_name: is missing"),
        ({"full_name": "R2D2"}, "row 1: full_name: must be 1 to 100 Latin letters"),
        ({"full_name": ["Hoà"]}, "row 1: full_name: must be text"),
        ({"birthdate": "28/02/1991"}, "row 1: birthdate: must be a date"),
        ({"birthdate": "1991-02-30"}, "row 1: birthdate: must be a date"),
        ({"gender": "nữ"}, "row 1: gender: must be one of female, male"),
        ({"scheme": "vn-pim"}, "row 1: scheme: is none of"),
        ({"scheme": "os.system"}, "row 1: scheme: is none of"),
        ({"scheme": "stdnum:xx.nothing"}, "row 1: scheme: names no number module"),
        ({"level": "loa4"}, "row 1: level: must be loa1, loa2 or loa3"),
        ({"level": 2}, "row 1: level: must be text"),
        ({"password": "ngắn"}, "row 1: password: must have 8 to 128"),
        ({"password": 12345678}, "row 1: password: must have 8 to 128"),
        ({"totp_secret": "JBSWY3DP"}, "row 1: totp_secret: must be base32"),
        ({"email": "hoa"}, "row 1: email: must be a mail address"),
        ({"email": ""}, "row 1: email: must have 1 to 500 characters"),
        ({"email_verified": "yes"}, "row 1: email_verified: must be true or false"),
        ({"phone_number": "113"}, "row 1: phone_number: must be a telephone number"),
        ({"picture": "javascript:alert(1)"}, "row 1: picture: must be an http or https address"),
        ({"zoneinfo": "Sài Gòn"}, "row 1: zoneinfo: must be a zone"),
        ({"locale": "tiếng Việt"}, "row 1: locale: must be a language tag"),
        ({"nickname": "a\x00b"}, "row 1: nickname: must not hold control characters"),
        ({"address": "Huế"}, "row 1: address: must be an object"),
        ({"address": {"city": "Huế"}}, "row 1: address: must be an object with one or more of formatted"),
        ({"address": {"region": 1}}, "row 1: address: region must be text"),
        ({"nationalities": []}, "row 1: nationalities: must be a list"),
        ({"nationalities": ["vn"]}, "row 1: nationalities: must hold country codes"),
        ({"name": "Ai Khác"}, "row 1: name: differs from full_name"),
        ({"updated_at": 1}, "row 1: updated_at: is set by the provider"),
        ({"sub": "x"}, "row 1: sub: is set by the provider"),
        ({"fullname": "x"}, "row 1: fullname: is not a member of a citizen document; did you mean full_name?"),
        ({"phone": "x"}, "row 1: phone: is not a member of a citizen document; did you mean phone_number?"),
        ({"register": "match"}, "row 1: register: must be an object"),
        ({"register": {"outcome": "dead"}}, "row 1: register.outcome: must be one of match"),
        ({"register": {"outcom": "match"}}, "row 1: register.outcom: is not a member"),
        ({"register": {"outcome": "replaced"}}, "row 1: register.replaced_by: is missing"),
        ({"register": {"replaced_by": NEW_NUMBER}}, "row 1: register.replaced_by: is for outcome replaced only"),
        ({"register": {"outcome": "replaced", "replaced_by": NUMBER}}, "row 1: register.replaced_by: is the same"),
        ({"register": {"birthdate": "x"}}, "row 1: register.birthdate: must be a date"),
    ],
)
def test_document_is_refused_with_advice(members: dict[str, Any], advice: str) -> None:
    (problem,) = problems(**members)
    assert problem.startswith(advice)
    for value in (NUMBER, "R2D2", "Ai Khác", "ngắn", "JBSWY3DP", "javascript"):
        assert value not in problem


def test_every_problem_is_named_when_there_are_several() -> None:
    found = problems(number="1", full_name=None, birthdate="x", gender="x", colour="red")
    assert [problem.split(": ")[1] for problem in found] == ["colour", "number", "full_name", "birthdate", "gender"]


def test_number_that_disagrees_is_taken_with_a_finding() -> None:
    assert read(birthdate="1992", gender="male").findings == (Finding.BIRTH_YEAR_DIFFERS, Finding.GENDER_DIFFERS)


def test_number_of_another_country_is_read() -> None:
    made = read(scheme="stdnum:fi.hetu", number="131052-308T", full_name="Aino Järvinen", birthdate="1952-10-13")
    assert (made.scheme, made.number) == ("stdnum:fi.hetu", "131052-308T")


def test_register_is_scripted_in_the_sandbox() -> None:
    script = {
        "outcome": "replaced",
        "replaced_by": "979 191 000 003",
        "full_name": "Nguyen Thi Hoa",
        "birthdate": "1991",
    }
    old, new = read(register=script).people
    assert (old.answer, old.replaced_by, old.full_name) == (Answer.REPLACED, NEW_NUMBER, "Nguyen Thi Hoa")
    assert (new.answer, new.number, new.birth.iso()) == (Answer.MATCH, NEW_NUMBER, "1991")


@pytest.mark.parametrize(
    ("members", "advice"),
    [
        ({"number": NUMBER}, "row 1: number: is reserved for tests"),
        ({"register": {"outcome": "match"}}, "row 1: register: is for the sandbox only"),
        ({"password": PASSWORD}, "row 1: password: is for the sandbox only"),
        ({"totp_secret": SECRET}, "row 1: totp_secret: is for the sandbox only"),
        ({"level": "loa2"}, "row 1: level: above loa1 needs an officer"),
    ],
)
def test_production_refuses_what_only_a_sandbox_may_say(members: dict[str, Any], advice: str) -> None:
    (problem,) = problems(PRODUCTION, **{"number": REAL, **members})
    assert problem.startswith(advice)


def test_production_reads_number_name_birth_date_and_claims() -> None:
    made = read(PRODUCTION, number=REAL, email="hoa@thu.example", level="loa1")
    assert (made.people, made.level, made.password) == ((), Level.LOA1, None)


def test_person_is_refused_when_given_twice() -> None:
    rows = [Row("a: row 1", document()), Row("b: row 7", document(number="979.191.000.001"))]
    with pytest.raises(DocumentsRefused, match="b: row 7: number: is already used by a: row 1"):
        parse_all(rows, settings=SANDBOX, today=TODAY)


def test_new_number_is_refused_when_another_row_has_it() -> None:
    script = {"outcome": "replaced", "replaced_by": NEW_NUMBER}
    rows = [Row("row 1", document(number=NEW_NUMBER)), Row("row 2", document(register=script))]
    with pytest.raises(DocumentsRefused, match=r"row 2: register.replaced_by: is already used by row 1"):
        parse_all(rows, settings=SANDBOX, today=TODAY)
