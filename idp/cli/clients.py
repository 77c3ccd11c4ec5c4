"""`idp clients`: register the agencies' clients from documents (docs/client-document.md)."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from idp.agencies import apply as acts
from idp.agencies import invitations, logos, outside
from idp.agencies.document import ClientDocument, read
from idp.agencies.lint import Severity, lint
from idp.agencies.logos import Logo
from idp.agencies.metadata import ClientMetadata
from idp.agencies.reading import DocumentRefused
from idp.cli.shared import Refused, services
from idp.core.i18n import LANGUAGES
from idp.core.outbound import Outbound
from idp.core.scopes import SCOPES

MAX_FILE_BYTES = 1_048_576
MAX_LABEL = 100


@click.group("clients")
def group() -> None:
    """Register the agencies' clients."""


@group.command("apply")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--check", is_flag=True, help="Only say what would happen.")
def apply_command(files: tuple[Path, ...], check: bool) -> None:  # noqa: FBT001 (click's way)
    """Create or update the client of every document in FILE..., or none of them.

    A file holds one JSON object or a list of them. A secret that is made is shown once, here, and never again.
    """
    with services() as given:
        try:
            documents = _read(files, is_sandbox=given.settings.is_sandbox)
            pictures = _look(documents, given.outbound)
            applied = acts.apply(documents, is_sandbox=given.settings.is_sandbox, is_trial=check)
        except DocumentRefused as refused:
            raise Refused(*refused.problems) from refused
        for each, document, picture in zip(applied, documents, pictures, strict=True):
            if picture is None and document.metadata.logo_uri is not None:
                click.echo(f"{document.source}: logo_uri: did not answer; the logo stays as it was", err=True)
            elif not check:
                logos.settle(each.client_id, picture)
    for document in documents:
        for finding in lint(document.metadata, is_sandbox=given.settings.is_sandbox):
            if finding.rule.severity is not Severity.NOTE:
                click.echo(f"{document.source}\t{finding.line('en')}", err=True)
    for each in applied:
        click.echo(f"{each.client_id}\t{each.agency_slug}\t{each.outcome}\tversion {each.version}")
        # A trial makes identifiers and secrets that nobody will ever have.
        if each.secret is not None and not check:
            click.echo(f"client_secret of {each.client_id}: {each.secret}")
    if check:
        click.echo("nothing was changed")


@group.command("lint")
@click.argument("subject", metavar="FILE|CLIENT_ID")
@click.option("--lang", "language", default="en", show_default=True, type=click.Choice(LANGUAGES))
def lint_command(subject: str, language: str) -> None:
    """Say what will hurt in the documents of a file, or in a client: one line for each finding, status 1 on errors."""
    is_clean = True
    with services() as given:
        is_sandbox = given.settings.is_sandbox
        for source, metadata in _linted(subject, is_sandbox=is_sandbox):
            for finding in lint(metadata, is_sandbox=is_sandbox):
                click.echo(f"{source}\t{finding.line(language)}")
                is_clean = is_clean and finding.rule.severity is not Severity.ERROR
    if not is_clean:
        raise SystemExit(1)


def _linted(subject: str, *, is_sandbox: bool) -> list[tuple[str, ClientMetadata]]:
    """Return the documents in the file `subject`, or the client of that name, each with its source."""
    if Path(subject).is_file():
        try:
            return [(each.source, each.metadata) for each in _read((Path(subject),), is_sandbox=is_sandbox)]
        except DocumentRefused as refused:
            raise Refused(*refused.problems) from refused
    for client, _ in acts.all_clients():
        if client.client_id == subject:
            return [(subject, ClientMetadata.of_stored(client.document))]
    raise Refused(f"{subject}: is neither a file nor a client; `idp clients list` shows all")


@group.command("list")
def list_command() -> None:
    """List every client: client_id, agency, state, version, name."""
    with services():
        for client, agency in acts.all_clients():
            name = client.document["names"]["vi"]
            click.echo(f"{client.client_id}\t{agency.slug}\t{client.state}\tversion {client.version}\t{name}")


@group.command("suspend")
@click.argument("client_id")
def suspend_command(client_id: str) -> None:
    """Stop CLIENT_ID from being used, within seconds, in every worker."""
    _act(acts.suspend, client_id, done="suspended", else_="was suspended already")


@group.command("resume")
@click.argument("client_id")
def resume_command(client_id: str) -> None:
    """Let the suspended CLIENT_ID be used again."""
    _act(acts.resume, client_id, done="active", else_="was active already")


@group.command("renew-secret")
@click.argument("client_id")
def renew_secret_command(client_id: str) -> None:
    """Make a new secret for CLIENT_ID and show it once; the one before works on for seven days."""
    with services():
        try:
            click.echo(f"client_secret of {client_id}: {acts.renew_secret(client_id)}")
        except acts.UnknownClient as unknown:
            raise Refused(f"{client_id}: there is no such client; `idp clients list` shows all") from unknown
        except acts.ClientWithoutSecret as keyed:
            raise Refused(f"{client_id}: authenticates with its keys and has no secret") from keyed


def _act(act: Callable[[str], bool], client_id: str, *, done: str, else_: str) -> None:
    with services():
        try:
            click.echo(f"{client_id} {done if act(client_id) else else_}")
        except acts.UnknownClient as unknown:
            raise Refused(f"{client_id}: there is no such client; `idp clients list` shows all") from unknown


@group.command("invite")
@click.argument("agency")
@click.option("--scope", "scopes", default="openid", show_default=True, help="The most a client may ask for.")
@click.option("--clients", "number", default=1, show_default=True, type=click.IntRange(1, 1_000))
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 366), help="How long it works.")
@click.option("--label", default="", help="Whom it is for; shown by `invitations`.")
def invite_command(agency: str, scopes: str, number: int, days: int, label: str) -> None:
    """Make a token with which AGENCY (its slug) registers clients at /register. It is shown once."""
    names = scopes.split()
    if unknown := [name for name in names if name not in SCOPES]:
        raise Refused(f"--scope: {unknown[0]} is none of {' '.join(SCOPES)}")
    if "openid" not in names:
        raise Refused("--scope: must contain openid")
    if len(label) > MAX_LABEL:
        raise Refused(f"--label: must have at most {MAX_LABEL} characters")
    with services():
        try:
            token = invitations.invite(agency, label=label, scopes=names, clients=number, life=timedelta(days=days))
        except invitations.UnknownAgency as unknown_agency:
            raise Refused(f"{agency}: there is no such agency; apply a first client of it") from unknown_agency
    click.echo(f"initial_access_token for {agency}: {token}")


@group.command("invitations")
def invitations_command() -> None:
    """List the tokens made by `invite`: id, agency, clients left, last day, label."""
    with services():
        for each in invitations.issued():
            state = "revoked" if each.is_revoked else f"{each.clients_left} left"
            click.echo(f"{each.id}\t{each.agency_slug}\t{state}\tuntil {each.expires_at:%Y-%m-%d}\t{each.label}")


@group.command("revoke-invitation")
@click.argument("invitation", type=click.UUID)
def revoke_invitation_command(invitation: UUID) -> None:
    """End the token with this id; clients registered with it stay."""
    with services():
        try:
            invitations.revoke(invitation)
        except invitations.UnknownInvitation as unknown:
            raise Refused(f"{invitation}: is unknown or revoked; `idp clients invitations` shows all") from unknown
    click.echo(f"{invitation} revoked")


def _look(documents: list[ClientDocument], outbound: Outbound) -> list[Logo | None]:
    """Ask the clients' own servers what only they can say; every document's problems are told together."""
    pictures: list[Logo | None] = []
    problems: list[str] = []
    for document in documents:
        try:
            pictures.append(outside.look(document, outbound))
        except DocumentRefused as refused:
            problems.extend(refused.problems)
    if problems:
        raise DocumentRefused(problems)
    return pictures


def _read(files: tuple[Path, ...], *, is_sandbox: bool) -> list[ClientDocument]:
    documents: list[ClientDocument] = []
    problems: list[str] = []
    for file in files:
        try:
            found = list(_members(file))
        except DocumentRefused as refused:
            problems.extend(refused.problems)
            continue
        for source, members in found:
            try:
                documents.append(read(members, source=source, is_sandbox=is_sandbox))
            except DocumentRefused as refused:
                problems.extend(refused.problems)
    if problems:
        raise DocumentRefused(problems)
    return documents


def _members(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield each document in `file` with its place, for messages."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise DocumentRefused([f"{file}: is larger than {MAX_FILE_BYTES} bytes"])
        parsed = json.loads(file.read_text("utf-8"), object_pairs_hook=_distinct)
    except OSError as error:
        raise DocumentRefused([f"{file}: cannot be read ({error.strerror})"]) from error
    except json.JSONDecodeError as error:
        raise DocumentRefused([f"{file}:{error.lineno}:{error.colno}: is not JSON ({error.msg})"]) from error
    except (ValueError, RecursionError) as error:
        raise DocumentRefused([f"{file}: is not JSON in UTF-8 with distinct members ({error})"]) from error
    if isinstance(parsed, list):
        for number, members in enumerate(parsed):
            yield f"{file}[{number}]", members
    else:
        yield str(file), parsed


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(name for name in members if [key for key, _ in pairs].count(name) > 1)
        raise ValueError(f"{twice} is given twice")
    return members
