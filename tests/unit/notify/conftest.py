"""One provider for each kind of database, its outbox of notices empty, and a real mail server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from idp.citizens.contacts import CitizenContacts
from idp.notify.deliveries import Notices, senders_of
from idp.notify.models import OwedNotice
from tests.mailbox import Mailbox, mailbox
from tests.provider import Provider
from tests.provider_fixtures import browser, provider

__all__ = ["browser", "provider"]

SENDER = "Cổng LienKet <khong-tra-loi@lienket.example>"


@pytest.fixture
def _empty_outbox(provider: Provider) -> None:
    provider.run(sa.delete(OwedNotice))


@pytest.fixture
def server() -> Iterator[Mailbox]:
    with mailbox() as opened:
        yield opened


def notices_of(provider: Provider, *, are_codes: bool = False, **settings: Any) -> Notices:
    """Return the runner of `provider` with other `settings`."""
    chosen = provider.settings.model_copy(update={"mail_from": SENDER, **settings})
    services = provider.services
    contacts = CitizenContacts(hot_path=services.hot_path, keyring=services.keyring, default_language="vi")
    return Notices(
        settings=chosen,
        keyring=services.keyring,
        hot_path=services.hot_path,
        contacts=contacts,
        senders=senders_of(chosen),
        are_codes=are_codes,
    )


@pytest.fixture
def notices(provider: Provider, server: Mailbox) -> Notices:
    """Return a runner that sends to `server`."""
    return notices_of(provider, mail_server=server.url)


@pytest.fixture
def rows(provider: Provider) -> Callable[[], list[OwedNotice]]:
    """Return how to read the outbox, oldest first."""
    return lambda: provider.scalars(sa.select(OwedNotice).order_by(OwedNotice.id))
