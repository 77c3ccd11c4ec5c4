"""A provider whose outbox is empty, and clients that listen."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.oidc.logout.backchannel import BackChannel
from idp.sso.models import DeliveryState, LogoutBreaker, LogoutDelivery
from idp.sso.outbox import KEPT
from tests.listener import Listener, listening, register
from tests.provider import Portal, Provider

Owe = Callable[..., LogoutDelivery]


@pytest.fixture(autouse=True)
def _empty_outbox(provider: Provider) -> None:
    provider.run(sa.delete(LogoutDelivery))
    provider.run(sa.delete(LogoutBreaker))


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as opened:
        yield opened


@pytest.fixture
def portal(provider: Provider, listener: Listener) -> Portal:
    made = provider.portal()
    register(made, backchannel_logout_uri=f"{listener.url}/out")
    return made


@pytest.fixture
def channel(provider: Provider) -> Iterator[BackChannel]:
    made = BackChannel(provider.services)
    yield made
    made.close()


@pytest.fixture
def owe(provider: Provider) -> Owe:
    """Return the act that writes a delivery as the end of a session does."""

    def write(portal: Portal, **columns: object) -> LogoutDelivery:
        client = provider.services.clients.find(portal.client_id)
        assert client is not None
        now = clock.now()
        values = {
            "id": new_id(),
            "session_id": new_id(),
            "citizen_id": new_id(),
            "client_id": client.id,
            "sub": "s" * 43,
            "state": DeliveryState.PENDING.value,
            "attempts": 0,
            "created_at": now,
            # SQLite's clock knows no fractions of a millisecond.
            "due_at": now - timedelta(milliseconds=1),
            "expires_at": now + KEPT,
            **columns,
        }
        row = LogoutDelivery(**values)
        with provider.app.app_context():
            db.session.add(row)
            db.session.commit()
        return row

    return write
