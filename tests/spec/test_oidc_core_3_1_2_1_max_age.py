"""OpenID Connect Core 1.0, 3.1.2.1 and 2: `max_age` and `auth_time`."""

import pytest

from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, walk


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.mark.holds("B10", "OIDCC-2-2", "OIDCC-3.1.2.1-8")
def test_auth_time_is_in_the_id_token_when_max_age_was_sent(portal: Portal, browser: Browser, person: Person) -> None:
    claims = portal.sign_in(browser, person, max_age="15")
    assert isinstance(claims["auth_time"], int)
    assert 0 <= claims["iat"] - claims["auth_time"] <= 5


@pytest.mark.holds("B10")
def test_no_page_is_shown_within_max_age(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    first = portal.sign_in(browser, person)
    provider.let_pass(person, seconds=100)
    second = portal.claims(portal.tokens(portal.arrive(browser, max_age="10000")))
    assert second["auth_time"] == first["auth_time"] - 100


@pytest.mark.parametrize("max_age", ["0", "99"])
@pytest.mark.holds("B10", "OIDCC-3.1.2.1-8")
def test_an_older_login_is_asked_again(
    provider: Provider, portal: Portal, browser: Browser, person: Person, max_age: str
) -> None:
    first = portal.sign_in(browser, person)
    provider.let_pass(person, seconds=100)
    page = browser.get(portal.address(max_age=max_age))
    assert page.step == "login"
    second = portal.claims(portal.tokens(Answer(walk(browser, page, person))))
    assert second["auth_time"] > first["auth_time"] - 100
    assert second["sub"] == first["sub"]


def test_the_same_pages_do_not_ask_twice_when_max_age_is_zero(portal: Portal, browser: Browser, person: Person) -> None:
    page = browser.get(portal.address(max_age="0", acr_values="loa2"))
    assert page.step == "login"
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "code"
    assert Answer(walk(browser, page, person)).get("code")


@pytest.mark.holds("B10")
def test_a_one_time_code_does_not_make_an_old_login_young(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    provider.let_pass(person, seconds=100)
    portal.arrive(browser, person, acr_values="loa2")
    assert browser.get(portal.address(max_age="60")).step == "login"
