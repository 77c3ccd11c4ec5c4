"""The names a register uses: from our question to its members, and from its answer to ours.

Owns the mapping file (docs/operate.md, "The national register") and reading an answer by it, trusting nothing: what is
not named there is never looked at, so a register that sends more than was asked leaves nothing behind. `vn.json` holds
the names of the Vietnamese population database (shared vietnam.md, 3).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, field_validator, model_validator

from idp.citizens import names, numbers
from idp.citizens.birthdate import BirthDate, BirthDateRefused, Precision
from idp.citizens.names import NameRefused
from idp.citizens.numbers import VN_PIN, NumberUnreadable, UnknownScheme
from idp.citizens.registry import Malformed, Outcome, Reason, RegistryQuery, RegistryRefused
from idp.citizens.registry.comparison import Known
from idp.citizens.registry.forms import DateForm, NameForm, read_date, write_date, write_name

NATIONAL: Final = Path(__file__).with_name("vn.json")
_LONGEST_TEXT: Final = 400
_LONGEST_TRACE: Final = 100

MemberPath = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=200)]
"""Names of members, dots between them, from the outside in."""


class Status(StrEnum):
    """What a register's word about a record means."""

    ACTIVE = "active"
    DECEASED = "deceased"
    LOCKED = "locked"
    REPLACED = "replaced"


class Fault(StrEnum):
    """What a register's error code means. A code that the mapping does not know is UNAVAILABLE."""

    NONE = "none"
    NOT_FOUND = "not_found"
    NOT_AUTHORISED = "not_authorised"
    BAD_REQUEST = "bad_request"
    UNAVAILABLE = "unavailable"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Part):
    """Where each part of a question goes. `birth_year` takes a date of which only the year is known."""

    number: MemberPath
    full_name: MemberPath
    birth: MemberPath
    birth_year: MemberPath | None = None
    request_id: MemberPath
    reason: MemberPath | None = None
    reasons: dict[Reason, str] = {}
    fixed: dict[MemberPath, str] = {}

    @model_validator(mode="after")
    def _refuse_two_in_one_place(self) -> Self:
        named = (self.number, self.full_name, self.birth, self.birth_year, self.request_id, self.reason)
        paths = [path for path in (*named, *self.fixed) if path is not None]
        for place, path in enumerate(paths):
            if any(f"{other}.".startswith(f"{path}.") for other in paths[:place] + paths[place + 1 :]):
                raise ValueError(f"{path} is the place of two members")
        return self


class Answered(_Part):
    """Where each part of an answer stands: `people` and codes from the outermost member, the rest within a record.

    The parts of `full_name` are joined by spaces, empty ones left out; of `birth` the first that is not empty counts.
    """

    people: MemberPath
    error: MemberPath | None = None
    trace_id: MemberPath | None = None
    number: MemberPath | None = None
    full_name: tuple[MemberPath, ...]
    other_name: MemberPath | None = None
    birth: tuple[MemberPath, ...]
    status: MemberPath | None = None
    replaced_by: MemberPath | None = None
    statuses: dict[str, Status] = {}
    errors: dict[str, Fault] = {}


class FieldNames(_Part):
    """A mapping file. `schemes` are those whose numbers the register knows."""

    schemes: tuple[str, ...]
    name_form: NameForm
    date_form: DateForm
    question: Question
    answer: Answered

    @field_validator("schemes")
    @classmethod
    def _refuse_unknown_schemes(cls, schemes: tuple[str, ...]) -> tuple[str, ...]:
        for name in schemes:
            try:
                numbers.scheme(name, test_numbers=False)
            except UnknownScheme as unknown:
                raise ValueError(str(unknown)) from None
        return schemes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer taken apart: `records` are those that are not empty."""

    fault: Fault
    records: tuple[Mapping[str, Any], ...] = field(repr=False)
    trace_id: str | None


def read_field_names(path: Path) -> FieldNames:
    """Return the mapping in the file `path`. Raises RegistryRefused naming what is wrong with it."""
    try:
        return FieldNames.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RegistryRefused(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError as refused:
        first = refused.errors(include_input=False, include_url=False)[0]
        raise RegistryRefused(f"{path}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from None


def write_question(query: RegistryQuery, by: FieldNames) -> dict[str, Any]:
    """Return the question as the register wants it."""
    to = by.question
    is_year_only = query.birth.precision is Precision.YEAR
    members = {
        **to.fixed,
        to.request_id: query.request_id,
        to.number: query.number,
        to.full_name: write_name(query.full_name, by.name_form),
        (to.birth_year if is_year_only and to.birth_year else to.birth): write_date(query.birth, by.date_form),
    }
    if to.reason is not None:
        members[to.reason] = to.reasons.get(query.reason, query.reason.value)
    question: dict[str, Any] = {}
    for path, value in members.items():
        *outer, last = path.split(".")
        place = question
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return question


def read_reply(body: bytes, by: FieldNames) -> Reply:
    """Return what an answer holds. Raises Malformed for anything that is no answer of this register."""
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        raise Malformed("no JSON") from None
    if not isinstance(document, dict):
        raise Malformed("no object")
    at = by.answer
    fault = Fault.NONE
    if at.error is not None and (code := _code(_at(document, at.error))) != "":
        fault = at.errors.get(code, Fault.UNAVAILABLE)
    trace_id = _code(_at(document, at.trace_id)) if at.trace_id else ""
    is_usable = 0 < len(trace_id) <= _LONGEST_TRACE and trace_id.isascii() and trace_id.isprintable()
    records = tuple(_records(document, at.people)) if fault is Fault.NONE else ()
    return Reply(fault, records, trace_id if is_usable else None)


def read_record(record: Mapping[str, Any], query: RegistryQuery, by: FieldNames) -> Known:
    """Return the one record of an answer to `query`. Raises Malformed, also when it is somebody else's."""
    at = by.answer
    if at.number is not None and _canonical(_text(_at(record, at.number)), query.scheme) != query.number:
        # Taking another one's record would join two people.
        raise Malformed("another number")
    status = at.statuses.get(_code(_at(record, at.status))) if at.status else Status.ACTIVE
    if status is None:
        raise Malformed("unknown status")
    replaced_by = _text(_at(record, at.replaced_by)) if at.replaced_by else ""
    other_name = _text(_at(record, at.other_name)) if at.other_name else ""
    try:
        return Known(
            full_name=_name(" ".join(_text(_at(record, path)) for path in at.full_name), query.scheme),
            birth=_birth(record, by),
            fate=None if status is Status.ACTIVE else Outcome(status.value),
            replaced_by=replaced_by or None,
            other_name=_name(other_name, query.scheme) if other_name else None,
        )
    except (NameRefused, BirthDateRefused):
        raise Malformed("unreadable record") from None


def _records(document: Mapping[str, Any], path: str) -> Iterator[Mapping[str, Any]]:
    *outer, last = path.split(".")
    holder = _at(document, ".".join(outer)) if outer else document
    if not isinstance(holder, dict) or last not in holder:
        # An empty record says "nobody"; an answer without the place for it says nothing and must not cost a level.
        raise Malformed("no place for records")
    found = holder[last]
    for record in found if isinstance(found, list) else [found]:
        if _is_empty(record):
            continue
        if not isinstance(record, dict):
            raise Malformed("no record")
        yield record


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(part) for part in value.values())
    return value is None or value in ("", [])


def _at(document: Mapping[str, Any], path: str) -> Any:
    place: Any = document
    for name in path.split("."):
        if not isinstance(place, dict):
            raise Malformed("not the shape agreed")
        place = place.get(name)
        if place is None:
            return None
    return place


def _text(value: Any) -> str:
    if value is None:
        return ""
    # A number as a JSON number has lost its leading zeros.
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise Malformed("no text")
    return value.strip()


def _code(value: Any) -> str:
    return str(value) if type(value) is int and abs(value) < 10**_LONGEST_TRACE else _text(value)


def _name(text: str, scheme: str) -> str:
    return names.clean(text, vietnamese=scheme == VN_PIN)


def _birth(record: Mapping[str, Any], by: FieldNames) -> BirthDate:
    written = (_code(_at(record, path)) for path in by.answer.birth)
    return read_date(next(filter(None, written), ""), by.date_form)


def _canonical(text: str, scheme: str) -> str | None:
    try:
        return numbers.scheme(scheme, test_numbers=True).canonical(text)
    except NumberUnreadable:
        return None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # Two readers of it could take two different people for the one meant.
        raise ValueError("a member twice")
    return members
