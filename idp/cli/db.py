"""`idp db`: bring the database to the schema of this version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.pool import NullPool

from idp.cli.schema import versions
from idp.cli.shared import Refused, services, settings
from idp.core import keyring
from idp.core.database import driver_url, prepare_engine
from idp.keys import rotation

# Any number, as long as nobody else in this database uses it.
_LOCK = 5_207_318_404
_PATIENCE_SECONDS = 60


@click.group("db")
def group() -> None:
    """The database schema."""


@group.command("upgrade")
def upgrade_command() -> None:
    """Bring the database to the schema of this version, and make the first signing keys when there are none.

    Does nothing when everything is there already.
    """
    chosen = settings()
    # Read first: without its keyring the database would stay half prepared.
    keyring.load(chosen.secrets_dir, is_production=not chosen.is_sandbox)
    before, after = upgrade(chosen.database_url)
    click.echo(f"schema {after}" + (" (as it was)" if before == after else f", was {before or 'empty'}"))
    with services() as given:
        for change in rotation.ensure_keys(given.keyring):
            click.echo(f"signing key {change.kid} {change.algorithm} {change.state}")


@group.command("current")
def current_command() -> None:
    """Show the schema version of the database; exit status 1 when it is not the one of this version."""
    url = settings().database_url
    version, newest = current(url), ScriptDirectory.from_config(configuration()).get_current_head()
    click.echo(f"schema {version or 'empty'}" + ("" if version == newest else f", this version needs {newest}"))
    if version != newest:
        raise SystemExit(1)


def upgrade(url: str, *, target: str = "head") -> tuple[str | None, str | None]:
    """Upgrade the database at `url`; return the schema version before and after.

    Processes that try at the same time wait for each other. Raises Refused when the database cannot be reached or is
    newer than this version.
    """
    return _migrate(url, command.upgrade, target)


def downgrade(url: str, *, target: str) -> tuple[str | None, str | None]:
    """Take the database at `url` back to schema `target` ("base" for none); for tests and emergencies."""
    return _migrate(url, command.downgrade, target)


def current(url: str) -> str | None:
    """Return the schema version of the database at `url`, None when it is empty. Raises Refused."""
    with _connection(url) as connection:
        return _version(connection)


def configuration(**attributes: Any) -> Config:
    """Return Alembic's configuration with `attributes` for migrations/env.py."""
    config = Config()
    config.set_main_option("script_location", str(versions().parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(attributes)
    return config


def _migrate(url: str, act: Any, target: str) -> tuple[str | None, str | None]:
    with _connection(url) as connection:
        before = _version(connection)
        known = {script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()}
        if before is not None and before not in known:
            raise Refused(f"the database has schema {before}, which is newer than this version knows; upgrade LienKet")
        act(configuration(connection=connection), target)
        return before, _version(connection)


def _version(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _connection(url: str) -> Iterator[sa.Connection]:
    """Yield a connection in one transaction that nobody else upgrades beside."""
    path = sa.make_url(url).database
    if url.startswith("sqlite") and path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    # Without the time limits of the provider's own connections: an index on a large table takes as long as it takes.
    # Another upgrade of an SQLite file is waited for, as the advisory lock does on PostgreSQL.
    waiting = {"timeout": _PATIENCE_SECONDS} if url.startswith("sqlite") else {}
    engine = sa.create_engine(driver_url(url), poolclass=NullPool, connect_args=waiting)
    prepare_engine(engine)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection
    except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
        # The driver's words may hold the address with its password; its kind says enough.
        raise Refused(f"IDP_DATABASE_URL: the database refused ({type(error.orig).__name__})") from error
    finally:
        engine.dispose()
