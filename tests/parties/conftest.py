"""Fixtures for the relying parties: one provider for each test worker, people nobody else uses."""

from collections.abc import Iterator

import pytest

from tests.parties.sandbox import Sandbox, sandbox
from tests.parties.walker import Walker


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield a running provider on SQLite."""
    directory = tmp_path_factory.mktemp("town")
    with sandbox(directory, database_url=f"sqlite:///{directory / 'lienket.sqlite3'}") as opened:
        yield opened


@pytest.fixture
def walker(town: Sandbox) -> Walker:
    """Return a citizen nobody else uses, with a browser that has never been here."""
    return town.walker()
