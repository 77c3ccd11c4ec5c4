"""Identification numbers: what a typed number is, what it says about its holder, and how it is shown.

Owns the port `NumberScheme`, its values, and the choice of a scheme by name. One module per scheme: `vn` is ours,
`stdnum` serves any country python-stdnum knows. Leaves to the register whether a number exists and whose it is:
a well-formed number is not a verified one, and a finding here is a warning, never a refusal. Knows no database.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from importlib import import_module
from typing import Final, Protocol, cast

from idp.citizens.birthdate import BirthDate

VN_PIN: Final = "vn-pin"
"""Name of the Vietnamese personal identification number, also its `identification_number_scheme` claim."""

_MODULE: Final = re.compile(r"\w+(?:\.\w+)*")
_STDNUM_PREFIX: Final = "stdnum:"
_MASKING_SIGN: Final = "•"
_SHOWN_WHEN_MASKED: Final = 3


class Gender(Enum):
    """Name the values of the `gender` claim (OpenID Connect Core 1.0, 5.1)."""

    FEMALE = "female"
    MALE = "male"


class Finding(Enum):
    """Name what deserves a second look in a number, alone or beside the declared identity."""

    UNASSIGNED_PLACE = "unassigned-place"
    TEST_NUMBER = "test-number"
    FUTURE_BIRTH = "future-birth"
    WRONG_CHECK_DIGIT = "wrong-check-digit"
    IMPOSSIBLE_PART = "impossible-part"
    BIRTH_YEAR_DIFFERS = "birth-year-differs"
    BIRTH_DATE_DIFFERS = "birth-date-differs"
    GENDER_DIFFERS = "gender-differs"


class PivotField(Enum):
    """Name what a register needs to find a person of a scheme."""

    NUMBER = "number"
    FULL_NAME = "full_name"
    BIRTHDATE = "birthdate"


class NumberProblem(Enum):
    """Say why a text cannot be a number of the scheme at all."""

    EMPTY = "empty"
    CHARACTERS = "characters"
    LENGTH = "length"


class NumberUnreadable(ValueError):
    """Carry why a text is no number of the scheme, without repeating the text."""

    def __init__(self, reason: NumberProblem) -> None:
        super().__init__(reason.value)
        self.reason = reason


class UnknownScheme(LookupError):
    """Say that no number scheme has the name asked for."""


@dataclass(frozen=True, slots=True)
class NumberReading:
    """Hold what a number says.

    `number` is canonical. `well_formed` means the shape and the tables of the scheme, nothing about a person.
    `findings` are warnings. A part the number does not say for certain is None. `has_checksum` False means that
    a slip of the pen cannot be noticed without the register. Only the scheme and the findings are printed.
    """

    scheme: str
    number: str = field(repr=False)
    well_formed: bool
    has_checksum: bool
    test_number: bool = False
    findings: tuple[Finding, ...] = ()
    birth_year: int | None = field(default=None, repr=False)
    birth_date: date | None = field(default=None, repr=False)
    gender: Gender | None = field(default=None, repr=False)
    place_code: str | None = field(default=None, repr=False)


class NumberScheme(Protocol):
    """Read the identification numbers of one country. Adapters keep no state and ask nobody."""

    @property
    def name(self) -> str:
        """Return the name under which accounts store the scheme; `scheme` resolves it."""

    @property
    def has_checksum(self) -> bool:
        """Tell whether a slip in any digit is likely to be noticed."""

    @property
    def pivot_fields(self) -> tuple[PivotField, ...]:
        """Return what the register needs to find a person."""

    @property
    def number_required(self) -> bool:
        """Tell whether the register can find nobody without the number."""

    def canonical(self, text: str) -> str:
        """Return the one stored form of a number as a person types it, separators and wide digits included.

        Raises NumberUnreadable for text which cannot be of this scheme; a doubtful number is not such text.
        Applied to its own result it changes nothing.
        """

    def read(self, number: str, *, on: date | None) -> NumberReading:
        """Return what `number` says, seen on the day `on`.

        None for `on` leaves out what depends on the calendar: future births, and centuries that only the age
        of a living person decides. Raises NumberUnreadable as `canonical` does.
        """

    def display(self, number: str) -> str:
        """Return a canonical number grouped for reading, which `canonical` takes back."""

    def mask(self, number: str) -> str:
        """Return a canonical number with all but its last three signs hidden."""


class NumberSchemeFactory(Protocol):
    """Make a scheme. `test_numbers` says whether numbers reserved for tests are taken without a finding."""

    def __call__(self, *, test_numbers: bool) -> NumberScheme: ...


def scheme(name: str, *, test_numbers: bool) -> NumberScheme:
    """Return the number scheme called `name`.

    `vn-pin` is ours; `stdnum:<cc>.<module>` is any number python-stdnum validates; a dotted name such as
    `package.module.factory` is a NumberSchemeFactory of another package. Raises UnknownScheme.
    """
    if name.startswith(_STDNUM_PREFIX):
        make_by_path = cast(Callable[[str], NumberScheme], _named(f"{__name__}.stdnum.scheme"))
        return make_by_path(name.removeprefix(_STDNUM_PREFIX))
    dotted = f"{__name__}.vn.scheme" if name == VN_PIN else name
    return cast(NumberSchemeFactory, _named(dotted))(test_numbers=test_numbers)


def consistency(reading: NumberReading, birthdate: BirthDate, gender: Gender | None) -> tuple[Finding, ...]:
    """Return where a number and a declared identity disagree.

    A disagreement is to be reviewed, it is not fraud: a court or a civil registrar may have corrected the one
    and not yet the other.
    """
    findings: list[Finding] = []
    if reading.birth_year is not None and reading.birth_year != birthdate.year:
        findings.append(Finding.BIRTH_YEAR_DIFFERS)
    elif (said := reading.birth_date) is not None and not birthdate.agrees_with(
        BirthDate(said.year, said.month, said.day)
    ):
        findings.append(Finding.BIRTH_DATE_DIFFERS)
    if gender is not None and reading.gender is not None and reading.gender is not gender:
        findings.append(Finding.GENDER_DIFFERS)
    return tuple(findings)


def masked(shown: str) -> str:
    """Hide every letter and digit but the last three of a number grouped for reading; separators stay."""
    hidden = max(0, sum(sign.isalnum() for sign in shown) - _SHOWN_WHEN_MASKED)
    signs: list[str] = []
    for sign in shown:
        hides = hidden > 0 and sign.isalnum()
        hidden -= hides
        signs.append(_MASKING_SIGN if hides else sign)
    return "".join(signs)


def _named(dotted: str) -> object:
    module, _, attribute = dotted.rpartition(".")
    if not _MODULE.fullmatch(module):
        raise UnknownScheme(f"no number scheme is called {dotted!r}")
    try:
        return cast(object, getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as cause:
        raise UnknownScheme(f"no number scheme is called {dotted!r}") from cause
