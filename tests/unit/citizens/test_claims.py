"""Claims: what exists is sent as it is, what does not is left out, and people can read it."""

from typing import Any
from uuid import UUID

import pytest

from idp.citizens import person_key
from idp.citizens.birthdate import parse
from idp.citizens.claims import Profile, Shown, display, open_profile, profile_of, release, seal_profile
from idp.citizens.models import Citizen
from idp.citizens.person_key import PersonKey
from idp.core.database import db
from idp.core.keyring import SealBroken
from idp.core.scopes import PERSON_CLAIMS
from tests.unit.citizens.place import NUMBER, Place

ME, ANOTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def profile(place: Place) -> Profile:
    result = place.enrol(
        birthdate="1991-02",
        email="hoa@thu.example",
        email_verified=False,
        address={"locality": "Phường Sài Gòn", "country": "VN"},
    )
    citizen = db.session.get_one(Citizen, result.citizen_id)
    return profile_of(citizen, place.keyring)


def test_claims_are_released_as_they_are_and_absent_ones_left_out(profile: Profile) -> None:
    released = release(profile, PERSON_CLAIMS)
    assert isinstance(released.pop("updated_at"), int)
    assert released == {
        "name": "Nguyễn Thị Hoà",
        "gender": "female",
        "birthdate": "1991",
        "email": "hoa@thu.example",
        "email_verified": False,
        "address": {"locality": "Phường Sài Gòn", "country": "VN"},
        "identification_number": NUMBER,
        "identification_number_scheme": "vn-pin",
    }


def test_only_what_is_named_is_released(profile: Profile) -> None:
    assert list(release(profile, ["email", "family_name", "name", "unheard_of"])) == ["email", "name"]


def test_month_of_birth_is_kept_when_the_claim_cannot_say_it(profile: Profile) -> None:
    assert profile.birth == parse("1991-02")


def test_profile_opens_for_its_citizen_only(place: Place) -> None:
    mine, theirs = (PersonKey(who, person_key.new(who, place.keyring), place.keyring) for who in (ME, ANOTHER))
    sealed = seal_profile(Profile({"name": "Nguyễn Thị Hoà"}, parse("1991")), mine)
    assert "Nguyễn" not in sealed
    assert open_profile(sealed, mine).full_name == "Nguyễn Thị Hoà"
    moved = PersonKey(ANOTHER, mine.wrapped, place.keyring)
    for stolen, key in ((sealed, theirs), (sealed, moved), (sealed[:-2] + "AA", mine), ("", mine)):
        with pytest.raises(SealBroken):
            open_profile(stolen, key)


def test_profile_prints_nothing_about_the_person(profile: Profile) -> None:
    assert repr(profile) == "Profile()"


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("name", "Nguyễn Thị Hoà", [Shown("Nguyễn Thị Hoà")]),
        ("birthdate", "1991-02-28", [Shown("28/02/1991")]),
        ("birthdate", "1945", [Shown("1945")]),
        ("gender", "female", [Shown("gender.female", is_message=True)]),
        ("gender", "other", [Shown("other")]),
        ("email_verified", True, [Shown("value.yes", is_message=True)]),
        ("phone_number_verified", False, [Shown("value.no", is_message=True)]),
        ("identification_number", "979191000001", [Shown("979 191 000001")]),
        ("identification_number", "131052-308T", [Shown("131052-308T")]),
        ("updated_at", 1_767_225_600, [Shown("01/01/2026")]),
        ("nationalities", ["VN", "FR"], [Shown("VN"), Shown("FR")]),
        (
            "address",
            {"country": "VN", "street_address": "1 Lê Lợi", "locality": "Phường Sài Gòn"},
            [Shown("1 Lê Lợi"), Shown("Phường Sài Gòn"), Shown("VN")],
        ),
        (
            "address",
            {"formatted": "1 Lê Lợi\r\nPhường Sài Gòn\n", "locality": "Phường Sài Gòn"},
            [Shown("1 Lê Lợi"), Shown("Phường Sài Gòn")],
        ),
        ("place_of_birth", {"country": "VN", "locality": "Huế"}, [Shown("Huế"), Shown("VN")]),
        ("unheard_of", 7, [Shown("7")]),
    ],
)
def test_value_is_shown_as_people_read_it(name: str, value: Any, lines: list[Shown]) -> None:
    assert display(name, value, language="vi") == lines


def test_birth_date_is_shown_in_iso_form_when_the_language_is_another() -> None:
    assert display("birthdate", "1991-02-28", language="de") == [Shown("1991-02-28")]
