"""Mandates: a citizen lets the officers of one counter help them sign in, to which services and until when.

Owns the table, making and ending one, and what one covers. Leaves the session opened under it to `sso.assisted`, and
showing that both are present to the counter room.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import counter_acts, person_key
from idp.citizens.counter_acts import Act
from idp.citizens.models import BY_CITIZEN
from idp.citizens.officers import Counter, OnDuty
from idp.citizens.person_key import PersonKey
from idp.core.database import Instant, Json, Model, Query, Row, database_now, db
from idp.core.ids import new_id, new_reference
from idp.core.keyring import Keyring, Place
from idp.notify import notices
from idp.notify.notices import Notice

LONGEST_PURPOSE = 200


class Mandate(Model):
    """One mandate. It ends by itself, by the citizen's word, or at the counter; the row stays."""

    __tablename__ = "mandate"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), index=True)
    officer_id: Mapped[UUID] = mapped_column(sa.ForeignKey("officer.id"), doc="Who made it")
    counter: Mapped[str] = mapped_column(sa.ForeignKey("counter.slug"), doc="Whose officers may help")
    services: Mapped[list[str]] = mapped_column(Json, doc="client_id of each; empty: the counter's list as it is then")
    purpose: Mapped[str] = mapped_column(sa.Text, info=BY_CITIZEN, doc="Sealed; in the citizen's words")
    document: Mapped[str] = mapped_column(sa.String(32))
    reference: Mapped[str] = mapped_column(sa.String(16))
    valid_from: Mapped[datetime] = mapped_column(Instant)
    valid_to: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_by: Mapped[str | None] = mapped_column(sa.String(16), doc="citizen or officer")


# Read only for a session that was opened under a mandate: what it covers at this moment, if it still lives.
READ_MANDATE = Query(
    """
    SELECT m.services, k.services AS listed
    FROM mandate m JOIN counter k ON k.slug = m.counter
    WHERE m.id = :mandate_id AND m.ended_at IS NULL AND m.valid_to > {now}
    """
)


@dataclass(frozen=True, slots=True)
class Known:
    """A mandate as a page shows it. `services` are those it covers today."""

    id: UUID
    citizen_id: UUID
    counter: str
    names: dict[str, str]
    services: tuple[str, ...]
    is_any: bool
    purpose: str = field(repr=False)
    reference: str
    valid_from: datetime
    valid_to: datetime
    ended_at: datetime | None
    is_live: bool

    def counter_name(self, language: str) -> str:
        """Return the counter's name in `language`, or in Vietnamese."""
        return self.names.get(language) or self.names["vi"]


def covers(row: Row, client_id: str) -> bool:
    """Tell whether a row of READ_MANDATE covers a client: named in it, and on the counter's list still."""
    named, listed = json.loads(row["services"]), json.loads(row["listed"])
    return client_id in listed and (not named or client_id in named)


def make(
    citizen_id: UUID,
    *,
    officer: OnDuty,
    services: Sequence[str],
    valid_to: datetime,
    purpose: str,
    document: str,
    keyring: Keyring,
) -> Mandate:
    """Write a mandate; the caller has seen the citizen's own code and commits. Events: mandate made."""
    key = new_id()
    mandate = Mandate(
        id=key,
        citizen_id=citizen_id,
        officer_id=officer.id,
        counter=officer.counter,
        services=sorted(services),
        purpose=person_key.ensure(citizen_id, keyring=keyring).seal(purpose, _place(key)),
        document=document,
        reference=new_reference(),
        valid_from=database_now(),
        valid_to=valid_to,
    )
    db.session.add(mandate)
    record(
        db.session,
        Event.MANDATE_MADE,
        citizen_id=citizen_id,
        detail={"mandate": key.hex, "services": len(services), **officer.trace},
    )
    counter_acts.note(Act.MANDATE_MADE, officer=officer, citizen_id=citizen_id, reference=mandate.reference)
    notices.owe(
        citizen_id, Notice.MANDATE_MADE, keyring=keyring, counter=dict(officer.names), reference=mandate.reference
    )
    return mandate


def end(mandate_id: UUID, *, citizen_id: UUID, officer: OnDuty | None, keyring: Keyring) -> bool:
    """End a mandate, by the citizen's word or by an officer's of any counter; False when it had ended.

    The caller ends the sessions under it (`sso.assisted`) in the same transaction and commits. Events: mandate ended.
    """
    by = "citizen" if officer is None else "officer"
    ended = db.session.execute(
        sa.update(Mandate)
        .where(Mandate.id == mandate_id, Mandate.citizen_id == citizen_id, Mandate.ended_at.is_(None))
        .values(ended_at=database_now(), ended_by=by)
        .returning(Mandate.reference, Mandate.counter)
    ).one_or_none()
    if ended is None:
        return False
    trace = {} if officer is None else officer.trace
    record(
        db.session,
        Event.MANDATE_ENDED,
        citizen_id=citizen_id,
        outcome=by,
        detail={"mandate": mandate_id.hex, **trace},
    )
    if officer is not None:
        counter_acts.note(Act.MANDATE_ENDED, officer=officer, citizen_id=citizen_id, reference=ended.reference)
    counter = db.session.get_one(Counter, ended.counter)
    notices.owe(
        citizen_id, Notice.MANDATE_ENDED, keyring=keyring, counter=dict(counter.names), reference=ended.reference
    )
    return True


def of_citizen(citizen_id: UUID, *, keyring: Keyring) -> list[Known]:
    """Return the mandates of a citizen, those that live first, then the newest."""
    rows = db.session.execute(
        sa.select(Mandate, Counter)
        .join(Counter, Counter.slug == Mandate.counter)
        .where(Mandate.citizen_id == citizen_id)
        .order_by(Mandate.id.desc())
        .limit(50)
    )
    now, key = database_now(), person_key.read(citizen_id, keyring=keyring)
    known = [_known(mandate, counter, now, key) for mandate, counter in rows]
    return sorted(known, key=lambda each: not each.is_live)


def live(citizen_id: UUID, counter: str, client_id: str, *, keyring: Keyring) -> Known | None:
    """Return a mandate under which a counter may help a citizen into a service now, or None."""
    for known in of_citizen(citizen_id, keyring=keyring):
        if known.is_live and known.counter == counter and client_id in known.services:
            return known
    return None


def _known(mandate: Mandate, counter: Counter, now: datetime, key: PersonKey) -> Known:
    listed = tuple(counter.services)
    return Known(
        id=mandate.id,
        citizen_id=mandate.citizen_id,
        counter=mandate.counter,
        names=dict(counter.names),
        services=tuple(each for each in listed if not mandate.services or each in mandate.services),
        is_any=not mandate.services,
        purpose=key.unseal(mandate.purpose, _place(mandate.id)),
        reference=mandate.reference,
        valid_from=mandate.valid_from,
        valid_to=mandate.valid_to,
        ended_at=mandate.ended_at,
        is_live=mandate.ended_at is None and mandate.valid_to > now,
    )


def _place(mandate_id: UUID) -> Place:
    return Place(Mandate.__tablename__, "purpose", mandate_id.hex)
