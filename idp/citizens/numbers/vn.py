"""The Vietnamese personal identification number (số định danh cá nhân), 12 digits `PPP G YY NNNNNN`.

P is where the birth was registered (province or country), G century and sex, Y the birth year, N random. There is
no check digit, and the structure left the law in 2024 (Law 26/2023, article 12): a mismatch warns, and the register
decides. Shape from Decree 137/2015, article 13, and Circular 07/2016/TT-BCA, article 7 and annexes.

Synthetic people carry province + 900 or country + 300 (079 -> 979, 240 -> 540): no such code is assigned, so no
test number is a real person's.
"""

import csv
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import ClassVar, Final

from idp.citizens.numbers import (
    VN_PIN,
    Finding,
    Gender,
    NumberProblem,
    NumberReading,
    NumberScheme,
    NumberUnreadable,
    PivotField,
    masked,
)

PROVINCE_TEST_OFFSET: Final = 900
COUNTRY_TEST_OFFSET: Final = 300

_DIGITS: Final = 12
_FIRST_COUNTRY_CODE: Final = 100
# Far more than any way to write 12 digits; keeps a pasted page from being normalised sign by sign.
_LONGEST_TYPED: Final = 100
_MINUS_SIGN: Final = "\u2212"
_SEPARATOR_CATEGORIES: Final = frozenset({"Zs", "Pd", "Cf"})


@dataclass(frozen=True, slots=True)
class Place:
    """Hold one meaning of a place code.

    `region` is a part of Vietnam, or `foreign:` and an ISO 3166-1 code. `valid_to` is the last day of this
    meaning, None while it lasts. Seven codes changed meaning on 2025-07-01: never name a place without a date.
    """

    code: str
    name_vi: str
    name_en: str
    region: str
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class VietnamScheme:
    """Read Vietnamese numbers; `test_numbers` takes numbers reserved for tests without a finding."""

    test_numbers: bool

    name: ClassVar[str] = VN_PIN
    has_checksum: ClassVar[bool] = False
    pivot_fields: ClassVar[tuple[PivotField, ...]] = (
        PivotField.NUMBER,
        PivotField.FULL_NAME,
        PivotField.BIRTHDATE,
    )
    number_required: ClassVar[bool] = True

    def canonical(self, text: str) -> str:
        """Return 12 ASCII digits; spaces, dots, dashes and invisible signs between them are dropped."""
        if len(text) > _LONGEST_TYPED:
            raise NumberUnreadable(NumberProblem.LENGTH)
        number = "".join(sign for sign in unicodedata.normalize("NFKC", text) if not _separates(sign))
        if not number:
            raise NumberUnreadable(NumberProblem.EMPTY)
        if not (number.isascii() and number.isdigit()):
            raise NumberUnreadable(NumberProblem.CHARACTERS)
        if len(number) != _DIGITS:
            raise NumberUnreadable(NumberProblem.LENGTH)
        return number

    def read(self, number: str, *, on: date | None) -> NumberReading:
        """Return place, birth year and sex; `place_code` of a test number is the code it stands for."""
        number = self.canonical(number)
        code, is_test = _place_code(number[:3])
        century_and_sex = int(number[3])
        birth_year = 1900 + 100 * (century_and_sex // 2) + int(number[4:6])
        findings: list[Finding] = []
        if code is None:
            findings.append(Finding.UNASSIGNED_PLACE)
        if is_test and not self.test_numbers:
            findings.append(Finding.TEST_NUMBER)
        well_formed = not findings
        if on is not None and birth_year > on.year:
            findings.append(Finding.FUTURE_BIRTH)
        return NumberReading(
            scheme=self.name,
            number=number,
            well_formed=well_formed,
            has_checksum=self.has_checksum,
            test_number=is_test,
            findings=tuple(findings),
            birth_year=birth_year,
            gender=Gender.FEMALE if century_and_sex % 2 else Gender.MALE,
            place_code=code,
        )

    def display(self, number: str) -> str:
        """Group 3-3-6: place; century, sex and year; random digits."""
        number = self.canonical(number)
        return f"{number[:3]} {number[3:6]} {number[6:]}"

    def mask(self, number: str) -> str:
        """Hide place, year, sex and half of the random digits."""
        return masked(self.display(number))


def scheme(*, test_numbers: bool) -> NumberScheme:
    """Return the Vietnamese scheme."""
    return VietnamScheme(test_numbers=test_numbers)


def place(code: str, *, on: date) -> Place | None:
    """Return what an assigned `code` meant on the day `on`, None for a code never assigned.

    A day before the first table gets the first meaning, a day after a province ended its last: numbers carry
    the old code for ever.
    """
    meanings = places().get(code, ())
    begun = [meaning for meaning in meanings if meaning.valid_from <= on]
    return next(iter(begun[-1:] or meanings[:1]), None)


@cache
def places() -> Mapping[str, tuple[Place, ...]]:
    """Return every assigned place code with its meanings, oldest first."""
    meanings: dict[str, list[Place]] = {}
    text = files(__package__).joinpath("vn-province-codes.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        meanings.setdefault(row["code"], []).append(
            Place(
                code=row["code"],
                name_vi=row["name_vi"],
                name_en=row["name_en"],
                region=row["region"],
                valid_from=date.fromisoformat(row["valid_from"]),
                valid_to=date.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
            )
        )
    ordered = {code: tuple(sorted(known, key=lambda one: one.valid_from)) for code, known in meanings.items()}
    return MappingProxyType(ordered)


def prefix_for_tests(code: str) -> str:
    """Return the prefix that stands for place `code` in numbers of synthetic people."""
    number = int(code)
    return str(number + (PROVINCE_TEST_OFFSET if number < _FIRST_COUNTRY_CODE else COUNTRY_TEST_OFFSET))


def _place_code(prefix: str) -> tuple[str | None, bool]:
    if prefix in places():
        return prefix, False
    code = _codes_by_test_prefix().get(prefix)
    return code, code is not None


@cache
def _codes_by_test_prefix() -> Mapping[str, str]:
    return MappingProxyType({prefix_for_tests(code): code for code in places()})


def _separates(sign: str) -> bool:
    return sign.isspace() or sign in (".", _MINUS_SIGN) or unicodedata.category(sign) in _SEPARATOR_CATEGORIES
