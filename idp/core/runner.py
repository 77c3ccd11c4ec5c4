"""Delivering what is owed to the outside, until told to stop: one loop, whatever is delivered and to whom.

What is owed stands in a table, written in the transaction of the act that owes it; whoever delivers takes it from there
with a lease. Run by a thread in each worker of `idp serve`, or by `idp deliveries run`. An act whose delivery a person
is waiting for wakes the loop of its own process; in any other one it is found at the next look.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from idp.core.database import DatabaseUnavailable

log = logging.getLogger(__name__)

EXTENSION = "lienket.deliveries"
"""Under which the factory puts everything this worker delivers on the application."""
_bells: dict[str, threading.Event] = {}


class Deliveries(Protocol):
    """One kind of thing that is owed."""

    @property
    def name(self) -> str:
        """Return what is delivered, in one word for threads and logs."""

    @property
    def idle_seconds(self) -> float:
        """Return how long to wait between two looks that found nothing, where no bell is rung."""

    def run_due(self, stop: threading.Event) -> int:
        """Start what is due until nothing is or `stop` is set; return how many. Raises DatabaseUnavailable."""

    def close(self) -> None:
        """Wait for what is under way, a few seconds at most; nothing new is started."""


def wake(name: str) -> None:
    """Let the loop of the deliveries `name` in this process look now, if there is one. Call it after the commit."""
    _bell(name).set()


def _bell(name: str) -> threading.Event:
    return _bells.setdefault(name, threading.Event())


def run(deliveries: Deliveries, stop: threading.Event) -> None:
    """Deliver whatever becomes due until `stop` is set; a database that is away is waited for.

    Whoever sets `stop` wakes the loop, which may be asleep.
    """
    bell = _bell(deliveries.name)
    while not stop.is_set():
        # Before looking: what is rung for while it looks is found by the next look.
        bell.clear()
        try:
            deliveries.run_due(stop)
        except DatabaseUnavailable:
            log.warning("deliveries wait for the database", extra={"event": deliveries.name})
        except Exception:
            log.exception("defect in deliveries", extra={"event": deliveries.name})
        if not stop.is_set():
            bell.wait(deliveries.idle_seconds)


@contextmanager
def running(kinds: Sequence[Deliveries]) -> Iterator[None]:
    """Deliver all `kinds` beside the body, each in a thread of its own, so that none waits for another's partner."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=run, args=(deliveries, stop), name=f"{deliveries.name}-runner", daemon=True)
        for deliveries in kinds
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for deliveries in kinds:
            wake(deliveries.name)
        for thread in threads:
            thread.join()
        for deliveries in kinds:
            deliveries.close()
