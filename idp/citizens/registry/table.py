"""The embedded register: invented people in a table of our own database.

Serves sandboxes, demonstrations and tests. Each record says how the register answers about it, so that a death, a
lock, a replaced number, a differing spelling and a silent register can be tried.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from idp.citizens import birthdate
from idp.citizens.birthdate import BirthDate
from idp.citizens.lookup import every_index, number_index
from idp.citizens.models import RegistryPerson, insert
from idp.citizens.numbers import Gender
from idp.citizens.registry import Outcome, PopulationRegistry, RegistryAnswer, RegistryQuery, Timeout
from idp.citizens.registry.comparison import Known, compare, without_record
from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_handle, new_id
from idp.core.keyring import Keyring, Place
from idp.core.settings import Settings

_SOURCE = "table"
# Signs without a letter are nobody's name, whatever is asked.
_SOMEBODY_ELSE = "-"


class Answer(StrEnum):
    """How the register answers about a record. MATCH compares what was asked with what is written."""

    MATCH = "match"
    DECEASED = "deceased"
    LOCKED = "locked"
    NOT_FOUND = "not_found"
    MISMATCH = "mismatch"
    SILENT = "silent"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Person:
    """One record: a canonical number, and the person as the register spells them."""

    scheme: str
    number: str = field(repr=False)
    full_name: str = field(repr=False)
    birth: BirthDate = field(repr=False)
    gender: Gender | None = field(default=None, repr=False)
    answer: Answer = Answer.MATCH
    replaced_by: str | None = field(default=None, repr=False)


_FATES = {
    Answer.DECEASED: Outcome.DECEASED,
    Answer.LOCKED: Outcome.LOCKED,
    Answer.REPLACED: Outcome.REPLACED,
}


class TableRegistry:
    """The register behind `IDP_REGISTRY=table`."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def check(self, query: RegistryQuery, *, deadline: float) -> RegistryAnswer:
        """Answer from the table; a record that is SILENT raises Timeout at once, without waiting for `deadline`."""
        person = self._find(query.scheme, query.number)
        if person is None or person.answer is Answer.NOT_FOUND:
            return without_record(Outcome.NOT_FOUND, source=_SOURCE, trace_id=new_handle())
        if person.answer is Answer.SILENT:
            raise Timeout(f"no answer within {deadline:g} s")
        known = Known(
            full_name=_SOMEBODY_ELSE if person.answer is Answer.MISMATCH else person.full_name,
            birth=person.birth,
            fate=_FATES.get(person.answer),
            replaced_by=person.replaced_by,
        )
        return compare(query, known, source=_SOURCE, trace_id=new_handle())

    def _find(self, scheme: str, number: str) -> Person | None:
        indexes = every_index(scheme, number, keyring=self._keyring)
        wanted = [
            sa.and_(RegistryPerson.index_key_id == index.key_id, RegistryPerson.number_index == index.value)
            for index in indexes
        ]
        # A connection of its own: another system would not see the caller's unit of work either.
        with db.engine.connect() as connection:
            row = connection.execute(
                sa.select(RegistryPerson.id, RegistryPerson.number_index, RegistryPerson.answer, RegistryPerson.record)
                .where(sa.or_(*wanted))
                # After a key was rotated a record may stand under both; the newer one counts.
                .order_by(RegistryPerson.updated_at.desc())
                .limit(1)
            ).first()
        if row is None:
            return None
        record = json.loads(self._keyring.unseal(row.record, record_place(row.number_index)))
        return Person(
            scheme=scheme,
            number=number,
            full_name=record["full_name"],
            birth=birthdate.parse(record["birthdate"]),
            gender=Gender(record["gender"]) if record["gender"] else None,
            answer=Answer(row.answer),
            replaced_by=record["replaced_by"],
        )


def registry(_settings: Settings, *, keyring: Keyring) -> PopulationRegistry:
    """Return the embedded register."""
    return TableRegistry(keyring)


def write(people: Iterable[Person], *, keyring: Keyring) -> None:
    """Write `people` into the embedded register, replacing records with the same number. Commits."""
    for person in people:
        index = number_index(person.scheme, person.number, keyring=keyring)
        record = {
            # So that the record can be found under another index key one day.
            "scheme": person.scheme,
            "number": person.number,
            "full_name": person.full_name,
            "birthdate": person.birth.iso(),
            "gender": person.gender.value if person.gender else None,
            "replaced_by": person.replaced_by,
        }
        values = {
            "answer": person.answer.value,
            "record": keyring.seal(json.dumps(record, ensure_ascii=False), record_place(index.value)),
            "updated_at": clock.now(),
        }
        row = {"id": new_id(), "index_key_id": index.key_id, "number_index": index.value, **values}
        statement = insert(RegistryPerson).values(row)
        db.session.execute(
            statement.on_conflict_do_update(index_elements=["index_key_id", "number_index"], set_=values)
        )
    db.session.commit()


def record_place(index: str) -> Place:
    """Return where the record of the number with this index is sealed."""
    # Bound to the number rather than to the row key, which an upsert does not know.
    return Place(RegistryPerson.__tablename__, "record", index)
