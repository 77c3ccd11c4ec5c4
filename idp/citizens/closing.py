"""Closing an account: asked for, waited for, and taken back with one click until the day.

    asked --a notice--> waiting --3 days before, a notice--> waiting --the day--> closed --history's time over--> gone
       ^___________________|_________ kept __________________|

Owns the wish and its days. Leaves what closing does to `erasure` and to the job that is run when `due_at` has come.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.models import Citizen
from idp.core import clock
from idp.core.database import Instant, Model, database_now, db
from idp.core.keyring import Keyring
from idp.notify import notices
from idp.notify.notices import Notice

REMINDER: Final = timedelta(days=3)


class Closing(Model):
    """The wish of one citizen to close their account. Row keys and times alone: it outlives the account."""

    __tablename__ = "closing"

    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    closes_at: Mapped[datetime] = mapped_column(Instant)
    reminded_at: Mapped[datetime | None] = mapped_column(Instant)
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
    due_at: Mapped[datetime | None] = mapped_column(Instant, index=True, doc="When the job has something to do")


def waiting(citizen_id: UUID) -> datetime | None:
    """Return when the account of a citizen will be closed, None when nobody asked for that."""
    return db.session.scalar(
        sa.select(Closing.closes_at).where(Closing.citizen_id == citizen_id, Closing.closed_at.is_(None))
    )


def ask(citizen_id: UUID, *, session_id: UUID | None, wait: timedelta, keyring: Keyring) -> datetime:
    """Record the wish and return the day; the caller commits. Asked twice, the first wish stands.

    Events: closing asked. The citizen is owed a notice.
    """
    # Held, so that of two clicks one finds the other's row.
    db.session.get_one(Citizen, citizen_id, populate_existing=True, with_for_update=True)
    if (known := waiting(citizen_id)) is not None:
        return known
    now = database_now()
    closes_at = now + wait
    db.session.add(
        Closing(citizen_id=citizen_id, asked_at=now, closes_at=closes_at, due_at=max(now, closes_at - REMINDER))
    )
    record(db.session, Event.CLOSING_ASKED, citizen_id=citizen_id, session_id=session_id)
    notices.owe(citizen_id, Notice.CLOSING_ASKED, keyring=keyring, day=clock.day(closes_at))
    return closes_at


def take_back(citizen_id: UUID, *, session_id: UUID | None) -> bool:
    """Keep the account after all; the caller commits. False when nothing was asked, or it is closed.

    Events: closing taken back.
    """
    gone = db.session.execute(
        sa.delete(Closing)
        .where(Closing.citizen_id == citizen_id, Closing.closed_at.is_(None))
        .returning(Closing.citizen_id)
    ).scalar_one_or_none()
    if gone is None:
        return False
    record(db.session, Event.CLOSING_TAKEN_BACK, citizen_id=citizen_id, session_id=session_id)
    return True


def take_due() -> Closing | None:
    """Return a wish with something to do, held until the caller commits; None when there is none."""
    return db.session.scalars(
        sa.select(Closing)
        .where(Closing.due_at <= database_now())
        .order_by(Closing.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()


def put_off(citizen_id: UUID, time: timedelta) -> None:
    """Leave a wish alone for a while that could not be carried out; the caller commits."""
    db.session.execute(
        sa.update(Closing).where(Closing.citizen_id == citizen_id).values(due_at=database_now() + time),
        execution_options={"synchronize_session": False},
    )


def remind(row: Closing, *, keyring: Keyring) -> None:
    """Owe the notice before the day; the caller commits."""
    row.reminded_at, row.due_at = database_now(), row.closes_at
    notices.owe(row.citizen_id, Notice.CLOSING_SOON, keyring=keyring, day=clock.day(row.closes_at))
