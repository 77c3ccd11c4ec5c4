"""`idp housekeeping`: what a timer runs every hour."""

import click

from idp.cli.keys import print_changes
from idp.cli.shared import services
from idp.keys import rotation
from idp.ops.housekeeping import delete_expired


@click.command("housekeeping")
def command() -> None:
    """Delete what has expired and move signing keys on. Run it hourly; twice at once does no harm."""
    with services() as given:
        for table, rows in delete_expired().items():
            click.echo(f"{table}\t{rows} rows deleted")
        print_changes(rotation.advance(given.keyring))
