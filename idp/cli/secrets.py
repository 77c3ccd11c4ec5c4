"""`idp secrets`: make the keyring."""

import click

from idp.cli.shared import settings
from idp.core import keyring


@click.group("secrets")
def group() -> None:
    """Make the keyring."""


@group.command("init")
def init_command() -> None:
    """Make what is missing in IDP_SECRETS_DIR; files that are there are never touched.

    Keep a copy of the directory apart from that of the database: without it no sealed value can be read again.
    """
    given = settings()
    made = keyring.create(given.secrets_dir)
    # What was there before is judged now rather than at the next start.
    keyring.load(given.secrets_dir, is_production=not given.is_sandbox)
    names = ", ".join(made)
    click.echo(f"{given.secrets_dir}: " + (f"made {names}" if made else "complete, nothing made"))
