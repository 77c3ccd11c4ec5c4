"""RFC 9700, 2.6, 4.12 and 4.13, and RFC 6749, 1.6: how browsers are sent on, and what other sites may ask."""

import pytest

from tests.browser import Browser
from tests.provider import Person, Portal, Provider

ELSEWHERE = "https://evil.example"


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid email")


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com")


@pytest.mark.holds("RFC6749-1.6-1", "RFC9700-4.12-1", "FAPI2SP-5.3.2.2-7")
def test_every_form_is_answered_so_that_no_browser_posts_it_on(
    portal: Portal, browser: Browser, person: Person
) -> None:
    forms = (
        ("login-form", {"number": person.number, "password": person.password}),
        ("totp-form", {"code": person.code()}),
        ("consent-form", {"decision": "allow"}),
    )
    browser.get(portal.address(acr_values="loa2", scope="openid email"))
    for name, typed in forms:
        action, fields = browser.form(name, **typed)
        response = browser.send("POST", action, data=fields)
        assert response.status_code == 303, name
        assert person.password not in response.headers["Location"]
        browser.get(response.headers["Location"])
    # From the first request to the last, no other kind of redirect was seen.
    assert {response.status_code for response in browser.seen} <= {200, 303}


@pytest.mark.holds("RFC9700-2.6-3", "FAPI2SP-5.2-2")
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_script_of_another_site_reads_the_authorization_endpoint(
    portal: Portal, browser: Browser, person: Person, method: str
) -> None:
    portal.arrive(browser, person)
    headers = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "GET"}
    response = browser.send(method, portal.address(prompt="none"), headers=headers)
    assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]
    assert response.headers["Strict-Transport-Security"].startswith("max-age=63072000")


@pytest.mark.holds("OIDCC-5.3-7")
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_script_of_another_site_reads_userinfo(
    provider: Provider, portal: Portal, browser: Browser, person: Person, method: str
) -> None:
    token = portal.tokens(portal.arrive(browser, person))["access_token"]
    headers = {"Origin": ELSEWHERE, "Authorization": f"Bearer {token}", "Access-Control-Request-Method": "GET"}
    response = provider.http().open("/userinfo", method=method, headers=headers)
    assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]
