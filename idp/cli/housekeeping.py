"""`idp housekeeping`: what `idp serve` does every hour, now."""

import click

from idp.cli.keys import print_changes
from idp.cli.shared import services
from idp.keys import rotation
from idp.ops.housekeeping import delete_expired


@click.command("housekeeping")
def command() -> None:
    """Delete what has expired and move signing keys on, now; `idp serve` does it every hour by itself."""
    with services() as given:
        for table, rows in delete_expired().items():
            click.echo(f"{table}\t{rows} rows deleted")
        print_changes(rotation.advance(given.keyring))
