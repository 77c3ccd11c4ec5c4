"""Signing out across the border: a provider tells us, and we lead the citizen to the provider's own sign-out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.core.database import db
from idp.core.ids import digest
from idp.sso import session
from idp.sso.models import SsoSession
from idp.sso.services import Services
from idp.upstream.models import UpstreamSession, id_token_place
from idp.upstream.reconcile import every_subject_index
from idp.upstream.record import Endpoint
from idp.upstream.refusal import Reason, UpstreamRefused


@dataclass(frozen=True, slots=True)
class FarewellForm:
    """The form that takes a citizen to their provider's sign-out (RP-Initiated Logout 1.0, 2): a post, so that the ID
    token stands in no address."""

    provider: str
    action: str
    fields: Mapping[str, str] = field(repr=False)


def receive(slug: str, logout_token: str, *, provider: Services) -> None:
    """End the sessions a logout token names, and owe their agencies a word; commit. Raises UpstreamRefused.

    A disabled provider may still end what it began. Events: logout received, and session ended for each.
    """
    found = provider.providers.find(slug)
    if found is None or not found.tells_of_logout or not logout_token:
        raise UpstreamRefused(Reason.CLOSED)
    token = provider.upstream.logout_token(logout_token, found)
    named: sa.ColumnElement[bool] = sa.true()
    if token.sid is not None:
        named = sa.and_(named, UpstreamSession.sid_digest == digest(token.sid))
    if token.subject is not None:
        indexes = every_subject_index(found, token.subject, keyring=provider.keyring)
        named = sa.and_(named, UpstreamSession.subject_index.in_(indexes))
    keys = db.session.scalars(
        sa.select(UpstreamSession.session_id)
        .join(SsoSession, SsoSession.id == UpstreamSession.session_id)
        .where(
            UpstreamSession.provider_id == found.id,
            # The citizen may have signed in anew by another door since.
            SsoSession.provider_id == found.id,
            SsoSession.ended_at.is_(None),
            named,
        )
        .order_by(UpstreamSession.session_id)
    ).all()
    ended = sum(session.end(key, reason="provider") for key in keys)
    record(db.session, Event.UPSTREAM_LOGOUT, detail={"provider": slug, "sessions": ended})
    db.session.commit()


def farewell(session_id: UUID, handle: str, *, language: str, provider: Services) -> FarewellForm | None:
    """Return the form that leads to the sign-out of the provider a session came by; None where there is none.

    `handle` is the sealed name of the page about this sign-out, to which the provider sends the browser back.
    """
    row = db.session.get(UpstreamSession, session_id)
    sealed = None if row is None else row.id_token
    found = None if row is None else provider.providers.by_id(row.provider_id)
    db.session.rollback()
    if sealed is None or found is None:
        return None
    try:
        endpoints = provider.upstream.metadata.of(found).endpoints
    except UpstreamRefused:
        return None
    if Endpoint.END_SESSION not in endpoints:
        return None
    fields = {
        "id_token_hint": provider.keyring.unseal(sealed, id_token_place(session_id)),
        "client_id": found.client_id,
        "post_logout_redirect_uri": f"{provider.settings.issuer}/upstream/{found.slug}/signed-out",
        "state": handle,
    }
    return FarewellForm(found.name(language), endpoints[Endpoint.END_SESSION], fields)


def has_farewell(session_id: UUID) -> bool:
    """Tell whether the provider a session came by may have a sign-out of its own."""
    row = db.session.get(UpstreamSession, session_id)
    db.session.rollback()
    return row is not None and row.id_token is not None


def forget(session_id: UUID) -> None:
    """Forget the ID token of a session whose provider has been visited; commit."""
    db.session.execute(sa.update(UpstreamSession).where(UpstreamSession.session_id == session_id).values(id_token=None))
    db.session.commit()
