"""Taking a consent back, whole or item by item (Law 91/2025, art. 4: withdrawing is as free as agreeing)."""

from uuid import UUID

import sqlalchemy as sa

from idp.agencies.clients import Client
from idp.audit.events import Event
from idp.audit.record import record
from idp.core.database import database_now, db
from idp.oidc.models import AccessToken, AuthorizationCode, OfflineGrant
from idp.sso import agreements
from idp.sso.models import Consent


def withdraw(citizen_id: UUID, client: Client, claim: str | None, *, session_id: UUID, language: str) -> bool:
    """Take back one claim that `client` may receive, or everything; commit. False when there is nothing to take.

    Every token of the client for this citizen ends, because none of them knows less than what was agreed; the next
    sign-in asks again. What the law gives an agency is not the citizen's to take: False. Events: consent withdrawn.
    """
    row = db.session.get(Consent, (citizen_id, client.id), with_for_update=True)
    held = frozenset(row.claims.split()) if row is not None else frozenset()
    if row is None or row.basis != "consent" or (claim is not None and claim not in held):
        db.session.rollback()
        return False
    taken = held if claim is None else frozenset({claim})
    now = database_now()
    if claim is None:
        db.session.delete(row)
    else:
        row.claims = " ".join(sorted(held - taken))
        row.updated_at = now
    agreements.withdraw(citizen_id, client.id, taken, language=language)
    _end_tokens(citizen_id, client.id)
    record(
        db.session,
        Event.CONSENT_WITHDRAWN,
        citizen_id=citizen_id,
        client_id=client.id,
        session_id=session_id,
        detail={"claims": len(taken), "whole": claim is None},
    )
    db.session.commit()
    return True


def _end_tokens(citizen_id: UUID, client_id: UUID) -> None:
    """End codes, tokens and lasting access of a client for a citizen.

    Codes first: whoever is just redeeming one is waited for, and the token it gives is found after that. Codes and
    tokens are looked for among those that live, by their expiry: an index by citizen would be one more write at each
    login, for an act that is rare.
    """
    now = database_now()
    for model, is_good, ended in (
        (AuthorizationCode, AuthorizationCode.used_at.is_(None), {"expires_at": now}),
        (AccessToken, AccessToken.revoked_at.is_(None), {"revoked_at": now}),
        (OfflineGrant, OfflineGrant.revoked_at.is_(None), {"revoked_at": now}),
    ):
        table = model.__table__
        lives = sa.and_(table.c.citizen_id == citizen_id, table.c.client_id == client_id, table.c.expires_at > now)
        db.session.execute(
            sa.update(model).where(lives, is_good).values(ended).execution_options(synchronize_session=False)
        )
