"""`idp demo`: the provider and two portals on this machine, with invented citizens, until Ctrl-C.

Owns starting, telling and ending. Everything it starts is what an operator starts: the same commands, the same
settings, SQLite under var/. Its people come from idp.sandbox, its clients from clients/registrations.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import click

from idp.cli.shared import Refused

HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 25
_REGISTRATIONS = Path(__file__).resolve().parents[2] / "clients" / "registrations"


@dataclass(frozen=True, slots=True)
class Portal:
    """One sample portal: its module, the client it signs in as, and the port its registration names."""

    module: str
    client_id: str
    port: int


PORTALS = (Portal("clients.portals.etax", "etax", 8001), Portal("clients.portals.library", "library", 8002))


@click.command("demo")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65_535), help="Port of the provider.")
@click.option("--etax-port", default=8001, show_default=True, type=click.IntRange(1, 65_535), help="Port of e-tax.")
@click.option(
    "--library-port", default=8002, show_default=True, type=click.IntRange(1, 65_535), help="Port of the library."
)
@click.option("--code", metavar="NUMBER", help="Only print the one-time code of an invented person, and end.")
@click.option("--directory", default="var", show_default=True, type=click.Path(path_type=Path), help="Where data stay.")
def demo(port: int, etax_port: int, library_port: int, code: str | None, directory: Path) -> None:
    """Start the provider and two portals with invented citizens; Ctrl-C ends all of them."""
    if code is not None:
        click.echo(_code(code))
        return
    portals = [
        Portal(portal.module, portal.client_id, chosen)
        for portal, chosen in zip(PORTALS, (etax_port, library_port), strict=True)
    ]
    options = dict(zip((port, etax_port, library_port), ("--port", "--etax-port", "--library-port"), strict=False))
    if len(options) != len(portals) + 1:
        raise Refused("the provider and the two portals need three different ports")
    for number, option in options.items():
        _refuse_busy(number, option)
    environment = _environment(port, directory)
    os.environ.update(environment)
    prepare(portals)
    stop = _stop_on_signals()
    with _running(port, portals, environment) as processes:
        if _until_healthy(processes, [port, *(portal.port for portal in portals)], stop):
            _tell(port, portals)
            _wait(processes, stop)
    click.echo("\nEverything has ended. The data stay in " + str(directory) + "; `make demo` starts again with them.")


def _code(number: str) -> str:
    from idp.citizens.credentials import totp  # noqa: PLC0415 (a second that --help need not pay)
    from idp.sandbox.personas import demo_personas  # noqa: PLC0415

    digits = "".join(sign for sign in number if sign.isdigit())
    for person in demo_personas():
        if person.number == digits and person.totp_secret:
            return totp.current_code(person.totp_secret)
    raise Refused("no invented person with an authenticator app has this number; `idp demo` lists them")


def _refuse_busy(port: int, option: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise Refused(
                f"port {port} is in use: end the program that holds it, or choose another one: "
                f".venv/bin/python -m idp.cli demo {option} {port + 100}"
            ) from None


def _environment(port: int, directory: Path) -> dict[str, str]:
    """Return the settings of the demo. Whatever IDP_ settings the shell holds are for another provider."""
    for name in [name for name in os.environ if name.startswith("IDP_")]:
        del os.environ[name]
    directory.mkdir(parents=True, exist_ok=True)
    # Where `idp` without settings looks too: a developer's `idp clients apply` meets the provider that runs.
    return {
        "IDP_PROFILE": "sandbox",
        "IDP_ISSUER": f"http://{HOST}:{port}",
        "IDP_DATABASE_URL": f"sqlite:///{(directory / 'lienket.sqlite3').resolve()}",
        "IDP_SECRETS_DIR": str((directory / "secrets").resolve()),
        "IDP_MAIL_FOLDER": str((directory / "mail").resolve()),
        "IDP_MAIL_FROM": "LienKet <no-reply@lienket.example>",
        "IDP_LOG_LEVEL": "WARNING",
    }


def prepare(portals: list[Portal]) -> None:
    """Make keyring, schema, signing keys, clients and citizens; what is there stays as it is."""
    from idp.agencies import apply, document  # noqa: PLC0415 (a second that --help need not pay)
    from idp.citizens.documents import Row  # noqa: PLC0415
    from idp.citizens.enrolment import import_documents  # noqa: PLC0415
    from idp.citizens.models import Citizen  # noqa: PLC0415
    from idp.cli.db import upgrade  # noqa: PLC0415
    from idp.cli.shared import services, settings  # noqa: PLC0415
    from idp.core.database import db  # noqa: PLC0415
    from idp.keys import rotation  # noqa: PLC0415
    from idp.sandbox.personas import demo_personas  # noqa: PLC0415

    chosen = settings()
    before, after = upgrade(chosen.database_url)
    if before != after:
        click.echo("Made the database.")
    with services() as provider:
        rotation.ensure_keys(provider.keyring)
        documents = [
            document.read(_registration(portal), source=portal.client_id, is_sandbox=True) for portal in portals
        ]
        apply.apply(documents, is_sandbox=True)
        if db.session.query(Citizen.id).first() is None:
            rows = [Row(persona.key, persona.document()) for persona in demo_personas()]
            import_documents(rows, settings=chosen, keyring=provider.keyring, registry=provider.registry)
            click.echo(f"Enrolled {len(rows)} invented citizens.")


def _registration(portal: Portal) -> dict[str, object]:
    """Return the registration of a portal, moved to the port chosen."""
    text = (_REGISTRATIONS / f"{portal.client_id}.json").read_text("utf-8")
    usual = next(known.port for known in PORTALS if known.client_id == portal.client_id)
    document: dict[str, object] = json.loads(text.replace(f"{HOST}:{usual}", f"{HOST}:{portal.port}"))
    return document


def _stop_on_signals() -> Event:
    """Return an event that Ctrl-C, a closed terminal and `kill` set.

    An exception from a signal could come between the start of a process and the note that it was started, and that
    process would outlive the demo. For the same reason a second Ctrl-C does not hurry the end.
    """
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def _running(
    port: int, portals: list[Portal], environment: dict[str, str]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Yield the started processes by name; end every one of them whatever happens."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        processes["the provider"] = _start(["idp.cli", "serve", "--host", HOST, "--port", str(port)], environment)
        for portal in portals:
            arguments = [portal.module, "--port", str(portal.port), "--issuer", environment["IDP_ISSUER"]]
            processes[portal.module] = _start(arguments, environment)
        yield processes
    finally:
        _end(processes)


def _start(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C at the terminal reaches this process alone, which then ends the others in order.
    return subprocess.Popen(  # noqa: S603 (this interpreter, our own modules)
        [sys.executable, "-m", *arguments], env={**os.environ, **environment}, start_new_session=True
    )


def _until_healthy(processes: dict[str, subprocess.Popen[bytes]], ports: list[int], stop: Event) -> bool:
    """Wait until every port answers; return False when told to stop before."""
    deadline = time.monotonic() + START_SECONDS
    waiting = list(ports)
    while waiting:
        if stop.is_set():
            return False
        _refuse_ended(processes)
        if time.monotonic() > deadline:
            raise Refused(f"nothing answers on port {waiting[0]} after {START_SECONDS} s; see the lines above")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{waiting[0]}/healthz", timeout=2):
                waiting.pop(0)
        except (OSError, urllib.error.URLError):
            stop.wait(0.1)
    return True


def _refuse_ended(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in processes.items():
        if process.poll() is not None:
            raise Refused(f"{name} ended by itself with status {process.returncode}; see the lines above")


def _wait(processes: dict[str, subprocess.Popen[bytes]], stop: Event) -> None:
    while not stop.wait(0.5):
        _refuse_ended(processes)


def _end(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for process in processes.values():
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes.values():
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tell(port: int, portals: list[Portal]) -> None:
    from idp.citizens.credentials import totp  # noqa: PLC0415
    from idp.citizens.numbers import scheme  # noqa: PLC0415
    from idp.sandbox.personas import demo_personas  # noqa: PLC0415

    people = demo_personas()
    first = people[0]
    vn = scheme("vn-pin", test_numbers=True)
    click.echo(f"""
LienKet runs. Open in a browser:

  Personal e-tax    http://{HOST}:{portals[0].port}/    (level 2: number, password and one-time code)
  Digital library   http://{HOST}:{portals[1].port}/    (level 1; after e-tax you are not asked again)
  The provider      http://{HOST}:{port}/

Sign in as {first.full_name}:

  number     {vn.display(first.number)}
  password   {first.password}""")
    if first.totp_secret:
        uri = totp.provisioning_uri(first.totp_secret, account=first.full_name, issuer="LienKet demo")
        click.echo(
            f"  code now   {totp.current_code(first.totp_secret)}    (changes every 30 seconds; each works once)"
        )
        click.echo(f"  secret     {first.totp_secret}\n\nOr scan this with an authenticator app:\n")
        click.echo(totp.terminal_qr(uri))
    click.echo("Other invented people:\n")
    for person in people[1:]:
        code = totp.current_code(person.totp_secret) if person.totp_secret else "-"
        click.echo(f"  {vn.display(person.number)}  {person.password or '-':22} {code:>6}  {person.note}")
    click.echo("\nFor a fresh code:  .venv/bin/python -m idp.cli demo --code NUMBER\nCtrl-C ends everything.")
