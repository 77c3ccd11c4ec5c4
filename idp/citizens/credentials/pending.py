"""What a session is setting up: a secret that was shown on a page and does not count yet.

Owns that it waits sealed and bound to its session, not in a form, and that it is taken once. Leaves to `apps` and
`recovery` what becomes of it.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.citizens.models import PendingCredential, insert
from idp.core.database import database_now, db
from idp.core.keyring import Keyring, Place

LIFETIME: Final = timedelta(minutes=30)
"""How long a page may take: scanning, fetching paper, starting a printer."""


class Kind(StrEnum):
    """What is being set up. A session has one of each at most."""

    APP = "app"
    CODES = "codes"


def offer(kind: Kind, secret: str, *, bound_to: UUID, keyring: Keyring) -> str:
    """Return what waits for the session `bound_to`; when nothing does, `secret` waits from now on. Commits.

    Two pages opened at once show the same: what one of them shows must not be replaced behind its back.
    """
    now = database_now()
    values = {"secret": keyring.seal(secret, _place(kind, bound_to)), "expires_at": now + LIFETIME}
    db.session.execute(
        insert(PendingCredential)
        .values(session_id=bound_to, kind=kind.value, **values)
        .on_conflict_do_update(
            index_elements=["session_id", "kind"], set_=values, where=PendingCredential.expires_at <= now
        )
    )
    db.session.commit()
    offered = waiting(kind, bound_to=bound_to, keyring=keyring)
    db.session.rollback()
    # Taken by another click between the two statements: its page is about to say so.
    return offered or secret


def waiting(kind: Kind, *, bound_to: UUID, keyring: Keyring) -> str | None:
    """Return what waits for a session, None when nothing does."""
    sealed = db.session.scalar(
        sa.select(PendingCredential.secret).where(
            PendingCredential.session_id == bound_to,
            PendingCredential.kind == kind.value,
            PendingCredential.expires_at > database_now(),
        )
    )
    return None if sealed is None else keyring.unseal(sealed, _place(kind, bound_to))


def take(kind: Kind, *, bound_to: UUID, keyring: Keyring) -> str | None:
    """Take what waits for a session, in the caller's transaction; None when nothing does, or another click took it."""
    sealed = db.session.scalar(
        sa.delete(PendingCredential)
        .where(
            PendingCredential.session_id == bound_to,
            PendingCredential.kind == kind.value,
            PendingCredential.expires_at > database_now(),
        )
        .returning(PendingCredential.secret)
    )
    return None if sealed is None else keyring.unseal(sealed, _place(kind, bound_to))


def _place(kind: Kind, bound_to: UUID) -> Place:
    return Place(PendingCredential.__tablename__, kind.value, bound_to.hex)
