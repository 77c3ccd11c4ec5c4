"""Ending what is open of a citizen: sessions, and the access that would outlive them.

Owns which codes and grants go with a session. Leaves the session's own end, and the telling of agencies, to sso.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.core.database import database_now, db
from idp.core.levels import Level
from idp.oidc.models import AuthorizationCode, OfflineGrant
from idp.sso import disowned, session
from idp.sso.forgotten import reset
from idp.sso.models import SsoSession
from idp.upstream.models import UpstreamProvider

_BITE: Final = 100


def end_sign_in(citizen_id: UUID, session_id: UUID, *, reason: str) -> tuple[UUID, ...]:
    """End one session and all that was given in it; the caller commits. Return the session if it ended now.

    One whose row is long gone has agencies that may still keep it open: they are told as well.
    """
    has_ended = session.end(session_id, reason=reason)
    if not has_ended:
        disowned.owe_telling(citizen_id, session_id)
    _revoke(
        sa.and_(AuthorizationCode.citizen_id == citizen_id, AuthorizationCode.session_id == session_id),
        sa.and_(OfflineGrant.citizen_id == citizen_id, OfflineGrant.session_id == session_id),
    )
    return (session_id,) if has_ended else ()


def end_door(citizen_id: UUID, provider_id: UUID, *, reason: str) -> None:
    """End what a citizen has by one identity provider, and what was given in it; the caller commits.

    Sessions that are over have access that outlives them, too.
    """
    sessions = sa.select(SsoSession.id).where(
        SsoSession.citizen_id == citizen_id, SsoSession.provider_id == provider_id
    )
    living = sessions.where(SsoSession.ended_at.is_(None)).order_by(SsoSession.id)
    for key in db.session.scalars(living).all():
        session.end(key, reason=reason)
    _revoke_of(sessions)


def end_incident(slug: str, *, since: datetime, level: Level | None) -> int:
    """End what came by a provider since then, at `level` or above, and what was given in it; return how many sessions.

    Commits in bites. A session that was opened before and entered anew by the provider since is among them. The
    agencies each had reached are owed a word. Events: session ended.
    """
    row = SsoSession
    sessions = (
        sa.select(row.id)
        .join(UpstreamProvider, UpstreamProvider.id == row.provider_id)
        .where(
            UpstreamProvider.slug == slug,
            sa.or_(row.opened_at >= since, row.renewed_at >= since),
            sa.true() if level is None else row.provider_level >= int(level),
        )
    )
    living = sessions.where(row.ended_at.is_(None)).order_by(row.id).limit(_BITE)
    done = 0
    while keys := db.session.scalars(living).all():
        done += sum(session.end(key, reason="incident") for key in keys)
        db.session.commit()
    _revoke_of(sessions)
    db.session.commit()
    return done


def end_everything(citizen_id: UUID, *, reason: str, but: UUID | None = None) -> tuple[UUID, ...]:
    """End every session of a citizen, `but` one if given, all lasting access, and new passwords under way.

    The caller commits. Return the sessions ended now.
    """
    reset.drop(citizen_id)
    ended = session.end_all(citizen_id, reason=reason, but=but)
    _revoke(AuthorizationCode.citizen_id == citizen_id, OfflineGrant.citizen_id == citizen_id)
    return ended


def _revoke_of(sessions: sa.Select[tuple[UUID]]) -> None:
    """Revoke what was given in these sessions."""
    _revoke(AuthorizationCode.session_id.in_(sessions), OfflineGrant.session_id.in_(sessions))


def _revoke(of_code: sa.ColumnElement[bool], of_grant: sa.ColumnElement[bool]) -> None:
    """Revoke offline grants. Codes first: whoever is just redeeming one is waited for, and the grant is found then.

    Access tokens need nothing: each stops with its session or its grant.
    """
    now = database_now()
    codes, grants = AuthorizationCode, OfflineGrant
    for statement in (
        sa.update(codes).where(codes.expires_at > now, codes.used_at.is_(None), of_code).values(expires_at=now),
        sa.update(grants).where(grants.revoked_at.is_(None), of_grant).values(revoked_at=now),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))
