"""Fixtures of a whole provider, for the conftest.py of each folder that tests one."""

from collections.abc import Iterator

import pytest

from idp.cli import db as schema
from tests.browser import Browser
from tests.provider import Provider, provider_at


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Yield the provider on SQLite, then on PostgreSQL; rows stay, so a test makes people and clients of its own."""
    directory = tmp_path_factory.mktemp("provider")
    if request.param == "sqlite":
        url = f"sqlite:///{directory / 'lienket.sqlite3'}"
        schema.upgrade(url)
        with provider_at(url, directory / "secrets") as made:
            yield made
        return
    cluster = request.getfixturevalue("postgresql")
    name = cluster.create()
    schema.upgrade(cluster.url(name))
    with provider_at(cluster.url(name), directory / "secrets") as made:
        yield made
    cluster.drop(name)


@pytest.fixture
def browser(provider: Provider) -> Browser:
    """Return a browser that has never been here."""
    return provider.browser()
