"""The key of one person, under which everything is sealed that is kept about them for long.

It is random, lies in the citizen's row wrapped under the keyring's DATA key, and is the only thing that opens what it
sealed: destroying it erases the person wherever such a value was copied to, while rows that name the citizen by row
key alone, the audit trail above all, stay whole (decision 0008). Owns making, reading and destroying it. For
whoever keeps a new kind of value:

    person_key.ensure(citizen_id, keyring=keyring).seal(text, place)
    person_key.read(citizen_id, keyring=keyring).unseal(sealed, place)

Values from before there were such keys (`v1`) open as ever; `ops.reseal` brings them under the key. What lives for
minutes or days only, such as a stored request or the facts of a notice, is sealed by the keyring itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from idp.citizens.models import Citizen
from idp.core.database import Model, db
from idp.core.keyring import Keyring, Place, SealBroken, is_under_own_key

_DESTROYED = ""


def sealed() -> Iterator[tuple[sa.Table, sa.Column[Any], sa.Column[Any]]]:
    """Yield every column with values under a person's key, its table, and the column that names the citizen.

    Each room says so beside its table (`models.BY_CITIZEN`): what is new tomorrow is destroyed and sealed anew, too.
    """
    for table in Model.metadata.sorted_tables:
        for column in table.columns:
            if "person" in column.info:
                yield table, column, table.c[column.info["person"]]


@dataclass(frozen=True, slots=True)
class PersonKey:
    """Seals and opens what belongs to one citizen; unwrapped for each value, so that no secret outlives its use."""

    citizen_id: UUID
    wrapped: str | None = field(repr=False)
    keyring: Keyring = field(repr=False)

    def seal(self, plaintext: str, place: Place) -> str:
        """Return `plaintext` sealed for this citizen at `place`. Raises SealBroken once the key was destroyed."""
        if self.wrapped is None:
            return self.keyring.seal(plaintext, place)
        return self.keyring.own_key(self.wrapped, key_place(self.citizen_id)).seal(plaintext, place)

    def unseal(self, sealed: str, place: Place) -> str:
        """Return the plaintext of a value sealed for this citizen at `place`. Raises SealBroken."""
        if self.wrapped == _DESTROYED or is_under_own_key(sealed):
            return self.keyring.own_key(self.wrapped or _DESTROYED, key_place(self.citizen_id)).unseal(sealed, place)
        return self.keyring.unseal(sealed, place)


def key_place(citizen_id: UUID) -> Place:
    """Return where the wrapped key of a citizen lies."""
    return Place(Citizen.__tablename__, "data_key", citizen_id.hex)


def new(citizen_id: UUID, keyring: Keyring) -> str | None:
    """Return a wrapped key for the row of a new citizen; None where keys are not given yet (`IDP_PERSON_KEYS`)."""
    return keyring.new_own_key(key_place(citizen_id)) if keyring.gives_own_keys else None


def of(citizen: Citizen, keyring: Keyring) -> PersonKey:
    """Return the key of an account that was loaded, for reading."""
    return PersonKey(citizen.id, citizen.data_key, keyring)


def read(citizen_id: UUID, *, keyring: Keyring) -> PersonKey:
    """Return the key of a citizen, for reading. Raises SealBroken for an unknown one."""
    found = db.session.execute(sa.select(Citizen.data_key).where(Citizen.id == citizen_id)).first()
    if found is None:
        raise SealBroken("citizen.data_key: no such citizen")
    return PersonKey(citizen_id, found.data_key, keyring)


def ensure(citizen_id: UUID, *, keyring: Keyring) -> PersonKey:
    """Return the key of a citizen, for sealing; one is made, in the caller's transaction, where there is none.

    Safe to race: the first key written stays.
    """
    citizen = db.session.get_one(Citizen, citizen_id)
    if citizen.data_key is None and keyring.gives_own_keys:
        db.session.execute(
            sa.update(Citizen)
            .where(Citizen.id == citizen_id, Citizen.data_key.is_(None))
            .values(data_key=new(citizen_id, keyring)),
            execution_options={"synchronize_session": False},
        )
        db.session.refresh(citizen, ["data_key"])
    return of(citizen, keyring)


def destroy(citizen_id: UUID) -> None:
    """Destroy the key of a citizen, and every value it sealed, in the caller's transaction.

    The values go as well because one that was never brought under the key would open without it. Nothing can be
    sealed for the citizen afterwards. The keyed index of a number is not a sealed value: the caller deletes the rows.
    """
    quietly = {"synchronize_session": False}
    db.session.execute(
        sa.update(Citizen)
        .where(Citizen.id == citizen_id)
        # The version, so that whoever loaded the account before cannot write it back.
        .values(data_key=_DESTROYED, version=Citizen.version + 1),
        execution_options=quietly,
    )
    for table, column, owner in sealed():
        db.session.execute(
            sa.update(table).where(owner == citizen_id, column.is_not(None)).values({column.name: ""}),
            execution_options=quietly,
        )
    db.session.expire_all()
