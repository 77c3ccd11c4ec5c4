"""OpenID Connect Core 1.0, 3.1.2.1: `prompt`, with and without a session."""

import pytest

from idp.citizens.registry.table import Answer as RegisterAnswer
from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, json_of, walk


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid email")


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com")


def told(portal: Portal, browser: Browser, **changes: str | None) -> str | None:
    """Return the error of a request that may show no page."""
    response = browser.send("GET", portal.address(prompt="none", **changes))
    assert response.status_code == 303
    answer = Answer(response.headers["Location"])
    assert answer.location.startswith(portal.redirect_uri)
    assert answer["iss"] == portal.provider.settings.issuer
    assert answer["state"] == "state-of-the-portal"
    return answer.get("error")


@pytest.mark.holds("B6", "OIDCC-3.1.2.1-4", "OIDCC-3.1.2.3-1", "OIDCC-3.1.2.6-1")
def test_none_without_a_session_is_login_required(portal: Portal, browser: Browser) -> None:
    assert told(portal, browser) == "login_required"
    assert browser.cookies() == {}


@pytest.mark.holds("B7")
def test_none_with_a_session_gives_a_code_with_the_same_auth_time(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    first = portal.sign_in(browser, person)
    provider.let_pass(person, minutes=5)
    second = portal.sign_in(browser, person, prompt="none")
    assert second["sub"] == first["sub"]
    assert second["auth_time"] == first["auth_time"] - 300


@pytest.mark.holds("B6", "OIDCC-3.1.2.6-1")
def test_none_is_consent_required_when_something_was_not_agreed(
    portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    assert told(portal, browser, scope="openid email") == "consent_required"
    portal.arrive(browser, person, scope="openid email")
    assert told(portal, browser, scope="openid email") is None
    assert told(portal, browser) is None


def test_none_is_consent_required_when_the_portal_is_new(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    assert told(provider.portal(), browser) == "consent_required"


@pytest.mark.holds("B6", "OIDCC-3.1.2.6-1")
def test_none_is_interaction_required_when_a_step_up_is_needed(
    portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    assert told(portal, browser, acr_values="loa2") == "interaction_required"
    essential = json_of(id_token={"acr": {"essential": True, "values": ["loa2"]}})
    assert told(portal, browser, claims=essential) == "interaction_required"
    out_of_reach = json_of(id_token={"acr": {"essential": True, "values": ["loa3"]}})
    assert told(portal, browser, claims=out_of_reach) == "unmet_authentication_requirements"


@pytest.mark.parametrize("max_age", ["0", "1", "10"])
@pytest.mark.holds("OIDCC-3.1.2.1-4", "OIDCC-3.1.2.1-8")
def test_none_is_login_required_when_the_login_is_too_old(
    provider: Provider, portal: Portal, browser: Browser, person: Person, max_age: str
) -> None:
    portal.arrive(browser, person)
    provider.let_pass(person, seconds=20)
    assert told(portal, browser, max_age=max_age) == "login_required"
    assert told(portal, browser, max_age="60") is None


def test_none_is_access_denied_when_the_register_says_no(portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person)
    person.register_says(RegisterAnswer.DECEASED)
    assert told(portal, browser) == "access_denied"


def test_none_is_login_required_when_the_account_is_disabled(portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person)
    person.set(state="disabled")
    assert told(portal, browser) == "login_required"


@pytest.mark.holds("B8", "OIDCC-3.1.2.1-5", "OIDCC-3.1.2.3-1")
def test_login_asks_for_the_password_again_and_moves_auth_time(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    first = portal.sign_in(browser, person)
    provider.let_pass(person, seconds=5)
    page = browser.get(portal.address(prompt="login"))
    assert page.step == "login"
    # Coming back to the page, or opening it again, does not get around it.
    assert browser.get(page.path).step == "login"
    assert browser.get(f"/signin/{page.handle}").step == "login"
    second = portal.claims(portal.tokens(Answer(walk(browser, page, person))))
    assert second["sub"] == first["sub"]
    assert second["auth_time"] > first["auth_time"] - 5
    assert provider.session_of(person).authenticated_at.timestamp() >= second["auth_time"]


@pytest.mark.holds("B9")
def test_login_and_consent_ask_for_both(portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person, scope="openid email")
    page = browser.get(portal.address(prompt="consent login", scope="openid email"))
    assert page.step == "login"
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "consent"
    assert "hoa@example.com" in page.text
    assert Answer(walk(browser, page, person)).get("code")


@pytest.mark.holds("B9", "OIDCC-3.1.2.1-6")
def test_consent_asks_again_what_was_agreed_before(portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person, scope="openid email")
    page = browser.get(portal.address(prompt="consent", scope="openid email"))
    assert page.step == "consent"
    refused = Answer(browser.submit("consent-form", decision="deny").left_for or "")
    assert (refused["error"], refused["state"]) == ("access_denied", "state-of-the-portal")
    # To refuse once is not to take back what was agreed before.
    assert told(portal, browser, scope="openid email") is None


@pytest.mark.holds("OIDCC-3.1.2.1-7")
def test_select_account_offers_the_account_of_the_session(portal: Portal, browser: Browser, person: Person) -> None:
    first = portal.sign_in(browser, person)
    page = browser.get(portal.address(prompt="select_account"))
    assert page.step == "account"
    assert person.full_name in page.text
    page = browser.submit("account-form", decision="continue")
    assert portal.claims(portal.tokens(Answer(page.left_for or "")))["sub"] == first["sub"]


@pytest.mark.holds("OIDCC-3.1.2.1-7")
def test_select_account_lets_somebody_else_sign_in(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    first = portal.sign_in(browser, person)
    browser.get(portal.address(prompt="select_account"))
    page = browser.submit("account-form", decision="other")
    assert page.step == "login"
    other = provider.citizen(full_name="Trần Văn Bình", gender=None)
    second = portal.claims(portal.tokens(Answer(walk(browser, page, other))))
    assert second["sub"] != first["sub"]
    assert provider.session_of(person).ended_at is not None


def test_select_account_asks_to_sign_in_when_there_is_no_session(
    portal: Portal, browser: Browser, person: Person
) -> None:
    page = browser.get(portal.address(prompt="select_account"))
    assert page.step == "login"
    assert Answer(walk(browser, page, person)).get("code")
