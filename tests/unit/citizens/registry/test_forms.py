"""Names and dates as registers write them: nothing is added, nothing that is known is lost."""

import pytest

from idp.citizens.birthdate import BirthDate, BirthDateRefused
from idp.citizens.registry.forms import DateForm, NameForm, read_date, write_date, write_name

DAY, MONTH, YEAR = BirthDate(1945, 9, 2), BirthDate(1945, 9), BirthDate(1945)
WRITTEN = [
    (DateForm.COMPACT, "19450902", "194509", "1945"),
    (DateForm.ISO, "1945-09-02", "1945-09", "1945"),
    (DateForm.DAY_FIRST, "02/09/1945", "09/1945", "1945"),
]


@pytest.mark.parametrize(("form", "day", "month", "year"), WRITTEN)
def test_a_date_keeps_its_precision_there_and_back(form: DateForm, day: str, month: str, year: str) -> None:
    for birth, text in ((DAY, day), (MONTH, month), (YEAR, year)):
        assert write_date(birth, form) == text
        assert read_date(text, form) == birth


@pytest.mark.parametrize(
    ("form", "text", "birth"),
    [
        (DateForm.COMPACT, "19450900", MONTH),
        (DateForm.COMPACT, "19450000", YEAR),
        (DateForm.COMPACT, "194500", YEAR),
        (DateForm.ISO, "1945-09-00", MONTH),
        (DateForm.ISO, "1945-00-00", YEAR),
        (DateForm.DAY_FIRST, "00/09/1945", MONTH),
        (DateForm.DAY_FIRST, "00/00/1945", YEAR),
    ],
)
def test_noughts_are_parts_that_nobody_knows(form: DateForm, text: str, birth: BirthDate) -> None:
    assert read_date(text, form) == birth


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (DateForm.COMPACT, ""),
        (DateForm.COMPACT, "1945-09-02"),
        (DateForm.COMPACT, "19450230"),
        (DateForm.COMPACT, "19450002"),
        (DateForm.COMPACT, "19451302"),
        (DateForm.COMPACT, "1945090"),
        (DateForm.COMPACT, "٢٠١٠٠١٠١"),
        (DateForm.COMPACT, "00000000"),
        (DateForm.ISO, "1945-09-02T00:00:00"),
        (DateForm.DAY_FIRST, "2/9/1945"),
        (DateForm.DAY_FIRST, "1945/09/02"),
        (DateForm.DAY_FIRST, "02/00/1945"),
    ],
)
def test_what_is_no_date_is_not_guessed_at(form: DateForm, text: str) -> None:
    with pytest.raises(BirthDateRefused):
        read_date(text, form)


def test_a_name_is_written_as_the_register_wants_it() -> None:
    assert write_name("H' Đỗ  Thị Hoà-An", NameForm.FOLD) == "HDOTHIHOAAN"
    assert write_name("H' Đỗ Thị", NameForm.PLAIN) == "H' Đỗ Thị"
