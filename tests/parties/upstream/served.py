"""A provider of ours in this process that answers at a socket too, so that another one's machines can ask it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from werkzeug.serving import WSGIRequestHandler, make_server

from idp.cli import db as schema
from tests.provider import Provider, provider_at


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Keep the test run quiet."""


@contextmanager
def served(directory: Path, **settings: Any) -> Iterator[Provider]:
    """Yield a provider on SQLite whose issuer answers on loopback."""
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"sqlite:///{directory / 'lienket.sqlite3'}"
        schema.upgrade(url)
        issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with provider_at(url, directory / "secrets", issuer=issuer, **settings) as made:
            server = make_server("127.0.0.1", 0, made.app, threaded=True, request_handler=_Quiet, fd=listening.fileno())
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            yield made
            server.shutdown()


def path_of(address: str) -> str:
    """Return path and query of an address, as the browsers of the tests take them."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"
