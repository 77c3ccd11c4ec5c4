"""Sessions opened with an officer's help: whose they are, how short they live, and that they end with the mandate.

The session is the citizen's, at loa1 at most. Where it stands is read from the mandate each time (`situation`); it is
never raised, never joined by another sign-in, and buys nothing that outlives it. Leaves the proof that both are present
to the counter room.
"""

from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import assurance, counter_acts
from idp.citizens.mandates import Known
from idp.citizens.models import Citizen
from idp.citizens.officers import OnDuty
from idp.core.database import database_now, db
from idp.core.ids import digest, new_id
from idp.core.keyring import Keyring
from idp.core.levels import Method
from idp.core.settings import Settings
from idp.sso import session
from idp.sso.devices import Origin, SessionOrigin
from idp.sso.models import SsoSession
from idp.sso.session import Opened

METHODS = frozenset({Method.ONE_TIME_CODE, Method.ASSISTED})


def open_session(
    mandate: Known,
    officer: OnDuty,
    *,
    flow_secret: str,
    previous: UUID | None,
    joined: UUID | None,
    origin: Origin,
    settings: Settings,
    keyring: Keyring,
) -> Opened:
    """Open a session for the citizen of `mandate`; the caller commits.

    `previous` and `joined` are sessions of this browser and of these pages, which end. Events: session assisted.
    """
    for other in dict.fromkeys((previous, joined)):
        if other is not None:
            session.end(other, reason="replaced")
    citizen = db.session.get_one(Citizen, mandate.citizen_id)
    key, now = new_id(), database_now()
    until = min(now + timedelta(seconds=settings.assisted_session), mandate.valid_to)
    secret = session.derived(keyring, "assist", flow_secret, key)
    level = assurance.proven(citizen.proofing, citizen.registry_status, METHODS)
    db.session.add(
        SsoSession(
            id=key,
            digest=digest(secret),
            citizen_id=citizen.id,
            opened_at=now,
            authenticated_at=now,
            level=int(level),
            amr=" ".join(assurance.amr(METHODS)),
            idle_expires_at=until,
            expires_at=until,
            mandate_id=mandate.id,
            actor_id=officer.citizen_id,
        )
    )
    db.session.add(
        SessionOrigin(
            session_id=key, citizen_id=citizen.id, opened_at=now, device=origin.device, network=origin.network
        )
    )
    record(
        db.session,
        Event.SESSION_ASSISTED,
        citizen_id=citizen.id,
        session_id=key,
        detail={"level": int(level), "mandate": mandate.id.hex, **officer.trace},
    )
    return Opened(key, secret)


def of_the_other_click(joined: UUID | None, *, actor_id: UUID, flow_secret: str, keyring: Keyring) -> Opened | None:
    """Return the session that these pages have just opened with the same officer; None when they did not.

    A code is spent by the first half of a double click, and the browser throws that answer away.
    """
    row = db.session.get(SsoSession, joined, populate_existing=True) if joined is not None else None
    if row is None or row.ended_at is not None or row.actor_id != actor_id:
        return None
    secret = session.derived(keyring, "assist", flow_secret, row.id)
    is_recent = database_now() - row.opened_at < session.DOUBLE_CLICK
    return Opened(row.id, secret) if is_recent and row.digest == digest(secret) else None


def end_under(mandate_id: UUID, citizen_id: UUID) -> tuple[UUID, ...]:
    """End every session under a mandate; the caller commits. Return those ended now; their services are owed a word."""
    return _end(SsoSession.citizen_id == citizen_id, SsoSession.mandate_id == mandate_id, reason="mandate ended")


def end_of_officer(officer_id: UUID, citizen_id: UUID, *, settings: Settings) -> tuple[UUID, ...]:
    """End every session that an officer helped to open, because their work at the counter ended; the caller commits.

    `citizen_id` is the citizen that this officer is.
    """
    opened = counter_acts.sessions_of(officer_id, since=database_now() - timedelta(seconds=settings.assisted_session))
    return _end(SsoSession.id.in_(opened), SsoSession.actor_id == citizen_id, reason="officer ended")


def _end(*where: sa.ColumnElement[bool], reason: str) -> tuple[UUID, ...]:
    keys = db.session.scalars(
        sa.select(SsoSession.id).where(*where, SsoSession.ended_at.is_(None)).order_by(SsoSession.id)
    ).all()
    return tuple(key for key in keys if session.end(key, reason=reason))
