"""`idp requests`: what clients asked of the endpoints in the last seven days, and why it was refused."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from idp.cli.shared import Refused, services

if TYPE_CHECKING:
    from idp.inspector.entry import Entry, Shown

_AGO: Final = re.compile(r"([0-9]{1,4})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


@click.group("requests")
def group() -> None:
    """Look at the requests of clients, and see what to mend."""


@group.command("list")
@click.option("--client", "client_id", help="Only those of this client_id.")
@click.option("--since", default="1h", show_default=True, help="How far back: 30m, 2h or 7d.")
@click.option("--failed", is_flag=True, help="Only those that were refused.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
def list_command(client_id: str | None, since: str, failed: bool, limit: int) -> None:  # noqa: FBT001 (click's way)
    """List requests, the newest first.

    A line for each: time, reference, client, endpoint, outcome, OAuth error, where the rule stands. Of
    successes, and of a flood, a sample is kept. A client whose name stands in brackets was named and not proven.
    """
    from idp.core import clock  # noqa: PLC0415 (as in cli.shared)

    age = _AGO.fullmatch(since)
    if age is None:
        raise Refused("--since needs a number and m, h or d, such as 30m, 2h or 7d")
    begin = clock.now() - timedelta(**{_UNITS[age[2]]: int(age[1])})
    with services() as given:
        if client_id is not None and given.clients.find(client_id) is None:
            raise Refused(f"there is no client {client_id}")
        for entry in islice(_all(client_id, begin, is_failed=failed), limit):
            section = entry.explanation.section if entry.explanation else "-"
            said = (entry.endpoint.value, entry.outcome, entry.oauth_error or "-", section)
            click.echo("\t".join((f"{entry.at:%Y-%m-%dT%H:%M:%SZ}", entry.reference, _name(entry), *said)))


def _all(client_id: str | None, since: datetime, *, is_failed: bool) -> "Iterator[Entry]":
    from idp import inspector  # noqa: PLC0415 (as in cli.shared)

    after = None
    while True:
        page = inspector.find(
            client_ids=None if client_id is None else (client_id,), since=since, is_failed=is_failed, after=after
        )
        yield from page.entries
        after = page.after
        if after is None:
            return


@group.command("show")
@click.argument("reference")
@click.option("--language", default="en", show_default=True, type=click.Choice(["vi", "en", "fr"]), help="Of the why.")
def show_command(reference: str, language: str) -> None:
    """Say what came under REFERENCE, why it was refused and what to change.

    The reference stands on every error page, in error_description and in our log.
    """
    from idp import inspector  # noqa: PLC0415 (as in cli.shared)

    with services():
        entries = inspector.find(reference=reference).entries
    if not entries:
        raise Refused(
            "nothing is kept under this reference: it is older than seven days, younger than two seconds, no request "
            "of a client, or one of many of which a sample is kept"
        )
    for entry in entries:
        for line in _told(entry, language):
            click.echo(line)


def _told(entry: "Entry", language: str) -> Iterator[str]:
    yield f"{entry.reference}  {entry.at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"client      {_name(entry)}"
    yield f"endpoint    {entry.endpoint.value}"
    told = f", told as {entry.oauth_error}" if entry.oauth_error else ""
    yield f"outcome     {entry.outcome}, HTTP {entry.status}{told}"
    if entry.explanation is not None:
        yield f"rule        {entry.explanation.section}"
        yield f"why         {entry.explanation.why(language)}"
        yield f"to change   {entry.explanation.mend(language)}"
    if entry.parameters:
        yield "sent"
    for name, shown in entry.parameters.items():
        yield f"  {_parameter(name, shown)}"


def _name(entry: "Entry") -> str:
    if entry.client_id is None:
        return "-"
    return entry.client_id if entry.is_proven else f"({entry.client_id})"


def _parameter(name: str, shown: "Shown") -> str:
    if name == "?":
        return f"{shown.length} parameters with names that we do not know"
    twice = ", sent more than once" if shown.is_repeated else ""
    if name.startswith("?"):
        return f"a name that we do not know, like {name[1:]}: {shown.length} characters"
    if shown.value is None:
        return f"{name}: {shown.length} characters{twice}"
    return f"{name}: {shown.value}{twice}"
