"""One provider for each kind of database, an officer or two with their keys, and people who come to them."""

from collections.abc import Callable

import pytest

from tests.provider import Provider
from tests.provider_fixtures import browser, provider
from tests.unit.counter.desk import Clerk, hire

__all__ = ["browser", "provider"]


@pytest.fixture
def clerk(provider: Provider) -> Clerk:
    """Return an officer at work."""
    return hire(provider)


@pytest.fixture
def clerks(provider: Provider) -> Callable[[], Clerk]:
    """Return the act that brings one more officer of the same counter to work."""
    return lambda: hire(provider)
