"""What was done at counters: one line for each act, read by the citizen it was about and by the officer who did it.

The audit trail holds the same and more; these lines are what two people may read, found by an index of their own.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.citizens.officers import Counter, OnDuty
from idp.core.database import Instant, Model, database_now, db
from idp.core.ids import new_id

MOST_SHOWN = 50


class Act(StrEnum):
    """Every kind of act; the words are `counter-act.<kind>` in the catalogues."""

    BIND = "bind"
    NEW = "new"
    REPLACE = "replace"
    REPLACE_CONFIRMED = "replace-confirmed"
    UNLOCK = "unlock"
    MANDATE_MADE = "mandate-made"
    MANDATE_ENDED = "mandate-ended"
    HELPED = "helped"


class CounterAct(Model):
    """One act. `session_id` and `client_id` only where the citizen was helped into a service."""

    __tablename__ = "counter_act"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    act: Mapped[str] = mapped_column(sa.String(32))
    officer_id: Mapped[UUID] = mapped_column(sa.ForeignKey("officer.id"))
    counter: Mapped[str] = mapped_column(sa.ForeignKey("counter.slug"))
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"))
    reference: Mapped[str] = mapped_column(sa.String(16))
    session_id: Mapped[UUID | None] = mapped_column(sa.Uuid, unique=True)
    client_id: Mapped[UUID | None] = mapped_column(sa.Uuid)

    __table_args__ = (
        sa.Index("ix_counter_act_officer_id_id", "officer_id", "id"),
        sa.Index("ix_counter_act_citizen_id_id", "citizen_id", "id"),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One act as a page shows it."""

    at: datetime
    act: str
    reference: str
    names: dict[str, str]
    client_id: UUID | None

    def counter_name(self, language: str) -> str:
        """Return the counter's name in `language`, or in Vietnamese."""
        return self.names.get(language) or self.names["vi"]


def note(
    act: Act,
    *,
    officer: OnDuty,
    citizen_id: UUID,
    reference: str,
    session_id: UUID | None = None,
    client_id: UUID | None = None,
) -> None:
    """Add a line to the caller's unit of work."""
    note_for(
        act,
        officer_id=officer.id,
        counter=officer.counter,
        citizen_id=citizen_id,
        reference=reference,
        session_id=session_id,
        client_id=client_id,
    )


def note_for(
    act: Act,
    *,
    officer_id: UUID,
    counter: str,
    citizen_id: UUID,
    reference: str,
    session_id: UUID | None = None,
    client_id: UUID | None = None,
) -> None:
    """Add a line about what an officer let happen, and the citizen has just done, to the caller's unit of work."""
    db.session.add(
        CounterAct(
            id=new_id(),
            at=database_now(),
            act=act.value,
            officer_id=officer_id,
            counter=counter,
            citizen_id=citizen_id,
            reference=reference,
            session_id=session_id,
            client_id=client_id,
        )
    )


def of_officer(officer_id: UUID) -> list[Line]:
    """Return the latest acts of an officer, the newest first."""
    return _lines(CounterAct.officer_id == officer_id)


def of_citizen(citizen_id: UUID) -> list[Line]:
    """Return the latest acts about a citizen, the newest first."""
    return _lines(CounterAct.citizen_id == citizen_id)


def _lines(where: sa.ColumnElement[bool]) -> list[Line]:
    rows = db.session.execute(
        sa.select(CounterAct, Counter.names)
        .join(Counter, Counter.slug == CounterAct.counter)
        .where(where)
        .order_by(CounterAct.id.desc())
        .limit(MOST_SHOWN)
    )
    return [Line(row.at, row.act, row.reference, dict(names), row.client_id) for row, names in rows]


def was_opened(citizen_id: UUID, *, since: datetime) -> bool:
    """Tell whether a counter has opened a citizen's account anew since then: whoever came was seen face to face."""
    opened = sa.exists().where(
        CounterAct.citizen_id == citizen_id,
        CounterAct.act.in_((Act.UNLOCK.value, Act.REPLACE.value)),
        CounterAct.at > since,
    )
    return bool(db.session.scalar(sa.select(opened)))


def sessions_of(officer_id: UUID, *, since: datetime) -> list[UUID]:
    """Return the sessions that an officer has helped to open since then."""
    opened = sa.select(CounterAct.session_id).where(
        CounterAct.officer_id == officer_id, CounterAct.at >= since, CounterAct.session_id.is_not(None)
    )
    return [key for key in db.session.scalars(opened) if key is not None]


def helped(session_ids: frozenset[UUID]) -> dict[UUID, dict[str, str]]:
    """Return, for those of `session_ids` that an officer opened with a citizen, the names of the counter."""
    rows = db.session.execute(
        sa.select(CounterAct.session_id, Counter.names)
        .join(Counter, Counter.slug == CounterAct.counter)
        .where(CounterAct.session_id.in_(session_ids))
    )
    return {row.session_id: dict(row.names) for row in rows if row.session_id is not None}
