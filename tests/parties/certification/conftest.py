"""A provider, and visitors whose browsers stop where a relying party begins."""

from collections.abc import Callable

import pytest

from tests.parties.certification.visitor import Visitor
from tests.parties.sandbox import Sandbox


@pytest.fixture
def somebody(town: Sandbox) -> Callable[[], Visitor]:
    """Return the act that makes a citizen nobody else uses, with a browser that has never been here."""
    return lambda: Visitor(town.somebody(), issuer=town.issuer)


@pytest.fixture
def visitor(somebody: Callable[[], Visitor]) -> Visitor:
    """Return such a citizen."""
    return somebody()
