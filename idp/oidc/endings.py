"""Ending what is open of a citizen: sessions, and the access that would outlive them.

Owns which codes and grants go with a session. Leaves the session's own end, and the telling of agencies, to sso.
"""

from uuid import UUID

import sqlalchemy as sa

from idp.core.database import database_now, db
from idp.oidc.models import AuthorizationCode, OfflineGrant
from idp.sso import disowned, session
from idp.sso.forgotten import reset


def end_sign_in(citizen_id: UUID, session_id: UUID, *, reason: str) -> tuple[UUID, ...]:
    """End one session and all that was given in it; the caller commits. Return the session if it ended now.

    One whose row is long gone has agencies that may still keep it open: they are told as well.
    """
    has_ended = session.end(session_id, reason=reason)
    if not has_ended:
        disowned.owe_telling(citizen_id, session_id)
    _revoke(citizen_id, AuthorizationCode.session_id == session_id, OfflineGrant.session_id == session_id)
    return (session_id,) if has_ended else ()


def end_everything(citizen_id: UUID, *, reason: str, but: UUID | None = None) -> tuple[UUID, ...]:
    """End every session of a citizen, `but` one if given, all lasting access, and new passwords under way.

    The caller commits. Return the sessions ended now.
    """
    reset.drop(citizen_id)
    ended = session.end_all(citizen_id, reason=reason, but=but)
    _revoke(citizen_id, sa.true(), sa.true())
    return ended


def _revoke(citizen_id: UUID, of_code: sa.ColumnElement[bool], of_grant: sa.ColumnElement[bool]) -> None:
    """Revoke offline grants. Codes first: whoever is just redeeming one is waited for, and the grant is found then.

    Access tokens need nothing: each stops with its session or its grant.
    """
    now = database_now()
    codes, grants = AuthorizationCode, OfflineGrant
    for statement in (
        sa.update(codes)
        .where(codes.citizen_id == citizen_id, codes.expires_at > now, codes.used_at.is_(None), of_code)
        .values(expires_at=now),
        sa.update(grants)
        .where(grants.citizen_id == citizen_id, grants.revoked_at.is_(None), of_grant)
        .values(revoked_at=now),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))
