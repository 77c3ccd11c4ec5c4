"""A small server on loopback that publishes what clients publish: key sets, logos, lists of redirect URIs."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class _Page:
    body: bytes
    status: int
    headers: dict[str, str]
    delay: float


class Publisher:
    """Serves what `serve` was given, and keeps which paths were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._pages: dict[str, _Page] = {}
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked.append(self.path)
                page = publisher._pages.get(self.path, _Page(b"", 404, {}, 0))
                time.sleep(page.delay)
                self.send_response(page.status)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(page.body)))
                self.end_headers()
                self.wfile.write(page.body)

            def log_message(self, *_: Any) -> None:
                """Keep the test run quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(
        self, path: str, content: Any, *, status: int = 200, headers: dict[str, str] | None = None, delay: float = 0
    ) -> str:
        """Serve `content` at `path`, JSON unless it is bytes; return the address."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self._pages[path] = _Page(body, status, {"Content-Type": "application/json", **(headers or {})}, delay)
        return self.origin + path
