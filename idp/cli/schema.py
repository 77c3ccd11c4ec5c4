"""Whether the database has the schema of this version: asked by `idp serve` before it starts.

Without Alembic, whose memory every worker would carry; `idp db` does the migrating.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

import idp
from idp.core.database import driver_url

_PATIENCE_SECONDS = 3
_WAY_OUT = "run `idp db upgrade`, then start again"


def problem_of(url: str) -> str | None:
    """Return what is wrong with the schema of the database at `url`, in one line; None when nothing is.

    A newer schema is none, because migrations only add until every server is new; nor is a database that does not
    answer: it may come back, and requests wait for it.
    """
    path = sa.make_url(url).database
    if url.startswith("sqlite") and not Path(path or "").is_file():
        return f"there is no database yet; {_WAY_OUT}"
    patience = {} if url.startswith("sqlite") else {"connect_timeout": _PATIENCE_SECONDS}
    engine = sa.create_engine(driver_url(url), poolclass=NullPool, connect_args=patience)
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return f"the database has no tables yet; {_WAY_OUT}"
            version = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    except sa.exc.OperationalError:
        return None
    finally:
        engine.dispose()
    newest = _newest()
    if version is None or version < newest:
        return f"the database has schema {version or 'empty'}, this version needs {newest}; {_WAY_OUT}"
    return None


def _newest() -> str:
    """Return the newest revision: the number that its file's name begins with."""
    return max(file.name.partition("_")[0] for file in versions().glob("[0-9]*.py"))


def versions() -> Path:
    """Return the folder of migrations' steps: inside the package when installed, beside it in a source tree."""
    package = Path(idp.__file__).parent
    inside = package / "migrations"
    return (inside if inside.is_dir() else package.parent / "migrations") / "versions"
