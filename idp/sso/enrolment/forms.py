"""The forms of an enrolment: read once into values, with the errors a person can mend."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from idp.citizens import birthdate, names, numbers
from idp.citizens.applicants.draft import Declared
from idp.citizens.birthdate import BirthDate, BirthDateProblem, BirthDateRefused
from idp.citizens.names import NameProblem, NameRefused
from idp.citizens.numbers import NumberProblem, NumberUnreadable
from idp.core.settings import Settings
from idp.sso.forms import LONGEST_NUMBER, FieldError, field_error

UNKNOWN = "unknown"
LONGEST_TYPED = 400
_FIELDS = ("number", "full_name", "day", "month", "year")
_NUMBER_ERRORS = {
    NumberProblem.EMPTY: "login.error.number-missing",
    NumberProblem.CHARACTERS: "login.error.number-characters",
    NumberProblem.LENGTH: "login.error.number-length",
}
_NAME_ERRORS = {
    NameProblem.EMPTY: "enrol.person.error.name-missing",
    NameProblem.LENGTH: "enrol.person.error.name-length",
    NameProblem.CHARACTERS: "enrol.person.error.name-characters",
}


@dataclass(frozen=True, slots=True)
class PersonForm:
    """Number, name and birth date as typed; `repr` shows nothing. An empty day or month is one that nobody knows.

    Whoever only forgot it is asked to look again.
    """

    number: str = field(default="", repr=False)
    full_name: str = field(default="", repr=False)
    day: str = field(default="", repr=False)
    month: str = field(default="", repr=False)
    year: str = field(default="", repr=False)

    @classmethod
    def read(cls, posted: Mapping[str, str]) -> "PersonForm":
        """Return the form from the posted parameters."""
        return cls(*(posted.get(name, "")[: LONGEST_TYPED + 1] for name in _FIELDS))

    @classmethod
    def of(cls, declared: Declared | None, *, number: str = "") -> "PersonForm":
        """Return the form as it was filled in before, or empty but for a `number` that a portal has hinted at."""
        if declared is None:
            return cls(number=number)
        birth = declared.birth
        day, month = ("" if part is None else str(part) for part in (birth.day, birth.month))
        return cls(declared.number, declared.full_name, day, month, str(birth.year))

    def declared(self, *, settings: Settings, today: date) -> tuple[Declared | None, list[FieldError]]:
        """Return who was declared, or what is missing or cannot be meant."""
        problems: list[FieldError] = []
        scheme = numbers.scheme(settings.number_scheme, test_numbers=settings.is_sandbox)
        number = self._number(scheme, problems)
        full_name = self._name(problems, is_vietnamese=scheme.name == numbers.VN_PIN)
        birth = self._birth(problems, today)
        if number is None or full_name is None or birth is None:
            return None, problems
        return Declared(scheme.name, number, full_name, birth), []

    def _number(self, scheme: numbers.NumberScheme, problems: list[FieldError]) -> str | None:
        try:
            # No longer than a number can be written: a scheme of somebody else's may have no such limit.
            return scheme.canonical(self.number[: LONGEST_NUMBER + 1])
        except NumberUnreadable as refused:
            problems.append(field_error("number", _NUMBER_ERRORS[refused.reason]))
            return None

    def _name(self, problems: list[FieldError], *, is_vietnamese: bool) -> str | None:
        try:
            return names.clean(self.full_name, vietnamese=is_vietnamese)
        except NameRefused as refused:
            problems.append(field_error("full_name", _NAME_ERRORS[refused.reason]))
            return None

    def _birth(self, problems: list[FieldError], today: date) -> BirthDate | None:
        try:
            birth = birthdate.from_parts(
                day=self.day.strip() or UNKNOWN, month=self.month.strip() or UNKNOWN, year=self.year
            )
        except BirthDateRefused as refused:
            part = refused.part or "year"
            is_missing = refused.reason in (BirthDateProblem.EMPTY, BirthDateProblem.DAY_WITHOUT_MONTH)
            problems.append(field_error(part, f"enrol.person.error.{part}-{'missing' if is_missing else 'wrong'}"))
            return None
        if (birth.year, birth.month or 1, birth.day or 1) > (today.year, today.month, today.day):
            problems.append(field_error("year", "enrol.person.error.year-future"))
            return None
        return birth
