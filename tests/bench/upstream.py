"""An identity provider in a process of its own, so that its CPU is not counted as ours; it hangs when it is told to.

Whoever comes brings the code themselves: `code_of` says whom it names and in answer to which request.
"""

import base64
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bench import seed
from tests.scripted_upstream import CLIENT_ID, Key

SLUG = "bench-upstream"
_CLAIMS = {"number": "identification_number", "full_name": "name", "birthdate": "birthdate", "gender": "gender"}
_LONGEST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """The running provider; while `hangs` is set, no code is redeemed."""

    issuer: str
    hangs: Event

    def register(self, site: seed.Site, directory: Path) -> None:
        """Let the provider to be measured know of this one, by the command an operator uses."""
        document = {
            "slug": SLUG,
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "scope": "openid profile",
            "levels": {"low": "loa1", "sub": "loa2"},
            "ceiling": "loa2",
            "amr": ["pwd"],
            "name": {"vi": "Nhà cung cấp mẫu", "en": "Sample provider", "fr": "Fournisseur exemple"},
        }
        file = directory / "upstream.json"
        file.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
        subprocess.run(
            [sys.executable, "-m", "idp.cli", "upstream", "add", str(file)],
            cwd=seed.ROOT,
            env={**os.environ, **site.environment},
            check=True,
            stdout=subprocess.DEVNULL,
        )


def code_of(number: str, nonce: str) -> str:
    """Return a code for the citizen with this number."""
    return base64.urlsafe_b64encode(json.dumps([number, nonce]).encode()).decode()


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[Upstream]:
    """Serve a provider that knows the citizens that `seed.build` left in `directory`; end it afterwards."""
    fork = multiprocessing.get_context("fork")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    made = Upstream(f"http://127.0.0.1:{server.server_port}", fork.Event())
    process = fork.Process(target=_serve, args=(server, made, directory), daemon=True)
    process.start()
    server.server_close()
    try:
        yield made
    finally:
        process.terminate()
        process.join()


def _serve(server: ThreadingHTTPServer, made: Upstream, directory: Path) -> None:
    citizens = json.loads((directory / "citizens.json").read_text("utf-8"))
    _Handler.upstream, _Handler.key = made, Key("bench")
    _Handler.claims = {
        one["number"]: {theirs: one[ours] for ours, theirs in _CLAIMS.items() if ours in one} for one in citizens
    }
    server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    upstream: Upstream
    key: Key
    claims: dict[str, dict[str, str]]

    def do_GET(self) -> None:
        issuer = self.upstream.issuer
        if self.path == "/jwks":
            self._answer({"keys": [self.key.jwk()]})
        elif self.path == "/userinfo":
            number = self.headers["Authorization"].removeprefix("Bearer ")
            self._answer({"sub": f"subject-{number}", **self.claims[number]})
        else:
            names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
            paths = {name: f"{issuer}/{name.removesuffix('_endpoint')}" for name in names}
            self._answer({"issuer": issuer, "jwks_uri": f"{issuer}/jwks", **paths})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        until = time.monotonic() + _LONGEST_SECONDS
        while self.upstream.hangs.is_set() and time.monotonic() < until:
            time.sleep(0.05)
        number, nonce = json.loads(base64.urlsafe_b64decode(form["code"][0]))
        now = int(time.time())
        id_token = self.key.sign(
            {
                "iss": self.upstream.issuer, "sub": f"subject-{number}", "aud": CLIENT_ID, "iat": now, "exp": now + 60,
                "auth_time": now, "nonce": nonce, "acr": "sub", "amr": ["pwd"],
            }
        )  # fmt: skip
        self._answer({"access_token": number, "token_type": "Bearer", "expires_in": 60, "id_token": id_token})

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # Whoever asked may have had enough.
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the table readable."""


def request_of(location: str) -> dict[str, str]:
    """Return the authorization request with which a browser was sent to this provider."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
