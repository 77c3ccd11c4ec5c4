"""OpenID Connect RP-Initiated Logout 1.0, 2, 3 and 4 (L1 to L4 of the requirements)."""

import base64
import json
from typing import Any

import pytest
from joserfc import jwt as signing
from joserfc.jwk import RSAKey

from idp.agencies import apply
from idp.core import clock
from tests.browser import Browser, Page
from tests.provider import Person, Portal, Provider


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture
def hint(portal: Portal, browser: Browser, person: Person) -> str:
    token: str = portal.tokens(portal.arrive(browser, person))["id_token"]
    return token


def address(portal: Portal) -> str:
    [registered] = portal.document["post_logout_redirect_uris"]
    return str(registered)


def ask(browser: Browser, method: str, **parameters: str) -> Page:
    if method == "GET":
        return browser.get("/logout", query_string=parameters)
    return browser.post("/logout", parameters)


def is_signed_in(portal: Portal, browser: Browser) -> bool:
    return portal.arrive(browser, prompt="none").get("code") is not None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("state", [None, "s t/ä&=%00" + "x" * 200])
@pytest.mark.holds("L1", "RIL-2-1", "RIL-2-2", "RIL-3-1", "RIL-3-2")
def test_the_citizen_confirms_and_goes_back_to_the_portal(
    portal: Portal, browser: Browser, hint: str, method: str, state: str | None
) -> None:
    sent = {"id_token_hint": hint, "post_logout_redirect_uri": address(portal)}
    page = ask(browser, method, **sent, **({"state": state} if state else {}))
    assert page.status == 200
    assert is_signed_in(portal, browser), "a foreign page must not sign anybody out by itself"
    page = browser.get("/logout", query_string={**sent, **({"state": state} if state else {})})
    assert f"form-action 'self' https://{portal.client_id}.example;" in page.response.headers["Content-Security-Policy"]
    gone = browser.submit("logout-form").left_for
    from urllib.parse import quote

    assert gone == address(portal) + (f"?state={quote(state, safe='')}" if state else "")
    assert not is_signed_in(portal, browser)
    assert "__Host-sid" not in browser.cookies()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("parameters", [{}, {"state": "only"}, {"ui_locales": "en"}, {"logout_hint": "x"}])
@pytest.mark.holds("L2", "RIL-2-4", "RIL-2-5", "RIL-3-3")
def test_without_an_address_the_citizen_ends_on_our_page(
    portal: Portal, browser: Browser, hint: str, method: str, parameters: dict[str, str]
) -> None:
    for extra in ({}, {"id_token_hint": hint}, {"client_id": portal.client_id}):
        assert ask(browser, method, **parameters, **extra).left_for is None
    page = browser.submit("logout-form")
    assert page.left_for is None
    assert "signed-out" in page.ids
    assert not is_signed_in(portal, browser)


def test_the_citizen_is_told_which_portals_had_a_session(
    provider: Provider, portal: Portal, browser: Browser, person: Person, hint: str
) -> None:
    other = provider.portal()
    other.arrive(browser, person)
    page = browser.get("/logout?lang=en")
    for name in (f"Portal {portal.client_id}", f"Portal {other.client_id}"):
        assert name in page.text
    page = browser.submit("logout-form")
    for name in (f"Portal {portal.client_id}", f"Portal {other.client_id}"):
        assert name in page.text
    stranger = provider.browser()
    stranger.get("/logout?lang=en")
    assert stranger.page is not None
    assert "Portal portal-" not in stranger.page.text


@pytest.mark.holds("RIL-3-2")
def test_signing_out_without_a_session_goes_straight_on(provider: Provider, portal: Portal, hint: str) -> None:
    browser = provider.browser()
    page = browser.get(
        "/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address(portal), "state": "s"}
    )
    assert page.left_for == f"{address(portal)}?state=s"
    assert "signed-out" in browser.get("/logout").ids


@pytest.mark.holds("L4", "RIL-2-2")
def test_an_expired_hint_is_as_good(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    claims = portal.sign_in(browser, person)
    long_ago = clock.epoch(clock.now()) - 86_400
    with provider.app.app_context():
        signer = provider.services.signing_keys.signer("ES256")
        for audience in (portal.client_id, [portal.client_id]):
            hint = signer.sign({**claims, "aud": audience, "iat": long_ago - 60, "exp": long_ago}, typ="JWT")
            browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address(portal)})
            assert browser.page is not None
            assert "logout-form" in browser.page.forms
    assert browser.submit("logout-form").left_for == address(portal)


def forged_hints(provider: Provider, portal: Portal, hint: str) -> dict[str, str]:
    header, payload, signature = hint.split(".")
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    bare = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    with provider.app.app_context():
        signer = provider.services.signing_keys.signer("ES256")
        several = signer.sign({**claims, "aud": [portal.client_id, "other"]}, typ="JWT")
        elsewhere = signer.sign({**claims, "iss": "https://other.example"}, typ="JWT")
        nobody = signer.sign({**claims, "aud": "nobody"}, typ="JWT")
    return {
        "alg none": f"{bare}.{payload}.",
        "alg none with signature": f"{bare}.{payload}.{signature}",
        "foreign key": signing.encode(
            {"alg": "RS256", "kid": provider.jwks()[0]["kid"]}, claims, RSAKey.generate_key(2048)
        ),
        "changed": f"{header}.{payload}.{signature[:-6]}AAAAAA",
        "several audiences": several,
        "another issuer": elsewhere,
        "unknown client": nobody,
        "nonsense": "x",
        "huge": "x" * 7_000,
    }


@pytest.mark.holds("L3", "RIL-4-1", "RFC9700-4.11-1")
def test_nobody_is_sent_anywhere_by_a_hint_that_is_not_ours(
    provider: Provider, portal: Portal, browser: Browser, hint: str
) -> None:
    for name, forged in forged_hints(provider, portal, hint).items():
        for method in ("GET", "POST"):
            page = ask(browser, method, id_token_hint=forged, post_logout_redirect_uri=address(portal))
            assert page.left_for is None, name
            assert (page.status, page.error_code) == (400, "PR-006"), name
    assert is_signed_in(portal, browser)


@pytest.mark.parametrize(
    "change", ["{}?foo=bar", "{}/", "{}#x", "https://evil.example/", "javascript:alert(1)", "//evil.example"]
)
@pytest.mark.holds("L3", "RIL-3-1", "RIL-4-1", "RFC9700-4.11-1")
def test_nobody_is_sent_to_an_unregistered_address(portal: Portal, browser: Browser, hint: str, change: str) -> None:
    page = browser.get(
        "/logout",
        query_string={"id_token_hint": hint, "post_logout_redirect_uri": change.format(address(portal))},
    )
    assert (page.status, page.error_code, page.left_for) == (400, "PR-006", None)


@pytest.mark.holds("L3", "RIL-3-1")
def test_an_address_without_a_hint_is_not_followed(portal: Portal, browser: Browser, hint: str) -> None:
    for extra in ({}, {"client_id": portal.client_id}):
        page = browser.get("/logout", query_string={"post_logout_redirect_uri": address(portal), **extra})
        assert "logout-form" in page.forms
    page = browser.submit("logout-form")
    assert page.left_for is None
    assert "signed-out" in page.ids


@pytest.mark.holds("RIL-2-3")
def test_a_hint_of_another_client_than_named_is_refused(
    provider: Provider, portal: Portal, browser: Browser, hint: str
) -> None:
    other = provider.portal()
    page = browser.get("/logout", query_string={"id_token_hint": hint, "client_id": other.client_id})
    assert page.error_code == "PR-006"


def test_parameters_given_twice_are_refused(portal: Portal, browser: Browser, hint: str) -> None:
    assert browser.get("/logout?state=a&state=b").error_code == "PR-006"
    assert browser.get("/logout?state=" + "a" * 513).error_code == "PR-006"


@pytest.mark.holds("RIL-6-1")
def test_the_confirmation_cannot_be_made_elsewhere(portal: Portal, browser: Browser, hint: str) -> None:
    browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address(portal)})
    action, fields = browser.form("logout-form")
    for changed, code in (
        ({**fields, "request": fields["request"][:-2] + "AA"}, "PR-006"),
        ({**fields, "request": "https://evil.example/"}, "PR-006"),
        ({**fields, "csrf": "x"}, "ID-008"),
        ({**fields, "csrf": ""}, "ID-008"),
        ({}, "ID-008"),
    ):
        page = browser.post(action, changed)
        assert (page.left_for, page.error_code) == (None, code)
    assert is_signed_in(portal, browser)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.holds("RIL-6-1", "RFC6749-10.12-1")
def test_another_site_cannot_confirm_with_a_form_of_its_own(
    portal: Portal, browser: Browser, hint: str, site: str
) -> None:
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": address(portal)}
    browser.get("/logout", query_string=asked)
    action, fields = browser.form("logout-form")
    page = browser.post(action, fields, headers={"Sec-Fetch-Site": site})
    assert page.error_code == "ID-008"
    assert is_signed_in(portal, browser)


def test_a_cross_site_post_without_the_cookie_takes_nothing_away(portal: Portal, browser: Browser, hint: str) -> None:
    browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address(portal)})
    action, fields = browser.form("logout-form")
    kept = browser.cookies()
    browser.forget("sid")
    assert "Set-Cookie" not in browser.send("POST", action, data=fields).headers
    browser.put(kept)
    assert is_signed_in(portal, browser)


def test_a_cross_site_post_asks_although_the_cookie_stayed_behind(portal: Portal, browser: Browser, hint: str) -> None:
    kept = browser.cookies()
    browser.forget("sid")
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": address(portal), "state": "state-of-the-portal"}
    there = browser.send("POST", "/logout", data=asked).headers["Location"]
    assert hint not in there
    assert "state-of-the-portal" not in there
    browser.put(kept)
    assert "logout-form" in browser.get(there).forms
    assert browser.submit("logout-form").left_for == f"{address(portal)}?state=state-of-the-portal"
    assert not is_signed_in(portal, browser)


def test_confirming_twice_is_harmless(portal: Portal, browser: Browser, hint: str) -> None:
    browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address(portal)})
    action, fields = browser.form("logout-form")
    for _ in range(2):
        assert browser.post(action, fields).left_for == address(portal)
    assert browser.get("/logout/confirm").path == "/logout"


@pytest.mark.holds("L1")
def test_afterwards_a_silent_request_needs_a_new_sign_in(portal: Portal, browser: Browser, hint: str) -> None:
    browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address(portal)})
    browser.submit("logout-form")
    assert portal.arrive(browser, prompt="none").get("error") == "login_required"


@pytest.mark.holds("L3", "RIL-4-1")
def test_only_an_id_token_is_a_hint(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    claims = portal.sign_in(browser, person)
    with provider.app.app_context():
        signer = provider.services.signing_keys.signer("ES256")
        for typ in ("at+jwt", "logout+jwt", "token-introspection+jwt"):
            asked = {"id_token_hint": signer.sign(claims, typ=typ), "post_logout_redirect_uri": address(portal)}
            assert browser.get("/logout", query_string=asked).error_code == "PR-006"


def test_a_suspended_client_signs_out_but_gets_nobody_back(
    provider: Provider, browser: Browser, person: Person
) -> None:
    stopped = provider.portal()
    hint = stopped.tokens(stopped.arrive(browser, person))["id_token"]
    with provider.app.app_context():
        apply.suspend(stopped.client_id)
    provider.forget_caches()
    browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address(stopped)})
    page = browser.submit("logout-form")
    assert page.left_for is None
    assert "signed-out" in page.ids
    assert provider.session_of(person).ended_at is not None


@pytest.mark.holds("RIL-2-4")
def test_a_hint_of_another_person_ends_nothing_unasked(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    other = provider.citizen()
    hint = portal.tokens(portal.arrive(provider.browser(), other))["id_token"]
    portal.arrive(browser, person)
    page = browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address(portal)})
    assert "logout-form" in page.forms
    assert is_signed_in(portal, browser)
