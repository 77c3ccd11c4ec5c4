"""`idp upstream`: the identity providers that are federated (docs/upstream.md)."""

import json
from datetime import datetime
from pathlib import Path

import click

from idp.agencies.reading import DocumentRefused
from idp.cli.shared import Refused, services
from idp.core import clock
from idp.core.ids import new_id
from idp.core.levels import Level
from idp.oidc.endings import end_incident
from idp.sso.services import Services
from idp.upstream import apply as acts
from idp.upstream import cuts
from idp.upstream.channel import Channel
from idp.upstream.check import Check
from idp.upstream.document import read
from idp.upstream.finding import Finding, Verdict
from idp.upstream.health import Breakers
from idp.upstream.models import ProviderState
from idp.upstream.record import Provider

MAX_FILE_BYTES = 262_144
_WHEN = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"])


@click.group("upstream")
def group() -> None:
    """Keep the identity providers that citizens may come by."""


@group.command("add")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
def add_command(file: Path) -> None:
    """Create or change the provider of the document in FILE, within seconds, in every worker.

    The secret in it is sealed and never shown again; a document without one keeps the secret there is, unless an
    address that receives it changes.
    """
    with services() as given:
        members = _members(file)
        known = isinstance(members, dict) and acts.keeps_secret(members)
        try:
            document = read(members, source=str(file), is_sandbox=given.settings.is_sandbox, has_secret=known)
        except DocumentRefused as refused:
            raise Refused(*refused.problems) from refused
        provider, is_new = acts.apply(document, keyring=given.keyring)
        click.echo(f"{provider.slug}\t{'created' if is_new else 'updated'}\tversion {provider.version}")
        for name, value in given.upstream.to_register(provider.slug, document.record).items():
            click.echo(f"{name}\t{value}")


@group.command("check")
@click.argument("provider", metavar="SLUG|FILE")
def check_command(provider: str) -> None:
    """Look a provider over, or the document in FILE before it is added; say what is wrong and whom to tell.

    Asks its machines: metadata, keys, and a made-up code to see whether it knows us. Changes nothing here. The exit
    status is 1 when something is wrong.
    """
    with services() as given:
        found = _found(provider, given)
        settings = given.settings
        channel = Channel(given.outbound, given.signing_keys, Breakers(given.hot_path))
        check = Check(given.outbound, channel, is_sandbox=settings.is_sandbox, own_keys=given.upstream.jwks_uri)
        click.echo(f"{found.slug}\t{found.issuer}\n")
        verdicts = [_tell(finding) for finding in check.walk(found, given.upstream.redirect_uri(found))]
        click.echo("\nThey have to register for us:\n")
        click.echo(f"  client_id\t{found.client_id}")
        for name, value in given.upstream.to_register(found.slug, found).items():
            click.echo(f"  {name}\t{value}")
        if problems := verdicts.count(Verdict.WRONG):
            click.echo(f"\n{problems} to put right before citizens come by it.")
            raise click.exceptions.Exit(1)
        click.echo(
            f"\nNothing is wrong as far as machines can tell. Now sign in once: open {settings.issuer}/account, choose "
            f"{found.name('vi')},\nand use an account of yours there. A refusal is in the trail as "
            "upstream:login:refused; docs/upstream.md says what its reason means."
        )


@group.command("list")
def list_command() -> None:
    """List every provider: slug, state, version, issuer, name. One that cannot be used says so."""
    with services() as given:
        for row in acts.all_providers():
            try:
                read(
                    row.document,
                    source=row.slug,
                    is_sandbox=given.settings.is_sandbox,
                    has_secret=row.client_secret is not None,
                )
                state = row.state
            except DocumentRefused:
                # The rules became stricter since; applying the document again names the members.
                state = "unusable"
            name = row.document.get("name")
            shown = name.get("vi", "") if isinstance(name, dict) else name
            click.echo(f"{row.slug}\t{state}\tversion {row.version}\t{row.document.get('issuer')}\t{shown}")


@group.command("disable")
@click.argument("slug")
def disable_command(slug: str) -> None:
    """Let nobody come by SLUG any more, nor go on with a session that came by it."""
    _switch(slug, ProviderState.DISABLED)


@group.command("enable")
@click.argument("slug")
def enable_command(slug: str) -> None:
    """Let citizens come by the disabled SLUG again."""
    _switch(slug, ProviderState.ENABLED)


@group.command("cut")
@click.argument("slug")
@click.option("--agency", "agencies", multiple=True, help="Slug of an agency; several may be named. Without: all.")
@click.option("--level", type=click.Choice(["loa1", "loa2", "loa3"]), help="From this level on. Without: every.")
@click.option("--reason-vi", required=True, help="Why, for everybody to read, in Vietnamese.")
@click.option("--reason-en", help="The same in English.")
@click.option("--reason-fr", help="The same in French.")
@click.option("--from", "since", type=_WHEN, help="When it begins. Without: now.")
@click.option("--until", type=_WHEN, help="When it ends. Without: by `uncut`.")
@click.option("--end-sessions-since", "ended_since", type=_WHEN, help="Also end sessions that came by it since then.")
def cut_command(
    slug: str,
    agencies: tuple[str, ...],
    level: str | None,
    since: datetime | None,
    until: datetime | None,
    ended_since: datetime | None,
    **reasons: str | None,
) -> None:
    """Cut SLUG off for an incident: no new sign-in by it, nor the use of a session that came by it.

    Times are those of Viet Nam. The reason stands on the sign-in page with the dates. Agencies that sessions ended
    here had reached are told as after any sign-out.
    """
    with services():
        try:
            incident = cuts.described(
                agencies=agencies,
                level=None if level is None else Level(int(level[-1])),
                reasons={name[-2:]: text for name, text in reasons.items()},
                since=_instant(since),
                until=_instant(until),
            )
            cuts.cut(slug, incident)
        except cuts.CutRefused as refused:
            raise Refused(*(f"--{member}: {what}" for member, what in refused.problems)) from refused
        except acts.UnknownProvider as unknown:
            raise Refused(f"{slug}: there is no such provider; `idp upstream list` shows all") from unknown
        click.echo(f"{slug} cut off")
        if (window := _instant(ended_since)) is not None:
            click.echo(f"sessions ended\t{end_incident(slug, since=window, level=incident.level)}")


@group.command("uncut")
@click.argument("slug")
def uncut_command(slug: str) -> None:
    """End the incident of SLUG."""
    with services():
        try:
            is_changed = cuts.uncut(slug)
        except acts.UnknownProvider as unknown:
            raise Refused(f"{slug}: there is no such provider; `idp upstream list` shows all") from unknown
    click.echo(f"{slug} {'no longer cut off' if is_changed else 'was not cut off'}")


def _instant(wall: datetime | None) -> datetime | None:
    return None if wall is None else wall.replace(tzinfo=clock.VIETNAM)


def _found(name: str, given: Services) -> Provider:
    """Return the provider called `name`, or the one described in the file `name`."""
    if not Path(name).is_file():
        if (known := given.providers.find(name)) is None:
            raise Refused(f"{name}: neither a file nor a provider that can be used; `idp upstream list` shows all")
        return known
    members = _members(Path(name))
    secret = None
    if isinstance(members, dict) and acts.keeps_secret(members):
        known = given.providers.find(str(members["slug"]))
        secret = None if known is None else known.secret
    try:
        document = read(members, source=name, is_sandbox=given.settings.is_sandbox, has_secret=secret is not None)
    except DocumentRefused as refused:
        raise Refused(*refused.problems) from refused
    return Provider.of(
        document.record,
        provider_id=new_id(),
        slug=document.slug,
        version=0,
        is_enabled=True,
        secret=secret if document.secret is None else document.secret,
    )


def _tell(finding: Finding) -> Verdict:
    click.echo(f"{finding.verdict:5}  {finding.words}")
    if finding.advice is not None:
        click.echo(f"       {finding.advice}")
    return finding.verdict


def _switch(slug: str, state: ProviderState) -> None:
    with services():
        try:
            is_changed = acts.set_state(slug, state)
        except acts.UnknownProvider as unknown:
            raise Refused(f"{slug}: there is no such provider; `idp upstream list` shows all") from unknown
    click.echo(f"{slug} {state if is_changed else f'was {state} already'}")


def _members(file: Path) -> object:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise Refused(f"{file}: is larger than {MAX_FILE_BYTES} bytes")
        return json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise Refused(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{file}: is not JSON in UTF-8") from error
