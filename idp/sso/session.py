"""The session: opened, raised and ended; its secret renewed at every authentication.

A session is one row; the browser holds a secret of which the row keeps the digest. Each authentication gives the
browser a new secret, so that one planted or stolen before is worth nothing after it (ASVS 7.2.4).

    loa1           idle and absolute life, the idle one moving on with use
    loa2 and loa3  a short absolute life from the authentication, never extended (FranceConnect's habit)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import assurance
from idp.citizens.models import Citizen
from idp.core.database import database_now, db
from idp.core.ids import digest, new_id, new_secret
from idp.core.levels import Level, Method
from idp.core.settings import Settings
from idp.sso.models import Disclosure, SsoSession
from idp.sso.situation import Standing

# The two posts of a double click arrive within this time of each other.
DOUBLE_CLICK = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just opened or renewed, and the secret for the browser's cookie, told this once."""

    session_id: UUID
    secret: str


def open_session(
    citizen_id: UUID, methods: Iterable[Method], *, previous: Standing | None, settings: Settings
) -> Opened:
    """Open a session after an authentication; the caller commits.

    The same citizen signing in again keeps the session's row, and with it the agencies that share it; somebody else
    ends it. Events: session opened.
    """
    citizen = db.session.get_one(Citizen, citizen_id)
    used = frozenset(methods)
    now = database_now()
    row = db.session.get(SsoSession, previous.session_id) if previous is not None else None
    if row is not None and row.citizen_id != citizen_id:
        end(row.id, reason="replaced")
        row = None
    if row is None or row.ended_at is not None:
        row = SsoSession(id=new_id(), citizen_id=citizen_id, opened_at=now)
        db.session.add(row)
    else:
        row.previous_digest, row.renewed_at = row.digest, now
    row.authenticated_at = now
    secret = _renew(row, citizen, used, now, settings)
    record(
        db.session,
        Event.SESSION_OPENED,
        citizen_id=citizen_id,
        session_id=row.id,
        detail={"level": row.level},
    )
    return Opened(row.id, secret)


def raise_session(session_id: UUID, method: Method, *, settings: Settings) -> Opened | None:
    """Add `method` to a live session and give it a new secret; the caller commits. None if it has ended.

    `auth_time` stays that of the password: a code alone must not satisfy a portal's max_age.
    """
    row = db.session.get(SsoSession, session_id, with_for_update=True)
    if row is None or row.ended_at is not None:
        return None
    citizen = db.session.get_one(Citizen, row.citizen_id)
    now = database_now()
    row.previous_digest, row.renewed_at = row.digest, now
    used = frozenset(Method(word) for word in row.amr.split()) | {method}
    secret = _renew(row, citizen, used, now, settings)
    record(
        db.session,
        Event.SESSION_RAISED,
        citizen_id=row.citizen_id,
        session_id=row.id,
        detail={"level": row.level},
    )
    return Opened(row.id, secret)


def reassess(session_id: UUID, *, settings: Settings) -> None:
    """Weigh a live session again, because the register has just spoken about its citizen; commit.

    Whoever signed in before the register first confirmed them proved nothing at that time and does now. The secret
    stays: nobody authenticated.
    """
    row = db.session.get(SsoSession, session_id, with_for_update=True)
    if row is not None and row.ended_at is None:
        citizen = db.session.get_one(Citizen, row.citizen_id)
        used = frozenset(Method(word) for word in row.amr.split())
        level = assurance.proven(citizen.proofing, citizen.registry_status, used)
        if level >= Level.LOA2 > row.level:
            row.expires_at = min(row.expires_at, database_now() + timedelta(seconds=settings.session_high))
            row.idle_expires_at = row.expires_at
        row.level = int(level)
    db.session.commit()


def _renew(row: SsoSession, citizen: Citizen, used: frozenset[Method], now: datetime, settings: Settings) -> str:
    level = assurance.proven(citizen.proofing, citizen.registry_status, used)
    row.level = int(level)
    row.amr = " ".join(assurance.amr(used))
    if level >= Level.LOA2:
        row.expires_at = row.idle_expires_at = now + timedelta(seconds=settings.session_high)
    else:
        row.expires_at = now + timedelta(seconds=settings.session_absolute)
        row.idle_expires_at = now + timedelta(seconds=settings.session_idle)
    secret = new_secret()
    row.digest = digest(secret)
    return secret


def take_over(secret: str, session_id: UUID) -> Opened | None:
    """Give a new secret to the second half of a double click, and commit; None when this is not one.

    Two clicks send two posts with the same old cookie. The first renews the session; its answer, with the new
    cookie, is thrown away by the browser. The second is known by the secret just replaced, by the flow cookie its
    interaction was checked with, and by coming at once.
    """
    statement = (
        sa.select(SsoSession)
        .where(
            SsoSession.id == session_id,
            SsoSession.previous_digest == digest(secret),
            SsoSession.ended_at.is_(None),
            SsoSession.renewed_at > database_now() - DOUBLE_CLICK,
        )
        .with_for_update()
    )
    row = db.session.scalar(statement)
    if row is None:
        db.session.rollback()
        return None
    renewed = new_secret()
    row.digest = digest(renewed)
    # `previous_digest` stays: a third click is as human as a second.
    db.session.commit()
    return Opened(row.id, renewed)


def end(session_id: UUID, *, reason: str) -> bool:
    """End a session; the caller commits. False if it had ended already.

    Its codes and access tokens stop with it: the statements that spend and read them look at the session.
    """
    ended = db.session.execute(
        sa.update(SsoSession)
        .where(SsoSession.id == session_id, SsoSession.ended_at.is_(None))
        .values(ended_at=database_now())
        .returning(SsoSession.citizen_id)
    ).scalar_one_or_none()
    if ended is None:
        return False
    record(db.session, Event.SESSION_ENDED, citizen_id=ended, session_id=session_id, outcome=reason)
    return True


def clients_reached(session_id: UUID) -> tuple[UUID, ...]:
    """Return the row ids of the clients this session signed in to, in order of the first time."""
    first = sa.func.min(Disclosure.at)
    rows = db.session.execute(
        sa.select(Disclosure.client_id)
        .join(SsoSession, SsoSession.id == session_id)
        # Citizen and time are what the ledger is indexed by.
        .where(Disclosure.citizen_id == SsoSession.citizen_id, Disclosure.at >= SsoSession.opened_at)
        .where(Disclosure.session_id == session_id)
        .group_by(Disclosure.client_id)
        .order_by(first)
    )
    return tuple(row.client_id for row in rows)
