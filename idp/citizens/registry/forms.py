"""How registers write names and dates, and how what they wrote is read.

Dates keep what is known and nothing more: a year, a month and year, or a day. A day or month of 00 is an unknown one.
Never is 01 put where nothing is known: it would not match (shared vietnam.md, 3 and 4).
"""

import re
from enum import StrEnum
from typing import Final

from idp.citizens.birthdate import BirthDate, BirthDateProblem, BirthDateRefused
from idp.citizens.names import name_fold


class NameForm(StrEnum):
    """PLAIN: as people write it. FOLD: the national convention, capitals without accents, spaces or signs."""

    PLAIN = "plain"
    FOLD = "fold"


class DateForm(StrEnum):
    """COMPACT: 19450902, 194509, 1945. ISO: 1945-09-02, 1945-09, 1945. DAY_FIRST: 02/09/1945, 09/1945, 1945."""

    COMPACT = "compact"
    ISO = "iso"
    DAY_FIRST = "day_first"


_READ: Final = {
    DateForm.COMPACT: re.compile(r"(?P<year>[0-9]{4})(?:(?P<month>[0-9]{2})(?P<day>[0-9]{2})?)?"),
    DateForm.ISO: re.compile(r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?"),
    DateForm.DAY_FIRST: re.compile(r"(?:(?:(?P<day>[0-9]{2})/)?(?P<month>[0-9]{2})/)?(?P<year>[0-9]{4})"),
}
_UNKNOWN: Final = "00"


def write_name(full_name: str, form: NameForm) -> str:
    """Return a name as the register wants it asked for."""
    return name_fold(full_name) if form is NameForm.FOLD else full_name


def write_date(birth: BirthDate, form: DateForm) -> str:
    """Return a birth date as the register wants it asked for, with the precision that is known."""
    if form is DateForm.DAY_FIRST:
        return birth.display("vi")
    return birth.iso() if form is DateForm.ISO else birth.iso().replace("-", "")


def read_date(text: str, form: DateForm) -> BirthDate:
    """Return the birth date that a register wrote. Raises BirthDateRefused."""
    found = _READ[form].fullmatch(text)
    if found is None:
        raise BirthDateRefused(BirthDateProblem.FORM)
    month, day = (None if found[part] in (None, _UNKNOWN) else int(found[part]) for part in ("month", "day"))
    return BirthDate(int(found["year"]), month, day)
