"""Citizen documents: what an operator writes about a person so that an account can be made.

Owns the members, their checks, and messages that name row, member and what to do, never a value: messages end up in
logs and tickets. Leaves the files they stand in to the command line, the account to `enrolment`.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from idp.citizens import birthdate, names, numbers
from idp.citizens.birthdate import BirthDate
from idp.citizens.claim_forms import FORMS, FormRefused, choice, mapping, text
from idp.citizens.credentials import hashing
from idp.citizens.credentials.totp import SecretRefused, canonical_secret
from idp.citizens.numbers import Finding, Gender, NumberProblem, NumberUnreadable
from idp.citizens.registry.table import Answer, Person
from idp.core.levels import Level, level_of
from idp.core.settings import Settings

_REGISTER_MEMBERS: Final = ("outcome", "replaced_by", "full_name", "birthdate")
_OWN_MEMBERS: Final = (
    *("scheme", "number", "full_name", "birthdate", "gender"),
    *("password", "totp_secret", "level", "register"),
)
MEMBERS: Final = (*_OWN_MEMBERS, "name", *(name for name in FORMS if name not in _OWN_MEMBERS))
"""Every member a document may have."""

_SET_BY_US: Final = frozenset({"sub", "updated_at", "identification_number", "identification_number_scheme"})
_SANDBOX_ONLY: Final = ("register", "password", "totp_secret")
_NUMBER_ADVICE: Final = {
    NumberProblem.EMPTY: "is empty; give the identification number",
    NumberProblem.CHARACTERS: "has characters that no number of this scheme has",
    NumberProblem.LENGTH: "has too many or too few characters for this scheme",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One document as read: its `place` for messages (`citizens.json: row 3`) and its members."""

    place: str
    members: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct; `member` is empty when it concerns the whole row."""

    place: str
    member: str
    advice: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.member, self.advice) if part)


class DocumentsRefused(Exception):
    """Nothing was imported; `problems` names all there is to correct."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class CitizenDocument:
    """One valid document.

    `number` is canonical, `claims` are the further claims (never name, birthdate or number), `level` is NONE when
    the document does not say one, `findings` are where number and person disagree. `people` are the records for the
    embedded register, empty in production.
    """

    scheme: str
    number: str = field(repr=False)
    full_name: str = field(repr=False)
    birth: BirthDate = field(repr=False)
    gender: Gender | None = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)
    password: str | None = field(repr=False)
    totp_secret: str | None = field(repr=False)
    level: Level
    findings: tuple[Finding, ...]
    people: tuple[Person, ...] = field(repr=False)


def parse(row: Row, *, settings: Settings, today: date) -> CitizenDocument:
    """Return the document of one row. Raises DocumentsRefused naming every problem of the row."""
    reading = _Reading(row, settings, today)
    document = reading.document()
    if reading.problems or document is None:
        raise DocumentsRefused(reading.problems)
    return document


def parse_all(rows: Sequence[Row], *, settings: Settings, today: date) -> tuple[CitizenDocument, ...]:
    """Return the documents of all rows. Raises DocumentsRefused naming every problem of every row."""
    problems: list[Problem] = []
    documents: list[CitizenDocument] = []
    first_places: dict[tuple[str, str], str] = {}
    for row in rows:
        try:
            document = parse(row, settings=settings, today=today)
        except DocumentsRefused as refused:
            problems.extend(refused.problems)
            continue
        for number in {document.number} | {person.number for person in document.people}:
            first = first_places.setdefault((document.scheme, number), row.place)
            if first != row.place:
                member = "number" if number == document.number else "register.replaced_by"
                problems.append(Problem(row.place, member, f"is already used by {first}; give each person once"))
        documents.append(document)
    if problems:
        raise DocumentsRefused(problems)
    return tuple(documents)


class _Reading:
    """One row being read; collects all problems instead of stopping at the first."""

    def __init__(self, row: Row, settings: Settings, today: date) -> None:
        self.problems: list[Problem] = []
        self._row = row
        self._settings = settings
        self._today = today
        self._members = {name: value for name, value in row.members.items() if value is not None}

    def document(self) -> CitizenDocument | None:
        self._check_names(self._members, MEMBERS)
        scheme_name = self._take("scheme", text, default=self._settings.number_scheme)
        scheme = self._scheme(scheme_name)
        number = self._number(scheme, "number", self._members.get("number")) if scheme else None
        is_vietnamese = scheme_name == numbers.VN_PIN
        full_name = self._take("full_name", lambda value: _name(value, vietnamese=is_vietnamese), required=True)
        birth = self._take("birthdate", _birth, required=True)
        gender = self._take("gender", _gender)
        password = self._take("password", _password)
        secret = self._take("totp_secret", _secret)
        level = self._take("level", _level, default=Level.NONE)
        claims = {name: value for name in FORMS if (value := self._take(name, FORMS[name])) is not None}
        if "name" in self._members and self._members["name"] != self._members.get("full_name"):
            self._refuse("name", "differs from full_name; leave it out, full_name is sent as name")
        if self._settings.is_sandbox:
            self._check_register_names()
        else:
            self._refuse_sandbox_members(level)
        if scheme is None or number is None or full_name is None or birth is None or level is None or self.problems:
            return None
        person = Person(scheme.name, number, full_name, birth, gender)
        people = self._people(person, scheme) if self._settings.is_sandbox else ()
        return CitizenDocument(
            scheme=scheme.name,
            number=number,
            full_name=full_name,
            birth=birth,
            gender=gender,
            claims=claims | ({"gender": gender.value} if gender else {}),
            password=password,
            totp_secret=secret,
            level=level,
            findings=numbers.consistency(scheme.read(number, on=self._today), birth, gender),
            people=people,
        )

    def _people(self, person: Person, scheme: numbers.NumberScheme) -> tuple[Person, ...]:
        given = self._members.get("register")
        if given is None:
            return (person,)
        try:
            script = mapping(given)
        except FormRefused as refused:
            self._refuse("register", str(refused))
            return ()
        outcome = self._take("outcome", _answer, default=Answer.MATCH, of=script, prefix="register.")
        spelled = self._take("full_name", _register_name, default=person.full_name, of=script, prefix="register.")
        birth = self._take("birthdate", _birth, default=person.birth, of=script, prefix="register.")
        successor = script.get("replaced_by")
        if outcome is Answer.REPLACED and successor is None:
            self._refuse("register.replaced_by", "is missing; give the new number")
        if outcome is not Answer.REPLACED and successor is not None:
            self._refuse("register.replaced_by", "is for outcome replaced only; leave it out")
        new_number = None if successor is None else self._number(scheme, "register.replaced_by", successor)
        if new_number == person.number:
            self._refuse("register.replaced_by", "is the same number; give the new one")
        if outcome is None or spelled is None or birth is None or self.problems:
            return ()
        known = Person(person.scheme, person.number, spelled, birth, person.gender, outcome, new_number)
        if new_number is None:
            return (known,)
        return (known, Person(person.scheme, new_number, spelled, birth, person.gender))

    def _take(
        self,
        member: str,
        read: Callable[[Any], Any],
        *,
        default: Any = None,
        required: bool = False,
        of: Mapping[str, Any] | None = None,
        prefix: str = "",
    ) -> Any:
        value = (self._members if of is None else of).get(member)
        if value is None:
            if required:
                self._refuse(member, "is missing; every document needs it")
            return default
        try:
            return read(value)
        except FormRefused as refused:
            self._refuse(prefix + member, str(refused))
            return None

    def _scheme(self, name: str | None) -> numbers.NumberScheme | None:
        if name is None:
            return None
        # An import must not load code by a dotted name out of a data file.
        if name not in (numbers.VN_PIN, self._settings.number_scheme) and not name.startswith("stdnum:"):
            self._refuse("scheme", "is none of vn-pin, stdnum:CC.MODULE and the scheme of the settings")
            return None
        try:
            return numbers.scheme(name, test_numbers=self._settings.is_sandbox)
        except numbers.UnknownScheme:
            self._refuse("scheme", "names no number module of python-stdnum")
            return None

    def _number(self, scheme: numbers.NumberScheme, member: str, value: Any) -> str | None:
        if value is None:
            self._refuse(member, "is missing; every document needs it")
            return None
        if not isinstance(value, str):
            self._refuse(member, "must be text in quotes; a bare number loses its leading zeros")
            return None
        try:
            reading = scheme.read(value, on=self._today)
        except NumberUnreadable as refused:
            self._refuse(member, _NUMBER_ADVICE[refused.reason])
            return None
        if reading.test_number and not self._settings.is_sandbox:
            self._refuse(member, "is reserved for tests, which production refuses; give a real person's")
            return None
        return reading.number

    def _check_names(self, given: Mapping[str, Any], known: Sequence[str], *, prefix: str = "") -> None:
        for name in given:
            if name in known:
                continue
            if name in _SET_BY_US:
                self._refuse(prefix + name, "is set by the provider; leave it out")
                continue
            nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
            self._refuse(prefix + _printable(name), f"is not a member of a citizen document; {hint}")

    def _check_register_names(self) -> None:
        register = self._members.get("register")
        if isinstance(register, Mapping):
            self._check_names(register, _REGISTER_MEMBERS, prefix="register.")

    def _refuse_sandbox_members(self, level: Level | None) -> None:
        for member in _SANDBOX_ONLY:
            if member in self._members:
                self._refuse(member, "is for the sandbox only; in production leave it out")
        if level is not None and level > Level.LOA1:
            self._refuse("level", "above loa1 needs an officer who saw the person; in production leave it out")

    def _refuse(self, member: str, advice: str) -> None:
        self.problems.append(Problem(self._row.place, member, advice))


def _printable(name: object) -> str:
    # A broken file may have values where names belong; keep only what can be a name.
    return "".join(sign for sign in str(name)[:40] if sign.isascii() and (sign.isalpha() or sign in "._-")) or "?"


def _name(value: Any, *, vietnamese: bool) -> str:
    try:
        return names.clean(text(value), vietnamese=vietnamese)
    except names.NameRefused:
        raise FormRefused("must be 1 to 100 Latin letters, spaces, dots, hyphens and apostrophes") from None


def _register_name(value: Any) -> str:
    return _name(value, vietnamese=False)


def _birth(value: Any) -> BirthDate:
    try:
        return birthdate.parse(text(value))
    except birthdate.BirthDateRefused:
        raise FormRefused("must be a date that exists: YYYY-MM-DD, or YYYY-MM or YYYY when no more is known") from None


def _gender(value: Any) -> Gender:
    return Gender(choice(value, [gender.value for gender in Gender]))


def _answer(value: Any) -> Answer:
    return Answer(choice(value, [answer.value for answer in Answer]))


def _level(value: Any) -> Level:
    level = level_of(text(value))
    if level is None:
        raise FormRefused("must be loa1, loa2 or loa3")
    return level


def _password(value: Any) -> str:
    # Not read as text: spaces around a password belong to it.
    password = value if isinstance(value, str) else ""
    if not hashing.MIN_LENGTH <= len(hashing.normal(password)) <= hashing.MAX_LENGTH:
        raise FormRefused(f"must have {hashing.MIN_LENGTH} to {hashing.MAX_LENGTH} characters")
    return password


def _secret(value: Any) -> str:
    try:
        return canonical_secret(text(value))
    except SecretRefused:
        raise FormRefused("must be base32 (A-Z, 2-7) of at least 16 characters") from None
