"""`idp officers`: who works at which counter.

The number of a person is typed at the prompt or read from standard input, never given as an argument: arguments are
seen by everybody on the machine, and kept in the shell's history.
"""

import sys
from datetime import UTC, datetime
from uuid import UUID

import click

from idp.agencies.clients import may_be_client_id
from idp.citizens import numbers, officers
from idp.citizens.credentials import means_of
from idp.citizens.lookup import find_number
from idp.citizens.numbers import NumberUnreadable
from idp.citizens.officers import AlreadyOfficer
from idp.cli.shared import Refused, services
from idp.core import clock
from idp.core.database import db
from idp.core.i18n import LANGUAGES
from idp.core.levels import Method
from idp.sso import assisted
from idp.sso.services import Services

_LONGEST = 200


@click.group("officers")
def group() -> None:
    """Say who works at which counter."""


@group.command("add")
@click.option("--counter", required=True, metavar="SLUG", help="Short name of the counter.")
@click.option(
    "--name", "names", multiple=True, metavar="LANGUAGE=NAME", help="Name of the counter as citizens read it."
)
@click.option("--service", "services_", multiple=True, metavar="CLIENT_ID", help="A service it may help people into.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day of the work there (UTC).")
def add(counter: str, names: tuple[str, ...], services_: tuple[str, ...], until: datetime | None) -> None:
    """Make a person who has an account here an officer; the number comes from the prompt.

    A new counter needs a Vietnamese name. Names and services that are given replace those of a known one.
    """
    by_language = dict(_name(each) for each in names)
    if not may_be_client_id(counter) or not counter or len(counter) > 64:  # noqa: PLR2004 (the column)
        raise Refused("--counter: needs a short name of plain letters")
    last = None if until is None else until.replace(hour=23, minute=59, second=59, tzinfo=UTC)
    with services() as provider:
        for service in services_:
            if provider.clients.find(service) is None:
                raise Refused(f"--service: there is no client {service}")
        citizen_id = _person(provider)
        try:
            officers.keep_counter(counter, names=by_language, services=services_)
            officers.add(citizen_id, counter, valid_to=last)
        except LookupError:
            raise Refused("--name: a new counter needs a Vietnamese name: --name vi=...") from None
        except AlreadyOfficer:
            raise Refused("this person works at a counter already; `idp officers end` first") from None
        db.session.commit()
        click.echo(f"officer added at {counter}")
        if not means_of(citizen_id) & {Method.HARDWARE_KEY, Method.SOFTWARE_KEY}:
            click.echo("they need a passkey before they can work: /account/passkeys")


@group.command("list")
def list_() -> None:
    """Show every officer: counter, since, until, and the key under which events name them. No person is named."""
    with services():
        for row in officers.listed():
            since = clock.on_the_wall(row.valid_from)
            until = clock.on_the_wall(row.valid_to) if row.valid_to is not None else "-"
            click.echo(f"{row.counter}  {row.id.hex}  since {since}  until {until}")


@group.command("end")
def end() -> None:
    """End a person's work at the counter, and the sessions they helped to open; the number comes from the prompt."""
    with services() as provider:
        citizen_id = _person(provider)
        officer_id = officers.end(citizen_id)
        if officer_id is None:
            raise Refused("this person works at no counter")
        gone = assisted.end_of_officer(officer_id, citizen_id, settings=provider.settings)
        db.session.commit()
        click.echo(f"officer ended, {len(gone)} assisted sessions with them")


def _name(given: str) -> tuple[str, str]:
    language, equals, name = given.partition("=")
    if not equals or language not in LANGUAGES or not name.strip():
        raise Refused(f"--name: needs LANGUAGE=NAME with one of {', '.join(LANGUAGES)}")
    return language, name.strip()


def _person(provider: Services) -> UUID:
    settings = provider.settings
    scheme = numbers.scheme(settings.number_scheme, test_numbers=settings.is_sandbox)
    if sys.stdin.isatty():
        typed = str(click.prompt("Personal identification number", hide_input=True, err=True))
    else:
        typed = sys.stdin.readline(_LONGEST).strip()
    try:
        found = find_number(scheme.name, scheme.canonical(typed), keyring=provider.keyring)
    except NumberUnreadable:
        raise Refused("that is no number of the scheme") from None
    if found is None:
        raise Refused("nobody with this number has an account")
    return found.citizen_id
