"""A provider without pages: the ORM and the hot path on one migrated database, a fresh keyring."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from flask import Flask

from idp.audit.models import AuditEvent
from idp.core import keyring
from idp.core.database import HotPath, PostgresHotPath, db, driver_url, engine_options, hot_path, prepare_engine
from idp.core.keyring import Keyring
from idp.keys.models import SigningKey


@dataclass(frozen=True)
class Provider:
    """What acts need, inside an application context."""

    url: str
    hot_path: HotPath
    keyring: Keyring


@contextmanager
def provider_on(url: str, secrets: Path, *, is_fresh: bool = False) -> Iterator[Provider]:
    """Yield a provider on the migrated database at `url`, its keyring in `secrets`.

    `is_fresh` forgets the first signing keys, which `idp db upgrade` made with a keyring nobody has any more.
    """
    app = Flask("lienket-test")
    app.config["SQLALCHEMY_DATABASE_URI"] = driver_url(url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(url)
    db.init_app(app)
    keyring.create(secrets)
    with app.app_context():
        prepare_engine(db.engine)
        if is_fresh:
            for table in (SigningKey, AuditEvent):
                db.session.execute(sa.delete(table))
            db.session.commit()
        path = hot_path(url)
        try:
            yield Provider(url, path, keyring.load(secrets, is_production=True))
        finally:
            db.session.remove()
            db.engine.dispose()
            close(path)


def close(path: HotPath) -> None:
    """Close what `path` holds open for the calling thread; at the end of a process nobody needs to."""
    if isinstance(path, PostgresHotPath):
        path._drop_idle()
    elif (connection := getattr(path._local, "connection", None)) is not None:
        connection.close()
