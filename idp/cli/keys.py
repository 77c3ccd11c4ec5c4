"""`idp keys`: show and rotate our keys: those we sign with, and those that providers encrypt their answers to."""

from collections.abc import Iterable

import click

from idp.cli.shared import services
from idp.keys import rotation


@click.group("keys")
def group() -> None:
    """Show and rotate our keys: for signing, and for what identity providers encrypt to us."""


@group.command("list")
def list_command() -> None:
    """List every key there ever was: kid, algorithm, state, when it was made, began and stopped signing."""
    with services():
        for key in rotation.all_keys():
            times = (key.created_at, key.activated_at, key.retired_at)
            click.echo(
                "\t".join(
                    (key.kid, key.algorithm, key.state, *(f"{at:%Y-%m-%dT%H:%MZ}" if at else "-" for at in times))
                )
            )


@group.command("rotate")
@click.option("--algorithm", type=click.Choice(rotation.ALGORITHMS), help="Only keys of this algorithm.")
@click.option("--emergency", is_flag=True, help="A private key may be known: a new key signs at once, the old is void.")
def rotate_command(algorithm: str | None, emergency: bool) -> None:  # noqa: FBT001 (click's way)
    """Publish the next signing keys and do what is due.

    A published key signs after 24 hours, by then every portal has seen it; `idp housekeeping` moves it on. The key
    before stays published for 48 hours. One that providers encrypt to is made by `idp upstream add` where a record asks
    for it, or here by its name; after its turn it opens answers for 48 hours more, unpublished. Nothing else is needed,
    and running it twice changes nothing.
    """
    with services() as given:
        changes = rotation.rotate(given.keyring, algorithm, emergency=emergency)
        print_changes((*changes, *rotation.advance(given.keyring)))


def print_changes(changes: Iterable[rotation.KeyChange]) -> None:
    """Print each key that changed and its new state, or that none did."""
    lines = [f"{change.kid}\t{change.algorithm}\t{change.state}" for change in changes]
    click.echo("\n".join(lines) if lines else "no key changed")
