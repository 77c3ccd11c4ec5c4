"""One provider for each kind of database, and staff in each role with their keys."""

from collections.abc import Callable

import pytest

from idp.staff.rights import Role
from tests.provider import Provider
from tests.provider_fixtures import browser, provider
from tests.unit.console.desk import Worker, hire

__all__ = ["browser", "provider"]
_hired: dict[tuple[str, Role], Worker] = {}


@pytest.fixture
def staff(provider: Provider) -> Callable[[Role], Worker]:
    """Return the act that brings somebody of a role to work; the same person each time, who never loses the role."""

    def bring(role: Role) -> Worker:
        key = (provider.url, role)
        if key not in _hired:
            _hired[key] = hire(provider, role)
        worker = _hired[key]
        worker.browser.forget()
        return worker

    return bring
