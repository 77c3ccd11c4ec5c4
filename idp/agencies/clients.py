"""The record every endpoint asks about a client, held in each process and never more than five seconds old."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from idp.agencies.metadata import ClientMetadata, Profile, Rule
from idp.agencies.models import FIND_RESOURCE, READ_CLIENT, READ_CLIENT_BY_ROW, SPEND_ASSERTION, ClientState
from idp.agencies.reading import REQUIRED_LANGUAGE
from idp.core import clock
from idp.core.database import HotPath, Row, as_instant, as_uuid
from idp.core.ids import digest, is_same

FRESH_SECONDS = 5.0
MAX_UNKNOWN = 1_000
MAX_CLIENT_ID = 128
MAX_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class LiveSecret:
    """The digest of a client secret, and when it stops working."""

    digest: bytes
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client(ClientMetadata):
    """One client as it stood at most FRESH_SECONDS ago. `id` is the row key, `client_id` the name in the protocol."""

    id: UUID
    client_id: str
    version: int
    is_active: bool
    agency_slug: str
    agency_names: Mapping[str, str]
    secrets: tuple[LiveSecret, ...]
    # The digest of the logo we keep, in hex; None without one.
    logo: str | None = None

    def name(self, language: str) -> str:
        """Return the client's name in `language`, or in Vietnamese."""
        return _in(self.names, language)

    def agency_name(self, language: str) -> str:
        """Return the agency's name in `language`, or in Vietnamese."""
        return _in(self.agency_names, language)

    def purpose(self, scope: str, language: str) -> str | None:
        """Return what the agency wants `scope` for, or None where it need not say (openid)."""
        texts = self.purposes.get(scope)
        return _in(texts, language) if texts else None

    def legal_basis(self, language: str) -> str | None:
        """Return the law that `basis` legal stands on, None with basis consent."""
        return _in(self.legal_bases, language) if self.legal_bases else None

    @property
    def logo_path(self) -> str | None:
        """Return where the logo we keep is served; another picture has another path."""
        return f"/logo/{self.client_id}/{self.logo}" if self.logo else None

    def policy_uri(self, language: str) -> str | None:
        """Return the agency's privacy notice, in `language` when there is one so."""
        return _any_in(self.policy_uris, language)

    def tos_uri(self, language: str) -> str | None:
        """Return the terms of use, in `language` when there are some so."""
        return _any_in(self.tos_uris, language)

    def is_bound_by(self, rule: Rule) -> bool:
        """Tell whether `rule` binds the client today: its profile asks for it and no exemption lasts."""
        if self.profile is not Profile.FAPI2 and rule is not Rule.PKCE:
            return False
        exemption = self.exemptions.get(rule)
        return exemption is None or clock.now().date() > exemption.until

    @property
    def requires_pkce(self) -> bool:
        """Tell whether a code challenge is needed today."""
        return self.is_bound_by(Rule.PKCE)

    @property
    def requires_pushed_requests(self) -> bool:
        """Tell whether every authorization request must be pushed (RFC 9126, 6; FAPI 2.0, 5.3.2.2)."""
        return self.wants_pushed_requests or self.is_bound_by(Rule.PUSHED_REQUESTS)

    @property
    def requires_sender_constraint(self) -> bool:
        """Tell whether every token must be bound to a key of the client (RFC 9449; RFC 8705, 3)."""
        return self.wants_dpop or self.wants_tls_bound_tokens or self.is_bound_by(Rule.SENDER_CONSTRAINED_TOKENS)

    @property
    def receives_sid(self) -> bool:
        """Tell whether ID tokens name the session, so that a logout can name it too."""
        return self.backchannel_logout_uri is not None or self.frontchannel_logout_uri is not None

    def accepts_secret(self, secret: str) -> bool:
        """Tell whether `secret` is one of the live ones. Every live digest is compared, in constant time."""
        given, now = digest(secret), clock.now()
        matches = [
            is_same(given, live.digest) for live in self.secrets if live.expires_at is None or live.expires_at > now
        ]
        return any(matches)


class ClientDirectory:
    """Finds clients. One statement per client, process and FRESH_SECONDS; safe to use from several threads.

    What was not found is remembered too, in a bounded store of its own, so that made-up identifiers neither reach
    the database each time nor push real clients out.
    """

    def __init__(self, hot_path: HotPath) -> None:
        self._hot_path = hot_path
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Client]] = OrderedDict()
        self._unknown: OrderedDict[str | UUID, float] = OrderedDict()
        self._names: dict[UUID, str] = {}

    def find(self, client_id: str) -> Client | None:
        """Return the client, suspended or not, or None for an unknown `client_id`. Raises DatabaseUnavailable."""
        if not may_be_client_id(client_id):
            # What is remembered as unknown stays small.
            return None
        now = time.monotonic()
        with self._lock:
            entry = self._known.get(client_id)
            if entry is not None and now - entry[0] < FRESH_SECONDS:
                return entry[1]
            if entry is not None:
                # This thread looks; the others go on with the copy they have.
                self._known[client_id] = (now, entry[1])
            if now - self._unknown.get(client_id, -FRESH_SECONDS) < FRESH_SECONDS:
                return None
        return self._remember(client_id, self._hot_path.one(READ_CLIENT, {"client_id": client_id}), now)

    def by_row_id(self, row_id: UUID) -> Client | None:
        """Return the client with row key `row_id`, or None. Raises DatabaseUnavailable."""
        now = time.monotonic()
        with self._lock:
            name = self._names.get(row_id)
            if now - self._unknown.get(row_id, -FRESH_SECONDS) < FRESH_SECONDS:
                return None
        if name is not None:
            return self.find(name)
        return self._remember(row_id, self._hot_path.one(READ_CLIENT_BY_ROW, {"id": row_id}), now)

    def by_resource(self, identifier: str) -> Client | None:
        """Return the client that answers to a resource identifier (RFC 8707), or None. Raises DatabaseUnavailable."""
        row = self._hot_path.one(FIND_RESOURCE, {"identifier": identifier})
        return None if row is None else self.by_row_id(as_uuid(row["client_id"]))

    def _remember(self, asked: str | UUID, row: Row | None, now: float) -> Client | None:
        client = None if row is None else client_of(row)
        with self._lock:
            if client is None:
                if isinstance(asked, str) and (gone := self._known.pop(asked, None)):
                    self._names.pop(gone[1].id, None)
                self._unknown[asked] = now
                self._unknown.move_to_end(asked)
                while len(self._unknown) > MAX_UNKNOWN:
                    self._unknown.popitem(last=False)
                return None
            self._unknown.pop(asked, None)
            self._known[client.client_id] = (now, client)
            self._known.move_to_end(client.client_id)
            self._names[client.id] = client.client_id
            while len(self._known) > MAX_KNOWN:
                _, (_, oldest) = self._known.popitem(last=False)
                self._names.pop(oldest.id, None)
            return client


def may_be_client_id(text: str) -> bool:
    """Tell whether a client can be called so at all; what cannot never reaches a database, which may refuse it."""
    return len(text) <= MAX_CLIENT_ID and text.isascii() and text.isprintable()


def client_of(row: Row) -> Client:
    """Return the client in a row of READ_CLIENT."""
    document: dict[str, Any] = json.loads(row["document"])
    secrets = tuple(
        LiveSecret(
            bytes(row[name]), None if row[f"{name}_expires_at"] is None else as_instant(row[f"{name}_expires_at"])
        )
        for name in ("digest", "older")
        if row[name] is not None
    )
    return Client(
        id=as_uuid(row["id"]),
        client_id=row["client_id"],
        version=row["version"],
        is_active=row["state"] == ClientState.ACTIVE and row["agency_state"] == ClientState.ACTIVE,
        agency_slug=row["agency_slug"],
        agency_names=json.loads(row["agency_names"]),
        secrets=secrets,
        logo=None if row["logo"] is None else bytes(row["logo"]).hex(),
        **ClientMetadata.fields_of(document),
    )


def assertion_values(client: Client, jti: str, expires_at: datetime) -> Mapping[str, object]:
    """Return what SPEND_ASSERTION spends: the `jti` of a client assertion (RFC 7523, 3, item 7)."""
    return {"assertion_client": client.id, "assertion_digest": digest(jti), "assertion_expires_at": expires_at}


def spend(hot_path: HotPath, values: Mapping[str, object]) -> bool:
    """Spend a client assertion; return False when it was spent before.

    One statement with one winner, however many processes try. Raises DatabaseUnavailable; the caller then refuses.
    """
    return hot_path.apply(SPEND_ASSERTION, values) is not None


def _any_in(texts: Mapping[str, str], language: str) -> str | None:
    return texts.get(language) or texts.get(REQUIRED_LANGUAGE) or next(iter(texts.values()), None)


def _in(texts: Mapping[str, str], language: str) -> str:
    return texts.get(language) or texts[REQUIRED_LANGUAGE]
