"""The providers as the running application uses them: one copy in each process, a change seen within five seconds."""

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from idp.agencies.reading import DocumentRefused
from idp.core.database import DatabaseUnavailable, HotPath, as_instant, as_uuid
from idp.core.keyring import Keyring, SealBroken
from idp.upstream import cuts, document
from idp.upstream.models import READ_NEXT_PROVIDER, READ_REVISION, ProviderState, secret_place
from idp.upstream.record import Condition, Health, Provider

FRESH_SECONDS = 5.0

log = logging.getLogger("idp.upstream")


@dataclass(frozen=True)
class _Providers:
    revision: int
    ordered: tuple[Provider, ...]


class ProviderDirectory:
    """Finds providers. One small statement every FRESH_SECONDS, and only while somebody asks.

    While the database does not answer, what was loaded last stays in use. Safe to use from several threads.
    """

    def __init__(self, hot_path: HotPath, keyring: Keyring, *, is_sandbox: bool) -> None:
        self._hot_path = hot_path
        self._keyring = keyring
        self._is_sandbox = is_sandbox
        self._lock = threading.Lock()
        self._providers: _Providers | None = None
        self._checked = 0.0

    def all(self) -> tuple[Provider, ...]:
        """Return every provider whose record can be used, in the order of the page. Raises DatabaseUnavailable."""
        return self._current().ordered

    def find(self, slug: str) -> Provider | None:
        """Return the provider called `slug`, disabled or not, or None. Raises DatabaseUnavailable."""
        return next((provider for provider in self.all() if provider.slug == slug), None)

    def by_id(self, provider_id: UUID) -> Provider | None:
        """Return the provider with this row key, disabled or not, or None. Raises DatabaseUnavailable."""
        return next((provider for provider in self.all() if provider.id == provider_id), None)

    def forget(self) -> None:
        """Look again at the next question, as after FRESH_SECONDS."""
        self._checked = 0.0

    def _current(self) -> _Providers:
        known = self._providers
        if known is not None and time.monotonic() - self._checked < FRESH_SECONDS:
            return known
        if known is None:
            with self._lock:
                if self._providers is None:
                    self._providers = self._load()
                    self._checked = time.monotonic()
                return self._providers
        # One thread looks, the others go on with what they have.
        if self._lock.acquire(blocking=False):
            try:
                self._checked = time.monotonic()
                if self._revision() != known.revision:
                    self._providers = self._load()
            except DatabaseUnavailable as error:
                log.warning("keeping the providers loaded before", extra={"outcome": type(error).__name__})
            finally:
                self._lock.release()
        return self._providers or known

    def _revision(self) -> int:
        row = self._hot_path.one(READ_REVISION, {})
        return int(row["revision"] or 0) if row is not None else 0

    def _load(self) -> _Providers:
        # First the revision: a change in between is then seen by the next look rather than missed.
        revision = self._revision()
        found = []
        slug = ""
        while (row := self._hot_path.one(READ_NEXT_PROVIDER, {"after": slug})) is not None:
            slug = row["slug"]
            if (provider := self._provider(row)) is not None:
                found.append(provider)
        return _Providers(revision, tuple(sorted(found, key=lambda provider: (provider.order, provider.name("vi")))))

    def _provider(self, row: Mapping[str, Any]) -> Provider | None:
        provider_id = as_uuid(row["id"])
        sealed = row["client_secret"]
        try:
            read = document.read(
                json.loads(row["document"]), source=row["slug"], is_sandbox=self._is_sandbox, has_secret=bool(sealed)
            )
            secret = self._keyring.unseal(sealed, secret_place(provider_id)) if sealed else None
        except (DocumentRefused, SealBroken, ValueError) as refused:
            # One record that cannot be used must not take the others off the page.
            log.critical(
                "a provider's record cannot be used and is left out",
                extra={"provider": row["slug"], "outcome": type(refused).__name__},
            )
            return None
        return Provider.of(
            read.record,
            provider_id=provider_id,
            slug=row["slug"],
            version=row["version"],
            is_enabled=row["state"] == ProviderState.ENABLED,
            secret=secret,
            cut=cuts.read(json.loads(row["cut"])) if row["cut"] else None,
            health=_health(row),
        )


def _health(row: Mapping[str, Any]) -> Health | None:
    if row["condition"] is None:
        return None
    return Health(Condition(row["condition"]), as_instant(row["since"]), as_instant(row["checked_at"]))
