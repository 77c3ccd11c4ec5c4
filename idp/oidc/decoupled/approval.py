"""The end of the pages for a request from another device: yes, no, or too late.

A yes writes the authorization code of the ordinary grant under a digest that is computed from the request's. Nobody
holds a code that has it, so only the grants of this package, which compute it again, can redeem it.
"""

from collections.abc import Mapping
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.core import errors
from idp.core.database import as_instant, database_now, db
from idp.core.errors import Entry
from idp.core.keyring import Keyring, Purpose
from idp.oidc.decoupled.models import APPROVE, READ_STATE, DecoupledRequest
from idp.sso.interaction import Visit
from idp.sso.services import Services


def code_digest(request_digest: bytes, *, keyring: Keyring) -> bytes:
    """Return the digest under which the code of an approved request stands."""
    return keyring.hmac(Purpose.FORM, b"decoupled" + request_digest)


def approve(visit: Visit, code: Mapping[str, object], *, provider: Services) -> Entry | None:
    """Approve the request of an interaction whose every step is done; `code` are the values of its code's row.

    Returns None once it is approved by this interaction, now or before; else the entry of the page that says why not.
    The code lives as long as the request would have, because its device asks when it likes.
    """
    key = bytes.fromhex(visit.request.decoupled)
    asked = {"decoupled": key, "interaction_id": visit.id}
    state = provider.hot_path.one(READ_STATE, asked)
    if state is not None:
        left = int((as_instant(state["expires_at"]) - as_instant(state["now"])).total_seconds())
        values = {**code, **asked, "digest": code_digest(key, keyring=provider.keyring), "lifetime": left}
        if left > 0 and provider.hot_path.apply(APPROVE, values) is not None:
            return None
        state = provider.hot_path.one(READ_STATE, asked)
    if state is None:
        return errors.REQUEST_EXPIRED
    if state["is_approved"] or state["is_denied"]:
        return None if state["is_approved"] and state["is_ours"] else errors.REQUEST_ANSWERED
    # Open still: its time is over, or the session ended between two statements.
    is_over = as_instant(state["expires_at"]) <= as_instant(state["now"])
    return errors.REQUEST_EXPIRED if is_over else errors.FLOW_FINISHED


def deny(visit: Visit, *, citizen_id: UUID | None, session_id: UUID | None) -> Entry | None:
    """Answer no for the device that waits, and commit; None, or the entry of the page if it was approved before.

    Events: decoupled request denied.
    """
    key = bytes.fromhex(visit.request.decoupled)
    denied = db.session.execute(
        sa.update(DecoupledRequest)
        .where(
            DecoupledRequest.digest == key,
            DecoupledRequest.approved_at.is_(None),
            DecoupledRequest.denied_at.is_(None),
        )
        .values(denied_at=database_now())
        .returning(DecoupledRequest.client_id)
    ).scalar_one_or_none()
    if denied is not None:
        record(db.session, Event.DECOUPLED_DENIED, citizen_id=citizen_id, client_id=denied, session_id=session_id)
        db.session.commit()
        return None
    approved = db.session.scalar(sa.select(DecoupledRequest.approved_at).where(DecoupledRequest.digest == key))
    db.session.rollback()
    return None if approved is None else errors.REQUEST_ANSWERED
