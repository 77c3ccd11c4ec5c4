"""Where a provider's endpoints are: in its record, or in what it publishes (OpenID Connect Discovery 1.0, 4).

Nothing else of the published metadata counts: algorithms, levels and the issuer are fixed by the record, and metadata
of another issuer are refused (Discovery 1.0, 4.3). What was read last serves while the provider does not answer, for
at most a day.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from idp.agencies import uris
from idp.core.outbound import TOTAL_SECONDS, Outbound, OutboundRefused
from idp.upstream.record import Endpoint, Provider, origin_of
from idp.upstream.refusal import Reason, UpstreamRefused

FRESH_SECONDS = 900.0
RETRY_SECONDS = 60.0
MOST_STALE_SECONDS = 86_400.0
LONGEST_DOCUMENT = 65_536
DISCOVERY_PATH = "/.well-known/openid-configuration"
NEEDED = (Endpoint.AUTHORIZATION, Endpoint.TOKEN, Endpoint.KEYS)

log = logging.getLogger("idp.upstream")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints of one provider, and whether it promises to name itself in each answer (RFC 9207, 3).

    It holds the provider's keys in the sense of `agencies.remote_keys`.
    """

    id: UUID
    client_id: str
    endpoints: Mapping[Endpoint, str]
    promises_iss: bool

    @property
    def jwks(self) -> Mapping[str, Any] | None:
        """Return None: providers publish their keys."""
        return None

    @property
    def jwks_uri(self) -> str | None:
        """Return where the keys are."""
        return self.endpoints[Endpoint.KEYS]


@dataclass(slots=True)
class _Known:
    version: int
    metadata: Metadata | None = None
    read_at: float = 0.0
    asked_at: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)


class MetadataReader:
    """Finds endpoints, with a copy in each process. Safe to use from several threads."""

    def __init__(self, outbound: Outbound, *, is_sandbox: bool) -> None:
        self._outbound = outbound
        self._is_sandbox = is_sandbox
        self._lock = threading.Lock()
        self._known: dict[UUID, _Known] = {}

    def of(self, provider: Provider) -> Metadata:
        """Return the endpoints of `provider`. Raises UpstreamRefused. Side effects: may ask the provider."""
        if all(name in provider.endpoints for name in NEEDED):
            return Metadata(provider.id, provider.slug, provider.endpoints, promises_iss=provider.promises_iss)
        with self._lock:
            known = self._known.get(provider.id)
            if known is None or known.version != provider.version:
                known = self._known[provider.id] = _Known(provider.version)
        if (metadata := self._usable(known)) is not None and not self._is_due(known):
            return metadata
        waits = metadata is None
        if known.lock.acquire(timeout=TOTAL_SECONDS + 1 if waits else -1, blocking=waits):
            try:
                if self._is_due(known):
                    self._read(known, provider)
            finally:
                known.lock.release()
        if (metadata := self._usable(known)) is None:
            raise UpstreamRefused(Reason.METADATA)
        return metadata

    def _usable(self, known: _Known) -> Metadata | None:
        return known.metadata if time.monotonic() - known.read_at < MOST_STALE_SECONDS else None

    def _is_due(self, known: _Known) -> bool:
        now = time.monotonic()
        # Without a copy nobody can sign in there, so whoever comes may ask.
        return known.metadata is None or (
            now - known.read_at >= FRESH_SECONDS and now - known.asked_at >= RETRY_SECONDS
        )

    def _read(self, known: _Known, provider: Provider) -> None:
        try:
            answer = self._outbound.get(
                provider.issuer.rstrip("/") + DISCOVERY_PATH, accept="application/json", longest=LONGEST_DOCUMENT
            )
            known.metadata = self._checked(json.loads(answer.body.decode("utf-8")), provider)
            known.read_at = time.monotonic()
        except OutboundRefused as refused:
            log.warning("metadata not read", extra={"provider": provider.slug, "outcome": refused.reason.value})
        except (ValueError, RecursionError) as error:
            outcome = str(error)[:60]
            log.warning("metadata not usable", extra={"provider": provider.slug, "outcome": outcome})
        finally:
            known.asked_at = time.monotonic()

    def _checked(self, document: Any, provider: Provider) -> Metadata:
        """Return the endpoints in what a provider publishes. Raises ValueError, whose text quotes nothing of it."""
        if not isinstance(document, dict):
            raise ValueError("no object")  # noqa: TRY004 (one kind of refusal for what came from outside)
        if document.get("issuer") != provider.issuer:
            raise ValueError("issuer")
        endpoints: dict[Endpoint, str] = {}
        for name in Endpoint:
            address = provider.endpoints.get(name) or document.get(name)
            if address is None and name not in NEEDED:
                continue
            if not isinstance(address, str) or uris.problem_of(address, allows_loopback=self._is_sandbox):
                raise ValueError(name.value)
            endpoints[name] = address
        if origin_of(endpoints[Endpoint.AUTHORIZATION]) not in provider.form_actions:
            # Citizens are sent where the operator agreed to, and the page's policy would stop them elsewhere.
            raise ValueError("origin")
        promises_iss = provider.promises_iss or document.get("authorization_response_iss_parameter_supported") is True
        return Metadata(provider.id, provider.slug, endpoints, promises_iss=promises_iss)
