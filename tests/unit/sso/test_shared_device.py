"""A device that others use: the session is short, nothing outlives it, and nobody finds anything of the last person."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp.oidc.models import OfflineGrant
from idp.sso.models import SsoSession
from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, walk
from tests.unit.account.entering import enter

LASTING = {"scope": "openid name offline_access", "grant_types": ["authorization_code", "refresh_token"]}


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def sign_in_shared(browser: Browser, portal: Portal, person: Person, **changes: str | None) -> Answer:
    page = browser.get(portal.address(**changes))
    assert "shared" not in page.forms["login-form"].fields
    page = browser.submit("login-form", number=person.number, password=person.password, shared="yes")
    return Answer(walk(browser, page, person))


def sign_in_alone(browser: Browser, portal: Portal, person: Person, **changes: str | None) -> Answer:
    browser.get(portal.address(**changes))
    action, fields = browser.form("login-form", number=person.number, password=person.password)
    # A box that is not ticked is not sent.
    fields.pop("shared", None)
    return Answer(walk(browser, browser.post(action, fields), person))


def idle_left(session: SsoSession) -> timedelta:
    return session.idle_expires_at - session.authenticated_at


def test_the_box_is_not_ticked_unless_the_citizen_ticks_it(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal()
    page = browser.get(portal.address())
    assert 'id="shared"' in page.html
    assert "checked" not in page.html
    sign_in_alone(browser, portal, person)
    assert provider.session_of(person).is_shared is False
    assert "__Host-known" in browser.cookies()


def test_a_shared_session_is_short_and_known_to_no_cookie(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal()
    sign_in_shared(browser, portal, person)
    session = provider.session_of(person)
    assert session.is_shared
    assert idle_left(session) == timedelta(minutes=5)
    assert "__Host-known" not in browser.cookies()
    set_by = [header for answer in browser.seen for header in answer.headers.getlist("Set-Cookie")]
    assert [header for header in set_by if "-sid=" in header and ("Max-Age" in header or "Expires" in header)] == []
    # Single sign-on within the five minutes, and none after.
    assert portal.arrive(browser).get("code")
    provider.let_pass(person, minutes=6)
    assert "login-form" in browser.get(portal.address()).forms


def test_whoever_signs_in_again_after_a_long_look_at_one_page_goes_on(
    provider: Provider, browser: Browser, person: Person
) -> None:
    """What the first sign-in opened is over; the second one is no half of a double click."""
    page = browser.get(provider.portal(scope="openid name").address())
    browser.submit("login-form", number=person.number, password=person.password, shared="yes")
    provider.let_pass(person, minutes=6)
    address = page.path.rpartition("/")[0]
    assert browser.get(address).step == "login"
    assert browser.submit("login-form", number=person.number, password=person.password).step != "login"
    assert browser.get(address).step != "login"


def test_a_warm_login_moves_a_shared_session_on_by_its_own_life_only(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal()
    other = provider.browser()
    sign_in_shared(browser, portal, person)
    provider.let_pass(person, minutes=4)
    portal.arrive(browser)
    session = provider.session_of(person)
    with provider.app.app_context():
        left = session.idle_expires_at - session.authenticated_at
    assert timedelta(minutes=8) < left <= timedelta(minutes=9, seconds=30)
    sign_in_alone(other, portal, person)
    assert idle_left(provider.session_of(person)) == timedelta(minutes=30)


def test_a_second_factor_makes_it_no_longer(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal()
    sign_in_shared(browser, portal, person, acr_values="loa2")
    session = provider.session_of(person)
    assert session.level == 2
    assert session.idle_expires_at - session.renewed_at <= timedelta(minutes=5, seconds=5)


def test_no_lasting_access_is_asked_for_or_given_on_a_shared_device(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal(**LASTING)
    page = browser.get(portal.address(scope=LASTING["scope"], ui_locales="en"))
    page = browser.submit("login-form", number=person.number, password=person.password, shared="yes")
    assert "consent-form" in page.forms
    assert "days" not in page.text
    tokens = portal.tokens(Answer(walk(browser, page, person)))
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "openid name"
    # Nor later, at a warm login.
    again = portal.tokens(portal.arrive(browser, scope=LASTING["scope"]))
    assert "refresh_token" not in again
    assert provider.scalars(sa.select(OfflineGrant.id).where(OfflineGrant.citizen_id == person.id)) == []
    # At home it is asked for, as before.
    home = provider.browser()
    assert "refresh_token" in portal.tokens(sign_in_alone(home, portal, person, scope=LASTING["scope"]))


def test_once_said_to_be_shared_it_stays_so_until_the_session_ends(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal()
    sign_in_shared(browser, portal, person)
    page = browser.get(portal.address(prompt="login"))
    assert "checked" in page.html
    sign_in_alone(browser, portal, person, prompt="login")
    assert provider.session_of(person).is_shared
    assert idle_left(provider.session_of(person)) == timedelta(minutes=5)


def test_the_language_chosen_there_is_forgotten_with_the_browser(
    provider: Provider, browser: Browser, person: Person
) -> None:
    browser.get("/?lang=fr")
    assert any("lang=fr" in header and "Max-Age" in header for header in browser.seen[-1].headers.getlist("Set-Cookie"))
    sign_in_shared(browser, provider.portal(), person)
    headers = [header for answer in browser.seen[1:] for header in answer.headers.getlist("Set-Cookie")]
    kept = [header for header in headers if "lang=" in header]
    assert kept
    assert [header for header in kept if "Max-Age" in header] == []
    page = browser.get("/account?lang=en")
    assert page.response.headers.getlist("Set-Cookie")
    assert "Max-Age" not in "".join(page.response.headers.getlist("Set-Cookie"))


def test_the_own_space_says_that_the_device_is_shared(provider: Provider, browser: Browser, person: Person) -> None:
    sign_in_shared(browser, provider.portal(), person)
    assert "space-shared" in browser.get("/account").ids
    assert "Thiết bị chung" in browser.get("/account/sessions").text
    other = provider.browser()
    sign_in_alone(other, provider.portal(), person)
    assert "space-shared" not in other.get("/account").ids
    enter(other, person)
    assert other.get("/account/sessions").text.count("Thiết bị chung") == 1
