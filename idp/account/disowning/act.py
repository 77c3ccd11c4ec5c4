"""What follows when a citizen disowns a sign-in, or an act on their account."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from idp.citizens import closing
from idp.core.database import db
from idp.notify.notices import Notice
from idp.notify.refusals import Refusable
from idp.oidc import endings
from idp.sso import disowned
from idp.sso.devices import SessionOrigin
from idp.sso.disowned import SIGN_IN, Report

REASON = "disowned"
_CLOSING = frozenset({Notice.CLOSING_ASKED, Notice.CLOSING_SOON})


@dataclass(frozen=True, slots=True)
class SignIn:
    """One sign-in of a citizen, as its page shows it."""

    session_id: UUID
    at: datetime
    device: str
    network: str


def sign_in(citizen_id: UUID, session_id: UUID) -> SignIn | None:
    """Return a sign-in of a citizen, None when it is not theirs or not known."""
    row = db.session.execute(
        sa.select(SessionOrigin.opened_at, SessionOrigin.device, SessionOrigin.network).where(
            SessionOrigin.session_id == session_id, SessionOrigin.citizen_id == citizen_id
        )
    ).one_or_none()
    db.session.rollback()
    return None if row is None else SignIn(session_id, row.opened_at, row.device, row.network)


def disown_sign_in(citizen_id: UUID, session_id: UUID) -> tuple[UUID, ...]:
    """Disown a sign-in and commit; return the sessions ended. Done again it changes nothing.

    Its session ends, and all access that was given in it. Events: sign-in disowned, session ended.
    """
    ended: tuple[UUID, ...] = ()
    if disowned.report(citizen_id, session_id, session_id=session_id, kind=SIGN_IN).is_new:
        ended = endings.end_sign_in(citizen_id, session_id, reason=REASON)
    db.session.commit()
    return ended


def disown_notice(notice: Refusable) -> tuple[UUID, ...]:
    """Disown what a notice told of and commit; as `disown_sign_in`.

    An act on the account may have been done in any session, so all of them end. A wish to close it is taken back.
    """
    if notice.session_id is not None:
        return disown_sign_in(notice.citizen_id, notice.session_id)
    ended: tuple[UUID, ...] = ()
    if disowned.report(notice.citizen_id, notice.id, session_id=None, kind=notice.kind.value).is_new:
        ended = endings.end_everything(notice.citizen_id, reason=REASON)
        if notice.kind in _CLOSING:
            closing.take_back(notice.citizen_id, session_id=None)
    db.session.commit()
    return ended


def report_of(notice: Refusable) -> Report | None:
    """Return the report about what a notice told of, None before one."""
    found = disowned.of(notice.session_id or notice.id)
    db.session.rollback()
    return found
