"""Erasing a person: what is left of a closed account are row keys, times, and the blind index of the number.

What names the citizen in a column `citizen_id` is deleted, whichever room it belongs to, unless it is listed in KEPT
with the reason: a table that is new tomorrow is erased without anybody thinking of it. The number's row goes, and with
it the one place where its index must be unique: the same person can enrol again, as somebody new. Its index stays in a
table of its own, so that whoever lawfully asks with a number can be led to the history that is kept.
"""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.models import Citizen, CitizenNumber, CitizenState
from idp.core.database import Instant, Model, db
from idp.core.ids import new_id

KEPT = {
    "citizen": "the row that all others point to; emptied here",
    "closing": "the wish itself",
    "closed_number": "the blind index, made here",
    "audit_event": "row keys only; a gap would break the chain",
    "disclosure": "the ledger: which agency received what, for as long as the law asks",
    "agreement": "what was agreed in which words: the proof of consent",
    "session_origin": "where sign-ins came from, part of the history",
    "disowned": "reports, so that support finds them",
    "rights_request": "requests and how they were answered; the words go with the person's key",
    "sso_session": "ended, and deleted within a day of its expiry",
    "authorization_code": "revoked, and deleted within a day; no index by citizen",
    "access_token": "stopped with session or grant, and deleted within an hour; no index by citizen",
    "offline_grant": "revoked, and deleted when its time is over: a refresh token used again is recognised",
    "logout_delivery": "the word that agencies are still owed, deleted after 30 days",
    "officer": "who worked at which counter: other people's acts are told by it",
    "staff_member": "who ran the provider: what was done in its name is told by it",
    "counter_act": "what officers did for the citizen, part of the history; row keys and a reference only",
    "decoupled_request": "lives for minutes",
}
"""Tables with a citizen's key that `erase` leaves, and why."""

HISTORY = ("disclosure", "agreement", "session_origin", "counter_act", "disowned", "rights_request", "closed_number")
"""Of those, what goes when the history's time is over."""


class ClosedNumber(Model):
    """The blind index of a number whose account was closed. Not unique: people may come and go more than once."""

    __tablename__ = "closed_number"
    __table_args__ = (sa.Index("ix_closed_number_index_key_id_number_index", "index_key_id", "number_index"),)

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid, index=True)
    scheme: Mapped[str] = mapped_column(sa.String(64))
    index_key_id: Mapped[str] = mapped_column(sa.String(32))
    number_index: Mapped[str] = mapped_column(sa.String(64))
    closed_at: Mapped[datetime] = mapped_column(Instant)


def erase(citizen_id: UUID, *, now: datetime) -> None:
    """Erase a person and close the account; the caller has ended what was open, and commits.

    Events: citizen closed.
    """
    citizen = db.session.get_one(Citizen, citizen_id, populate_existing=True, with_for_update=True)
    for number in db.session.scalars(sa.select(CitizenNumber).where(CitizenNumber.citizen_id == citizen_id)).all():
        db.session.add(
            ClosedNumber(
                id=new_id(),
                citizen_id=citizen_id,
                scheme=number.scheme,
                index_key_id=number.index_key_id,
                number_index=number.number_index,
                closed_at=now,
            )
        )
        db.session.expunge(number)
    db.session.flush()
    for table in reversed(Model.metadata.sorted_tables):
        if "citizen_id" in table.c and table.name not in KEPT:
            db.session.execute(sa.delete(table).where(table.c.citizen_id == citizen_id))
    # Copies of what was deleted, in backups and replicas, open no more.
    person_key.destroy(citizen_id)
    citizen.state, citizen.locale = CitizenState.CLOSED, None
    citizen.registry_checked_at = citizen.registry_asked_at = None
    citizen.updated_at = now
    record(db.session, Event.CITIZEN_CLOSED, citizen_id=citizen_id)


def forget_numbers(index_key_id: str) -> int:
    """Delete the index of closed accounts' numbers that one key made, and return how many; the caller commits.

    Their history stays, found by row key alone.
    """
    statement = sa.delete(ClosedNumber).where(ClosedNumber.index_key_id == index_key_id).returning(ClosedNumber.id)
    return len(db.session.execute(statement, execution_options={"synchronize_session": False}).all())


def forget_history(citizen_id: UUID) -> None:
    """Delete what was kept of a closed account; the caller commits. The audit trail stays as it is."""
    for name in HISTORY:
        table = Model.metadata.tables[name]
        db.session.execute(sa.delete(table).where(table.c.citizen_id == citizen_id))
