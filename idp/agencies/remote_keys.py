"""The public keys of clients: those in their record, or those they publish at their `jwks_uri` (RFC 7591, 2).

An agency that publishes its keys changes them without asking us, so they are read again: now and then, and when a
signature names a key nobody here has seen. Whoever sends made-up names makes us ask once a minute, no more; a
client that changes its key right after we read the old one is not kept waiting for it.
"""

import json
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from idp.core.outbound import TOTAL_SECONDS, Answer, Outbound, OutboundRefused
from idp.keys import jose, public_jwk
from idp.keys.jose import TokenRefused

log = logging.getLogger("idp.agencies")

# What the answer's Cache-Control says counts between these.
LEAST_FRESH_SECONDS = 300.0
MOST_FRESH_SECONDS = 900.0
RETRY_SECONDS = 60.0
# An agency's server may be away for a day; a key that was withdrawn meanwhile must not live for ever.
MOST_STALE_SECONDS = 86_400.0
MAX_CLIENTS = 10_000
MAX_KEYS = 20
LONGEST_SET = 65_536
# No key has this name.
_NO_NAME = ""
_NO_KEYS: Mapping[str, Any] = {"keys": []}
_MAX_AGE = re.compile(r"(?:^|[ ,])max-age=(\d{1,9})(?:$|[ ,])", re.IGNORECASE)


class KeyHolder(Protocol):
    """Whoever signs for us to verify: a client, or a provider of identities. `client_id` is its name in our logs."""

    @property
    def id(self) -> UUID:
        """Return what tells this holder from all others."""

    @property
    def client_id(self) -> str:
        """Return its name."""

    @property
    def jwks(self) -> Mapping[str, Any] | None:
        """Return its keys, where they are on record."""

    @property
    def jwks_uri(self) -> str | None:
        """Return where it publishes its keys, None when they are on record."""


@dataclass(slots=True)
class _Published:
    """What is known of one `jwks_uri`; times are those of time.monotonic."""

    uri: str
    keys: Mapping[str, Any] | None = None
    read_at: float = 0.0
    asked_at: float = float("-inf")
    asked_for_a_name_at: float = float("-inf")
    fresh_until: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_due(self, now: float, kid: str | None) -> bool:
        if self.keys is None or now >= self.fresh_until:
            return now - self.asked_at >= RETRY_SECONDS
        if now - self.asked_for_a_name_at < RETRY_SECONDS:
            return False
        return kid is not None and all(key.get("kid") != kid for key in self.keys["keys"])

    def usable(self, now: float) -> Mapping[str, Any]:
        return self.keys if self.keys is not None and now - self.read_at < MOST_STALE_SECONDS else _NO_KEYS


class ClientKeys:
    """Finds the keys of clients, with a copy of published ones in each process. Safe to use from several threads."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._lock = threading.Lock()
        self._published: OrderedDict[UUID, _Published] = OrderedDict()

    def of(self, client: KeyHolder, kid: str | None = None) -> Mapping[str, Any]:
        """Return the client's key set, `{"keys": [...]}`; without any key when it has none or they cannot be read.

        `kid` is the name in a signature's header: when no key has it, a published set is read again, for that reason
        at most once a minute. While one thread reads, the others go on with the copy they have. Side effects: may ask
        the client's server, which may take TOTAL_SECONDS.
        """
        if client.jwks_uri is None:
            return client.jwks or _NO_KEYS
        published = self._entry(client.id, client.jwks_uri)
        if not published.is_due(time.monotonic(), kid):
            return published.usable(time.monotonic())
        waits = published.keys is None
        if published.lock.acquire(timeout=TOTAL_SECONDS + 1 if waits else -1, blocking=waits):
            try:
                if published.is_due(time.monotonic(), kid):
                    self._read(published, client)
            finally:
                published.lock.release()
        return published.usable(time.monotonic())

    def at_hand(self, client: KeyHolder) -> Mapping[str, Any]:
        """Return as much of the client's key set as is known here, without asking anybody."""
        if client.jwks_uri is None:
            return client.jwks or _NO_KEYS
        published = self._published.get(client.id)
        return _NO_KEYS if published is None else published.usable(time.monotonic())

    def verified(
        self, client: KeyHolder, compact: str, *, algorithms: Collection[str], typ: str | None = None
    ) -> dict[str, Any]:
        """Return the claims of `compact` if the client signed it with one of `algorithms`; `typ` as for jose.verify.

        Raises TokenRefused. Side effects: as `of`.
        """
        kid = jose.read_header(compact).get("kid")
        keys = self.of(client, kid)
        try:
            return jose.verify_with(keys, compact, algorithms=algorithms, typ=typ)
        except TokenRefused:
            # Without a name only the failure tells that the key may be a new one.
            if kid is not None or (newer := self.of(client, _NO_NAME)) is keys:
                raise
            return jose.verify_with(newer, compact, algorithms=algorithms, typ=typ)

    def _entry(self, client_id: UUID, uri: str) -> _Published:
        with self._lock:
            published = self._published.get(client_id)
            if published is None or published.uri != uri:
                published = self._published[client_id] = _Published(uri)
            self._published.move_to_end(client_id)
            while len(self._published) > MAX_CLIENTS:
                self._published.popitem(last=False)
            return published

    def _read(self, published: _Published, client: KeyHolder) -> None:
        accept = "application/jwk-set+json, application/json"
        is_for_a_name = published.keys is not None and time.monotonic() < published.fresh_until
        try:
            answer = self._outbound.get(published.uri, accept=accept, longest=LONGEST_SET)
            keys = _keys_in(answer)
        except OutboundRefused as refused:
            log.warning("keys of a client not read", extra={"client": client.client_id, "outcome": refused.reason})
            return
        except ValueError:
            log.warning("keys of a client not usable", extra={"client": client.client_id})
            return
        finally:
            # Only now: until then, whoever has no copy waits for this one.
            published.asked_at = time.monotonic()
            if is_for_a_name:
                published.asked_for_a_name_at = published.asked_at
        published.keys, published.read_at = keys, published.asked_at
        published.fresh_until = published.asked_at + _freshness(answer)


def _keys_in(answer: Answer) -> Mapping[str, Any]:
    """Return the keys of a published set that can be used here. Raises ValueError for what is no key set."""
    if answer.status != 200:  # noqa: PLR2004 (RFC 9110, 15.3.1)
        raise ValueError("status")
    try:
        members = json.loads(answer.body.decode("utf-8"))
    except RecursionError:
        raise ValueError("nesting") from None
    keys = members.get("keys") if isinstance(members, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ValueError("keys")
    usable = []
    for key in keys:
        # A set may hold keys for other uses and newer algorithms: those are somebody else's (RFC 7517, 5).
        try:
            usable.append(public_jwk.checked(key if isinstance(key, Mapping) else {}))
        except public_jwk.JwkRefused:
            continue
    return {"keys": usable}


def _freshness(answer: Answer) -> float:
    found = _MAX_AGE.search(answer.headers.get("cache-control", ""))
    return min(max(float(found.group(1)) if found else 0.0, LEAST_FRESH_SECONDS), MOST_FRESH_SECONDS)
