"""Bringing stored values to the keys that write today.

Wraps the keys of people anew, brings values from before there were such keys under them, and does the same for
whatever else is sealed by the keyring, and for the index of numbers. In bites of a short transaction each. A value
is replaced only while it is the one that was read, so that nobody's change is undone; one that changed meanwhile was
sealed by whoever changed it. May be stopped at any point and run again, and several may run at once.

Leaves alone what cannot be made anew (passwords are hashed again at their next use) and what cannot be opened.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.lookup import number_index
from idp.citizens.models import Citizen, CitizenNumber, RegistryPerson, number_place, profile_place
from idp.citizens.person_key import PersonKey
from idp.citizens.registry.table import record_place
from idp.core.database import Model, db
from idp.core.keyring import Keyring, Place, Purpose, SealBroken, key_id_of
from idp.ops import sealed

BITE: Final = 200


@dataclass(frozen=True, slots=True)
class _Swap:
    """Replace the values `before` of one row by `after`, if they are still there."""

    key: Any
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many values at `place` (`table.column`) were made anew in one bite."""

    place: str
    count: int


def reseal(keyring: Keyring, *, bite: int = BITE) -> Iterator[Resealed]:
    """Make anew every value that is not under today's keys; yield after each bite that changed something.

    Side effects: commits each bite with its audit event.
    """
    citizen = Model.metadata.tables[Citizen.__tablename__]
    for rows in sealed.slices(citizen, citizen.c.data_key, citizen.c.profile, size=bite):
        yield from _write(citizen, [swap for row in rows for swap in _person(row, keyring)])
    done = {(Citizen.__tablename__, "data_key"), (Citizen.__tablename__, "profile")}
    for table, column, owner in person_key.sealed():
        done.add((table.name, column.name))
        if table is citizen:
            continue
        joined = table.join(citizen, citizen.c.id == owner)
        extra = [table.c[name] for name in ("scheme", "index_key_id") if name in table.c]
        columns = (column, citizen.c.id.label("owner"), citizen.c.data_key, *extra)
        for rows in sealed.slices(table, *columns, size=bite, joined=joined):
            yield from _write(table, [swap for row in rows for swap in _owned(row, table, column.name, keyring)])
    register = Model.metadata.tables[RegistryPerson.__tablename__]
    done.add((register.name, "record"))
    columns = (register.c.index_key_id, register.c.number_index, register.c.record)
    for rows in sealed.slices(register, *columns, size=bite):
        yield from _write(register, [swap for row in rows for swap in _registered(row, keyring)])
    for table, text in sealed.sealed_columns():
        if (table.name, text.name) not in done:
            for rows in sealed.slices(table, text, size=bite):
                swaps = [swap for row in rows for swap in _other(row, table, text.name, keyring)]
                yield from _write(table, swaps)


def _person(row: Any, keyring: Keyring) -> Iterator[_Swap]:
    citizen_id, wrapped, profile = row
    before = {"data_key": wrapped, "profile": profile}
    after = dict(before)
    place = person_key.key_place(citizen_id)
    try:
        if wrapped is None:
            after["data_key"] = person_key.new(citizen_id, keyring)
        elif _is_old(wrapped, Purpose.DATA, keyring):
            after["data_key"] = keyring.seal(keyring.unseal(wrapped, place), place)
        after["profile"] = _for_person(
            profile,
            before=PersonKey(citizen_id, wrapped, keyring),
            after=PersonKey(citizen_id, after["data_key"], keyring),
            place=profile_place(citizen_id),
        )
    except SealBroken:
        return
    if after != before:
        yield _Swap(citizen_id, before, after)


def _owned(row: Any, table: sa.Table, column: str, keyring: Keyring) -> Iterator[_Swap]:
    value = row[1]
    if value is None:
        return
    key = PersonKey(row.owner, row.data_key, keyring)
    place = Place(table.name, column, row.id.hex)
    before = {column: value}
    after = {}
    try:
        after[column] = _for_person(value, before=key, after=key, place=place)
        if table.name == CitizenNumber.__tablename__ and value:
            before["index_key_id"] = after["index_key_id"] = row.index_key_id
            if row.index_key_id != keyring.key(Purpose.NUMBER_INDEX).id:
                index = number_index(row.scheme, key.unseal(value, number_place(row.id)), keyring=keyring)
                after |= {"index_key_id": index.key_id, "number_index": index.value}
    except SealBroken:
        return
    if after != before:
        yield _Swap(row.id, before, after)


def _for_person(value: str, *, before: PersonKey, after: PersonKey, place: Place) -> str:
    """Return `value` as it is sealed today for the person; itself when it is so already, or was destroyed."""
    key_id = key_id_of(value)
    if key_id is None or after.wrapped == "":
        return value
    if after.wrapped is None and not _is_old(value, Purpose.DATA, after.keyring):
        return value
    return after.seal(before.unseal(value, place), place)


def _registered(row: Any, keyring: Keyring) -> Iterator[_Swap]:
    row_id, index_key_id, number, value = row
    before = {"index_key_id": index_key_id, "number_index": number, "record": value}
    try:
        text = keyring.unseal(value, record_place(number))
    except SealBroken:
        return
    known = json.loads(text)
    after = dict(before)
    # Records from before the number was kept inside cannot be found under a new key; the sandbox is filled again.
    if index_key_id != keyring.key(Purpose.NUMBER_INDEX).id and "number" in known:
        index = number_index(known["scheme"], known["number"], keyring=keyring)
        after |= {"index_key_id": index.key_id, "number_index": index.value}
    if after != before or _is_old(value, Purpose.DATA, keyring):
        after["record"] = keyring.seal(text, record_place(after["number_index"]))
        yield _Swap(row_id, before, after)


def _other(row: Any, table: sa.Table, column: str, keyring: Keyring) -> Iterator[_Swap]:
    """Do what can be done for a value of any other room: most are bound to their row key, and all others expire."""
    key, value = row[0], row[-1]
    purpose = sealed.purpose_of(table)
    if not isinstance(key, UUID | bytes) or not value or not _is_old(value, purpose, keyring):
        return
    place = Place(table.name, column, key.hex if isinstance(key, UUID) else key.hex())
    try:
        text = keyring.unseal(value, place, purpose=purpose)
    except SealBroken:
        return
    yield _Swap(key, {column: value}, {column: keyring.seal(text, place, purpose=purpose)})


def _is_old(value: str, purpose: Purpose, keyring: Keyring) -> bool:
    return key_id_of(value) not in (None, keyring.key(purpose).id)


def _write(table: sa.Table, swaps: list[_Swap]) -> Iterator[Resealed]:
    """Write swaps of the same table, in the order of their row keys, and commit."""
    key = next(iter(table.primary_key.columns))
    counts: Counter[str] = Counter()
    for swap in swaps:
        unchanged = [table.c[name].is_not_distinct_from(value) for name, value in swap.before.items()]
        if table.name == RegistryPerson.__tablename__ and _stands_already(table, swap):
            # Written anew under today's index meanwhile: the newer record counts.
            db.session.execute(sa.delete(table).where(key == swap.key, *unchanged))
            continue
        done = db.session.execute(
            sa.update(table).where(key == swap.key, *unchanged).values(**swap.after).returning(key)
        ).first()
        for name, value in swap.after.items():
            if done is not None and name != "index_key_id" and value != swap.before.get(name):
                counts[name] += 1
    if not swaps:
        return
    for name, count in counts.items():
        record(db.session, Event.SECRETS_RESEALED, detail={"column": f"{table.name}.{name}", "values": count})
    db.session.commit()
    for name, count in counts.items():
        yield Resealed(f"{table.name}.{name}", count)


def _stands_already(table: sa.Table, swap: _Swap) -> bool:
    if swap.after["number_index"] == swap.before["number_index"]:
        return False
    same = sa.and_(
        table.c.index_key_id == swap.after["index_key_id"], table.c.number_index == swap.after["number_index"]
    )
    return db.session.execute(sa.select(table.c.id).where(same)).first() is not None
