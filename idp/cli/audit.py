"""`idp audit`: seal the trail of what was done, verify it, prove and export from it.

These commands need the database and at most the key of the checkpoints, never the keyring: they can run where no
worker does.
"""

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import click

from idp.cli.shared import Refused, settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from idp.audit.job import Sealing
    from idp.audit.notes import Checkpoint, Verifier
    from idp.core.settings import Settings

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_SEQ: Final = click.IntRange(min=0)
_POLL_SECONDS: Final = 1.0


@click.group("audit")
def group() -> None:
    """Seal the audit trail, verify it, prove and export from it."""


@group.command("init")
def init_command() -> None:
    """Make the key that signs checkpoints unless there is one, and print what others verify by.

    Keep the line apart from the database, and give it to whoever shall be able to verify.
    """
    from idp.audit import job, notes  # noqa: PLC0415 (as in cli.shared)

    given = settings()
    path = job.key_path(given)
    click.echo(f"{path}: " + ("made" if notes.create(path) else "there already"), err=True)
    click.echo(str(notes.load(path, notes.origin_of(given.issuer), is_production=not given.is_sandbox).verifier))


@group.command("seal")
@click.option("--follow", is_flag=True, help="Go on until SIGTERM or SIGINT.")
@click.option("--sweep", "days", type=click.IntRange(1), help="Look this many days back for events dated wrongly.")
def seal_command(follow: bool, days: int | None) -> None:  # noqa: FBT001 (click's way)
    """Seal what is not sealed yet.

    The workers of `idp serve` do this where the key is in their reach. Several at once do no harm.
    """
    from datetime import timedelta  # noqa: PLC0415

    from idp.audit import job, sealing  # noqa: PLC0415 (as above)
    from idp.core import clock, runner  # noqa: PLC0415
    from idp.core.database import hot_path  # noqa: PLC0415

    with _trail() as (given, engine):
        key = job.key_of(given)
        if key is None:
            raise Refused(f"{job.key_path(given)} is missing; `idp audit init` makes it")
        if days is not None:
            swept = sealing.sweep(engine, key, since=clock.now() - timedelta(days=days))
            click.echo(f"{swept} events dated wrongly are sealed")
        sealer = job.Sealing(engine, hot_path(given.database_url), key, given)
        stop = _stopping(sealer)
        if follow:
            runner.run(sealer, stop)
        else:
            click.echo(f"{sealer.run_due(stop)} events sealed")


@group.command("verify")
@click.option("--from", "start", default=0, type=_SEQ, help="Compare events from this number on.")
@click.option("--to", "last", type=_SEQ, help="Compare events up to this number.")
@click.option("--checkpoint", "files", multiple=True, type=_FILE, help="Checkpoints kept elsewhere; may be repeated.")
@click.option("--key", "keys", multiple=True, help="What `idp audit init` printed, where the key is not; repeatable.")
def verify_command(start: int, last: int | None, files: Sequence[Path], keys: Sequence[str]) -> None:
    """Compare the trail with what was sealed; exit status 1 when anything differs.

    A line for each difference: what it is, a tab, the number or numbers. Checkpoints that were kept elsewhere find what
    those in the database cannot: a trail that was cut short, or that goes on differently since a backup came back.
    """
    from idp.audit.verifying import verify  # noqa: PLC0415 (as above)

    with _trail() as (given, engine):
        verifiers = _verifiers(given, keys)
        elsewhere = [each for path in files for each in _checkpoints(path, verifiers)]
        report = verify(engine, verifiers, elsewhere=elsewhere, start=start, end=None if last is None else last + 1)
    for finding in report.findings:
        click.echo(str(finding))
    told = f"{report.size} events sealed, {report.pruned} of them pruned, {report.unsealed} waiting"
    click.echo(f"{told}; " + (f"{len(report.findings)} differences" if report.findings else "no difference"), err=True)
    if report.findings:
        raise SystemExit(1)


@group.command("checkpoint")
def checkpoint_command() -> None:
    """Print the newest checkpoint, to be kept elsewhere."""
    from idp.audit import proving  # noqa: PLC0415 (as above)

    with _trail() as (_, engine), _refusing(), engine.begin() as connection:
        click.echo(proving.newest(connection).note, nl=False)


@group.command("prove")
@click.argument("numbers", metavar="SEQ | SIZE SIZE", type=_SEQ, nargs=-1, required=True)
def prove_command(numbers: Sequence[int]) -> None:
    """Print the proof that event SEQ is sealed, or that the trail of one SIZE is the beginning of a later one."""
    from idp.audit import proving  # noqa: PLC0415 (as above)

    with _trail() as (_, engine), _refusing():
        if len(numbers) == 1:
            found = proving.prove(engine, numbers[0])
        elif len(numbers) == 2:  # noqa: PLR2004
            found = proving.prove_consistency(engine, *numbers)
        else:
            raise Refused("give the number of one event, or the sizes of two checkpoints")
    _print(found)


@group.command("extract")
@click.option(
    "--citizen", is_flag=True, help="Of the citizen whose number stands on standard input (needs the keyring)."
)
@click.option("--citizen-key", type=click.UUID, help="Of the citizen with this row key.")
@click.option("--client", "client_id", help="Of the client with this client_id.")
def extract_command(citizen: bool, citizen_key: UUID | None, client_id: str | None) -> None:  # noqa: FBT001
    """Print all sealed events of a citizen or a client with their proofs.

    clients/verify_extract.py checks the file anywhere, with nothing but the line that `idp audit init` printed.
    """
    from idp.audit import proving  # noqa: PLC0415 (as above)

    if [citizen, citizen_key is not None, client_id is not None].count(True) != 1:
        raise Refused("name one of --citizen, --citizen-key and --client")
    if citizen:
        citizen_key = _citizen_typed()
    with _trail() as (_, engine), _refusing():
        client_key = None if client_id is None else _client_key(engine, client_id)
        _print(proving.extract(engine, citizen_id=citizen_key, client_id=client_key))


@group.command("export")
@click.option("--from", "start", default=0, type=_SEQ, help="Begin at this number.")
@click.option("--to", "last", type=_SEQ, help="End with this number.")
@click.option("--cursor", type=_FILE, help="File with the next number; read at the beginning and kept up to date.")
@click.option("--form", type=click.Choice(["json", "syslog"]), default="json", show_default=True, help="How to write.")
@click.option("--follow", is_flag=True, help="Go on with what is sealed later, until SIGTERM or SIGINT.")
def export_command(start: int, last: int | None, cursor: Path | None, form: str, follow: bool) -> None:  # noqa: FBT001
    """Write sealed events to standard output for a log collector, in their order.

    `json` is a line for each event, `syslog` RFC 5424 framed by length as on TLS (RFC 5425).
    """
    from idp.audit import exporting  # noqa: PLC0415 (as above)

    stop = _stopping()
    with _trail() as (given, engine):
        host = urlsplit(given.issuer).hostname or "-"
        if cursor is not None and cursor.exists():
            start = _number_in(cursor)
        while not stop.is_set():
            for page in exporting.pages(engine, start=start, end=None if last is None else last + 1):
                for event in page:
                    sys.stdout.write(exporting.written(event, exporting.Form(form), host=host))
                sys.stdout.flush()
                start = page[-1].seq + 1
                if cursor is not None:
                    # After the events: what is written twice after a crash can be told by its number.
                    exporting.keep(cursor, start)
                if stop.is_set():
                    return
            if not follow:
                return
            stop.wait(_POLL_SECONDS)


@group.command("grants")
@click.option(
    "--application", required=True, metavar="ROLE", help="The role of IDP_DATABASE_URL where requests are served."
)
@click.option(
    "--sealer", required=True, metavar="ROLE", help="The role of IDP_DATABASE_URL where `idp audit seal` runs."
)
@click.option("--schema", default="public", show_default=True, help="Where the tables are.")
def grants_command(application: str, sealer: str, schema: str) -> None:
    """Print the SQL by which the application can add events on PostgreSQL, and neither change nor delete one.

    For the owner of the tables, after each `idp db upgrade`: idp audit grants ... | psql
    """
    from idp.audit import grants  # noqa: PLC0415 (as above)

    click.echo(grants.script(application, sealer, schema=schema), nl=False)


@contextmanager
def _trail() -> "Iterator[tuple[Settings, sa.Engine]]":
    import sqlalchemy as sa  # noqa: PLC0415 (as above)

    from idp.core.database import driver_url, engine_options, prepare_engine  # noqa: PLC0415

    given = settings()
    engine = sa.create_engine(driver_url(given.database_url), **engine_options(given.database_url))
    prepare_engine(engine)
    try:
        yield given, engine
    except sa.exc.OperationalError as error:
        raise Refused(f"the database does not answer ({type(error).__name__})") from None
    finally:
        engine.dispose()


@contextmanager
def _refusing() -> Iterator[None]:
    from idp.audit.proving import ProofRefused  # noqa: PLC0415 (as above)
    from idp.audit.tree import HashMissing  # noqa: PLC0415

    try:
        yield
    except ProofRefused as refused:
        raise Refused(str(refused)) from None
    except HashMissing as missing:
        raise Refused(f"hashes are missing near event {missing}; `idp audit verify` says more") from None


def _stopping(sealer: "Sealing | None" = None) -> threading.Event:
    """Return what SIGTERM and SIGINT set; a sealer that sleeps is woken."""
    from idp.core import runner  # noqa: PLC0415 (as above)

    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        if sealer is not None:
            runner.wake(sealer.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


def _verifiers(given: "Settings", keys: Sequence[str]) -> "list[Verifier]":
    from idp.audit import job  # noqa: PLC0415 (as above)
    from idp.audit.notes import NoteRefused, Verifier  # noqa: PLC0415

    try:
        found = [Verifier.parse(each) for each in keys]
    except NoteRefused as refused:
        raise Refused(f"--key: {refused}") from None
    own = None if keys else job.key_of(given)
    if own is not None:
        found.append(own.verifier)
    if not found:
        raise Refused("there is no key here to verify by; give --key, the line that `idp audit init` printed")
    return found


def _checkpoints(path: Path, verifiers: "Sequence[Verifier]") -> "Iterator[Checkpoint]":
    from idp.audit.notes import NoteRefused, notes_in, opened  # noqa: PLC0415 (as above)

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read ({type(error).__name__})") from None
    for number, note in enumerate(notes_in(text), start=1):
        try:
            yield opened(note, verifiers)
        except NoteRefused as refused:
            raise Refused(f"{path}: checkpoint {number}: {refused}") from None


def _number_in(cursor: Path) -> int:
    from idp.audit.exporting import kept  # noqa: PLC0415 (as above)

    try:
        return kept(cursor)
    except (OSError, ValueError):
        raise Refused(f"{cursor}: is no cursor; remove it, and say with --from where to go on") from None


def _citizen_typed() -> UUID:
    from idp.cli.citizens import citizen_typed  # noqa: PLC0415 (as above)
    from idp.cli.shared import services  # noqa: PLC0415

    with services() as provider:
        return citizen_typed(provider)


def _client_key(engine: "sa.Engine", client_id: str) -> UUID:
    import sqlalchemy as sa  # noqa: PLC0415 (as above)

    from idp.agencies.models import Client  # noqa: PLC0415

    with engine.begin() as connection:
        key = connection.scalar(sa.select(Client.id).where(Client.client_id == client_id))
    if key is None:
        raise Refused(f"there is no client {client_id}")
    return key


def _print(found: dict[str, Any]) -> None:
    click.echo(json.dumps(found, ensure_ascii=False, indent=1))
