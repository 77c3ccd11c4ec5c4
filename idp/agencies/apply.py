"""Applying client documents: all of them or none, each change with its event in the same transaction."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from idp.agencies.client_secrets import issue, live_secrets
from idp.agencies.document import ClientDocument
from idp.agencies.metadata import SECRET_METHODS, ClientMetadata
from idp.agencies.models import Agency, Client, ClientState, ResourceIdentifier
from idp.agencies.reading import DocumentRefused
from idp.agencies.transaction import in_one_transaction
from idp.audit.events import Event
from idp.audit.record import record
from idp.core import clock
from idp.core.database import db
from idp.core.ids import digest, new_id, new_secret

# After a new secret is made the one before it goes on working, so that an agency can roll it out.
OVERLAP = timedelta(days=7)


class Outcome(StrEnum):
    """What applying a document came to."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Applied:
    """One document applied. `secret` is set when one was made; it is not kept and cannot be shown again."""

    client_id: str
    agency_slug: str
    outcome: Outcome
    version: int
    secret: str | None

    def __repr__(self) -> str:
        return f"Applied({self.client_id}, {self.outcome})"


class UnknownClient(Exception):
    """There is no client of that name."""


class ClientWithoutSecret(Exception):
    """The client authenticates with its keys and has no secret to renew."""


def apply(documents: Sequence[ClientDocument], *, is_sandbox: bool, is_trial: bool = False) -> tuple[Applied, ...]:
    """Create or update the client of every document, or nothing at all.

    A document names its client by `client_id`; without one a client is created. Outside the sandbox an unknown
    `client_id` is refused, because identifiers are made here. `is_trial` only checks. Commits; raises DocumentRefused.
    """

    def apply_all() -> tuple[Applied, ...]:
        _refuse_twins(documents)
        run = Run(is_sandbox=is_sandbox)
        applied = tuple(run.apply(document) for document in documents)
        if run.problems:
            raise DocumentRefused(run.problems)
        return applied

    return in_one_transaction(apply_all, keeps=not is_trial)


def suspend(client_id: str) -> bool:
    """Stop a client from being used; return whether it was active. Commits; raises UnknownClient."""
    return _set_state(client_id, ClientState.SUSPENDED)


def resume(client_id: str) -> bool:
    """Let a suspended client be used again; return whether it was suspended. Commits; raises UnknownClient."""
    return _set_state(client_id, ClientState.ACTIVE)


def renew_secret(client_id: str) -> str:
    """Make a new secret and return it; the newest before it works on for OVERLAP, older ones end now.

    Commits; raises UnknownClient and ClientWithoutSecret.
    """

    def renew() -> str:
        client = _client(client_id)
        if client.document["auth_method"] not in SECRET_METHODS:
            raise ClientWithoutSecret(client_id)
        now = clock.now()
        live = live_secrets(client, now)
        for secret in live[1:]:
            secret.ended_at = now
        if live:
            live[0].expires_at = min(live[0].expires_at or now + OVERLAP, now + OVERLAP)
        return issue(client, new_secret(), now)

    return in_one_transaction(renew)


def all_clients() -> tuple[tuple[Client, Agency], ...]:
    """Return every client with its agency, by agency and name."""
    statement = sa.select(Client, Agency).join(Agency, Agency.id == Client.agency_id)
    rows = tuple((row[0], row[1]) for row in db.session.execute(statement.order_by(Agency.slug, Client.client_id)))
    db.session.commit()
    return rows


class Run:
    """One transaction over several documents, opened and committed by whoever makes it.

    `is_by_client` when the documents come from clients that register themselves: these neither name their agency nor
    change the sector that decides about `sub`, and may be called as others are.
    """

    def __init__(self, *, is_sandbox: bool, is_by_client: bool = False) -> None:
        self.problems: list[str] = []
        self._is_sandbox = is_sandbox
        self._is_by_client = is_by_client
        self._now = clock.now()

    def apply(self, document: ClientDocument) -> Applied:
        """Create or update the client of one document; problems are gathered in `problems`."""
        before = len(self.problems)
        client = self._find(document)
        agency = self._agency(document)
        if agency is not None:
            self._check(document, client, agency)
        if agency is None or len(self.problems) > before:
            return Applied("", document.agency_slug, Outcome.UNCHANGED, 0, None)
        if client is None:
            return self._create(document, agency)
        return self._update(document, client, agency)

    def _refuse(self, document: ClientDocument, member: str, what: str) -> None:
        self.problems.append(f"{document.source}: {member}: {what}")

    def _find(self, document: ClientDocument) -> Client | None:
        if document.client_id is None:
            return None
        found = db.session.scalar(sa.select(Client).where(Client.client_id == document.client_id).with_for_update())
        if found is None and not self._is_sandbox:
            self._refuse(document, "client_id", "names no client; drop it to register a new one, its id is made here")
        if found is not None and found.state == ClientState.REMOVED:
            self._refuse(document, "client_id", "names a client that removed itself; register a new one")
        return found

    def _agency(self, document: ClientDocument) -> Agency | None:
        agency = db.session.scalar(sa.select(Agency).where(Agency.slug == document.agency_slug).with_for_update())
        if agency is None:
            if not document.agency_names:
                self._refuse(document, "agency.name", "is missing; the agency is not known yet")
                return None
            agency = Agency(
                id=new_id(),
                slug=document.agency_slug,
                names=dict(document.agency_names),
                state=ClientState.ACTIVE,
                created_at=self._now,
            )
            db.session.add(agency)
            db.session.flush()
        return agency

    def _check(self, document: ClientDocument, client: Client | None, agency: Agency) -> None:
        metadata = document.metadata
        if client is not None and client.agency_id != agency.id:
            self._refuse(document, "agency", "the client belongs to another agency; register a new client instead")
        if db.session.scalar(_with(client, "sector", metadata.sector).where(Client.agency_id != agency.id).limit(1)):
            # Sharing a sector shares the subject: two agencies could put their files about one person together.
            self._refuse(document, "sector_identifier", "is used by another agency; name a host of this agency")
        if client is None and document.client_id is None and not self._is_by_client:
            for twin in db.session.scalars(
                _with(None, "names", dict(metadata.names)).where(Client.agency_id == agency.id)
            ):
                self._refuse(document, "client_id", f"is needed to change {twin}, which has this name")
        may_move = self._is_sandbox and not self._is_by_client
        if client is not None and not may_move and client.document["sector"] != metadata.sector:
            self._refuse(document, "sector_identifier", "cannot change: every citizen would become a stranger")

    def _create(self, document: ClientDocument, agency: Agency) -> Applied:
        client = Client(
            id=new_id(),
            client_id=document.client_id or new_id().hex,
            agency_id=agency.id,
            state=ClientState.ACTIVE,
            document=document.metadata.stored(),
            version=1,
            created_at=self._now,
            updated_at=self._now,
        )
        self._rename(document, agency)
        db.session.add(client)
        db.session.flush()
        self._settle_resources(document, client)
        secret, _ = self._settle_secret(document, client)
        return self._applied(client, agency, Outcome.CREATED, secret)

    def _update(self, document: ClientDocument, client: Client, agency: Agency) -> Applied:
        is_renamed = self._rename(document, agency)
        secret, has_new_secret = self._settle_secret(document, client)
        self._settle_resources(document, client)
        stored = document.metadata.stored()
        is_changed = ClientMetadata.of_stored(client.document) != ClientMetadata.of_stored(stored)
        if not (is_changed or is_renamed or has_new_secret):
            return Applied(client.client_id, agency.slug, Outcome.UNCHANGED, client.version, None)
        client.document = stored
        client.version += 1
        client.updated_at = self._now
        return self._applied(client, agency, Outcome.UPDATED, secret)

    def _rename(self, document: ClientDocument, agency: Agency) -> bool:
        if self._is_by_client or not document.agency_names or agency.names == document.agency_names:
            return False
        agency.names = dict(document.agency_names)
        return True

    def _settle_resources(self, document: ClientDocument, client: Client) -> None:
        """Bring the resource identifiers in line with the document; one identifier names one client only."""
        wanted = set(document.metadata.resource_identifiers)
        mine = ResourceIdentifier.client_id == client.id
        known = set(db.session.scalars(sa.select(ResourceIdentifier.identifier).where(mine)))
        if gone := known - wanted:
            db.session.execute(sa.delete(ResourceIdentifier).where(mine, ResourceIdentifier.identifier.in_(gone)))
        for identifier in sorted(wanted - known):
            if db.session.get(ResourceIdentifier, identifier) is not None:
                self._refuse(document, "resource_identifiers", f"{identifier} belongs to another client")
                continue
            db.session.add(ResourceIdentifier(identifier=identifier, client_id=client.id))
            db.session.flush()

    def _settle_secret(self, document: ClientDocument, client: Client) -> tuple[str | None, bool]:
        """Bring the secrets in line with the document; return the secret made, and whether anything changed."""
        live = live_secrets(client, self._now)
        if document.metadata.auth_method not in SECRET_METHODS:
            for secret in live:
                secret.ended_at = self._now
            return None, bool(live)
        if document.secret is None:
            return (None, False) if live else (issue(client, new_secret(), self._now), True)
        if any(secret.digest == digest(document.secret) for secret in live):
            return None, False
        for secret in live:
            secret.ended_at = self._now
        issue(client, document.secret, self._now)
        return None, True

    def _applied(self, client: Client, agency: Agency, outcome: Outcome, secret: str | None) -> Applied:
        record(
            db.session,
            Event.CLIENT_APPLIED,
            client_id=client.id,
            outcome=outcome,
            detail={"version": client.version, "agency": agency.slug},
        )
        return Applied(client.client_id, agency.slug, outcome, client.version, secret)


def _refuse_twins(documents: Iterable[ClientDocument]) -> None:
    """Refuse documents of one run that speak of one client, or name one agency differently."""
    problems = []
    clients: dict[str, str] = {}
    agencies: dict[str, ClientDocument] = {}
    for document in documents:
        if document.client_id is not None:
            if document.client_id in clients:
                problems.append(f"{document.source}: client_id: is in {clients[document.client_id]} too")
            clients[document.client_id] = document.source
        if document.agency_names:
            known = agencies.setdefault(document.agency_slug, document)
            if known.agency_names != document.agency_names:
                problems.append(f"{document.source}: agency.name: differs from the one in {known.source}")
    if problems:
        raise DocumentRefused(problems)


def _with(but: Client | None, member: str, value: Any) -> sa.Select[tuple[str]]:
    """Select the client_id of every client but one whose stored document has `member` with just this value.

    Documents are kept as text with sorted members and no blanks, so that the database finds it without reading each.
    """
    stored = f'"{member}":{json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)}'
    found = sa.select(Client.client_id).where(
        sa.type_coerce(Client.document, sa.Text).contains(stored, autoescape=True)
    )
    return found if but is None else found.where(Client.id != but.id)


def _set_state(client_id: str, state: ClientState) -> bool:
    def set_state() -> bool:
        client = _client(client_id)
        if client.state == state:
            return False
        client.state = state
        client.updated_at = clock.now()
        record(db.session, Event.CLIENT_SUSPENDED, client_id=client.id, outcome=state)
        return True

    return in_one_transaction(set_state)


def _client(client_id: str) -> Client:
    client = db.session.scalar(sa.select(Client).where(Client.client_id == client_id).with_for_update())
    if client is None or client.state == ClientState.REMOVED:
        raise UnknownClient(client_id)
    return client
