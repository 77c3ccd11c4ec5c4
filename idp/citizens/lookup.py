"""Finding a citizen by number, without a number in clear anywhere in the database.

Owns the keyed index and the history of numbers. Every index key still in the keyring is tried, so that a rotated
key loses nobody.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from idp.citizens import person_key
from idp.citizens.models import CitizenNumber, number_place
from idp.core.database import HotPath, Query, as_uuid, db
from idp.core.ids import new_id
from idp.core.keyring import Keyring, Purpose

READ_HOLDER = Query(
    "SELECT citizen_id FROM citizen_number WHERE index_key_id = :key_id AND number_index = :value LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class NumberIndex:
    """The keyed index of one number: which key made it, and 64 hex digits."""

    key_id: str
    value: str = field(repr=False)


def number_index(scheme: str, number: str, *, keyring: Keyring, key_id: str | None = None) -> NumberIndex:
    """Return the index of a canonical `number`, under the writing key or the key named."""
    key = keyring.key(Purpose.NUMBER_INDEX, key_id)
    tag = keyring.hmac(Purpose.NUMBER_INDEX, f"{scheme}:{number}".encode(), key_id=key.id)
    return NumberIndex(key.id, tag.hex())


def every_index(scheme: str, number: str, *, keyring: Keyring) -> tuple[NumberIndex, ...]:
    """Return the indexes of a canonical `number` under all keys, the writing one first."""
    key_ids = keyring.key_ids(Purpose.NUMBER_INDEX)
    return tuple(number_index(scheme, number, keyring=keyring, key_id=key_id) for key_id in key_ids)


def find_number(scheme: str, number: str, *, keyring: Keyring) -> CitizenNumber | None:
    """Return the record of a canonical `number`, current or former, or None.

    A former number still finds its citizen: the person learns of the new one only by signing in.
    """
    wanted = [
        sa.and_(CitizenNumber.index_key_id == index.key_id, CitizenNumber.number_index == index.value)
        for index in every_index(scheme, number, keyring=keyring)
    ]
    return db.session.scalars(sa.select(CitizenNumber).where(sa.or_(*wanted)).limit(1)).first()


def holder_of(scheme: str, number: str, *, keyring: Keyring, hot_path: HotPath) -> UUID | None:
    """Return whose canonical `number` it is or was, or None, for callers without a unit of work.

    Every key is tried whichever finds it, so that the time does not tell whether there is anybody.
    """
    rows = [
        hot_path.one(READ_HOLDER, {"key_id": index.key_id, "value": index.value})
        for index in every_index(scheme, number, keyring=keyring)
    ]
    return next((as_uuid(row["citizen_id"]) for row in rows if row is not None), None)


def current_number(citizen_id: UUID) -> CitizenNumber | None:
    """Return the record of the number a citizen has now, or None."""
    current = sa.select(CitizenNumber).where(CitizenNumber.citizen_id == citizen_id, CitizenNumber.valid_to.is_(None))
    return db.session.scalars(current.limit(1)).first()


def new_number(citizen_id: UUID, scheme: str, number: str, *, keyring: Keyring, now: datetime) -> CitizenNumber:
    """Return a new record for a canonical `number`, valid from `now`; the caller adds it to the session."""
    key = new_id()
    index = number_index(scheme, number, keyring=keyring)
    return CitizenNumber(
        id=key,
        citizen_id=citizen_id,
        scheme=scheme,
        number=person_key.ensure(citizen_id, keyring=keyring).seal(number, number_place(key)),
        index_key_id=index.key_id,
        number_index=index.value,
        valid_from=now,
    )


def reindex(record: CitizenNumber, scheme: str, number: str, *, keyring: Keyring) -> None:
    """Bring the index of `record` to the writing key."""
    index = number_index(scheme, number, keyring=keyring)
    if record.index_key_id != index.key_id:
        record.index_key_id, record.number_index = index.key_id, index.value
