"""Real processes that send one request each at the same moment to a provider on the same database."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from tests import patience
from tests.provider import Provider, provider_at


@dataclass(frozen=True)
class Shot:
    """One request: method, path, arguments for the test client, cookies."""

    method: str
    path: str
    arguments: dict[str, Any]
    cookies: dict[str, str]


@dataclass(frozen=True)
class Hit:
    """What came back."""

    status: int
    location: str | None
    text: str
    cookies: dict[str, str]


def _run(url: str, directory: Any, settings: dict[str, Any], gate: Any, pipe: Connection) -> None:
    patience.wait_long()
    with provider_at(url, directory, **settings) as provider:
        pipe.send("ready")
        while (shot := pipe.recv()) is not None:
            browser = provider.browser()
            browser.put(shot.cookies)
            # The first request of a process opens its connections; that must not decide the race.
            provider.http().get("/jwks")
            gate.wait(timeout=60)
            answer = browser.send(shot.method, shot.path, **shot.arguments)
            pipe.send(Hit(answer.status_code, answer.headers.get("Location"), answer.text, browser.cookies()))


class Racers:
    """A team of processes."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes

    def race(self, *shots: Shot) -> list[Hit]:
        """Send one shot from each process, all at once; with one shot all send the same."""
        chosen = shots * len(self._pipes) if len(shots) == 1 else shots
        for pipe, shot in zip(self._pipes, chosen, strict=True):
            pipe.send(shot)
        return [pipe.recv() for pipe in self._pipes]


@contextmanager
def racers_at(provider: Provider, *, processes: int) -> Iterator[Racers]:
    """Yield `processes` processes, each with an application of its own on the provider's database."""
    # Forked from a clean process that has imported everything once: many starts cost one.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    gate = context.Barrier(processes)
    ours, running = [], []
    settings = {"issuer": provider.settings.issuer}
    for _ in range(processes):
        here, there = context.Pipe()
        arguments = (provider.url, provider.settings.secrets_dir, settings, gate, there)
        process = context.Process(target=_run, args=arguments)
        process.start()
        there.close()
        ours.append(here)
        running.append(process)
    try:
        for pipe in ours:
            assert pipe.poll(60)
            pipe.recv()
        yield Racers(ours)
    finally:
        for pipe in ours:
            pipe.send(None)
        for process in running:
            process.join(30)
            if process.is_alive():
                process.kill()
                process.join()
        for pipe in ours:
            pipe.close()
