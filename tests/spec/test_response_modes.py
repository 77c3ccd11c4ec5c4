"""OAuth 2.0 Form Post Response Mode and JARM: the answer in a form, or in one signed parameter."""

import time
from typing import Any

import pytest
from jose import jwt

from tests.browser import Browser
from tests.keyed import keyed
from tests.provider import Answer, Person, Portal, Provider, walk


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(redirect_uris=["https://phan-hoi.example/cb?kept=1"])


def opened(portal: Portal, answer: Answer) -> dict[str, Any]:
    """Return what is in the one parameter of a JARM answer, once python-jose has verified it."""
    extra = set(answer.parameters) - {"kept"}
    assert extra == {"response"}
    header = jwt.get_unverified_header(answer["response"])
    [key] = [key for key in portal.provider.jwks() if key["kid"] == header["kid"]]
    claims: dict[str, Any] = jwt.decode(
        answer["response"],
        key,
        algorithms=["ES256", "RS256"],
        audience=portal.client_id,
        issuer=portal.provider.settings.issuer,
    )
    assert 0 < claims["exp"] - time.time() <= 600
    return claims


@pytest.mark.holds("B30", "FORMPOST-2-1", "FORMPOST-2-3", "FORMPOST-4-1")
def test_a_code_travels_in_a_form(portal: Portal, browser: Browser, person: Person) -> None:
    walk(browser, browser.get(portal.address(response_mode="form_post")), person)
    page = browser.page
    assert page is not None
    assert page.status == 200
    assert page.left_for is None
    action, fields = browser.form("portal-answer")
    assert action == portal.redirect_uri
    assert fields.keys() == {"code", "state", "iss"}
    assert page.forms["portal-answer"].method == "post"
    assert portal.redeem(fields["code"]).status_code == 200
    policy = page.response.headers["Content-Security-Policy"]
    assert "form-action 'self' https://phan-hoi.example;" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert page.response.headers["Cache-Control"] == "no-store"
    # Nothing of the answer is in any address the browser was sent to.
    assert not any(fields["code"] in (seen.headers.get("Location") or "") for seen in browser.seen)


@pytest.mark.holds("B30", "FORMPOST-2-2")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_error_travels_in_a_form(portal: Portal, browser: Browser, method: str) -> None:
    request = portal.request(response_mode="form_post", prompt="none")
    page = browser.get(portal.address(**request)) if method == "GET" else browser.post("/authorize", request)
    assert page.left_for is None
    action, fields = browser.form("portal-answer")
    assert action == portal.redirect_uri
    assert (fields["error"], fields["state"]) == ("login_required", "state-of-the-portal")
    assert fields.keys() == {"error", "error_description", "state", "iss"}


def test_a_refused_parameter_travels_in_a_form_too(portal: Portal, browser: Browser) -> None:
    browser.get(portal.address(response_mode="form_post", scope="email"))
    assert browser.form("portal-answer")[1]["error"] == "invalid_scope"


@pytest.mark.holds("B4", "FORMPOST-2-1")
@pytest.mark.parametrize("state", ['a"b', "<script>alert(1)</script>", "a&amp;b", "a b+c%20d", "ngày '1'", "\\"])
def test_values_are_escaped_and_nothing_else(portal: Portal, browser: Browser, person: Person, state: str) -> None:
    walk(browser, browser.get(portal.address(response_mode="form_post", state=state)), person)
    assert browser.form("portal-answer")[1]["state"] == state
    assert browser.page is not None
    assert "<script>alert" not in browser.page.html


@pytest.mark.holds(
    "F15a", "FAPI2MS-5.4-1", "JARM-2.1-1", "JARM-2.3.1-1", "JARM-2.3.3-1", "JARM-2.3.4-1", "RFC9207-2.3-1"
)
@pytest.mark.parametrize("mode", ["jwt", "query.jwt", "form_post.jwt"])
def test_an_answer_is_signed_when_asked(portal: Portal, browser: Browser, person: Person, mode: str) -> None:
    answer = portal.arrive(browser, person, response_mode=mode)
    assert answer.location.startswith("https://phan-hoi.example/cb?kept=1")
    claims = opened(portal, answer)
    assert claims.keys() == {"iss", "aud", "exp", "code", "state"}
    assert claims["state"] == "state-of-the-portal"
    assert portal.redeem(claims["code"]).status_code == 200


@pytest.mark.holds("F15a", "JARM-2.1-1")
@pytest.mark.parametrize("changes", [{"prompt": "none"}, {"scope": "email"}, {"response_type": "token"}])
def test_an_error_is_signed_when_asked(portal: Portal, browser: Browser, changes: dict[str, str]) -> None:
    claims = opened(portal, portal.arrive(browser, response_mode="jwt", **changes))
    assert claims.keys() == {"iss", "aud", "exp", "error", "error_description", "state"}


@pytest.mark.holds("JARM-2.2-1", "JARM-3-1")
def test_an_answer_is_signed_by_the_registered_algorithm(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(authorization_signed_response_alg="RS256")
    answer = portal.arrive(browser, person, response_mode="jwt")
    assert jwt.get_unverified_header(answer["response"])["alg"] == "RS256"
    assert opened(portal, answer)["code"]


@pytest.mark.holds("F11", "F15a", "JARM-2.1-1")
def test_a_refusal_is_signed_too(portal: Portal, browser: Browser) -> None:
    browser.get(portal.address(response_mode="jwt"))
    page = browser.cancel()
    assert page.left_for is not None
    claims = opened(portal, Answer(page.left_for))
    assert (claims["error"], claims["state"]) == ("access_denied", "state-of-the-portal")


@pytest.mark.holds("MULTI-2.1-1", "B29")
@pytest.mark.parametrize("mode", ["fragment", "fragment.jwt", "web_message", "form_post.JWT", "QUERY", "query query"])
def test_another_mode_is_refused(portal: Portal, browser: Browser, mode: str) -> None:
    answer = portal.arrive(browser, response_mode=mode)
    assert (answer["error"], answer["state"]) == ("invalid_request", "state-of-the-portal")


def test_a_pushed_request_is_answered_by_its_mode(provider: Provider, browser: Browser, person: Person) -> None:
    portal = keyed(provider, profile="fapi2")
    claims = opened(portal, portal.arrive(browser, person, response_mode="jwt"))
    assert portal.redeem(claims["code"]).status_code == 200
    walk(browser, browser.get(portal.pushed(response_mode="form_post")), person)
    assert browser.form("portal-answer")[1].keys() == {"code", "state", "iss"}
