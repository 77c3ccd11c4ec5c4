"""The whole house on loopback, made of the same commands an operator uses: provider, portals, clients, citizens."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from idp.app import create_app
from idp.citizens.registry import table
from idp.core.database import db
from idp.core.settings import load
from idp.sandbox.persona import Persona, Standing
from idp.sandbox.personas import demo_personas, personas
from tests import canary
from tests.commands import ROOT, operate
from tests.services import free_port

REGISTRATIONS = ROOT / "clients" / "registrations"
START_SECONDS = 40


def done(result: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a command that must have worked."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


class Running:
    """A started server in a session of its own, so that nothing it starts can outlive the test unseen."""

    def __init__(self, command: Sequence[str], *, log: Path, settings: dict[str, str] | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | (settings or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until_it_answers(self, port: int, path: str = "/healthz") -> None:
        """Wait for the server; fail with its log when it ends or stays silent."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), contextlib.closing(_connect(port)) as connection:
                connection.request("GET", path)
                if connection.getresponse().status < 500:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{self.process.args} does not answer:\n{self.log.read_text(errors='replace')}")

    def family(self) -> list[int]:
        """Return the living processes of the server's session, itself included."""
        return family_of(self.process.pid)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask the server to end and return its status; kill what is left of its session."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            if "serve" in self.process.args:
                canary.heard("idp serve", self.log.read_text(errors="replace"))
            for pid in self.family():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=5)


def family_of(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


class Doorstep:
    """A third portal that only notes where browsers arrive: for requests no sample portal makes."""

    def __init__(self) -> None:
        self.arrivals: list[str] = []
        arrivals = self.arrivals

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/callback"):
                    arrivals.append(self.path)
                body = (
                    b"<!doctype html><html lang=en><link rel=icon href=data:,><title>Doorstep</title>"
                    b"<h1 id=arrived>Arrived</h1></html>"
                )
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Keep quiet: addresses hold codes."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class House:
    """A running provider with its portals, and the invented people who have not signed in yet."""

    issuer: str
    etax: str
    library: str
    doorstep: Doorstep
    settings: dict[str, str]
    directory: Path
    people: list[Persona]
    database: str
    _servers: list[Running] = field(default_factory=list)

    def somebody(self) -> Persona:
        """Return a person with an authenticator app whom nobody else uses: no code spent, nothing agreed to."""
        return self.people.pop()

    def message_to(self, address: str, *, seconds: float = 10) -> str:
        """Return the newest mail or text message to an address, once there is one nobody has read yet."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            files = sorted((self.directory / "mail").glob("*.*"), key=lambda file: file.stat().st_mtime_ns)
            for file in reversed([each for each in files if each.suffix in (".eml", ".txt")]):
                text = file.read_text("utf-8")
                if address in text.partition("\n\n")[0]:
                    file.unlink()
                    return text.partition("\n\n")[2]
            time.sleep(0.05)
        raise AssertionError(f"nothing arrived for {address}")

    def register_knows(self, *people: table.Person) -> None:
        """Let the embedded register know people, who need not have an account."""
        app = create_app(load(self.settings))
        with app.app_context():
            table.write(people, keyring=app.extensions["lienket"].keyring)
            db.engine.dispose()

    def code_mailed(self) -> str:
        """Return the code in the newest mail, as its reader would find it."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            mails = sorted((self.directory / "mail").glob("*.eml"), key=lambda file: file.stat().st_mtime)
            for file in reversed(mails):
                body = message_from_bytes(file.read_bytes(), policy=default).get_body(("plain",))
                found = re.search(r"\b\d{6}\b", body.get_content()) if body else None
                if found:
                    file.unlink()
                    return found[0]
            time.sleep(0.05)
        raise AssertionError("no code came")

    def client(self, client_id: str, **members: Any) -> dict[str, Any]:
        """Apply a client document for the doorstep, changed by `members`, and return it."""
        document = json.loads((REGISTRATIONS / "library.json").read_text("utf-8"))
        # The library's own address would refuse what is meant for another client.
        for member in ("backchannel_logout_uri", "backchannel_logout_session_required"):
            del document[member]
        document |= {
            "client_id": client_id,
            "client_secret": f"secret-of-{client_id}-for-the-tests-only-0123456789",
            "client_uri": f"{self.doorstep.url}/",
            "redirect_uris": [f"{self.doorstep.url}/callback"],
            "post_logout_redirect_uris": [f"{self.doorstep.url}/out"],
            "sector_identifier": f"{client_id}.example",
        } | members
        file = self.directory / f"{client_id}.json"
        file.write_text(json.dumps(document), "utf-8")
        done(operate("clients", "apply", str(file), settings=self.settings))
        return document


@contextlib.contextmanager
def house(
    directory: Path, *, database_url: str, valkey_url: str | None = None, workers: int = 1, host: str = "127.0.0.1"
) -> Iterator[House]:
    """Yield a whole house whose issuer is at `host`; every process it started has ended afterwards."""
    ports = {name: free_port() for name in ("provider", "etax", "library")}
    issuer = f"http://{host}:{ports['provider']}"
    settings = {
        "IDP_PROFILE": "sandbox",
        "IDP_ISSUER": issuer,
        "IDP_DATABASE_URL": database_url,
        "IDP_SECRETS_DIR": str(directory / "secrets"),
        "IDP_LOG_LEVEL": "INFO",
        "IDP_MAIL_FOLDER": str(directory / "mail"),
        "IDP_MAIL_FROM": "LienKet <no-reply@lienket.example>",
    } | ({"IDP_VALKEY_URL": valkey_url} if valkey_url else {})
    done(operate("secrets", "init", settings=settings))
    done(operate("db", "upgrade", settings=settings))
    for name, usual in (("etax", 8001), ("library", 8002)):
        text = (REGISTRATIONS / f"{name}.json").read_text("utf-8")
        (directory / f"{name}.json").write_text(text.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{ports[name]}"), "utf-8")
    files = [str(directory / f"{name}.json") for name in ("etax", "library")]
    done(operate("clients", "apply", *files, settings=settings))
    strangers = [
        person
        for person in personas(2, 60)
        if person.standing is Standing.CURRENT and person.level == "loa2" and person.totp_secret
    ]
    people = [*demo_personas(), *strangers]
    (directory / "people.json").write_text(json.dumps([person.document() for person in people]), "utf-8")
    done(operate("citizens", "import", str(directory / "people.json"), settings=settings))
    servers: list[Running] = []
    doorstep = Doorstep()
    try:
        serve = ["idp.cli", "serve", "--port", str(ports["provider"]), "--workers", str(workers)]
        commands = {"provider": serve}
        for name in ("etax", "library"):
            commands[name] = [f"clients.portals.{name}", "--port", str(ports[name]), "--issuer", issuer]
        for name, command in commands.items():
            servers.append(Running([sys.executable, "-m", *command], log=directory / f"{name}.log", settings=settings))
        for server, port in zip(servers, ports.values(), strict=True):
            server.until_it_answers(port)
        etax, library = (f"http://127.0.0.1:{ports[name]}" for name in ("etax", "library"))
        yield House(issuer, etax, library, doorstep, settings, directory, strangers, database_url, servers)
    finally:
        doorstep.close()
        for server in servers:
            server.end()
