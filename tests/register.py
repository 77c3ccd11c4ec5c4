"""Registers on loopback: the sandbox's own over real HTTP, and one that sends whatever a test wants."""

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from werkzeug.serving import make_server

from idp.sandbox.register import Register
from idp.sandbox.views import CONTROL, QUESTIONS, create_register


@dataclass(frozen=True)
class Simulator:
    """The sandbox's register, running."""

    register: Register
    origin: str

    @property
    def url(self) -> str:
        """Return where questions go."""
        return self.origin + QUESTIONS

    @property
    def control(self) -> str:
        """Return where orders go."""
        return self.origin + CONTROL


@contextmanager
def simulated(
    register: Register, *, token: str | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Simulator]:
    """Run `register` until the block ends."""
    server = make_server("127.0.0.1", 0, create_register(register, token=token), threaded=True, ssl_context=tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Simulator(register, f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
    finally:
        register.wake()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Script:
    """What a register that is no register sends; `bodies` and `heads` are what it was sent."""

    url: str
    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    bodies: list[bytes] = field(default_factory=list)
    heads: list[Mapping[str, str]] = field(default_factory=list)


@contextmanager
def scripted() -> Iterator[Script]:
    """Run a register that sends what its script says."""
    script = Script("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            script.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            script.heads.append(dict(self.headers))
            self.send_response(script.status)
            for name, value in script.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(script.body)))
            self.end_headers()
            self.wfile.write(script.body)

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
