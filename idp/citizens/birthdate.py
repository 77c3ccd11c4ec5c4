"""Birth dates as people and registers know them: a year, a year and month, or a whole date.

Owns the value, its readings and its forms. Nothing here pads a missing part with 01: an invented first of
January breaks the match with the register and tells an agency something nobody said.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final, Literal, NoReturn

Part = Literal["day", "month", "year"]

_EARLIEST_YEAR: Final = 1800
_LAST_MONTH: Final = 12
_ISO: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_UNKNOWN: Final = frozenset({"unknown", "không rõ"})
_LANGUAGES_WITH_DAY_FIRST: Final = frozenset({"vi", "en", "fr"})


class Precision(Enum):
    """Say how much of a birth date is known."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"


class BirthDateProblem(Enum):
    """Say why a text or a set of parts is no birth date."""

    EMPTY = "empty"
    FORM = "form"
    DAY_WITHOUT_MONTH = "day-without-month"
    IMPOSSIBLE = "impossible"


class BirthDateRefused(ValueError):
    """Carry why something is no birth date, and in which part, without repeating what was typed."""

    def __init__(self, reason: BirthDateProblem, part: Part | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.part = part


@dataclass(frozen=True, slots=True)
class BirthDate:
    """Hold a birth date with the precision that is known.

    Raises BirthDateRefused for a day without a month, a date the calendar does not have, or a year before 1800.
    """

    year: int
    month: int | None = None
    day: int | None = None

    def __post_init__(self) -> None:
        if self.day is not None and self.month is None:
            raise BirthDateRefused(BirthDateProblem.DAY_WITHOUT_MONTH, "month")
        if not _EARLIEST_YEAR <= self.year <= date.max.year:
            raise BirthDateRefused(BirthDateProblem.IMPOSSIBLE, "year")
        if self.month is not None and not 1 <= self.month <= _LAST_MONTH:
            raise BirthDateRefused(BirthDateProblem.IMPOSSIBLE, "month")
        if self.month is not None and self.day is not None:
            try:
                date(self.year, self.month, self.day)
            except ValueError:
                raise BirthDateRefused(BirthDateProblem.IMPOSSIBLE, "day") from None

    @property
    def precision(self) -> Precision:
        """Tell whether the day, the month or only the year is known."""
        if self.month is None:
            return Precision.YEAR
        return Precision.MONTH if self.day is None else Precision.DAY

    def iso(self) -> str:
        """Write YYYY, YYYY-MM or YYYY-MM-DD: the stored form, which `parse` reads back."""
        return "-".join(f"{part:02d}" for part in (self.year, self.month, self.day) if part is not None)

    def claim(self) -> str:
        """Write the `birthdate` claim: YYYY-MM-DD, or YYYY when the day is unknown.

        OpenID Connect Core 1.0, 5.1 has no form for a year and month.
        """
        return self.iso() if self.precision is Precision.DAY else f"{self.year:04d}"

    def display(self, language: str) -> str:
        """Write dd/mm/yyyy, mm/yyyy or yyyy for a reader of `language`.

        Vietnamese, English and French pages put the day first. Any other language gets the ISO form, since
        03/04/1950 would be read in two ways there.
        """
        if language not in _LANGUAGES_WITH_DAY_FIRST:
            return self.iso()
        return "/".join(f"{part:02d}" for part in (self.day, self.month, self.year) if part is not None)

    def agrees_with(self, other: "BirthDate") -> bool:
        """Tell whether both dates are the same in every part that both know."""
        pairs = ((self.year, other.year), (self.month, other.month), (self.day, other.day))
        return all(mine == theirs for mine, theirs in pairs if mine is not None and theirs is not None)


def parse(text: str) -> BirthDate:
    """Read YYYY, YYYY-MM or YYYY-MM-DD; raise BirthDateRefused for anything else."""
    if not text:
        _refuse(BirthDateProblem.EMPTY)
    found = _ISO.fullmatch(text)
    if found is None:
        _refuse(BirthDateProblem.FORM)
    year, month, day = found.groups()
    return BirthDate(int(year), None if month is None else int(month), None if day is None else int(day))


def from_parts(*, day: str, month: str, year: str) -> BirthDate:
    """Read the three fields of a form, each as typed.

    `day` and `month` may say "unknown" or "không rõ". An empty field is refused, so that a forgotten day is
    asked for again and does not become a year-only date. Raises BirthDateRefused naming the part.
    """
    return BirthDate(
        _year(year),
        _day_or_month(month, "month"),
        _day_or_month(day, "day"),
    )


def _year(typed: str) -> int:
    text = _typed(typed, "year")
    if not re.fullmatch("[0-9]{4}", text):
        _refuse(BirthDateProblem.FORM, "year")
    return int(text)


def _day_or_month(typed: str, part: Part) -> int | None:
    text = _typed(typed, part)
    if text.casefold() in _UNKNOWN:
        return None
    if not re.fullmatch("[0-9]{1,2}", text):
        _refuse(BirthDateProblem.FORM, part)
    return int(text)


def _typed(typed: str, part: Part) -> str:
    text = unicodedata.normalize("NFKC", typed).strip()
    if not text:
        _refuse(BirthDateProblem.EMPTY, part)
    return text


def _refuse(reason: BirthDateProblem, part: Part | None = None) -> NoReturn:
    raise BirthDateRefused(reason, part)
