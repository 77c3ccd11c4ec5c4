"""`idp deliveries`: tell portals that a session has ended and citizens what happened, and see how that goes."""

import signal
import threading

import click

from idp.cli.shared import Refused, application, services

_STOP = (signal.SIGTERM, signal.SIGINT)


@click.group("deliveries")
def group() -> None:
    """Tell portals of ended sessions and citizens of what happened, and show how that goes."""


@group.command("run")
@click.option("--once", is_flag=True, help="Deliver what is due now, then end.")
def run_command(once: bool) -> None:  # noqa: FBT001 (click's way)
    """Deliver until SIGTERM or SIGINT.

    `idp serve` does this in each of its workers; where another server runs `wsgi:app`, run this beside it. Several at
    once do no harm.
    """
    from idp.core import runner  # noqa: PLC0415 (as in cli.shared)

    with application() as app:
        kinds = app.extensions[runner.EXTENSION]
        if not once:
            # Before the runners start, which inherit it: the signal waits for this thread and nobody else.
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
            with runner.running(kinds):
                signal.sigwait(_STOP)
            return
        stop = threading.Event()
        for number in _STOP:
            signal.signal(number, lambda *_: stop.set())
        for deliveries in kinds:
            click.echo(f"{deliveries.name}: {deliveries.run_due(stop)} started")
            deliveries.close()


@group.command("list")
@click.option("--client", "client_id", help="Only what this client_id is told.")
def list_command(client_id: str | None) -> None:
    """List how the deliveries of the last 30 days went.

    A line for each client: deliveries by state, the last outcome, until when it is left alone. Then, unless one client
    is named, a line for each kind of notice to citizens: notices by state, the last outcome.
    """
    from idp.notify.models import NoticeState  # noqa: PLC0415 (as in cli.shared)
    from idp.notify.report import by_kind  # noqa: PLC0415
    from idp.oidc.logout.report import by_client  # noqa: PLC0415
    from idp.sso.models import DeliveryState  # noqa: PLC0415

    with services() as given:
        if client_id is not None and given.clients.find(client_id) is None:
            raise Refused(f"there is no client {client_id}")
        for client in by_client(client_id):
            counts = [f"{client.counts.get(state, 0)} {state}" for state in DeliveryState]
            resting = f"rests until {client.rests_until:%Y-%m-%dT%H:%MZ}" if client.rests_until else "-"
            click.echo("\t".join((client.client_id, *counts, client.last_outcome or "-", resting)))
        for notice in by_kind() if client_id is None else ():
            totals = [f"{notice.counts.get(state, 0)} {state}" for state in NoticeState]
            click.echo("\t".join((f"notice {notice.kind}", *totals, notice.last_outcome or "-")))
