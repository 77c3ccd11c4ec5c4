"""RFC 6749, 4.1.2.1, and OpenID Connect Core 1.0, 3.1.2.6: what a portal is told when a request cannot go on."""

import re
from typing import Any

import pytest

from tests.browser import Browser
from tests.provider import Answer, Portal, Provider

# RFC 6749, 4.1.2.1: error_description never holds a quote, a backslash or anything but visible ASCII and space.
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
LONG_JWT = "eyJhbGciOiJub25lIn0." + "a" * 2000 + "."


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid email")


CASES: list[tuple[dict[str, Any], str]] = [
    ({"response_type": None}, "invalid_request"),
    ({"response_type": ""}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "id_token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"response_type": "code code"}, "unsupported_response_type"),
    ({"response_type": "none"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"scope": None}, "invalid_scope"),
    ({"scope": "email"}, "invalid_scope"),
    ({"scope": "OpenID"}, "invalid_scope"),
    ({"scope": "openid phone"}, "invalid_scope"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "none consent"}, "invalid_request"),
    ({"prompt": "none select_account"}, "invalid_request"),
    ({"prompt": "unheard-of"}, "invalid_request"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"max_age": "1.5"}, "invalid_request"),
    ({"max_age": "soon"}, "invalid_request"),
    ({"max_age": "٣"}, "invalid_request"),
    ({"max_age": "9" * 10}, "invalid_request"),
    ({"request": LONG_JWT}, "request_not_supported"),
    ({"request": "x"}, "request_not_supported"),
    ({"request_uri": "https://thu.example/" + "r" * 600}, "request_uri_not_supported"),
    ({"registration": "{}"}, "registration_not_supported"),
    ({"id_token_hint": "not.a.token"}, "invalid_request"),
    ({"state": "s" * 513}, "invalid_request"),
    ({"nonce": "n" * 513}, "invalid_request"),
    ({"claims": "[]"}, "invalid_request"),
    ({"prompt": "none"}, "login_required"),
]


@pytest.mark.parametrize(("changes", "error"), CASES)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.holds(
    "B2",
    "B3",
    "B9",
    "OIDCC-3.1.2.1-2",
    "OIDCC-3.1.2.1-4",
    "OIDCC-3.1.2.2-3",
    "OIDCC-3.1.2.6-2",
    "OIDCC-3.1.2.6-3",
    "OIDCC-3.2-1",
    "OIDCC-6.1-3",
    "OIDCC-6.2-1",
    "OIDCC-7-1",
    "RFC6749-3.1.1-1",
    "RFC6749-4.1.2.1-2",
    "RFC6749-4.1.2.1-3",
    "RFC6749-4.2-1",
    "RFC9101-5.2-1",
)
def test_the_portal_is_told_when_a_request_is_wrong(
    portal: Portal, browser: Browser, changes: dict[str, str | None], error: str, method: str
) -> None:
    if method == "GET":
        page = browser.get(portal.address(**changes))
    else:
        page = browser.post("/authorize", portal.request(**changes))
    assert page.left_for is not None, page.text
    assert page.left_for.startswith(portal.redirect_uri + "?error=")
    query = page.left_for.partition("?")[2]
    assert "#" not in query
    told = Answer(page.left_for).parameters
    assert told["error"] == error
    assert DESCRIPTION.fullmatch(told["error_description"])
    assert told["iss"] == portal.provider.settings.issuer
    if len(changes.get("state") or "") <= 512:
        assert told["state"] == "state-of-the-portal"
    else:
        # Never truncated: a portal must not take half a state for its own.
        assert "state" not in told
    assert set(told) <= {"error", "error_description", "state", "iss"}


@pytest.mark.parametrize(
    "name", ["response_type", "scope", "state", "nonce", "prompt", "code_challenge", "claims", "acr_values", "max_age"]
)
@pytest.mark.holds("RFC6749-3.1-2")
def test_a_parameter_given_twice_is_an_error(portal: Portal, browser: Browser, name: str) -> None:
    value = portal.request().get(name, "1")
    extra = f"&{name}={value}" if name in portal.request() else f"&{name}=1&{name}=1"
    page = browser.get(portal.address() + extra)
    told = Answer(page.left_for or "").parameters
    assert told["error"] == "invalid_request"
    # Which of two states is the portal's cannot be known.
    assert ("state" in told) is (name != "state")


@pytest.mark.holds("F12", "RFC6749-4.1.2-4")
def test_no_state_is_made_up_when_none_was_sent(portal: Portal, browser: Browser, provider: Provider) -> None:
    assert "state" not in portal.arrive(browser, state=None, scope="email").parameters
    assert "state" not in portal.arrive(browser, provider.citizen(), state=None).parameters


STATES = [
    "s" * 128,
    "s" * 512,
    "a+b c%20d%2Bé&x=1;y#z?/:@!$'()*,~`^|{}[]<>\"\\",
    "đường về nhà \U0001f3e0 e\u0301",
    "%00%0d%0aSet-Cookie:x",
    "\u00a0\u2028\ufeff\uffff",
    "==",
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.holds("B4", "F12", "RFC6749-4.1.2-4")
def test_the_state_comes_back_byte_for_byte(portal: Portal, provider: Provider, browser: Browser, state: str) -> None:
    assert portal.arrive(browser, provider.citizen(), state=state)["state"] == state
    assert portal.arrive(browser, state=state)["state"] == state
    assert portal.arrive(browser, state=state, prompt="none", max_age="0", scope="openid email")["state"] == state
    assert portal.arrive(browser, state=state, response_type="token")["state"] == state


@pytest.mark.holds("F11", "RFC6749-4.1.2.1-2")
def test_the_citizen_who_turns_back_is_reported_as_access_denied(
    portal: Portal, provider: Provider, browser: Browser
) -> None:
    browser.get(portal.address())
    told = Answer(browser.cancel().left_for or "").parameters
    assert told.pop("error_description")
    assert told == {"error": "access_denied", "state": "state-of-the-portal", "iss": provider.settings.issuer}
