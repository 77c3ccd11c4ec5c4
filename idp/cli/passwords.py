"""`idp passwords`: what passwords citizens may not choose."""

from pathlib import Path
from typing import IO

import click

from idp.cli.shared import Refused, settings


@click.group("passwords")
def group() -> None:
    """Keep the list of passwords that nobody may choose."""


@group.group("blocklist")
def blocklist_group() -> None:
    """Build and look at the list of passwords that are known to attackers."""


@blocklist_group.command("build")
@click.argument("file", type=click.File("rb"))
def build_command(file: IO[bytes]) -> None:
    """Build the list at IDP_PASSWORD_BLOCKLIST from FILE (- for standard input).

    Lines are passwords, or SHA-1 hashes in hex with `:COUNT` or without, in any order. The old list is used until the
    new one is whole.
    """
    from idp.citizens.credentials import blocklist  # noqa: PLC0415 (as in cli.shared)

    click.echo(f"{_path()}: {blocklist.build(file, _path())} passwords")


@blocklist_group.command("show")
def show_command() -> None:
    """Say how many passwords are on the list, and of when it is."""
    from idp.citizens.credentials import blocklist  # noqa: PLC0415

    try:
        found = blocklist.summary(_path())
    except blocklist.BlocklistRefused as refused:
        raise Refused(str(refused)) from refused
    click.echo(f"{_path()}\t{found.entries} passwords\t{found.size} bytes\t{found.built_at:%Y-%m-%dT%H:%MZ}")


def _path() -> Path:
    path = settings().password_blocklist
    if path is None:
        raise Refused("IDP_PASSWORD_BLOCKLIST: is empty; name the file in which the list is kept")
    return path
