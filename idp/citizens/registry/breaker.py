"""Leaving a register alone that does not answer, so that nobody waits for it in vain.

    closed --PATIENCE failures in a row--> open --rest over--> half-open: one question
       ^                                    ^                        |
       +---------- answered ----------------+------ failed, rests longer

One for each process. Only waiting counts: an answer that cannot be read, or refuses us, came at once. A question that
began before the register was left alone changes nothing when it ends.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from idp.citizens.registry import RegistryFailure, Timeout, Unavailable

PATIENCE = 5
"""Failures in a row after which the register is left alone."""
RESTS = (30.0, 60.0, 120.0, 300.0)
"""Seconds of rest: the first time, and after each probe that failed too."""

_log = logging.getLogger(__name__)


class State(StrEnum):
    """Whether questions go out: all, none, or one to see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Counts failures. Safe to use from several threads; `tick` returns seconds that only grow."""

    def __init__(self, *, tick: Callable[[], float] = time.monotonic) -> None:
        self._tick = tick
        self._lock = threading.Lock()
        self._failures = 0
        self._rests = 0
        self._until: float | None = None
        self._is_probing = False

    @property
    def state(self) -> State:
        """Return what the next question meets."""
        with self._lock:
            return self._state()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let one question out and take note of how it ends. Raises Unavailable while the register rests."""
        is_probe = self._admit()
        try:
            yield
        except (Timeout, Unavailable):
            self._failed(is_probe=is_probe)
            raise
        except RegistryFailure:
            self._answered(is_probe=is_probe)
            raise
        except BaseException:
            self._forget(is_probe=is_probe)
            raise
        self._answered(is_probe=is_probe)

    def _state(self) -> State:
        if self._until is None:
            return State.CLOSED
        is_over = self._tick() >= self._until and not self._is_probing
        return State.HALF_OPEN if is_over else State.OPEN

    def _admit(self) -> bool:
        with self._lock:
            state = self._state()
            if state is State.OPEN:
                raise Unavailable("the register is left alone for a while")
            self._is_probing = state is State.HALF_OPEN
            return self._is_probing

    def _failed(self, *, is_probe: bool) -> None:
        with self._lock:
            if self._until is not None and not is_probe:
                return
            self._failures += 1
            if not is_probe and self._failures < PATIENCE:
                return
            self._until = self._tick() + RESTS[min(self._rests, len(RESTS) - 1)]
            self._rests += 1
            self._is_probing = False
        _log.error("the register is left alone", extra={"outcome": State.OPEN.value, "count": self._failures})

    def _answered(self, *, is_probe: bool) -> None:
        with self._lock:
            if self._until is not None and not is_probe:
                return
            self._failures = self._rests = 0
            self._until = None
            self._is_probing = False
        if is_probe:
            _log.warning("the register answers again", extra={"outcome": State.CLOSED.value})

    def _forget(self, *, is_probe: bool) -> None:
        with self._lock:
            if is_probe:
                self._is_probing = False
