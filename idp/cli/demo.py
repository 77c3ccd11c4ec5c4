"""`idp demo`: the provider, two portals and two more providers on this machine, with invented citizens, until Ctrl-C.

Owns starting, telling and ending. Everything it starts is what an operator starts: the same commands, the same
settings, SQLite under var/. Its people come from idp.sandbox, its clients from clients/registrations. The test provider
(idp.sandbox.provider) answers from threads of this process, which has loaded what it needs: it costs no start.
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
from typing import Any

import click

from idp.cli import demo_upstream
from idp.cli.shared import Refused

HOST = "127.0.0.1"
"""Where everything listens and the portals are found."""
NAME = "localhost"
"""Where the provider is found: browsers give passkeys to a name only, and cookies of two names do not mix."""
TRIAL_PORT = 8005
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
@click.option(
    "--upstream-port",
    default=demo_upstream.USUAL_PORT,
    show_default=True,
    type=click.IntRange(1, 65_535),
    help="Port of the provider that is federated.",
)
@click.option(
    "--trial-port",
    default=TRIAL_PORT,
    show_default=True,
    type=click.IntRange(1, 65_535),
    help="Port of the provider where you say who signs in.",
)
@click.option("--code", metavar="NUMBER", help="Only print the one-time code of an invented person, and end.")
@click.option("--directory", default="var", show_default=True, type=click.Path(path_type=Path), help="Where data stay.")
def demo(
    port: int,
    etax_port: int,
    library_port: int,
    upstream_port: int,
    trial_port: int,
    code: str | None,
    directory: Path,
) -> None:
    """Start the provider, two portals and two more providers, with invented citizens; Ctrl-C ends all of them."""
    if code is not None:
        click.echo(_code(code))
        return
    portals = [
        Portal(portal.module, portal.client_id, chosen)
        for portal, chosen in zip(PORTALS, (etax_port, library_port), strict=True)
    ]
    options = {
        port: "--port",
        etax_port: "--etax-port",
        library_port: "--library-port",
        upstream_port: "--upstream-port",
        trial_port: "--trial-port",
    }
    if len(options) != len(portals) + 3:
        raise Refused("the three providers and the two portals need five different ports")
    for number, option in options.items():
        _refuse_busy(number, option)
    environment = _environment(port, directory)
    os.environ.update(environment)
    stop = _stop_on_signals()
    with _running() as processes:
        # First: it makes its own data while ours are made here.
        arguments = ["idp.cli.demo_upstream", "--port", str(upstream_port), "--ours", environment["IDP_ISSUER"]]
        settings = demo_upstream.environment(upstream_port, environment, directory)
        processes[demo_upstream.NAME] = _start(arguments, settings)
        with _trial(trial_port, environment["IDP_ISSUER"]) as trial_document:
            _prepare(portals, [demo_upstream.provider_document(upstream_port), trial_document])
            _start_ours(processes, port, portals, environment)
            if _until_healthy(processes, list(options), stop):
                _tell(port, portals, upstream_port, trial_port)
                _wait(processes, stop)
    click.echo("\nEverything has ended. The data stay in " + str(directory) + "; `make demo` starts again with them.")


def _code(number: str) -> str:
    from idp.citizens.credentials import totp  # noqa: PLC0415 (a second that --help need not pay)
    from idp.sandbox.demo_people import DEMO_MEMBERS  # noqa: PLC0415
    from idp.sandbox.personas import demo_personas  # noqa: PLC0415

    digits = "".join(sign for sign in number if sign.isdigit())
    for person in (*demo_personas(), *DEMO_MEMBERS):
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
        "IDP_ISSUER": f"http://{NAME}:{port}",
        "IDP_DATABASE_URL": f"sqlite:///{(directory / 'lienket.sqlite3').resolve()}",
        "IDP_SECRETS_DIR": str((directory / "secrets").resolve()),
        "IDP_MAIL_FOLDER": str((directory / "mail").resolve()),
        "IDP_MAIL_FROM": "LienKet <no-reply@lienket.example>",
        "IDP_LOG_LEVEL": "WARNING",
    }


@contextmanager
def _trial(port: int, ours: str) -> Iterator[dict[str, Any]]:
    """Serve the test provider until the block ends; yield what ours has on record of it, with a secret of this run."""
    from idp.cli.sandbox import listening  # noqa: PLC0415 (a second that --help need not pay)
    from idp.core.ids import new_secret  # noqa: PLC0415
    from idp.sandbox.provider import record  # noqa: PLC0415
    from idp.sandbox.provider.protocol import PersonaProvider  # noqa: PLC0415
    from idp.sandbox.provider.views import create_provider  # noqa: PLC0415

    issuer, secret = f"http://{HOST}:{port}", new_secret()
    provider = PersonaProvider(issuer, record.registration(ours, record.SLUG, secret))
    with listening(create_provider(provider), HOST, port):
        try:
            yield record.provider_document(issuer, record.SLUG, secret)
        finally:
            provider.wake()


def _prepare(portals: list[Portal], providers: list[dict[str, Any]]) -> None:
    from idp.cli.demo_data import prepare  # noqa: PLC0415 (a second that --help need not pay)
    from idp.sandbox.demo_people import DEMO_NEWCOMERS  # noqa: PLC0415
    from idp.sandbox.personas import demo_personas  # noqa: PLC0415

    people = demo_personas()
    is_changed, is_filled = prepare(
        [_registration(portal) for portal in portals],
        people,
        known=DEMO_NEWCOMERS,
        providers=providers,
    )
    if is_changed:
        click.echo("Made the database.")
    if is_filled:
        click.echo(f"Enrolled {len(people)} invented citizens.")


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
def _running() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Yield the place for started processes, by name; end every one of them whatever happens."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        yield processes
    finally:
        _end(processes)


def _start_ours(
    processes: dict[str, subprocess.Popen[bytes]], port: int, portals: list[Portal], environment: dict[str, str]
) -> None:
    processes["the provider"] = _start(["idp.cli", "serve", "--host", HOST, "--port", str(port)], environment)
    for portal in portals:
        arguments = [portal.module, "--port", str(portal.port), "--issuer", environment["IDP_ISSUER"]]
        processes[portal.module] = _start(arguments, environment)


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


def _tell(port: int, portals: list[Portal], upstream_port: int, trial_port: int) -> None:
    from idp.citizens.credentials import totp  # noqa: PLC0415
    from idp.citizens.numbers import scheme  # noqa: PLC0415
    from idp.sandbox.demo_people import DEMO_MEMBERS, DEMO_NEWCOMERS  # noqa: PLC0415
    from idp.sandbox.personas import demo_personas  # noqa: PLC0415
    from idp.sandbox.provider import record  # noqa: PLC0415

    people = demo_personas()
    elsewhere = {person.number for person in DEMO_MEMBERS}
    first = people[0]
    vn = scheme("vn-pin", test_numbers=True)
    click.echo(f"""
LienKet runs. Open in a browser:

  Personal e-tax    http://{HOST}:{portals[0].port}/    (level 2: number, password and one-time code)
  Digital library   http://{HOST}:{portals[1].port}/    (level 1; after e-tax you are not asked again)
  The provider      http://{NAME}:{port}/
  A passkey         http://{NAME}:{port}/account/passkeys    (add one, then sign in with it)

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
    click.echo("\nPeople whom the register knows and who have no account yet: choose Create an account.\n")
    for newcomer in DEMO_NEWCOMERS:
        if newcomer.number not in elsewhere:
            birth = newcomer.birth.display("vi")
            click.echo(f"  {vn.display(newcomer.number)}  {newcomer.full_name:22} born {birth}")
    click.echo(f"""
Or come by another provider: choose {demo_upstream.NAME} on the sign-in page of a portal, and sign in there. It is a
second instance of this provider at {demo_upstream.issuer(upstream_port)}/, with accounts of its own:
""")
    for member in DEMO_MEMBERS:
        code = totp.current_code(member.totp_secret) if member.totp_secret else "-"
        told = member.note if member not in people else "has an account here too: by either door the same person"
        click.echo(f"  {vn.display(member.number)}  {member.password:22} {code:>6}  {told}")
    click.echo(f"""
Or choose {record.NAMES["vi"]} (Test provider) there, at http://{HOST}:{trial_port}/: you say who signs in, one of the
people above or anybody you type, at which level, and what goes wrong.""")
    click.echo(f"\nAny e-mail address will do: the code is in the newest file of {os.environ['IDP_MAIL_FOLDER']}")
    click.echo("\nFor a fresh code:  .venv/bin/python -m idp.cli demo --code NUMBER\nCtrl-C ends everything.")
