"""What citizens ask for by their rights (Law 91/2025, art. 4), and the clocks that run then.

Owns the requests, their days and their answers. Leaves the deciding to the people who read them (`idp rights`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.models import BY_CITIZEN, Citizen, CitizenState
from idp.core import clock
from idp.core.database import Instant, Model, database_now, db
from idp.core.ids import new_id, new_reference
from idp.core.keyring import Keyring, Place
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.notices import Notice

LONGEST = 1_000
"""Characters of a request or an answer."""
MOST_OPEN = 5
_SATURDAY = 5


class Right(StrEnum):
    """What can be asked for."""

    CORRECTION = "correction"
    RESTRICTION = "restriction"
    OBJECTION = "objection"


class State(StrEnum):
    """How far a request is. The last two are final."""

    OPEN = "open"
    GRANTED = "granted"
    REFUSED = "refused"


class TooManyOpen(Exception):
    """The citizen has as many open requests as anybody may have."""


class RightsRequest(Model):
    """One request."""

    __tablename__ = "rights_request"
    __table_args__ = (sa.Index("ix_rights_request_state_answer_due_at", "state", "answer_due_at"),)

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid, index=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    words: Mapped[str] = mapped_column(sa.Text, info=BY_CITIZEN, doc="Sealed; the citizen's own")
    reference: Mapped[str] = mapped_column(sa.String(16), unique=True)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    answer_due_at: Mapped[datetime] = mapped_column(Instant)
    done_due_at: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(sa.String(16))
    answer: Mapped[str | None] = mapped_column(sa.Text, info=BY_CITIZEN, doc="Sealed; to the citizen")
    answered_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read."""

    reference: str
    right: Right
    state: State
    asked_at: datetime
    answer_due_at: datetime
    done_due_at: datetime
    answered_at: datetime | None
    words: str = field(repr=False)
    answer: str = field(repr=False)


def days_of(right: Right, settings: Settings) -> int:
    """Return the days in which a right is carried out."""
    is_short = right in (Right.RESTRICTION, Right.OBJECTION)
    return settings.rights_restriction_days if is_short else settings.rights_other_days


def end_of_working_day(start: datetime, days: int) -> datetime:
    """Return the end of the working day that is `days` of them after `start`, in Viet Nam; weekends do not count."""
    today = start.astimezone(clock.VIETNAM).replace(hour=0, minute=0, second=0, microsecond=0)
    while days > 0:
        today += timedelta(days=1)
        days -= today.weekday() < _SATURDAY
    return today + timedelta(days=1) - timedelta(seconds=1)


def ask(citizen_id: UUID, right: Right, words: str, *, session_id: UUID, settings: Settings, keyring: Keyring) -> str:
    """Record a request and return its reference; the caller commits. The same words asked twice are one request.

    Raises TooManyOpen. Events: rights asked.
    """
    # Held, so that of two clicks one finds the other's row.
    db.session.get_one(Citizen, citizen_id, populate_existing=True, with_for_update=True)
    still_open = [asked for asked in of(citizen_id, keyring=keyring) if asked.state is State.OPEN]
    for asked in still_open:
        if (asked.right, asked.words) == (right, words):
            return asked.reference
    if len(still_open) >= MOST_OPEN:
        raise TooManyOpen
    key, now, reference = new_id(), database_now(), new_reference()
    db.session.add(
        RightsRequest(
            id=key,
            citizen_id=citizen_id,
            kind=right.value,
            words=person_key.ensure(citizen_id, keyring=keyring).seal(words, _place("words", key)),
            reference=reference,
            asked_at=now,
            answer_due_at=end_of_working_day(now, settings.rights_answer_days),
            done_due_at=now + timedelta(days=days_of(right, settings)),
            state=State.OPEN.value,
        )
    )
    record(db.session, Event.RIGHTS_ASKED, citizen_id=citizen_id, session_id=session_id, outcome=right.value)
    return reference


def of(citizen_id: UUID, *, keyring: Keyring) -> Sequence[Asked]:
    """Return the requests of a citizen, the newest first."""
    rows = db.session.scalars(
        sa.select(RightsRequest).where(RightsRequest.citizen_id == citizen_id).order_by(RightsRequest.id.desc())
    )
    return [_read(row, keyring) for row in rows.all()]


def unanswered(*, keyring: Keyring) -> Sequence[Asked]:
    """Return the open requests of everybody, the most urgent first."""
    rows = db.session.scalars(
        sa.select(RightsRequest)
        .where(RightsRequest.state == State.OPEN.value)
        .order_by(RightsRequest.answer_due_at, RightsRequest.id)
    )
    return [_read(row, keyring) for row in rows.all()]


def answer(reference: str, state: State, words: str, *, keyring: Keyring) -> bool:
    """Answer an open request; the caller commits. False when there is none of this reference.

    Events: rights answered. The citizen is owed a notice.
    """
    row = db.session.scalars(
        sa.select(RightsRequest)
        .where(RightsRequest.reference == reference, RightsRequest.state == State.OPEN.value)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    row.state, row.answered_at = state.value, database_now()
    # Held, so that the account is not closed meanwhile. Of a closed one nothing is written any more, to nobody.
    citizen = db.session.get_one(Citizen, row.citizen_id, populate_existing=True, with_for_update=True)
    record(db.session, Event.RIGHTS_ANSWERED, citizen_id=row.citizen_id, outcome=state.value)
    if citizen.state is not CitizenState.CLOSED:
        key = person_key.ensure(row.citizen_id, keyring=keyring)
        row.answer = key.seal(words, _place("answer", row.id))
        notices.owe(row.citizen_id, Notice.RIGHTS_ANSWERED, keyring=keyring)
    return True


def _read(row: RightsRequest, keyring: Keyring) -> Asked:
    key = person_key.read(row.citizen_id, keyring=keyring)
    return Asked(
        reference=row.reference,
        right=Right(row.kind),
        state=State(row.state),
        asked_at=row.asked_at,
        answer_due_at=row.answer_due_at,
        done_due_at=row.done_due_at,
        answered_at=row.answered_at,
        words=key.unseal(row.words, _place("words", row.id)) if row.words else "",
        answer=key.unseal(row.answer, _place("answer", row.id)) if row.answer else "",
    )


def _place(column: str, key: UUID) -> Place:
    return Place(RightsRequest.__tablename__, column, key.hex)
