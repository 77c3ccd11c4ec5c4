"""A provider's database with its tables, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from idp.citizens import verification
from idp.core import clock
from idp.core import keyring as keyrings
from idp.core.database import db
from tests.unit.citizens.place import Place, place_at


@pytest.fixture
def secrets_directory(tmp_path: Path) -> Path:
    """Return the directory of a new keyring."""
    keyrings.create(tmp_path / "secrets")
    return tmp_path / "secrets"


@pytest.fixture
def place(database_url: str, secrets_directory: Path) -> Iterator[Place]:
    """Yield a sandbox without citizens, its application context pushed."""
    with place_at(database_url, secrets_directory) as made:
        db.create_all()
        db.session.commit()
        yield made


class Clock:
    """The worker's clock, which moves only when a test moves it."""

    def __init__(self) -> None:
        self._now = clock.now()

    def now(self) -> datetime:
        """Return the moment the clock shows."""
        return self._now

    def pass_(self, **duration: float) -> None:
        """Let time pass; `duration` as for timedelta."""
        self._now += timedelta(**duration)


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the clock of everything that asks idp.core.clock, and the database's where a re-check writes by it."""
    stopped = Clock()
    monkeypatch.setattr(clock, "now", stopped.now)
    monkeypatch.setattr(verification, "database_now", stopped.now)
    return stopped
