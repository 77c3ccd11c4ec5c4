"""Officers: who works at which counter, and since when.

An officer is a person with an account of their own here. Owns the two tables, adding and ending. Leaves to the counter
room how an officer signs in, and to `binding` and `mandates` what officers may do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import record
from idp.core.database import Instant, Json, Model, database_now, db
from idp.core.ids import new_id


class Counter(Model):
    """One counter of an agency, where people are helped face to face."""

    __tablename__ = "counter"

    slug: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    names: Mapped[dict[str, str]] = mapped_column(Json, doc="By language; Vietnamese always")
    services: Mapped[list[str]] = mapped_column(Json, doc="client_id of each service it may help people into")
    created_at: Mapped[datetime] = mapped_column(Instant)


class Officer(Model):
    """A citizen's work at one counter. Rows stay: what was done is told by them."""

    __tablename__ = "officer"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"))
    counter: Mapped[str] = mapped_column(sa.ForeignKey("counter.slug"))
    valid_from: Mapped[datetime] = mapped_column(Instant)
    valid_to: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        # One person works at one counter at a time.
        sa.Index(
            "ix_officer_citizen_id",
            "citizen_id",
            unique=True,
            postgresql_where=sa.text("ended_at IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL"),
        ),
    )


@dataclass(frozen=True, slots=True)
class OnDuty:
    """An officer who may act now."""

    id: UUID
    citizen_id: UUID
    counter: str
    names: Mapping[str, str]
    services: tuple[str, ...]

    def counter_name(self, language: str) -> str:
        """Return the counter's name in `language`, or in Vietnamese."""
        return self.names.get(language) or self.names["vi"]

    @property
    def trace(self) -> dict[str, str]:
        """Return who acted where, for the detail of an event."""
        return {"officer": self.id.hex, "counter": self.counter}


class AlreadyOfficer(Exception):
    """The person works at a counter already; that must end first."""


def on_duty(citizen_id: UUID) -> OnDuty | None:
    """Return the officer that a citizen is now, or None; leaves no transaction open."""
    now = database_now()
    found = db.session.execute(
        sa.select(Officer, Counter)
        .join(Counter, Counter.slug == Officer.counter)
        .where(
            Officer.citizen_id == citizen_id,
            Officer.ended_at.is_(None),
            Officer.valid_from <= now,
            sa.or_(Officer.valid_to.is_(None), Officer.valid_to > now),
        )
    ).one_or_none()
    known = None if found is None else _on_duty(*found)
    db.session.rollback()
    return known


def _on_duty(officer: Officer, counter: Counter) -> OnDuty:
    return OnDuty(officer.id, officer.citizen_id, counter.slug, dict(counter.names), tuple(counter.services))


def keep_counter(slug: str, *, names: Mapping[str, str], services: Sequence[str]) -> None:
    """Make a counter, or give one other names or services where some are given; the caller commits.

    Raises LookupError for a new counter without a Vietnamese name.
    """
    counter = db.session.get(Counter, slug, with_for_update=True)
    if counter is None:
        if "vi" not in names:
            raise LookupError(slug)
        counter = Counter(slug=slug, names={}, services=[], created_at=database_now())
        db.session.add(counter)
    counter.names = {**counter.names, **names}
    if services:
        counter.services = sorted(set(services))
    db.session.flush()


def add(citizen_id: UUID, counter: str, *, valid_to: datetime | None) -> UUID:
    """Make a citizen an officer of a counter from now on; the caller commits. Raises AlreadyOfficer."""
    working = sa.select(Officer.id).where(Officer.citizen_id == citizen_id, Officer.ended_at.is_(None))
    if db.session.scalar(working) is not None:
        raise AlreadyOfficer
    officer = Officer(id=new_id(), citizen_id=citizen_id, counter=counter, valid_from=database_now(), valid_to=valid_to)
    db.session.add(officer)
    record(
        db.session,
        Event.OFFICER_ADDED,
        citizen_id=citizen_id,
        detail={"officer": officer.id.hex, "counter": counter},
    )
    return officer.id


def end(citizen_id: UUID) -> UUID | None:
    """End a citizen's work at the counter; the caller commits. Return the officer's key, None when there is none.

    Every page of the counter asks anew, so nothing is done in their name from this moment.
    """
    ended = db.session.execute(
        sa.update(Officer)
        .where(Officer.citizen_id == citizen_id, Officer.ended_at.is_(None))
        .values(ended_at=database_now())
        .returning(Officer.id, Officer.counter)
    ).one_or_none()
    if ended is None:
        return None
    record(
        db.session,
        Event.OFFICER_ENDED,
        citizen_id=citizen_id,
        detail={"officer": ended.id.hex, "counter": ended.counter},
    )
    key: UUID = ended.id
    return key


def listed() -> list[Officer]:
    """Return every officer whose work has not ended, by counter."""
    return list(
        db.session.scalars(
            sa.select(Officer).where(Officer.ended_at.is_(None)).order_by(Officer.counter, Officer.valid_from)
        )
    )


def counter_names(slugs: frozenset[str]) -> dict[str, dict[str, str]]:
    """Return the names of counters."""
    rows = db.session.scalars(sa.select(Counter).where(Counter.slug.in_(slugs)))
    return {row.slug: dict(row.names) for row in rows}
