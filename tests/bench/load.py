"""The load: closed loop, keep-alive, one thread; each connection starts its next unit when the last one has ended.

A unit is a generator: it yields the bytes of a request, is sent the Answer, and raises Wrong when that is not the
right one. Runs in the process that measures; its CPU is not counted, though on a small machine it is felt.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeAlias

_ANSWER_SECONDS = 30.0


class Wrong(Exception):
    """An answer is not the one the unit is about."""


class Closed(Exception):
    """The server closed a connection on which an answer was due."""


class Spent(Exception):
    """What units are made of (codes, forms) has run out; the measurement ends early."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    head: str
    body: bytes

    def header(self, name: str) -> str:
        """Return a header's first value. Raises Wrong when there is none."""
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        raise Wrong(f"status {self.status} without {name}")

    def cookies(self) -> str:
        """Return the cookies set, as a Cookie header sends them back; removals are left out."""
        lines = [line.partition(":") for line in self.head.split("\r\n")[1:]]
        pairs = [value.strip().partition(";")[0] for key, _, value in lines if key.lower() == "set-cookie"]
        return "; ".join(pair for pair in pairs if not pair.endswith("="))

    def expect(self, status: int) -> "Answer":
        """Return the answer itself. Raises Wrong unless it has `status`."""
        if self.status != status:
            raise Wrong(f"status {self.status} instead of {status}: {self.body[:160]!r}")
        return self


Unit: TypeAlias = Generator[bytes, Answer, None]


@dataclass(slots=True)
class Result:
    """What one run did: latencies of right units in ms, sorted; the number of wrong ones and the first reason."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""

    @property
    def rate(self) -> float:
        """Return right units a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Return the latency in ms that `share` of the units stayed within."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))] if self.latencies else 0.0


class _Connection:
    """One keep-alive connection and the unit on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), _ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.unit: Unit | None = None
        self.started = 0.0

    def send(self, request: bytes) -> None:
        self.socket.sendall(request)

    def receive(self) -> Answer | None:
        """Return the answer once it is complete. Raises Closed when the server closed instead."""
        received = self.socket.recv(65_536)
        if not received:
            raise Closed("the server closed the connection")
        self._received += received
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        answer = Answer(int(head[9:12]), head.decode("latin-1"), body)
        length = 0 if answer.status in (204, 304) else int(answer.header("content-length"))
        if len(body) < length:
            return None
        self._received = b""
        return answer


class _Run:
    """One run: the connections, and how many units may still be started."""

    def __init__(self, make: Callable[[], Unit], *, seconds: float, most: int | None) -> None:
        self.result = Result()
        self._make = make
        self._seconds = seconds
        self._left = most
        self._begin = time.perf_counter()

    def start(self, connection: _Connection) -> bool:
        """Start the next unit on `connection`; say whether there was one to start."""
        if time.perf_counter() - self._begin >= self._seconds or self._left == 0:
            return False
        unit = self._make()
        try:
            request = next(unit)
        except Spent:
            return False
        if self._left is not None:
            self._left -= 1
        connection.unit, connection.started = unit, time.perf_counter()
        connection.send(request)
        return True

    def go_on(self, connection: _Connection) -> bool:
        """Take what came on `connection`; say whether it has more to do."""
        assert connection.unit is not None
        try:
            answer = connection.receive()
            if answer is not None:
                connection.send(connection.unit.send(answer))
            return True
        except StopIteration:
            self.result.latencies.append((time.perf_counter() - connection.started) * 1_000)
        except (Wrong, Closed) as wrong:
            self.result.errors += 1
            self.result.first_error = self.result.first_error or str(wrong)
            if isinstance(wrong, Closed):
                return False
        return self.start(connection)

    def end(self) -> Result:
        """Return what was done until now."""
        self.result.seconds = time.perf_counter() - self._begin
        self.result.latencies.sort()
        return self.result


def run(make: Callable[[], Unit], *, port: int, connections: int, seconds: float, most: int | None = None) -> Result:
    """Start units on `connections` connections for `seconds`, or until `most` have been started; wait for the last.

    Raises OSError when nothing listens on `port`, and TimeoutError when no answer comes for 30 s.
    """
    with contextlib.ExitStack() as closing:
        selector = closing.enter_context(selectors.DefaultSelector())
        opened = [_Connection(port) for _ in range(connections)]
        for connection in opened:
            closing.callback(connection.socket.close)
        running = _Run(make, seconds=seconds, most=most)
        for connection in opened:
            if running.start(connection):
                selector.register(connection.socket, selectors.EVENT_READ, connection)
        while selector.get_map():
            ready = selector.select(_ANSWER_SECONDS)
            if not ready:
                raise TimeoutError(f"no answer for {_ANSWER_SECONDS:.0f} s")
            for key, _ in ready:
                if not running.go_on(key.data):
                    selector.unregister(key.fileobj)
        return running.end()
