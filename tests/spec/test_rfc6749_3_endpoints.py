"""RFC 6749, 3 and 4.1.1, RFC 6750, 3, and RFC 7662, 2.1: how requests are read, and what comes before what."""

import json
import re

import pytest

from tests.browser import Browser
from tests.provider import Person, Portal, Provider

EMPTY = ["prompt", "max_age", "claims", "acr_values", "id_token_hint", "login_hint", "ui_locales", "display", "request"]
# RFC 6750, 3: the signs of error_description and of error in WWW-Authenticate.
CHALLENGE = re.compile(r'(?:(?:Bearer |DPoP )?[a-z_]+="[\x20-\x21\x23-\x5B\x5D-\x7E]*"(?:, |$))+')


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(redirect_uris=["https://quay.example/cb"])


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.mark.holds("RFC6749-3.1-2")
@pytest.mark.parametrize("name", EMPTY)
def test_a_parameter_without_a_value_counts_as_left_out(
    portal: Portal, browser: Browser, person: Person, name: str
) -> None:
    assert portal.arrive(browser, person, **{name: ""}).get("code")


@pytest.mark.holds("RFC6749-3.1-2")
def test_an_empty_state_or_nonce_is_none(portal: Portal, browser: Browser, person: Person) -> None:
    answer = portal.arrive(browser, person, state="", nonce="")
    assert set(answer.parameters) == {"code", "iss"}
    assert "nonce" not in portal.claims(portal.tokens(answer))


@pytest.mark.holds("RFC6749-3.1-3")
def test_nothing_is_granted_before_the_citizen_is_known(portal: Portal, browser: Browser, person: Person) -> None:
    page = browser.get(portal.address())
    assert page.step == "login"
    for step in ("consent", "notice", "code", ""):
        typed = browser.get(f"/signin/{page.handle}/{step}".rstrip("/"))
        assert (typed.step, typed.left_for) == ("login", None)
    page = browser.submit("login-form", number=person.number, password="sai mật khẩu rồi")
    assert (page.step, page.left_for) == ("login", None)


@pytest.mark.holds("RFC6749-4.1.1-1")
@pytest.mark.parametrize(
    "wrong", [{"scope": "email"}, {"response_type": "token"}, {"claims": "["}, {"code_challenge": "short"}]
)
def test_a_wrong_request_is_answered_before_the_citizen_is_asked_anything(
    portal: Portal, provider: Provider, wrong: dict[str, str]
) -> None:
    stranger = provider.browser()
    assert (
        stranger.send("GET", portal.address(**wrong)).headers["Location"].startswith("https://quay.example/cb?error=")
    )
    assert len(stranger.seen) == 1
    assert stranger.cookies() == {}


@pytest.mark.holds("B17", "OIDCC-3.1.2.6-3")
@pytest.mark.parametrize(
    "carrier", [{"request": "eyJhbGciOiJub25lIn0.e30."}, {"request_uri": "https://quay.example/r"}]
)
def test_a_request_object_beside_a_foreign_redirect_uri_is_a_page(
    portal: Portal, browser: Browser, carrier: dict[str, str]
) -> None:
    page = browser.get(portal.address(redirect_uri="https://evil.example/", **carrier))
    assert (page.status, page.left_for) == (400, None)
    assert "evil.example" not in page.text


@pytest.mark.holds("B17")
@pytest.mark.parametrize(
    "carrier", [{"request": "eyJhbGciOiJub25lIn0.e30."}, {"request_uri": "https://quay.example/r"}]
)
def test_a_request_object_is_never_passed_over(
    portal: Portal, browser: Browser, person: Person, carrier: dict[str, str]
) -> None:
    portal.arrive(browser, person)
    answer = portal.arrive(browser, **carrier)
    assert answer.get("code") is None
    assert answer["error"] in (
        "request_not_supported", "request_uri_not_supported", "invalid_request_object", "invalid_request_uri",
    )  # fmt: skip


@pytest.mark.holds("OIDCC-13-1")
def test_json_is_not_taken_for_a_form(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    code = portal.arrive(browser, person)["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": portal.redirect_uri,
        "code_verifier": portal.verifier,
    }
    headers = {"Authorization": portal.basic()}
    told = provider.http().post("/token", data=json.dumps(form), content_type="application/json", headers=headers)
    assert (told.status_code, told.get_json()["error"]) == (400, "invalid_request")
    assert portal.redeem(code).status_code == 200
    page = provider.browser().send(
        "POST", "/authorize", data=json.dumps(portal.request()), content_type="application/json"
    )
    assert page.status_code == 400
    assert "Location" not in page.headers


@pytest.mark.holds("RFC6750-3-2")
@pytest.mark.parametrize("header", [None, "Bearer x", 'Bearer "\\', "Bearer đ", "Basic eDp5", "Bearer a b"])
def test_a_challenge_keeps_to_the_allowed_signs(provider: Provider, header: str | None) -> None:
    sent = {} if header is None else {"Authorization": header.encode().decode("latin-1")}
    response = provider.http().get("/userinfo", headers=sent)
    assert response.status_code == 401
    challenges = response.headers.getlist("WWW-Authenticate")
    assert challenges
    for challenge in challenges:
        assert challenge.startswith(("Bearer ", "DPoP "))
        assert CHALLENGE.fullmatch(challenge), challenge


@pytest.mark.holds("RFC7662-2.1-3")
def test_tokens_are_not_introspected_from_an_address(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    token = portal.tokens(portal.arrive(browser, person))["access_token"]
    headers = {"Authorization": portal.basic()}
    got = provider.http().get("/introspect", query_string={"token": token}, headers=headers)
    assert got.status_code == 405
    posted = provider.http().post("/introspect", query_string={"token": token}, headers=headers)
    assert posted.status_code == 400
    assert "active" not in posted.get_json()
