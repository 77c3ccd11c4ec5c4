"""Sample agency portals, each a small Flask application that signs citizens in with `clients.agency_login`.

Owns what the two have in common: their command line, their secrets and their security headers. A portal's own package
holds its pages and its views.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

VIETNAM_TIME = timezone(timedelta(hours=7))
_REGISTRATIONS = Path(__file__).resolve().parent.parent / "registrations"


class Options(NamedTuple):
    """Hold what a portal is started with; `registration` is its client document."""

    issuer: str
    public_url: str
    client_secret: str
    cookie_key: str
    registration: dict[str, Any]


class PathLog(WSGIRequestHandler):
    """Log requests without their query: the callback's holds a code and a state."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write method, path and status."""
        self.log("info", "%s %s %s", self.command, self.path.partition("?")[0], code)


def read_registration(name: str) -> dict[str, Any]:
    """Read `clients/registrations/<name>.json`."""
    document: dict[str, Any] = json.loads((_REGISTRATIONS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def add_headers(app: Flask, issuer: str, *, with_script: bool = False) -> None:
    """Send security headers with every page; `with_script` allows scripts of the portal's own, in files.

    `form-action` names the issuer because Chromium applies it to the redirect that follows the sign-out form.
    """
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(issuer))
    policy = f"default-src 'none'; style-src 'self'; form-action 'self' {origin}; base-uri 'none'"
    policy += "; frame-ancestors 'none'"
    if with_script:
        policy += "; script-src 'self'; connect-src 'self'"

    @app.after_request
    def send_headers(response: Any) -> Any:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def serve(name: str, create_app: Any, *, default_port: int) -> None:
    """Run a portal on loopback until it is interrupted.

    The client secret comes from --secret-file, else from <NAME>_CLIENT_SECRET, else, on a loopback issuer only, from
    the sandbox registration. <NAME>_COOKIE_KEY signs cookies; without it a random key does, until the next start.
    """
    parser = argparse.ArgumentParser(prog=f"python -m clients.portals.{name}")
    parser.add_argument("--port", type=int, default=default_port)
    parser.add_argument("--issuer", default="http://localhost:8000")
    parser.add_argument("--public-url", help="how browsers reach this portal (default: http://127.0.0.1:PORT)")
    parser.add_argument("--secret-file", type=Path, help="file that holds the client secret")
    arguments = parser.parse_args()
    registration = read_registration(name)
    client_secret = os.environ.get(f"{name.upper()}_CLIENT_SECRET")
    if arguments.secret_file:
        client_secret = arguments.secret_file.read_text(encoding="utf-8").strip()
    if not client_secret:
        if urlsplit(arguments.issuer).hostname not in ("127.0.0.1", "::1", "localhost"):
            parser.error(f"give --secret-file or {name.upper()}_CLIENT_SECRET; the sample secret is for sandboxes")
        client_secret = registration["client_secret"]
    options = Options(
        issuer=arguments.issuer,
        public_url=arguments.public_url or f"http://127.0.0.1:{arguments.port}",
        client_secret=client_secret,
        cookie_key=os.environ.get(f"{name.upper()}_COOKIE_KEY") or secrets.token_urlsafe(32),
        registration=registration,
    )
    app = create_app(options)
    try:
        server = make_server("127.0.0.1", arguments.port, app, threaded=True, request_handler=PathLog)
    except (OSError, SystemExit):  # werkzeug turns a busy port into SystemExit after printing why
        sys.exit(f"{name}: port {arguments.port} is in use; choose another with --port")
    print(f"{name}: {options.public_url}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
