"""`idp sandbox`: what a developer needs beside the provider."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from idp.cli.shared import Refused

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

HOST = "127.0.0.1"


@click.group("sandbox")
def group() -> None:
    """Start what a sandbox needs beside the provider."""


@group.command("register")
@click.option("--port", default=8100, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--token", help="Answer only who brings this bearer token.")
def register_command(port: int, token: str | None) -> None:
    """Run a national register of invented people on this machine until Ctrl-C."""
    from idp.sandbox.register import demo_register, scripted_people  # noqa: PLC0415 (as in cli.shared)
    from idp.sandbox.views import CONTROL, QUESTIONS, create_register  # noqa: PLC0415

    register = demo_register()
    stop = _stop_on_signals()
    with listening(create_register(register, token=token), HOST, port):
        address = f"http://{HOST}:{port}"
        click.echo("The register answers. For a provider that asks it:\n")
        click.echo(f"  IDP_REGISTRY=http IDP_REGISTRY_URL={address}{QUESTIONS}\n")
        click.echo("It knows the people of `idp demo`, and for answers that none of them gets:\n")
        for person in scripted_people():
            click.echo(f"  {person.number}  {person.full_name}  {person.birth.display('vi')}  {person.says}")
        click.echo(f'\nSlow or down for everybody: PUT {address}{CONTROL} {{"mood": "slow"}}. Ctrl-C ends it.')
        stop.wait()
        register.wake()


@group.command("provider")
@click.option("--host", default=HOST, show_default=True, help="Loopback address to listen on.")
@click.option("--port", default=8005, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--ours", default="http://localhost:8000", show_default=True, help="Issuer of the provider it is for.")
@click.option("--slug", default="thu-nghiem", show_default=True, help="Name it has there.")
@click.option("--document", required=True, type=click.Path(path_type=Path), help="File for `idp upstream add`.")
def provider_command(host: str, port: int, ours: str, slug: str, document: Path) -> None:
    """Run an identity provider on this machine, where you say who signs in and what goes wrong, until Ctrl-C."""
    from idp.core.ids import new_secret  # noqa: PLC0415
    from idp.sandbox.provider import record  # noqa: PLC0415
    from idp.sandbox.provider.protocol import NotLoopback, PersonaProvider, is_loopback  # noqa: PLC0415
    from idp.sandbox.provider.views import create_provider  # noqa: PLC0415

    if not is_loopback(host):
        raise Refused("--host: it believes whatever is typed, so it listens on loopback alone, such as 127.0.0.1")
    issuer = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    secret = new_secret()
    try:
        provider = PersonaProvider(issuer, record.registration(ours, slug, secret))
    except NotLoopback:
        raise Refused("--ours: it is for a provider on this machine alone, such as http://localhost:8000") from None
    stop = _stop_on_signals()
    with listening(create_provider(provider), host, port):
        text = json.dumps(record.provider_document(issuer, slug, secret), ensure_ascii=False, indent=2)
        # It holds the secret of the two.
        document.unlink(missing_ok=True)
        with open(document, "x", encoding="utf-8", opener=partial(os.open, mode=0o600)) as file:
            file.write(text + "\n")
        click.echo(f"The provider answers at {issuer}/. Everybody it names is invented. Federate it by\n")
        click.echo(f"  idp upstream add {document}\n")
        click.echo("in an installation with IDP_PROFILE=sandbox, again after each start. Ctrl-C ends it.")
        stop.wait()
        provider.wake()


@contextmanager
def listening(application: WSGIApplication, host: str, port: int) -> Iterator[None]:
    """Serve `application` from threads of this process until the block ends. Raises Refused when the port is taken."""
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    class Quiet(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing: addresses hold codes."""

    try:
        # Opened here: Werkzeug would end the process with lines of its own where the port is taken.
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        raise Refused(f"port {port} is in use: choose another one with --port") from None
    server = make_server(host, port, application, threaded=True, request_handler=Quiet, fd=listener.fileno())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        listener.close()


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
