"""Identification numbers of other countries, through any person's module of python-stdnum.

python-stdnum answers three different ways here: what cannot be a number is unreadable, a wrong check digit or an
impossible part is a finding. It guesses the century of two-digit years; we answer only when the guess is sure.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from typing import Any, ClassVar, Final, Protocol, cast

from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidLength

from idp.citizens.numbers import (
    Finding,
    Gender,
    NumberProblem,
    NumberReading,
    NumberScheme,
    NumberUnreadable,
    PivotField,
    UnknownScheme,
    masked,
)

_PATH: Final = re.compile(r"[a-z]{2}_?\.[a-z][a-z0-9_]*")
_LONGEST_TYPED: Final = 100
_OLDEST_AGE: Final = 115
_GENDERS: Final = {"M": Gender.MALE, "F": Gender.FEMALE}

# Modules read one by one. Those absent have no check digit, or do not test it, or nobody has looked.
# fmt: off
_WITH_CHECK_DIGIT: Final = frozenset({
    "be.bis", "be.nn", "be.ssn", "bg.egn", "br.cpf", "ch.ssn", "cl.rut", "cn.ric", "cz.rc", "ee.ik", "es.dni",
    "es.nie", "fi.hetu", "fr.nif", "fr.nir", "gr.amka", "ie.pps", "in_.aadhaar", "it.codicefiscale", "kr.rrn",
    "lt.asmens", "lv.pvn", "mx.curp", "nl.bsn", "no.fodselsnummer", "pl.pesel", "pt.cc", "pt.nif", "ro.cnp",
    "se.personnummer", "si.emso", "th.pin", "tr.tckimlik", "za.idnr",
})
# fmt: on
_WITHOUT_CENTURY: Final = frozenset({"gr.amka", "id.nik", "it.codicefiscale", "my.nric", "za.idnr"})
_SWEDISH: Final = "se.personnummer"
_FULL_YEAR: Final = 4
# By length of the compact form, sign included.
_SWEDISH_YEAR_DIGITS: Final = {11: 2, 13: _FULL_YEAR}


class _Module(Protocol):
    def compact(self, number: str) -> str: ...
    def validate(self, number: str) -> str: ...


@dataclass(frozen=True, slots=True)
class StdnumScheme:
    """Read the numbers of one python-stdnum module, named by its `path` below `stdnum`."""

    path: str
    module: _Module = field(repr=False)

    pivot_fields: ClassVar[tuple[PivotField, ...]] = (
        PivotField.NUMBER,
        PivotField.FULL_NAME,
        PivotField.BIRTHDATE,
    )
    number_required: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Return `stdnum:` and the path."""
        return f"stdnum:{self.path}"

    @property
    def has_checksum(self) -> bool:
        """Tell whether the module tests a check digit; False for a module nobody has looked at."""
        return self.path in _WITH_CHECK_DIGIT

    def canonical(self, text: str) -> str:
        """Return the number in the module's compact form."""
        return self._check(text)[0]

    def read(self, number: str, *, on: date | None) -> NumberReading:
        """Return birth date and sex where the module can tell; it names places, so `place_code` stays None."""
        number, finding = self._check(number)
        findings = [] if finding is None else [finding]
        born = self._birth_date(number, on=on)
        birth_year = born.year if born else self._said("get_birth_year", number)
        well_formed = not findings
        if on is not None and birth_year is not None and (birth_year > on.year or (born is not None and born > on)):
            findings.append(Finding.FUTURE_BIRTH)
        return NumberReading(
            scheme=self.name,
            number=number,
            well_formed=well_formed,
            has_checksum=self.has_checksum,
            findings=tuple(findings),
            birth_year=birth_year,
            birth_date=born,
            gender=_GENDERS.get(self._said("get_gender", number)),
        )

    def display(self, number: str) -> str:
        """Group as the country does, where the module knows how."""
        number = self.canonical(number)
        return cast(str, self._said("format", number)) or number

    def mask(self, number: str) -> str:
        """Hide all but the last three signs."""
        return masked(self.display(number))

    def _check(self, text: str) -> tuple[str, Finding | None]:
        if len(text) > _LONGEST_TYPED:
            raise NumberUnreadable(NumberProblem.LENGTH)
        visible = "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")
        typed = "".join(visible.split())
        if not typed:
            raise NumberUnreadable(NumberProblem.EMPTY)
        try:
            number = self._with_century(self.module.compact(typed))
            finding = self._finding(number)
        except InvalidLength:
            raise NumberUnreadable(NumberProblem.LENGTH) from None
        except (ValueError, LookupError):
            # Most say InvalidFormat, a ValueError; some take a number apart before they look at its shape.
            raise NumberUnreadable(NumberProblem.CHARACTERS) from None
        return number, finding

    def _finding(self, number: str) -> Finding | None:
        try:
            self.module.validate(number)
        except InvalidChecksum:
            return Finding.WRONG_CHECK_DIGIT
        except InvalidComponent:
            return Finding.IMPOSSIBLE_PART
        return None

    def _with_century(self, number: str) -> str:
        # One person, one stored number: the short Swedish form, whose sign changes at the age of 100, becomes the
        # long one. A short number with a finding stays short, since its century cannot be told.
        if self.path != _SWEDISH or len(number) not in _SWEDISH_YEAR_DIGITS:
            return number
        if _SWEDISH_YEAR_DIGITS[len(number)] == _FULL_YEAR:
            return f"{number[:-5]}-{number[-4:]}"
        born = None if self._finding(number) else self._said("get_birth_date", number)
        return number if born is None else f"{born:%Y%m%d}-{number[-4:]}"

    def _birth_date(self, number: str, *, on: date | None) -> date | None:
        born = cast(date | None, self._said("get_birth_date", number))
        if born is None or self.path not in _WITHOUT_CENTURY:
            return born
        if on is None:
            return None
        possible = [
            shifted
            for years in (-100, 0, 100)
            if (shifted := _in_year(born, born.year + years)) is not None
            and shifted <= on
            and shifted.year >= on.year - _OLDEST_AGE
        ]
        return possible[0] if len(possible) == 1 else None

    def _said(self, function: str, number: str) -> Any:
        asked = getattr(self.module, function, None)
        try:
            return None if asked is None else asked(number)
        except (ValueError, LookupError):
            # The module cannot tell, for instance the sex in an Italian code whose digits were replaced by letters.
            return None


def scheme(path: str) -> NumberScheme:
    """Return the scheme of the python-stdnum module `path`, such as `ee.ik`; raise UnknownScheme."""
    unknown = UnknownScheme(f"python-stdnum has no number module {path!r}")
    if not _PATH.fullmatch(path):
        raise unknown
    try:
        module = import_module(f"stdnum.{path}")
    except ImportError:
        raise unknown from None
    return StdnumScheme(path, cast(_Module, module))


def _in_year(born: date, year: int) -> date | None:
    try:
        return born.replace(year=year)
    except ValueError:
        return None
