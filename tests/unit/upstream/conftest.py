"""A provider without pages, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.core.provider import Provider, provider_on


@pytest.fixture
def provider(migrated_database_url: str, tmp_path: Path) -> Iterator[Provider]:
    """Yield a provider on an empty database, inside an application context."""
    with provider_on(migrated_database_url, tmp_path / "secrets", is_fresh=True) as given:
        yield given
