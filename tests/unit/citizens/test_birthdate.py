"""Birth dates with the precision people have: vietnam.md, section 4, and acceptance check (e) of section 7."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.citizens.birthdate import BirthDate, BirthDateProblem, BirthDateRefused, Precision, from_parts, parse

whole = st.dates(min_value=date(1800, 1, 1)).map(lambda day: BirthDate(day.year, day.month, day.day))
months = st.builds(BirthDate, st.integers(1800, 9999), st.integers(1, 12))
years = st.builds(BirthDate, st.integers(1800, 9999))


@given(birthdate=whole | months | years)
def test_iso_reads_back_when_parsed(birthdate: BirthDate) -> None:
    assert parse(birthdate.iso()) == birthdate


@pytest.mark.parametrize(
    ("birthdate", "iso", "claim", "shown", "precision"),
    [
        (BirthDate(1942), "1942", "1942", "1942", Precision.YEAR),
        (BirthDate(1942, 1), "1942-01", "1942", "01/1942", Precision.MONTH),
        (BirthDate(1942, 1, 1), "1942-01-01", "1942-01-01", "01/01/1942", Precision.DAY),
        (BirthDate(1990, 9, 2), "1990-09-02", "1990-09-02", "02/09/1990", Precision.DAY),
    ],
)
def test_forms_never_pad_when_a_part_is_unknown(
    birthdate: BirthDate, iso: str, claim: str, shown: str, precision: Precision
) -> None:
    assert birthdate.iso() == iso
    assert birthdate.claim() == claim
    assert [birthdate.display(language) for language in ("vi", "en", "fr")] == [shown] * 3
    assert birthdate.display("ja") == iso
    assert birthdate.precision is precision


def test_year_only_survives_when_it_goes_from_form_to_claim() -> None:
    typed = from_parts(day="không rõ", month="không rõ", year="1942")
    assert typed == BirthDate(1942)
    assert parse(typed.iso()).claim() == "1942"


@pytest.mark.parametrize(
    ("day", "month", "year", "expected"),
    [
        ("2", "9", "1945", BirthDate(1945, 9, 2)),
        ("02", "09", "1945", BirthDate(1945, 9, 2)),
        (" 02 ", "０９", "１９４５", BirthDate(1945, 9, 2)),
        ("unknown", "9", "1945", BirthDate(1945, 9)),
        ("Unknown", "UNKNOWN", "1945", BirthDate(1945)),
        ("KHÔNG RÕ", "kho\u0302ng ro\u0303", "1945", BirthDate(1945)),
        ("29", "2", "2024", BirthDate(2024, 2, 29)),
    ],
)
def test_form_parts_are_read_when_typed_by_people(day: str, month: str, year: str, expected: BirthDate) -> None:
    assert from_parts(day=day, month=month, year=year) == expected


@pytest.mark.parametrize(
    ("day", "month", "year", "reason", "part"),
    [
        ("", "9", "1945", BirthDateProblem.EMPTY, "day"),
        ("2", " ", "1945", BirthDateProblem.EMPTY, "month"),
        ("2", "9", "", BirthDateProblem.EMPTY, "year"),
        ("2", "9", "45", BirthDateProblem.FORM, "year"),
        ("2", "9", "unknown", BirthDateProblem.FORM, "year"),
        ("x", "9", "1945", BirthDateProblem.FORM, "day"),
        ("2", "chín", "1945", BirthDateProblem.FORM, "month"),
        ("-2", "9", "1945", BirthDateProblem.FORM, "day"),
        ("٢", "9", "1945", BirthDateProblem.FORM, "day"),
        ("2", "unknown", "1945", BirthDateProblem.DAY_WITHOUT_MONTH, "month"),
        ("31", "4", "1945", BirthDateProblem.IMPOSSIBLE, "day"),
        ("29", "2", "1900", BirthDateProblem.IMPOSSIBLE, "day"),
        ("0", "1", "1945", BirthDateProblem.IMPOSSIBLE, "day"),
        ("2", "13", "1945", BirthDateProblem.IMPOSSIBLE, "month"),
        ("2", "0", "1945", BirthDateProblem.IMPOSSIBLE, "month"),
        ("2", "9", "0000", BirthDateProblem.IMPOSSIBLE, "year"),
    ],
)
def test_form_parts_are_refused_by_name_when_they_are_no_date(
    day: str, month: str, year: str, reason: BirthDateProblem, part: str
) -> None:
    with pytest.raises(BirthDateRefused) as refusal:
        from_parts(day=day, month=month, year=year)
    assert (refusal.value.reason, refusal.value.part) == (reason, part)


@pytest.mark.parametrize(
    "text",
    ["", "45", "19450902", "02/09/1945", "1945-9-2", "1945-09-02 ", "1945-00", "1945-02-30", "1945-", "１９４５"],
)
def test_parse_refuses_when_the_text_is_no_iso_date(text: str) -> None:
    with pytest.raises(BirthDateRefused):
        parse(text)


@given(text=st.text())
def test_parse_answers_or_refuses_when_anything_comes(text: str) -> None:
    try:
        birthdate = parse(text)
    except BirthDateRefused:
        return
    assert birthdate.iso() == text


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (BirthDate(1942), BirthDate(1942, 3, 4), True),
        (BirthDate(1942, 3), BirthDate(1942, 3, 4), True),
        (BirthDate(1942, 3, 4), BirthDate(1942, 3, 4), True),
        (BirthDate(1942), BirthDate(1943, 3, 4), False),
        (BirthDate(1942, 4), BirthDate(1942, 3, 4), False),
        (BirthDate(1942, 3, 4), BirthDate(1942, 4, 3), False),
        (BirthDate(1942, 1, 1), BirthDate(1942, 3, 4), False),
    ],
)
def test_dates_agree_when_what_both_know_is_the_same(one: BirthDate, other: BirthDate, agree: bool) -> None:
    assert one.agrees_with(other) is agree
    assert other.agrees_with(one) is agree
