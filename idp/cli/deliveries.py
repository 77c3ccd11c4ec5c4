"""`idp deliveries`: tell portals that a session has ended, and see how that goes."""

import signal
import threading

import click

from idp.cli.shared import Refused, services


@click.group("deliveries")
def group() -> None:
    """Tell portals of ended sessions, and show how that goes."""


@group.command("run")
@click.option("--once", is_flag=True, help="Deliver what is due now, then end.")
def run_command(once: bool) -> None:  # noqa: FBT001 (click's way)
    """Deliver until SIGTERM or SIGINT.

    `idp serve` does this in each of its workers; where another server runs `wsgi:app`, run this beside it. Several at
    once do no harm.
    """
    from idp.oidc.logout.backchannel import BackChannel  # noqa: PLC0415 (as in cli.shared)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with services() as given:
        channel = BackChannel(given)
        if once:
            click.echo(f"{channel.run_due(stop)} started")
        else:
            channel.run(stop)
        channel.close()


@group.command("list")
@click.option("--client", "client_id", help="Only this client_id.")
def list_command(client_id: str | None) -> None:
    """List, for each client of the last 30 days: deliveries by state, the last outcome, until when it is left alone."""
    from idp.oidc.logout.report import by_client  # noqa: PLC0415 (as in cli.shared)
    from idp.sso.models import DeliveryState  # noqa: PLC0415

    with services() as given:
        if client_id is not None and given.clients.find(client_id) is None:
            raise Refused(f"there is no client {client_id}")
        for report in by_client(client_id):
            counts = [f"{report.counts.get(state, 0)} {state}" for state in DeliveryState]
            resting = f"rests until {report.rests_until:%Y-%m-%dT%H:%MZ}" if report.rests_until else "-"
            click.echo("\t".join((report.client_id, *counts, report.last_outcome or "-", resting)))
