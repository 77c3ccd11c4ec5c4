"""Clients that register and look after themselves (RFC 7591, RFC 7592): the acts, each one transaction.

The record is the same as that of a document an operator applied, and so are the rules; here is only what comes with
it: the registration access token, the invitation used up, the end of a client.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from idp.agencies import invitations, logos
from idp.agencies.apply import Run
from idp.agencies.client_secrets import live_secrets
from idp.agencies.clients import may_be_client_id
from idp.agencies.document import ClientDocument
from idp.agencies.invitations import Invitation
from idp.agencies.logos import Logo
from idp.agencies.metadata import ClientMetadata
from idp.agencies.models import (
    Agency,
    Client,
    ClientLogo,
    ClientRegistration,
    ClientState,
    ResourceIdentifier,
)
from idp.agencies.reading import DocumentRefused
from idp.agencies.transaction import in_one_transaction
from idp.audit.events import Event
from idp.audit.record import record
from idp.core import clock
from idp.core.database import db
from idp.core.ids import digest, is_same, new_secret

_NOBODYS_TOKEN = digest("a client that does not exist")


class TokenRefused(Exception):
    """The token allows nothing here: unknown, used up, expired, revoked, or another client's."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A client that looks after itself. `token` and `secret` are set when they were just made; neither is kept."""

    id: UUID
    client_id: str
    agency_slug: str
    metadata: ClientMetadata
    scopes: frozenset[str]
    created_at: datetime
    token: str | None = None
    secret: str | None = None

    def __repr__(self) -> str:
        return f"Registered({self.client_id})"


def register(
    document: ClientDocument,
    invitation: Invitation | None,
    *,
    scopes: frozenset[str],
    logo: Logo | None,
    is_sandbox: bool,
) -> Registered:
    """Create the client of `document`, using up `invitation` if there is one; it may never ask for more than `scopes`.

    Commits; raises DocumentRefused, and TokenRefused when the invitation has gone meanwhile.
    """
    token = new_secret()

    def act() -> Registered:
        if invitation is not None and not invitations.use(invitation):
            raise TokenRefused
        run = Run(is_sandbox=is_sandbox, is_by_client=True)
        applied = run.apply(document)
        if run.problems:
            raise DocumentRefused(run.problems)
        client = db.session.scalars(sa.select(Client).where(Client.client_id == applied.client_id)).one()
        logos.keep(client.id, logo)
        db.session.add(
            ClientRegistration(
                client_id=client.id,
                token_digest=digest(token),
                initial_access_token_id=invitation.id if invitation else None,
                scopes=" ".join(sorted(scopes)),
                created_at=client.created_at,
            )
        )
        record(db.session, Event.CLIENT_REGISTERED, client_id=client.id, detail={"agency": document.agency_slug})
        return _registered(client, document.agency_slug, scopes, token=token, secret=applied.secret)

    return in_one_transaction(act)


def find(client_id: str, token: str) -> Registered:
    """Return the client that `token` belongs to, if it is the one called `client_id`. Commits; raises TokenRefused.

    A token of another client leaves an event: somebody tried what cost other providers their clients
    (CVE-2026-116672).
    """

    def act() -> Registered | None:
        found = db.session.execute(
            sa.select(Client, ClientRegistration, Agency.slug)
            .join(ClientRegistration, ClientRegistration.client_id == Client.id)
            .join(Agency, Agency.id == Client.agency_id)
            .where(Client.client_id == client_id, Client.state != ClientState.REMOVED)
        ).one_or_none()
        given = digest(token)
        if not is_same(given, _NOBODYS_TOKEN if found is None else found[1].token_digest) or found is None:
            owner = db.session.scalar(
                sa.select(ClientRegistration.client_id).where(ClientRegistration.token_digest == given)
            )
            if owner is not None:
                record(db.session, Event.REGISTRATION_REFUSED, client_id=owner, outcome="foreign")
            return None
        client, registration, slug = found
        return _registered(client, slug, frozenset(registration.scopes.split()))

    registered = in_one_transaction(act) if may_be_client_id(client_id) else None
    if registered is None:
        raise TokenRefused
    return registered


def has_secret(registered: Registered, secret: str) -> bool:
    """Tell whether `secret` is one of the client's live ones."""
    client = db.session.get_one(Client, registered.id)
    matches = [is_same(digest(secret), live.digest) for live in live_secrets(client, clock.now())]
    db.session.commit()
    return any(matches)


def replace(registered: Registered, document: ClientDocument, *, logo: Logo | None, is_sandbox: bool) -> Registered:
    """Make `document` the record of the client; `secret` is set when its new method needs one and it had none.

    `logo` is kept when the document has another logo_uri than before. Commits; raises DocumentRefused.
    """

    def act() -> Registered:
        run = Run(is_sandbox=is_sandbox, is_by_client=True)
        applied = run.apply(document)
        if run.problems:
            raise DocumentRefused(run.problems)
        if document.metadata.logo_uri != registered.metadata.logo_uri:
            logos.keep(registered.id, logo)
        client = db.session.get_one(Client, registered.id)
        return _registered(client, registered.agency_slug, registered.scopes, secret=applied.secret)

    return in_one_transaction(act)


def remove(registered: Registered) -> None:
    """End the client for good: no sign-in, no secret, no token of it works again. Commits.

    Its row stays without being usable, because the subjects citizens had there must never become another's.
    """

    def act() -> None:
        now = clock.now()
        client = db.session.get_one(Client, registered.id, with_for_update=True)
        client.state = ClientState.REMOVED
        client.updated_at = now
        for secret in live_secrets(client, now):
            secret.ended_at = now
        for table in (ClientRegistration, ClientLogo, ResourceIdentifier):
            db.session.execute(sa.delete(table).where(table.client_id == client.id))
        record(db.session, Event.CLIENT_REMOVED, client_id=client.id)

    in_one_transaction(act)


def _registered(
    client: Client, agency_slug: str, scopes: frozenset[str], *, token: str | None = None, secret: str | None = None
) -> Registered:
    return Registered(
        client.id,
        client.client_id,
        agency_slug,
        ClientMetadata.of_stored(client.document),
        scopes,
        client.created_at,
        token,
        secret,
    )
