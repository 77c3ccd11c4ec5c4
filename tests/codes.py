"""Reading the codes that are on their way, as the person does who gets the message."""

import json

import sqlalchemy as sa

from idp.core.database import db
from idp.core.keyring import Keyring
from idp.notify.models import OwedNotice, facts_place, recipient_place
from tests.provider import Provider


def messages(keyring: Keyring) -> list[tuple[str, str, str]]:
    """Return channel, address and code of every message that waits to be sent, the oldest first."""
    waiting = sa.select(OwedNotice).where(OwedNotice.recipient.is_not(None), OwedNotice.stale_at.is_not(None))
    rows = db.session.scalars(waiting.order_by(OwedNotice.created_at, OwedNotice.id)).all()
    found = [
        (
            row.channel or "",
            keyring.unseal(row.recipient or "", recipient_place(row.id)),
            str(json.loads(keyring.unseal(row.facts, facts_place(row.id)))["code"]),
        )
        for row in rows
    ]
    db.session.rollback()
    return found


def code_to(provider: Provider, address: str) -> str:
    """Return the newest code on its way to an address, canonical as stored."""
    with provider.app.app_context():
        return [code for _, to, code in messages(provider.services.keyring) if to == address][-1]
