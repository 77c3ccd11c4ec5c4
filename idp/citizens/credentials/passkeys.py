"""What a citizen sees of their passkeys and does with them: list, name, remove.

Leaves the ceremonies to `passkey`, what must remain to `removal`, and ending other sessions to sso.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.credentials.passkey import is_device_bound, name_place
from idp.citizens.credentials.removal import Removal
from idp.citizens.models import Passkey
from idp.core.database import database_now, db
from idp.core.keyring import Keyring
from idp.notify import notices
from idp.notify.notices import Notice

LONGEST_NAME: Final = 40


@dataclass(frozen=True, slots=True)
class Shown:
    """One passkey as its owner sees it."""

    id: UUID
    name: str = field(repr=False)
    is_device_bound: bool
    is_copied: bool
    created_at: datetime
    last_used_at: datetime | None


def shown(citizen_id: UUID, *, keyring: Keyring) -> list[Shown]:
    """Return the passkeys of a citizen, the oldest first."""
    key = person_key.read(citizen_id, keyring=keyring)
    rows = db.session.scalars(
        sa.select(Passkey)
        .where(Passkey.citizen_id == citizen_id, Passkey.ended_at.is_(None))
        .order_by(Passkey.created_at)
    ).all()
    return [
        Shown(
            id=row.id,
            name=key.unseal(row.name, name_place(row.id)),
            is_device_bound=is_device_bound(row),
            is_copied=row.copied_at is not None,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]


def as_name(typed: str) -> str:
    """Return a name as typed without what cannot be seen; empty when nothing is left or it is too long."""
    name = " ".join("".join(sign if sign.isprintable() else " " for sign in typed).split())
    return name if len(name) <= LONGEST_NAME else ""


def rename(citizen_id: UUID, passkey_id: UUID, name: str, *, keyring: Keyring) -> bool:
    """Give a passkey another name; False when the citizen has no such passkey. The caller commits."""
    row = _own(citizen_id, passkey_id)
    if row is None:
        return False
    row.name = person_key.ensure(citizen_id, keyring=keyring).seal(name, name_place(row.id))
    record(db.session, Event.PASSKEY_NAMED, citizen_id=citizen_id, detail={"passkey": row.id.hex})
    return True


def remove(citizen_id: UUID, passkey_id: UUID, *, keyring: Keyring) -> bool:
    """End a passkey and owe its notice; False when the citizen has no such passkey.

    The caller ends the other sessions and commits.

    Raises LastWayIn and LastSecondFactor.
    """
    removal = Removal(citizen_id)
    row = _own(citizen_id, passkey_id)
    if row is None:
        return False
    row.ended_at = database_now()
    removal.check()
    record(db.session, Event.PASSKEY_REMOVED, citizen_id=citizen_id, detail={"passkey": row.id.hex})
    notices.owe(citizen_id, Notice.PASSKEY_REMOVED, keyring=keyring)
    return True


def _own(citizen_id: UUID, passkey_id: UUID) -> Passkey | None:
    return db.session.scalar(
        sa.select(Passkey)
        .where(Passkey.id == passkey_id, Passkey.citizen_id == citizen_id, Passkey.ended_at.is_(None))
        .with_for_update()
    )
