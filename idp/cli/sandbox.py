"""`idp sandbox`: what a developer needs beside the provider."""

import signal
import socket
import threading

import click

from idp.cli.shared import Refused

HOST = "127.0.0.1"


@click.group("sandbox")
def group() -> None:
    """Start what a sandbox needs beside the provider."""


@group.command("register")
@click.option("--port", default=8100, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--token", help="Answer only who brings this bearer token.")
def register_command(port: int, token: str | None) -> None:
    """Run a national register of invented people on this machine until Ctrl-C."""
    from werkzeug.serving import make_server  # noqa: PLC0415 (as in cli.shared)

    from idp.sandbox.register import demo_register, scripted_people  # noqa: PLC0415
    from idp.sandbox.views import CONTROL, QUESTIONS, create_register  # noqa: PLC0415

    register = demo_register()
    try:
        # Opened here: Werkzeug would end the process with lines of its own where the port is taken.
        listener = socket.create_server((HOST, port))
    except OSError:
        raise Refused(f"port {port} is in use: choose another one with --port") from None
    application = create_register(register, token=token)
    server = make_server(HOST, port, application, threaded=True, fd=listener.fileno())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://{HOST}:{port}"
    click.echo("The register answers. For a provider that asks it:\n")
    click.echo(f"  IDP_REGISTRY=http IDP_REGISTRY_URL={address}{QUESTIONS}\n")
    click.echo("It knows the people of `idp demo`, and for answers that none of them gets:\n")
    for person in scripted_people():
        click.echo(f"  {person.number}  {person.full_name}  {person.birth.display('vi')}  {person.says}")
    click.echo(f'\nSlow or down for everybody: PUT {address}{CONTROL} {{"mood": "slow"}}. Ctrl-C ends it.')
    stop.wait()
    register.wake()
    server.shutdown()
    thread.join()
    server.server_close()
    listener.close()
