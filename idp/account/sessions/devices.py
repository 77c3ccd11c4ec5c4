"""The sessions of one citizen: those that live, those that have just ended, and the end of some or all of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from idp.core.database import database_now, db
from idp.sso import session
from idp.sso.devices import SessionOrigin
from idp.sso.models import SsoSession

# A person has a handful. Whoever has more sees the newest, and can end all of them.
MOST_SHOWN = 50
MOST_ENDED = 5
_REASON = "signed out elsewhere"


@dataclass(frozen=True, slots=True)
class Device:
    """One session. `ended_at` is None while it lives."""

    session_id: UUID
    device: str
    network: str
    opened_at: datetime
    authenticated_at: datetime
    level: int
    is_shared: bool
    ended_at: datetime | None


def live(citizen_id: UUID) -> tuple[Device, ...]:
    """Return the sessions that live, the newest first."""
    return _read(_select(citizen_id).where(*_is_live()).order_by(SsoSession.opened_at.desc()).limit(MOST_SHOWN))


def ended(citizen_id: UUID) -> tuple[Device, ...]:
    """Return the sessions that were ended last and are still on record, the latest first."""
    chosen = _select(citizen_id).where(SsoSession.ended_at.is_not(None)).order_by(SsoSession.ended_at.desc())
    return _read(chosen.limit(MOST_ENDED))


def end(citizen_id: UUID, session_id: UUID) -> tuple[UUID, ...]:
    """End one session of a citizen and commit; return the sessions ended, none when it was not theirs or had ended."""
    is_theirs = db.session.scalar(
        sa.select(SsoSession.id).where(SsoSession.id == session_id, SsoSession.citizen_id == citizen_id)
    )
    gone = (session_id,) if is_theirs is not None and session.end(session_id, reason=_REASON) else ()
    db.session.commit()
    return gone


def end_others(citizen_id: UUID, but: UUID) -> tuple[UUID, ...]:
    """End every session of a citizen but one, and commit; return the sessions ended."""
    return _end_all(citizen_id, but)


def end_all(citizen_id: UUID) -> tuple[UUID, ...]:
    """End every session of a citizen and commit; return the sessions ended."""
    return _end_all(citizen_id, None)


def _end_all(citizen_id: UUID, but: UUID | None) -> tuple[UUID, ...]:
    gone = session.end_all(citizen_id, reason=_REASON, but=but)
    db.session.commit()
    return gone


def _is_live() -> tuple[sa.ColumnElement[bool], ...]:
    now = database_now()
    return (SsoSession.ended_at.is_(None), SsoSession.idle_expires_at > now, SsoSession.expires_at > now)


def _select(citizen_id: UUID) -> sa.Select[Any]:
    return (
        sa.select(
            SsoSession.id,
            SsoSession.opened_at,
            SsoSession.authenticated_at,
            SsoSession.level,
            SsoSession.is_shared,
            SsoSession.ended_at,
            SessionOrigin.device,
            SessionOrigin.network,
        )
        .outerjoin(SessionOrigin, SessionOrigin.session_id == SsoSession.id)
        .where(SsoSession.citizen_id == citizen_id)
    )


def _read(chosen: sa.Select[Any]) -> tuple[Device, ...]:
    rows = db.session.execute(chosen).all()
    db.session.rollback()
    return tuple(
        Device(
            session_id=row.id,
            device=row.device or "",
            network=row.network or "",
            opened_at=row.opened_at,
            authenticated_at=row.authenticated_at,
            level=row.level,
            is_shared=row.is_shared,
            ended_at=row.ended_at,
        )
        for row in rows
    )
