"""What citizens have said was not them: one report for each sign-in or notice, and its reference.

Owns the record and that it is made once. Leaves what follows from it, ending sessions and access, to whoever reports.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.models import insert
from idp.core.database import Instant, Model, database_now, db
from idp.core.ids import new_id, new_reference
from idp.core.logging import current_reference
from idp.sso import outbox
from idp.sso.devices import SessionOrigin
from idp.sso.models import Disclosure, LogoutDelivery

SIGN_IN = "sign-in"


class Disowned(Model):
    """One thing that a citizen says they did not do. Keys and a reference alone: it outlives the account."""

    __tablename__ = "disowned"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    about: Mapped[UUID] = mapped_column(sa.Uuid, unique=True, doc="The session, else the notice: reported once")
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid, index=True)
    session_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="The sign-in; None for an act on the account")
    kind: Mapped[str] = mapped_column(sa.String(32), doc="`sign-in`, else the kind of the notice")
    reference: Mapped[str] = mapped_column(sa.String(16), unique=True, doc="Also that of its event and log line")
    at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Report:
    """A report on record. `is_new` tells that this very act made it."""

    reference: str
    at: datetime
    is_new: bool = False


def report(citizen_id: UUID, about: UUID, *, session_id: UUID | None, kind: str) -> Report:
    """Record that a citizen disowns `about`; the caller commits. Of two clicks one makes the report.

    Events: sign-in disowned.
    """
    reference, now = current_reference() or new_reference(), database_now()
    made = db.session.execute(
        insert(Disowned)
        .values(
            id=new_id(),
            about=about,
            citizen_id=citizen_id,
            session_id=session_id,
            kind=kind,
            reference=reference,
            at=now,
        )
        .on_conflict_do_nothing(index_elements=["about"])
        .returning(Disowned.reference)
    ).scalar_one_or_none()
    if made is None:
        found = of(about)
        assert found is not None
        return found
    record(db.session, Event.SIGN_IN_DISOWNED, citizen_id=citizen_id, session_id=session_id, outcome=kind)
    return Report(reference, now, is_new=True)


def of(about: UUID) -> Report | None:
    """Return the report about a session or a notice, None without one."""
    row = db.session.execute(sa.select(Disowned.reference, Disowned.at).where(Disowned.about == about)).one_or_none()
    return None if row is None else Report(row.reference, row.at)


def of_sessions(citizen_id: UUID, sessions: frozenset[UUID]) -> dict[UUID, Report]:
    """Return the reports about some sessions of a citizen, by session."""
    rows = db.session.execute(
        sa.select(Disowned.about, Disowned.reference, Disowned.at).where(
            Disowned.citizen_id == citizen_id, Disowned.about.in_(sessions)
        )
    )
    return {row.about: Report(row.reference, row.at) for row in rows}


def owe_telling(citizen_id: UUID, session_id: UUID) -> None:
    """Owe the agencies of a sign-in the word that it is over, whose session's row is gone; the caller commits.

    Whoever was owed it before, as far as that is on record, is not told again.
    """
    opened_at = db.session.scalar(sa.select(SessionOrigin.opened_at).where(SessionOrigin.session_id == session_id))
    is_owed = db.session.scalar(sa.select(LogoutDelivery.id).where(LogoutDelivery.session_id == session_id).limit(1))
    if opened_at is None or is_owed is not None:
        return
    # Citizen and time are what the ledger is indexed by.
    reached = db.session.scalars(
        sa.select(Disclosure.client_id)
        .where(Disclosure.citizen_id == citizen_id, Disclosure.at >= opened_at, Disclosure.session_id == session_id)
        .distinct()
    ).all()
    outbox.owe(session_id, citizen_id, reached)
