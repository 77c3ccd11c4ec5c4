"""A trail without a provider, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.audit.trail import Trail, trail_at


@pytest.fixture
def trail(migrated_database_url: str, tmp_path: Path) -> Iterator[Trail]:
    """Yield an empty trail with the key that seals it."""
    with trail_at(migrated_database_url, tmp_path / "audit.pem") as made:
        yield made
