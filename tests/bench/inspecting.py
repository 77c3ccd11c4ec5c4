"""`make bench ARGS=--inspecting`: what the inspector and the sealing of the audit trail add to a warm login, in CPU.

One process without an HTTP server, so that the share is of the least a login can cost; short bursts, the ways
interleaved, what each way owes to its burst included: the batch of the inspector, the seals of its events. Of the
bursts of each way the lower quarter counts, when others left the machine alone. What is added is then timed by itself,
because the machine moves by more than it.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from idp.core import asked, runner
from idp.core.parameters import NOTHING
from idp.inspector import waiting
from idp.inspector.waiting import Inspection
from tests.bench import machine, seed
from tests.bench.application import PORT, Application

_BURST = 100
_ROUNDS = 24
_CALLS = 100_000
_NEVER = threading.Event()
_LIMITS = ("SUCCESSES_OF_ONE", "SUCCESSES")


@dataclass(frozen=True, slots=True)
class _Way:
    name: str
    inspects: bool = False
    keeps_all: bool = False
    seals: bool = False


_WAYS = (
    _Way("neither"),
    _Way("inspector", inspects=True),
    _Way("inspector, every request kept", inspects=True, keeps_all=True),
    _Way("sealing", seals=True),
    _Way("both", inspects=True, seals=True),
)


def measure(directory: Path, database_url: str) -> None:
    """Print the CPU of a warm login each way, on the empty PostgreSQL database at `database_url`."""
    site = seed.build(directory, database_url=database_url, port=PORT, clients=10, citizens=8)
    application = Application(site)
    kinds = {each.name: each for each in application.extension(runner.EXTENSION)}
    inspection, sealing = kinds["inspection"], kinds["sealing"]
    with psycopg.connect(database_url.replace("postgresql+psycopg://", "postgresql://")) as connection:
        server = machine.parent(connection.info.backend_pid)
    _logins(application)
    sealing.run_due(_NEVER)
    taken: dict[str, list[float]] = {way.name: [] for way in _WAYS}
    beside: dict[str, list[tuple[float, float]]] = {way.name: [] for way in _WAYS}
    database = dict.fromkeys(taken, 0.0)
    for number in range(_ROUNDS):
        # Each way begins a round once, so that none is always the one after the same.
        for way in (*_WAYS[number % len(_WAYS) :], *_WAYS[: number % len(_WAYS)]):
            with _as_told(way, inspection):
                before, begin = machine.cpu_ms(machine.descendants(server)), time.process_time()
                _logins(application)
                between = time.process_time()
                rows = inspection.run_due(_NEVER) if way.inspects else 0
                if way.seals:
                    sealing.run_due(_NEVER)
                later = (time.process_time() - between) * 1_000 / _BURST
                beside[way.name].append((later, rows / _BURST))
                taken[way.name].append((time.process_time() - begin) * 1_000 / _BURST)
                database[way.name] += machine.cpu_ms(machine.descendants(server)) - before
            # What the others have left to the sealer is none of its next burst's.
            sealing.run_due(_NEVER)
    application.close()
    base = _quiet(taken["neither"])
    database_base = database["neither"] / _ROUNDS / _BURST
    for way in _WAYS:
        own, its = _quiet(taken[way.name]), database[way.name] / _ROUNDS / _BURST
        share = (own + its) / (base + database_base) - 1
        later, rows = (_quiet([pair[at] for pair in beside[way.name]]) for at in (0, 1))
        print(
            f"{way.name:30} {own:6.3f} ms CPU a login, database {its:6.3f} ms, {share:+7.1%}; "
            f"beside serving {later:.3f} ms, {rows:.2f} rows a login"
        )
    print(f"the edge: {_edge_us(inspection):.2f} us a request")


def _quiet(values: list[float]) -> float:
    return statistics.quantiles(values, n=4)[0]


def _edge_us(inspection: Inspection) -> float:
    """Return what the request itself pays: the note, and the look at the end; two of a client in a second are kept."""
    environ = {"PATH_INFO": "/token"}
    begin = time.process_time()
    for _ in range(_CALLS):
        asked.begin()
        asked.by("client")
        asked.by("client", is_proven=True)
        asked.current().parameters = NOTHING
        inspection.observe(environ, asked.current(), reference="ABCDEFGH12", status=200)
    return (time.process_time() - begin) / _CALLS * 1e6


def _logins(application: Application) -> None:
    application.do(*(application.requests.sso("ES256") for _ in range(_BURST)))


@contextmanager
def _as_told(way: _Way, inspection: Inspection) -> Iterator[None]:
    limits = {name: getattr(waiting, name) for name in _LIMITS}
    observe: Callable[..., None] = inspection.observe
    if not way.inspects:
        inspection.observe = lambda *_, **__: None  # type: ignore[method-assign]
    if way.keeps_all:
        for name in _LIMITS:
            setattr(waiting, name, 1_000_000)
    try:
        yield
    finally:
        inspection.observe = observe  # type: ignore[method-assign]
        for name, value in limits.items():
            setattr(waiting, name, value)
