"""Whom the provider names: the prepared people, who are those of the demo's register, and anybody else as typed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import Gender
from idp.sandbox.demo_people import DEMO_NEWCOMERS, DEMO_PEOPLE

LEVELS: Final = ("loa1", "loa2", "loa3", "")
"""The words for `acr`; the empty one stands for a token without."""
USUAL_METHODS: Final = "pwd otp"
STRANGER_NUMBER: Final = "979185000131"
"""Of a person whom no register knows."""
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in, and how. What is empty is not sent; everything else is sent as it stands, right or wrong.

    `level` is the word for `acr`, `methods` those for `amr`.
    """

    subject: str
    number: str = ""
    full_name: str = ""
    birthdate: str = ""
    gender: str = ""
    level: str = "loa2"
    methods: tuple[str, ...] = tuple(USUAL_METHODS.split())

    def claims(self) -> dict[str, str]:
        """Return what UserInfo may say beside the subject, by our names of claims."""
        known = {
            "name": self.full_name,
            "birthdate": self.birthdate,
            "gender": self.gender,
            "identification_number": self.number,
        }
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A person to choose; what they are for is in the catalogues under `trial.person.KEY`."""

    key: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class Typed:
    """The form of any person as a tester filled it in."""

    number: str = ""
    full_name: str = ""
    birthdate: str = ""
    subject: str = ""
    level: str = "loa2"
    methods: str = USUAL_METHODS
    problems: Mapping[str, str] = field(default_factory=dict, hash=False)
    """By field, the last part of the message `trial.error.*`."""

    def identity(self) -> Identity:
        """Return the person. The caller has seen that there are no problems."""
        return Identity(
            subject=self.subject or subject_of(self.number),
            number=self.number,
            full_name=self.full_name,
            birthdate=self.birthdate,
            level=self.level,
            methods=tuple(self.methods.split()),
        )


def read(form: Mapping[str, str]) -> Typed:
    """Return what was typed, with what is wrong with it: mistakes in a person are wanted, a broken protocol is not."""
    number, full_name, birthdate, subject = (
        form.get(name, "").strip() for name in ("number", "full_name", "birthdate", "subject")
    )
    level, methods = form.get("level", ""), form.get("methods", "").strip()
    problems = {
        name: "too-long"
        for name, value in (("number", number), ("full_name", full_name), ("birthdate", birthdate))
        if len(value) > _LONGEST
    }
    if not number and not subject:
        problems["number"] = "nobody"
    if len(subject) > _LONGEST or not subject.isascii():
        # OpenID Connect Core 1.0, 2: no provider could send another one.
        problems["subject"] = "subject"
    if level not in LEVELS:
        problems["level"] = "level"
    if len(methods) > _LONGEST:
        problems["methods"] = "too-long"
    return Typed(number, full_name, birthdate, subject, level, methods, problems)


def subject_of(number: str) -> str:
    """Return the subject of whoever has `number`: the same each time, and after each start."""
    return "thu-" + hashlib.sha256(f"trial subject {number}".encode()).hexdigest()[:24]


def prepared_people() -> tuple[Prepared, ...]:
    """Return the people to choose from: those with an account, those without one, and one whom nobody knows."""
    members = (
        Prepared(each.key, _person(each.number, each.full_name, each.birthdate, each.gender, each.level))
        for each in DEMO_PEOPLE
    )
    newcomers = (
        Prepared(key, _person(each.number, each.full_name, each.birth, each.gender, "loa2"))
        for key, each in zip(("newcomer", "newcomer-year-only", "newcomer-elsewhere"), DEMO_NEWCOMERS, strict=True)
    )
    stranger = _person(STRANGER_NUMBER, "Cao Thị Lạ", BirthDate(1985, 2, 3), Gender.FEMALE, "loa2")
    return (*members, *newcomers, Prepared("stranger", stranger))


def with_other_number(identity: Identity) -> Identity:
    """Return the same subject with the number of somebody else, whom the register knows."""
    first, second = DEMO_NEWCOMERS[:2]
    other = second.number if identity.number == first.number else first.number
    return Identity(
        identity.subject,
        other,
        identity.full_name,
        identity.birthdate,
        identity.gender,
        identity.level,
        identity.methods,
    )


def _person(number: str, full_name: str, birth: BirthDate, gender: Gender | None, level: str) -> Identity:
    return Identity(
        subject=subject_of(number),
        number=number,
        full_name=full_name,
        birthdate=birth.claim(),
        gender="" if gender is None else gender.value,
        level=level,
        methods=("pwd",) if level == "loa1" else tuple(USUAL_METHODS.split()),
    )
