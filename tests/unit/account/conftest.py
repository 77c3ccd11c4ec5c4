"""One provider for each kind of database, shared by the whole run; every test brings its own clients and citizens."""

import pytest

from tests.provider import Person, Provider
from tests.provider_fixtures import browser, provider

__all__ = ["browser", "provider"]


@pytest.fixture
def person(provider: Provider) -> Person:
    """Return a citizen who can reach loa2."""
    return provider.citizen()
