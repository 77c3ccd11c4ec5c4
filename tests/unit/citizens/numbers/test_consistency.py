"""A number beside a declared identity: the state CONSISTENT of vietnam.md, section 1."""

from datetime import date

import pytest

from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import Finding, Gender, consistency, scheme

VN = scheme("vn-pin", test_numbers=False).read("001190000001", on=None)
EE = scheme("stdnum:ee.ik", test_numbers=False).read("36805280109", on=None)
FR = scheme("stdnum:fr.nir", test_numbers=False).read("295109912611193", on=None)


@pytest.mark.parametrize("birthdate", [BirthDate(1990), BirthDate(1990, 5), BirthDate(1990, 5, 17)])
@pytest.mark.parametrize("gender", [Gender.FEMALE, None])
def test_consistency_finds_nothing_when_year_and_sex_agree(birthdate: BirthDate, gender: Gender | None) -> None:
    assert consistency(VN, birthdate, gender) == ()


def test_consistency_finds_the_year_when_a_20xx_number_is_read_as_19xx() -> None:
    child = scheme("vn-pin", test_numbers=False).read("001305000001", on=None)
    assert consistency(child, BirthDate(1905, 5, 17), Gender.FEMALE) == (Finding.BIRTH_YEAR_DIFFERS,)
    assert consistency(child, BirthDate(2005, 5, 17), Gender.FEMALE) == ()


def test_consistency_finds_both_when_year_and_sex_differ() -> None:
    found = consistency(VN, BirthDate(1991), Gender.MALE)
    assert found == (Finding.BIRTH_YEAR_DIFFERS, Finding.GENDER_DIFFERS)


def test_consistency_finds_the_date_when_the_number_holds_another_day() -> None:
    assert consistency(EE, BirthDate(1968, 5, 28), Gender.MALE) == ()
    assert consistency(EE, BirthDate(1968, 5), Gender.MALE) == ()
    assert consistency(EE, BirthDate(1968), None) == ()
    assert consistency(EE, BirthDate(1968, 5, 27), Gender.MALE) == (Finding.BIRTH_DATE_DIFFERS,)


def test_consistency_finds_nothing_when_the_number_says_nothing() -> None:
    assert consistency(FR, BirthDate(1901), Gender.MALE) == ()


def test_reading_keeps_the_century_open_when_two_living_ages_fit() -> None:
    italian = scheme("stdnum:it.codicefiscale", test_numbers=False)
    number = "RCCMNL83S18D969H"
    assert italian.read(number, on=None).birth_date is None
    assert italian.read(number, on=date(2026, 1, 1)).birth_date == date(1983, 11, 18)
    assert italian.read(number, on=date(2090, 1, 1)).birth_date is None


def test_reading_gives_a_leap_day_when_other_centuries_have_none() -> None:
    italian = scheme("stdnum:it.codicefiscale", test_numbers=False)
    assert italian.read("RCCMNL00B29D969D", on=date(2015, 1, 1)).birth_date == date(2000, 2, 29)


@pytest.mark.parametrize("typed", ["880320-0016", "8803200016", "198803200016", "19880320-0016"])
def test_swedish_number_has_one_form_when_typed_short_or_long(typed: str) -> None:
    assert scheme("stdnum:se.personnummer", test_numbers=False).canonical(typed) == "19880320-0016"
