"""How many threads of a worker may be with providers: a few with each, and not all that there are with all of them."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from idp.upstream.refusal import Reason, UpstreamRefused

MOST_ASKING = 4
"""Threads of one worker that may ask one provider."""
MOST_THERE = 12
"""Those and the ones that wait for them. Returns come in bursts, and a provider that is well is soon done with each."""
MOST_TOGETHER = 24
"""Threads of one worker that may be with all providers. `idp serve` has so many beside those that answer the rest."""
_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Door:
    there: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(MOST_THERE))
    asking: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(MOST_ASKING))


class Places:
    """The places of one worker. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._together = threading.BoundedSemaphore(MOST_TOGETHER)
        self._doors: dict[UUID, _Door] = {}

    @contextmanager
    def hold(self, provider_id: UUID) -> Iterator[None]:
        """Hold a place at a provider. Raises UpstreamRefused CROWDED: after half a second, at once where many wait."""
        with self._lock:
            door = self._doors.setdefault(provider_id, _Door())
        with ExitStack() as held:
            for places, patience in ((door.there, 0), (self._together, 0), (door.asking, _PATIENCE_SECONDS)):
                if not places.acquire(timeout=patience):
                    raise UpstreamRefused(Reason.CROWDED)
                held.callback(places.release)
            yield
