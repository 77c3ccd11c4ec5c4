"""A client's logout endpoint on loopback: it notes what it is sent and answers as it was told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import sqlalchemy as sa

from idp.agencies.models import Client
from idp.core.database import db
from tests.provider import Portal


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    content_type: str
    form: dict[str, list[str]]

    @property
    def token(self) -> str:
        """Return the logout token."""
        [token] = self.form["logout_token"]
        return token


class Listener:
    """The endpoint. `status` is the next answers' status; `hold` is cleared to keep every request waiting."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        self.location: str | None = None
        self.hold = threading.Event()
        self.hold.set()
        self._arrived = threading.Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode("ascii")
                with listener._arrived:
                    form = parse_qs(body, keep_blank_values=True, strict_parsing=True)
                    listener.received.append(Received(self.path, self.headers["Content-Type"], form))
                    listener._arrived.notify_all()
                listener.hold.wait(30)
                self.send_response(listener.status)
                if listener.location is not None:
                    self.send_header("Location", listener.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def wait_for(self, number: int, seconds: float = 10) -> list[Received]:
        """Return what has arrived once that is `number` requests."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= number, seconds), len(self.received)
            return list(self.received)

    def close(self) -> None:
        """Stop listening."""
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def listening() -> Iterator[Listener]:
    """Yield a listener."""
    listener = Listener()
    try:
        yield listener
    finally:
        listener.close()


def register(portal: Portal, **fields: str | bool | None) -> None:
    """Change fields of the portal's stored record."""
    provider = portal.provider
    with provider.app.app_context():
        row = db.session.scalars(sa.select(Client).where(Client.client_id == portal.client_id)).one()
        row.document = {**row.document, **fields}
        db.session.commit()
    provider.forget_caches()
