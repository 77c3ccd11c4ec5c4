"""Synthetic citizens for seeds, tests and the demo.

Owns invented people, the same for the same seed. Every number carries a reserved prefix (province + 900, country
+ 300), every phone an unassigned one, every address an invented ward: nobody here can be met. Leaves importing
them, and answering for the register, to others. Passwords and one-time-code secrets are public by nature.
"""

import base64
import calendar
import random  # noqa: TID251  reproducible people need a seeded source, and nothing drawn here is a secret
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final, TypeVar

from idp.citizens.birthdate import BirthDate
from idp.citizens.names import name_fold
from idp.citizens.numbers import Gender
from idp.citizens.numbers.vn import place, prefix_for_tests
from idp.sandbox import persona_tables as tables
from idp.sandbox.demo_people import DEMO_PEOPLE
from idp.sandbox.persona import Persona, Standing

__all__ = ["MERGER_DAY", "REFERENCE_DAY", "Persona", "Standing", "demo_personas", "personas"]

T = TypeVar("T")

REFERENCE_DAY: Final = date(2026, 1, 1)
"""The day on which ages are counted; nobody is born after it."""

MERGER_DAY: Final = date(2025, 7, 1)
"""From this day births are registered under the 34 merged provinces only."""

_ABROAD: Final = 0.01
_MINORITY: Final = 0.14
_MALE: Final = 0.505
# Two in a hundred of all; about two in nine are born early enough.
_YEAR_ONLY: Final = 0.09
_YEAR_ONLY_BEFORE: Final = 1975
_WITH_EMAIL: Final = 0.6
_WITHOUT_PHONE: Final = 0.25
_WITHOUT_PHONE_AGE: Final = 70
_SHARED_PHONE: Final = 0.1
_FORMER_ADDRESS: Final = 0.3
# 5 % have no second factor at all and 8 % recovery codes only, which a citizen document cannot carry.
_WITHOUT_TOTP: Final = 0.13
_LEVELS: Final = {"loa1": 20, "loa2": 70, "loa3": 10}
_LOCKED: Final = 0.005
_REPLACED: Final = 0.005
_DECEASED_FROM_AGE: Final = 50
_DECEASED_AT_HUNDRED: Final = 0.5
_TOTP_SECRET_BYTES: Final = 20


def demo_personas() -> tuple[Persona, ...]:
    """Return the fixed people of the demo: ordinary ones first, then one per hard case, told in their notes."""
    return DEMO_PEOPLE


def personas(seed: int, count: int) -> tuple[Persona, ...]:
    """Return `count` different citizens, the same for the same seed; a larger count only adds people."""
    draw = _Draw(seed)
    return tuple(draw.persona(f"p{position:06d}") for position in range(1, count + 1))


class _Draw:
    """Draw one person after the other; remembers what must not come twice."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  see the import
        self._numbers = {number for one in DEMO_PEOPLE for number in (one.number, one.replaced_by)}
        self._emails: set[str] = set()
        self._phones: list[str] = []

    def persona(self, key: str) -> Persona:
        born = self._born()
        gender = Gender.MALE if self._happens(_MALE) else Gender.FEMALE
        minority = self._one(tables.MINORITIES) if self._happens(_MINORITY) else None
        province = self._one(minority.provinces) if minority else self._province()
        full_name = self._minority_name(minority, gender) if minority else self._name(province, born.year, gender)
        origin = self._origin(province, born)
        number = self._number(origin, born.year, gender)
        age = REFERENCE_DAY.year - born.year
        standing = self._standing(age)
        year_only = born.year < _YEAR_ONLY_BEFORE and self._happens(_YEAR_ONLY)
        return Persona(
            key=key,
            number=number,
            full_name=full_name,
            birthdate=BirthDate(born.year) if year_only else BirthDate(born.year, born.month, born.day),
            gender=gender,
            password=self._password(),
            level=self._weighted(_LEVELS),
            email=self._email(full_name),
            phone_number=self._phone(age),
            totp_secret=None if self._happens(_WITHOUT_TOTP) else self._totp_secret(),
            standing=standing,
            replaced_by=self._number(origin, born.year, gender) if standing is Standing.REPLACED else None,
            claims={"address": self._address(province)},
        )

    def _born(self) -> date:
        decade = self._weighted(tables.AGES)
        year = REFERENCE_DAY.year - 1 - decade - self._random.randrange(10)
        month = self._random.randint(1, 12)
        return date(year, month, self._random.randint(1, calendar.monthrange(year, month)[1]))

    def _province(self) -> str:
        return self._weighted({code: share for code, (share, _) in tables.PROVINCES.items()})

    def _origin(self, province: str, born: date) -> str:
        if self._happens(_ABROAD):
            return self._one(tables.COUNTRIES)
        return _unit(province) if born >= MERGER_DAY else province

    def _number(self, origin: str, year: int, gender: Gender) -> str:
        century_and_sex = (year - 1900) // 100 * 2 + (gender is Gender.FEMALE)
        while True:
            random_digits = f"{self._random.randrange(10**6):06d}"
            number = f"{prefix_for_tests(origin)}{century_and_sex}{year % 100:02d}{random_digits}"
            if number not in self._numbers:
                self._numbers.add(number)
                return number

    def _name(self, province: str, year: int, gender: Gender) -> str:
        family = self._weighted(tables.FAMILIES)
        if province >= tables.FIRST_SOUTHERN_CODE:
            family = tables.SOUTHERN_FAMILIES.get(family, family)
        fashion = tables.FASHIONS[gender.value][sum(year >= start for start in tables.COHORTS)]
        common = self._happens(fashion.middle_share)
        middle = fashion.middle if common else self._one(tables.OTHER_MIDDLES[gender.value])
        return _joined((family, middle, self._one(fashion.given)))

    def _minority_name(self, minority: tables.Minority, gender: Gender) -> str:
        groups = minority.male if gender is Gender.MALE else minority.female
        return _joined(self._one(words) for words in groups)

    def _standing(self, age: int) -> Standing:
        died = _DECEASED_AT_HUNDRED * max(0, age - _DECEASED_FROM_AGE) / (100 - _DECEASED_FROM_AGE)
        if self._happens(died):
            return Standing.DECEASED
        if self._happens(_LOCKED):
            return Standing.LOCKED
        return Standing.REPLACED if self._happens(_REPLACED) else Standing.CURRENT

    def _email(self, full_name: str) -> str | None:
        if not self._happens(_WITH_EMAIL):
            return None
        mailbox = stem = name_fold(full_name).lower()
        while mailbox in self._emails:
            mailbox = f"{stem}{self._random.randrange(10**5)}"
        self._emails.add(mailbox)
        return f"{mailbox}@thu.example"

    def _phone(self, age: int) -> str | None:
        if age > _WITHOUT_PHONE_AGE and self._happens(_WITHOUT_PHONE):
            return None
        if self._phones and self._happens(_SHARED_PHONE):
            return self._one(self._phones)
        self._phones.append(f"+84{self._one(('30', '40', '60'))}{self._random.randrange(10**7):07d}")
        return self._phones[-1]

    def _address(self, province: str) -> dict[str, str]:
        street = f"số {self._random.randint(1, 300)} {self._one(tables.STREETS)}"
        ward = self._one(tables.WARDS)
        region = _place_name(_unit(province), REFERENCE_DAY)
        former = self._happens(_FORMER_ADDRESS)
        tail = (self._one(tables.FORMER_DISTRICTS), _place_name(province, date.min)) if former else (region,)
        return {
            "formatted": ", ".join((street, ward, *tail)),
            "street_address": street,
            "locality": ward,
            "region": region,
            "country": "VN",
        }

    def _password(self) -> str:
        words = " ".join(self._one(group) for group in tables.PASSWORD_WORDS)
        return f"{words} {self._random.randint(1000, 9999)}"

    def _totp_secret(self) -> str:
        return base64.b32encode(self._random.randbytes(_TOTP_SECRET_BYTES)).decode("ascii")

    def _happens(self, share: float) -> bool:
        return self._random.random() < share

    def _one(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def _weighted(self, shares: Mapping[T, float]) -> T:
        return self._random.choices(list(shares), list(shares.values()))[0]


def _unit(province: str) -> str:
    return tables.PROVINCES[province][1]


def _place_name(code: str, on: date) -> str:
    meaning = place(code, on=on)
    assert meaning is not None, "the weights name only assigned codes"
    return meaning.name_vi


def _joined(words: Iterable[str]) -> str:
    return " ".join(word for word in words if word)
