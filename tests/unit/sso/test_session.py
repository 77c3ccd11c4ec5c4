"""The session: how long it lives at which level, and that its secret is new after every authentication."""

import pytest
import sqlalchemy as sa

from idp.core.ids import digest
from idp.sso.models import SsoSession
from tests.browser import Browser
from tests.provider import Person, Portal, Provider


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def lives(portal: Portal, browser: Browser) -> bool:
    return portal.arrive(browser, prompt="none").get("code") is not None


def test_a_standard_session_ends_when_it_is_idle(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    provider.let_pass(person, minutes=29, seconds=50)
    assert lives(portal, browser)
    # That use moved the idle life on.
    provider.let_pass(person, minutes=29, seconds=50)
    assert lives(portal, browser)
    provider.let_pass(person, minutes=30, seconds=1)
    assert not lives(portal, browser)


def test_a_standard_session_ends_after_twelve_hours_however_busy(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    for _ in range(25):
        provider.let_pass(person, minutes=28)
        assert lives(portal, browser)
    provider.let_pass(person, minutes=20, seconds=1)
    assert not lives(portal, browser)


def test_a_high_session_ends_after_ten_minutes_however_busy(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person, acr_values="loa2")
    for _ in range(2):
        provider.let_pass(person, minutes=4, seconds=59)
        assert lives(portal, browser)
    provider.let_pass(person, seconds=3)
    assert not lives(portal, browser)


def test_a_session_raised_lives_ten_minutes_from_then(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    provider.let_pass(person, minutes=20)
    portal.arrive(browser, person, acr_values="loa2")
    provider.let_pass(person, minutes=9, seconds=50)
    assert lives(portal, browser)
    provider.let_pass(person, seconds=11)
    assert not lives(portal, browser)


def test_an_ended_session_asks_for_everything_again(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    first = portal.sign_in(browser, person, acr_values="loa2")
    provider.let_pass(person, minutes=11)
    page = browser.get(portal.address(acr_values="loa2"))
    assert page.step == "login"
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "code"
    assert portal.sign_in(browser, person, acr_values="loa2")["sub"] == first["sub"]


def test_the_secret_is_new_after_every_authentication_and_kept_as_a_digest(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    seen = []
    for changes in ({}, {"acr_values": "loa2"}, {"prompt": "login"}, {"max_age": "0"}):
        portal.arrive(browser, person, **changes)
        seen.append(browser.cookies()["__Host-sid"])
    assert len(set(seen)) == len(seen)
    rows = provider.scalars(sa.select(SsoSession).where(SsoSession.citizen_id == person.id))
    # The agencies that share the session go on sharing it.
    assert len(rows) == 1
    assert rows[0].digest == digest(seen[-1])
    assert all(secret not in str(vars(rows[0])) for secret in seen)
    for old in seen[:-1]:
        browser.put({"__Host-sid": old})
        assert not lives(portal, browser)


def test_a_planted_cookie_is_replaced_at_sign_in(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    attacker = provider.browser()
    portal.arrive(attacker, provider.citizen())
    planted = attacker.cookies()["__Host-sid"]
    browser.put({"__Host-sid": planted})
    claims = portal.sign_in(browser, person, prompt="login")
    assert browser.cookies()["__Host-sid"] != planted
    assert portal.arrive(attacker, prompt="none")["error"] == "login_required"
    assert portal.sign_in(browser, person, prompt="none")["sub"] == claims["sub"]


@pytest.mark.parametrize("cookie", ["", "x", "x" * 43, "x" * 4000, "\u00e9\u1ea1"])
def test_a_made_up_session_cookie_is_no_session(portal: Portal, browser: Browser, cookie: str) -> None:
    header = {"Cookie": f"__Host-sid={cookie}".encode().decode("latin-1")}
    response = browser.send("GET", portal.address(prompt="none"), headers=header)
    assert "error=login_required" in response.headers["Location"]


def test_two_browsers_have_two_sessions(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person)
    other = provider.browser()
    portal.arrive(other, person)
    other.get("/logout")
    other.submit("logout-form")
    assert lives(portal, browser)
    assert not lives(portal, other)
