"""Initial access tokens: tickets with which an agency registers clients by itself (RFC 7591, 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.models import Agency, ClientState, InitialAccessToken
from idp.audit.events import Event
from idp.audit.record import record
from idp.core import clock
from idp.core.database import db
from idp.core.ids import digest, new_id, new_secret


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an initial access token allows: clients of one agency, with these scopes at most."""

    id: UUID
    agency_slug: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Issued:
    """One line for the operator: a token as it stands now, never the token itself."""

    id: UUID
    agency_slug: str
    label: str
    clients_left: int
    expires_at: datetime
    is_revoked: bool


class UnknownAgency(Exception):
    """There is no agency of that name, or it is suspended."""


class UnknownInvitation(Exception):
    """There is no such initial access token, or it is revoked."""


def invite(agency_slug: str, *, label: str, scopes: Sequence[str], clients: int, life: timedelta) -> str:
    """Make an initial access token and return it; only its digest is kept. Commits; raises UnknownAgency."""
    agency = db.session.scalar(sa.select(Agency).where(Agency.slug == agency_slug))
    if agency is None or agency.state != ClientState.ACTIVE:
        raise UnknownAgency(agency_slug)
    token, now = new_secret(), clock.now()
    db.session.add(
        InitialAccessToken(
            id=new_id(),
            digest=digest(token),
            agency_id=agency.id,
            label=label,
            scopes=" ".join(scopes),
            clients_left=clients,
            created_at=now,
            expires_at=now + life,
        )
    )
    record(db.session, Event.CLIENT_INVITED, detail={"agency": agency_slug, "clients": clients})
    db.session.commit()
    return token


def issued() -> tuple[Issued, ...]:
    """Return every initial access token that is kept, the newest first."""
    statement = sa.select(InitialAccessToken, Agency.slug).join(Agency, Agency.id == InitialAccessToken.agency_id)
    rows = db.session.execute(statement.order_by(InitialAccessToken.id.desc())).all()
    db.session.commit()
    return tuple(
        Issued(row.id, slug, row.label, row.clients_left, row.expires_at, row.revoked_at is not None)
        for row, slug in rows
    )


def revoke(invitation_id: UUID) -> None:
    """End an initial access token; clients registered with it stay. Commits; raises UnknownInvitation."""
    found = db.session.get(InitialAccessToken, invitation_id, with_for_update=True)
    if found is None or found.revoked_at is not None:
        db.session.rollback()
        raise UnknownInvitation(str(invitation_id))
    found.revoked_at = clock.now()
    record(db.session, Event.INVITATION_REVOKED)
    db.session.commit()


def find(token: str) -> Invitation | None:
    """Return what a token allows now, None when it allows nothing. Nothing is used up: see `use`."""
    statement = (
        sa.select(InitialAccessToken, Agency.slug)
        .join(Agency, Agency.id == InitialAccessToken.agency_id)
        .where(InitialAccessToken.digest == digest(token), *_live(), Agency.state == ClientState.ACTIVE)
    )
    row = db.session.execute(statement).one_or_none()
    db.session.commit()
    return None if row is None else Invitation(row[0].id, row[1], frozenset(row[0].scopes.split()))


def use(invitation: Invitation) -> bool:
    """Use a token once, in the caller's transaction; return False when somebody else was faster.

    One statement decides, however many register at once.
    """
    spent = db.session.execute(
        sa.update(InitialAccessToken)
        .where(InitialAccessToken.id == invitation.id, *_live())
        .values(clients_left=InitialAccessToken.clients_left - 1)
        .returning(InitialAccessToken.id)
        .execution_options(synchronize_session=False)
    )
    return spent.one_or_none() is not None


def _live() -> tuple[sa.ColumnElement[bool], ...]:
    return (
        InitialAccessToken.clients_left > 0,
        InitialAccessToken.revoked_at.is_(None),
        InitialAccessToken.expires_at > clock.now(),
    )
