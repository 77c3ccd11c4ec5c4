"""The outbox: what a session's end owes is written with it, or not at all."""

import pytest
import sqlalchemy as sa

from idp.core.database import db
from idp.sso import outbox, session
from idp.sso.models import LogoutDelivery
from tests.browser import Browser
from tests.listener import register
from tests.provider import Person, Portal, Provider


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def told(provider: Provider) -> Portal:
    portal = provider.portal()
    register(portal, backchannel_logout_uri="http://127.0.0.1:9/out")
    return portal


def owed(provider: Provider, person: Person) -> list[LogoutDelivery]:
    return provider.scalars(sa.select(LogoutDelivery).where(LogoutDelivery.citizen_id == person.id))


def test_each_client_that_can_be_told_is_owed_one_delivery(
    provider: Provider, browser: Browser, person: Person
) -> None:
    first, second, silent = told(provider), told(provider), provider.portal()
    subs = {}
    for portal in (first, second, silent, first):
        subs[portal.client_id] = portal.sign_in(browser, person)["sub"]
    with provider.app.app_context():
        session.end(provider.session_of(person).id, reason="signed out")
        db.session.commit()
    rows = owed(provider, person)
    assert sorted(row.sub for row in rows) == sorted(subs[portal.client_id] for portal in (first, second))
    assert {(row.state, row.attempts) for row in rows} == {("pending", 0)}
    assert all(row.expires_at - row.created_at == outbox.KEPT for row in rows)


def test_nothing_is_owed_when_the_transaction_fails(provider: Provider, browser: Browser, person: Person) -> None:
    told(provider).sign_in(browser, person)
    with provider.app.app_context():
        session.end(provider.session_of(person).id, reason="signed out")
        db.session.flush()
        db.session.rollback()
    assert owed(provider, person) == []
    assert provider.session_of(person).ended_at is None


def test_the_session_does_not_end_when_the_duty_cannot_be_written(
    provider: Provider, browser: Browser, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = told(provider)
    portal.sign_in(browser, person)

    def fail(*_: object) -> None:
        raise RuntimeError

    browser.get("/logout")
    monkeypatch.setattr(outbox, "owe", fail)
    assert browser.submit("logout-form").error_code == "OP-001"
    assert provider.session_of(person).ended_at is None
    assert portal.arrive(browser, prompt="none").get("code") is not None


def test_only_the_session_that_ended_is_told_of(provider: Provider, browser: Browser, person: Person) -> None:
    portal, elsewhere = told(provider), told(provider)
    elsewhere.sign_in(provider.browser(), person)
    portal.sign_in(browser, person)
    with provider.app.app_context():
        ending = provider.session_of(person).id
        assert session.end(ending, reason="refused")
        db.session.commit()
        assert not session.end(ending, reason="refused")
        db.session.commit()
    [row] = owed(provider, person)
    assert row.session_id == ending
    client = provider.services.clients.find(portal.client_id)
    assert client is not None
    assert row.client_id == client.id


def test_nobody_is_named_where_the_client_moved_to_a_sector_that_does_not_know_the_citizen(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = told(provider)
    portal.sign_in(browser, person)
    register(portal, sector="elsewhere.example")
    with provider.app.app_context():
        assert session.end(provider.session_of(person).id, reason="signed out")
        db.session.commit()
    assert owed(provider, person) == []


def test_another_citizen_in_the_same_browser_signs_the_first_one_out_everywhere(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = told(provider)
    portal.sign_in(browser, person)
    portal.sign_in(browser, provider.citizen(), prompt="login")
    assert len(owed(provider, person)) == 1
