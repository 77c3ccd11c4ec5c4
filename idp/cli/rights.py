"""`idp rights`: read what citizens ask for by their rights, and answer."""

import sys

import click

from idp.cli.shared import Refused, services


@click.group("rights")
def group() -> None:
    """Read what citizens ask for by their rights, and answer."""


@group.command("list")
def list_command() -> None:
    """List the open requests, the most urgent first: reference, right, days, and the citizen's own words."""
    from idp.citizens.rights import unanswered  # noqa: PLC0415 (as in cli.shared)
    from idp.core import clock  # noqa: PLC0415

    with services() as provider:
        for asked in unanswered(keyring=provider.keyring):
            days = (clock.day(asked.asked_at), clock.day(asked.answer_due_at), clock.day(asked.done_due_at))
            # One line each, whatever was typed.
            click.echo("\t".join((asked.reference, asked.right.value, *days, " ".join(asked.words.split()))))


@group.command("answer")
@click.argument("reference")
@click.argument("outcome", type=click.Choice(["granted", "refused"]))
def answer_command(reference: str, outcome: str) -> None:
    """Answer the request REFERENCE with the words on standard input, which the citizen reads in their own space."""
    from idp.citizens.rights import LONGEST, State, answer  # noqa: PLC0415 (as in cli.shared)
    from idp.core.database import db  # noqa: PLC0415

    words = sys.stdin.read().strip()
    if not words or len(words) > LONGEST:
        raise Refused(f"give 1 to {LONGEST} characters on standard input: the citizen is owed a reason")
    with services() as provider:
        if not answer(reference.strip().upper(), State(outcome), words, keyring=provider.keyring):
            raise Refused("there is no open request of this reference")
        db.session.commit()
    click.echo("answered")
