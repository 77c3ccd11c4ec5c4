"""The secrets of clients: which work now, and making the next one."""

from datetime import datetime

import sqlalchemy as sa

from idp.agencies.models import Client, ClientSecret
from idp.audit.events import Event
from idp.audit.record import record
from idp.core.database import db
from idp.core.ids import digest, new_id


def live_secrets(client: Client, now: datetime) -> list[ClientSecret]:
    """Return the secrets of a client that work now, the newest first."""
    statement = sa.select(ClientSecret).where(
        ClientSecret.client_id == client.id,
        ClientSecret.ended_at.is_(None),
        sa.or_(ClientSecret.expires_at.is_(None), ClientSecret.expires_at > now),
    )
    return list(db.session.scalars(statement.order_by(ClientSecret.id.desc())))


def issue(client: Client, secret: str, now: datetime) -> str:
    """Make `secret` one of the client's and return it, in the caller's transaction."""
    db.session.add(
        ClientSecret(id=new_id(), client_id=client.id, digest=digest(secret), created_at=now, expires_at=None)
    )
    record(db.session, Event.SECRET_ISSUED, client_id=client.id)
    return secret
