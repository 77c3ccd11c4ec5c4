"""How providers are: a breaker in each worker, fed by what citizens meet, and probes that one worker at a time makes.

    well --half of the last exchanges without an answer--> down, held for a rest --a probe after it--> well
    well --two probes without an answer------------------> down                  --a probe---------> well

What a breaker finds is written down once, when it opens: all workers see it with their list of providers, which asks
for nothing more. Only silence counts. A refused code comes at once, and whoever brings forged ones must not be able to
close a door for everybody.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from idp.core.database import DatabaseUnavailable, HotPath
from idp.core.outbound import Outbound, OutboundRefused
from idp.upstream.directory import ProviderDirectory
from idp.upstream.metadata import DISCOVERY_PATH, LONGEST_DOCUMENT
from idp.upstream.models import HOLD_DOWN, PROBE_ANSWERED, PROBE_MISSED, TAKE_PROBE
from idp.upstream.record import Condition, Endpoint, Provider

WINDOW_SECONDS = 60.0
LEAST_FAILURES = 5
RESTS = (30, 60, 120, 300)
"""Seconds that citizens are sent elsewhere: the first time, and whenever it opens again within ten minutes."""
_AGAIN_SECONDS = 600.0
_MOST_KEPT = 40

PROBE_SECONDS = 60
SLOW_SECONDS = 2.0
MOST_MISSES = 2

_log = logging.getLogger("idp.upstream")


@dataclass(slots=True)
class _Window:
    outcomes: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=_MOST_KEPT))
    opened: int = 0
    opened_at: float = float("-inf")


class Breakers:
    """Counts exchanges with each provider. Safe to use from several threads; `tick` returns seconds that only grow."""

    def __init__(self, hot_path: HotPath, *, tick: Callable[[], float] = time.monotonic) -> None:
        self._hot_path = hot_path
        self._tick = tick
        self._lock = threading.Lock()
        self._windows: dict[UUID, _Window] = {}

    def answered(self, provider: Provider) -> None:
        """Note that the provider's machines answered."""
        with self._lock:
            self._window(provider).outcomes.append((self._tick(), True))

    def silent(self, provider: Provider) -> None:
        """Note that they did not; the caller holds no transaction. Side effects: may write that it is down."""
        with self._lock:
            rest = self._rest_after_failure(self._window(provider))
        if rest is None:
            return
        _log.error("a provider is left alone", extra={"provider": provider.slug, "seconds": rest})
        try:
            self._hot_path.apply(HOLD_DOWN, {"provider_id": provider.id, "rest": rest})
        except DatabaseUnavailable:
            _log.warning("a provider that is down is not on record", extra={"provider": provider.slug})

    def _window(self, provider: Provider) -> _Window:
        return self._windows.setdefault(provider.id, _Window())

    def _rest_after_failure(self, window: _Window) -> int | None:
        now = self._tick()
        window.outcomes.append((now, False))
        lately = [is_answered for at, is_answered in window.outcomes if now - at <= WINDOW_SECONDS]
        failures = lately.count(False)
        if failures < LEAST_FAILURES or failures * 2 < len(lately):
            return None
        window.opened = window.opened + 1 if now - window.opened_at < _AGAIN_SECONDS else 1
        window.opened_at = now
        window.outcomes.clear()
        return RESTS[min(window.opened, len(RESTS)) - 1]


class Probes:
    """Asks every open provider once a minute whether it is there: its metadata and its keys, nothing about anybody."""

    name = "probes"
    idle_seconds = 15.0

    def __init__(
        self,
        *,
        providers: ProviderDirectory,
        hot_path: HotPath,
        outbound: Outbound,
    ) -> None:
        self._providers = providers
        self._hot_path = hot_path
        self._outbound = outbound

    def run_due(self, stop: threading.Event) -> int:
        """Probe whatever is due; return how many. Raises DatabaseUnavailable."""
        done = 0
        for provider in self._providers.all():
            if stop.is_set():
                break
            key = {"provider_id": provider.id}
            if not provider.is_open or self._hot_path.apply(TAKE_PROBE, key | {"pause": PROBE_SECONDS}) is None:
                continue
            done += 1
            condition = self._condition(provider)
            if condition is Condition.DOWN:
                self._hot_path.apply(PROBE_MISSED, key | {"most": MOST_MISSES})
            else:
                self._hot_path.apply(PROBE_ANSWERED, key | {"state": condition.value})
        return done

    def close(self) -> None:
        """Return at once: nothing is under way beside `run_due`."""

    def _condition(self, provider: Provider) -> Condition:
        begun = time.monotonic()
        try:
            keys = provider.endpoints.get(Endpoint.KEYS)
            if keys is None:
                metadata = self._read(provider.issuer.rstrip("/") + DISCOVERY_PATH)
                if metadata.get("issuer") != provider.issuer:
                    return Condition.DOWN
                keys = str(metadata.get(Endpoint.KEYS, ""))
            if not isinstance(self._read(keys).get("keys"), list):
                return Condition.DOWN
        except (OutboundRefused, ValueError, RecursionError):
            return Condition.DOWN
        return Condition.SLOW if time.monotonic() - begun > SLOW_SECONDS else Condition.UP

    def _read(self, address: str) -> dict[str, object]:
        answer = self._outbound.get(address, accept="application/json", longest=LONGEST_DOCUMENT)
        members = json.loads(answer.body.decode("utf-8"))
        if not isinstance(members, dict):
            raise ValueError("no object")  # noqa: TRY004 (one kind of refusal for what came from outside)
        return members
