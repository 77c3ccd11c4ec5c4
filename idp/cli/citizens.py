"""`idp citizens`: enrol citizens from files, and act on one account by its number."""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from sqlalchemy.exc import IntegrityError

from idp.citizens.documents import DocumentsRefused, Problem, Row
from idp.citizens.enrolment import EnrolmentResult, import_documents
from idp.cli.shared import Refused, services

if TYPE_CHECKING:
    from idp.sso.services import Services


@click.group("citizens")
def group() -> None:
    """Enrol citizens and keep their accounts."""


@group.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
def import_command(files: tuple[Path, ...]) -> None:
    """Enrol the people of each FILE, or nobody when one row has a mistake.

    A FILE holds citizen documents as a JSON list, as JSON lines (one document a line), or, when its name ends in
    .csv, as a table with a heading (address.formatted, register.outcome for parts of an object). A number that is
    known updates its citizen. docs/citizen-document.md describes the members.
    """
    for line in report(import_files(files)):
        click.echo(line)


@group.command("recheck")
def recheck_command() -> None:
    """Ask the register about the citizen whose number stands on standard input, and heed what it says.

    For a push from the register's side. Prints one word; a word that forbids the account ends everything it has open.
    """
    from idp.oidc.rechecks import recheck  # noqa: PLC0415 (as in cli.shared)

    with services() as provider:
        click.echo(recheck(citizen_typed(provider), provider=provider).value)


@group.command("block")
def block_command() -> None:
    """Block the account of the citizen whose number stands on standard input, and end everything it has open.

    The citizen is told. A locked or closed account is refused: nobody signs in to it anyway.
    """
    from idp.citizens import locking  # noqa: PLC0415
    from idp.core.database import db  # noqa: PLC0415
    from idp.oidc import endings  # noqa: PLC0415

    with services() as provider:
        citizen_id = citizen_typed(provider)
        if not locking.block(citizen_id, keyring=provider.keyring):
            raise Refused("this account cannot be used: it is blocked, locked or closed already")
        ended = endings.end_everything(citizen_id, reason="blocked")
        db.session.commit()
        click.echo(f"blocked; sessions ended: {len(ended)}")


@group.command("unblock")
def unblock_command() -> None:
    """Lift the block on the account of the citizen whose number stands on standard input. The citizen is told."""
    from idp.citizens import locking  # noqa: PLC0415
    from idp.core.database import db  # noqa: PLC0415

    with services() as provider:
        if not locking.unblock(citizen_typed(provider), keyring=provider.keyring):
            raise Refused("this account is not blocked")
        db.session.commit()
        click.echo("unblocked")


def citizen_typed(provider: "Services") -> UUID:
    """Return the citizen whose number stands on standard input: others on the machine read command lines."""
    from idp.citizens import numbers  # noqa: PLC0415
    from idp.citizens.lookup import find_number  # noqa: PLC0415
    from idp.core.database import db  # noqa: PLC0415

    scheme = numbers.scheme(provider.settings.number_scheme, test_numbers=provider.settings.is_sandbox)
    try:
        found = find_number(scheme.name, scheme.canonical(sys.stdin.read().strip()), keyring=provider.keyring)
    except numbers.NumberUnreadable:
        found = None
    db.session.commit()
    if found is None:
        raise Refused("standard input holds no number of a citizen")
    return found.citizen_id


@group.command("report")
@click.argument("reference")
def report_command(reference: str) -> None:
    """Show what a citizen reported as not theirs, by the reference they were given: key, kind, time and account."""
    import sqlalchemy as sa  # noqa: PLC0415 (as in cli.shared)

    from idp.citizens.models import Citizen  # noqa: PLC0415
    from idp.core.database import db  # noqa: PLC0415
    from idp.sso.disowned import Disowned  # noqa: PLC0415

    with services():
        found = db.session.execute(
            sa.select(Disowned, Citizen.state)
            .join(Citizen, Citizen.id == Disowned.citizen_id)
            .where(Disowned.reference == reference.strip().upper())
        ).one_or_none()
        if found is None:
            raise Refused("there is no report of this reference")
        made, state = found
        about = str(made.session_id) if made.session_id is not None else "-"
        click.echo(
            "\t".join((made.reference, made.kind, f"{made.at:%Y-%m-%dT%H:%MZ}", str(made.citizen_id), about, state))
        )


def import_files(files: Sequence[Path]) -> tuple[EnrolmentResult, ...]:
    """Enrol the people of all `files`, in order, or nobody. Raises Refused with one line a problem."""
    try:
        rows = [row for path in files for row in read_rows(path)]
        with services() as provider:
            return import_documents(
                rows, settings=provider.settings, keyring=provider.keyring, registry=provider.registry
            )
    except DocumentsRefused as refused:
        raise Refused(*map(str, refused.problems), "nothing was imported") from None
    except IntegrityError:
        raise Refused(
            "another import enrolled one of these numbers just now; nothing was imported, try again"
        ) from None


def report(results: Sequence[EnrolmentResult]) -> Iterator[str]:
    """Yield what an import did: counts, no person."""
    new = sum(result.is_new for result in results)
    yield f"{len(results)} citizens: {new} enrolled, {len(results) - new} updated"
    for (outcome, proofing), count in sorted(
        Counter((result.outcome.value, result.proofing.value) for result in results).items()
    ):
        yield f"  {count} register {outcome}, identity {proofing}"


def read_rows(path: Path) -> list[Row]:
    """Return the documents of a file. Raises DocumentsRefused naming file and row."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(str(path), "is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise _refused(str(path), f"cannot be read ({error.strerror})") from None
    rows = list(_table(path, text) if path.suffix.lower() == ".csv" else _documents(path, text))
    if not rows:
        raise _refused(str(path), "holds no citizen document")
    return rows


def _documents(path: Path, text: str) -> Iterator[Row]:
    try:
        whole = json.loads(text, object_pairs_hook=_without_repetition)
    except _Repeated as repeated:
        raise _refused(str(path), f"has the member {repeated} twice in one object") from None
    except (json.JSONDecodeError, RecursionError) as error:
        if not text.lstrip().startswith("{"):
            line = getattr(error, "lineno", 1)
            raise _refused(f"{path}: line {line}", "is not JSON; give a list of documents, or one a line") from None
        yield from _lines(path, text)
        return
    documents = whole if isinstance(whole, list) else [whole]
    for number, document in enumerate(documents, start=1):
        yield _row(f"{path}: row {number}", document)


def _lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{path}: row {number}"
        try:
            document = json.loads(line, object_pairs_hook=_without_repetition)
        except _Repeated as repeated:
            raise _refused(place, f"has the member {repeated} twice") from None
        except (json.JSONDecodeError, RecursionError):
            raise _refused(place, "is not one JSON object") from None
        yield _row(place, document)


def _table(path: Path, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heading = [name.strip() for name in next(reader, [])]
        if len(set(heading)) != len(heading):
            raise _refused(f"{path}: heading", "names a column twice")
        for cells in reader:
            place = f"{path}: row {reader.line_num}"
            if not any(cells):
                continue
            if len(cells) != len(heading):
                raise _refused(place, f"has {len(cells)} cells where the heading has {len(heading)}")
            yield Row(place, _nested(place, zip(heading, cells, strict=True)))
    except csv.Error:
        raise _refused(f"{path}: row {reader.line_num}", "is not CSV; check the quotes") from None


def _nested(place: str, cells: Iterable[tuple[str, str]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for column, cell in cells:
        # An empty cell is a member left out: a table cannot leave one out otherwise.
        if not cell:
            continue
        name, dot, part = column.partition(".")
        if not dot:
            value = members.setdefault(name, cell)
        else:
            value = members.setdefault(name, {})
            if isinstance(value, dict):
                value[part] = cell
        if isinstance(value, dict) != bool(dot):
            raise _refused(place, f"has both the column {name} and parts of it")
    return members


def _row(place: str, document: object) -> Row:
    if not isinstance(document, dict):
        raise _refused(place, "is not a JSON object; each citizen document is one")
    return Row(place, document)


class _Repeated(Exception):
    """An object names a member twice; which of the two was meant, only the writer knows."""


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return members


def _refused(place: str, advice: str) -> DocumentsRefused:
    return DocumentsRefused([Problem(place, "", advice)])
