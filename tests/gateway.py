"""A real SMS gateway on loopback: it notes what it is sent and answers as it was told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One text message as it arrived."""

    authorization: str | None
    document: dict[str, Any]


class Gateway:
    """The gateway. `status` is that of the next answers."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 202
        self._arrived = threading.Condition()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/json"
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with gateway._arrived:
                    gateway.received.append(Received(self.headers["Authorization"], document))
                    gateway._arrived.notify_all()
                self.send_response(gateway.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/messages"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, number: int, *, seconds: float = 10) -> None:
        """Wait until so many messages are there."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= number, seconds), len(self.received)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def gateway() -> Iterator[Gateway]:
    """Yield a gateway."""
    opened = Gateway()
    try:
        yield opened
    finally:
        opened.close()
