"""OpenID Connect Core 1.0, 5.5: the `claims` parameter, for UserInfo and for the ID token."""

import json
from typing import Any

import pytest

from idp.core.scopes import PERSON_CLAIMS
from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, json_of

SIGN_IN = {"iss", "sub", "aud", "iat", "exp", "auth_time", "acr", "amr", "at_hash", "nonce", "vn_auth_level"}


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid profile email idnum")


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com", email_verified=True, nickname="Hoà")


def received(portal: Portal, browser: Browser, person: Person, **changes: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the claims of the ID token and of UserInfo."""
    tokens = portal.tokens(portal.arrive(browser, person, **changes))
    return portal.claims(tokens), portal.userinfo(tokens["access_token"]).get_json()


@pytest.mark.parametrize("wish", [None, {"essential": True}, {"essential": False}, {"value": "x"}, {"foo": [1, {}]}])
@pytest.mark.holds("B16", "OIDCC-5.5-1")
def test_a_claim_for_userinfo_is_there_and_not_in_the_id_token(
    portal: Portal, browser: Browser, person: Person, wish: Any
) -> None:
    token, userinfo = received(portal, browser, person, claims=json_of(userinfo={"name": wish}))
    assert userinfo == {"sub": token["sub"], "name": person.full_name}
    assert set(token) == SIGN_IN


@pytest.mark.holds("OIDCC-2-2", "OIDCC-5.5-1")
def test_a_claim_for_the_id_token_is_there_and_not_in_userinfo(
    portal: Portal, browser: Browser, person: Person
) -> None:
    wanted = json_of(id_token={"name": None, "email": {"essential": True}, "auth_time": {"essential": True}})
    token, userinfo = received(portal, browser, person, claims=wanted)
    assert (token["name"], token["email"]) == (person.full_name, "hoa@example.com")
    assert set(token) == {*SIGN_IN, "name", "email"}
    assert userinfo == {"sub": token["sub"]}


@pytest.mark.holds("OIDCC-5.5-3")
def test_claims_are_added_to_what_the_scopes_give(portal: Portal, browser: Browser, person: Person) -> None:
    wanted = json_of(userinfo={"nickname": None}, id_token={"email": None})
    token, userinfo = received(portal, browser, person, scope="openid email", claims=wanted)
    assert userinfo == {
        "sub": token["sub"],
        "email": "hoa@example.com",
        "email_verified": True,
        "nickname": "Hoà",
    }
    assert token["email"] == "hoa@example.com"


@pytest.mark.holds("OIDCC-3.1.2.4-1")
def test_everything_asked_for_stands_on_the_consent_page(portal: Portal, browser: Browser, person: Person) -> None:
    browser.get(portal.address(claims=json_of(userinfo={"nickname": None}, id_token={"email": None})))
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "consent"
    assert "Hoà" in page.text
    assert "hoa@example.com" in page.text
    assert person.number not in page.text.replace(" ", "")


@pytest.mark.holds("OIDCC-5.5-2", "OIDCC-17-1", "FAPI2SP-5.3.2.1-11")
def test_a_claim_outside_the_registered_scopes_is_never_sent(
    provider: Provider, browser: Browser, person: Person
) -> None:
    narrow = provider.portal(scope="openid email")
    every = {name: {"essential": True} for name in (*PERSON_CLAIMS, "unheard-of")}
    token, userinfo = received(narrow, browser, person, claims=json_of(userinfo=every, id_token=every))
    assert userinfo == {"sub": token["sub"], "email": "hoa@example.com", "email_verified": True}
    assert set(token) == {*SIGN_IN, "email", "email_verified"}


@pytest.mark.holds("F14", "OIDCC-5.5-2")
def test_every_supported_claim_may_be_asked_for(provider: Provider, portal: Portal, browser: Browser) -> None:
    bare = provider.citizen()
    every = dict.fromkeys(PERSON_CLAIMS)
    token, userinfo = received(portal, browser, bare, claims=json_of(userinfo=every, other={"x": 1}))
    # What this person does not have is left out, never null.
    assert set(userinfo) == {
        "sub", "name", "gender", "birthdate", "updated_at", "identification_number", "identification_number_scheme",
    }  # fmt: skip
    assert set(token) == SIGN_IN


@pytest.mark.parametrize(
    "claims",
    [
        "{}",
        '{"userinfo":{}}',
        '{"userinfo":null,"id_token":null}',
        '{"other":{"name":null}}',
        '{"userinfo":{"name#vi":null}}',
        '{"id_token":{"iss":null,"exp":null,"amr":{"values":["pwd"]}}}',
        '{"id_token":{"acr":null}}',
        '{"id_token":{"acr":{"essential":true}}}',
        '{"id_token":{"acr":{"values":[]}}}',
        '{"id_token":{"acr":{"values":[1,{},null,"loa1"]}}}',
        '{"id_token":{"sub":{"value":7}}}',
        '{"id_token":{"\\u0000\\ud800":{"value":"\\ud800"}}}',
        ' {"id_token" : { "auth_time" : { "essential" : true } } } ',
    ],
)
@pytest.mark.holds("B16", "F14", "OIDCC-5.5-1")
def test_what_is_not_supported_is_no_error(portal: Portal, browser: Browser, person: Person, claims: str) -> None:
    token, userinfo = received(portal, browser, person, claims=claims)
    assert set(token) == SIGN_IN
    assert userinfo == {"sub": token["sub"]}


@pytest.mark.parametrize(
    "claims",
    [
        "[]",
        "null",
        '"text"',
        "{",
        "not json",
        '{"userinfo":[]}',
        '{"userinfo":{"name":"x"}}',
        '{"id_token":{"acr":true}}',
        json.dumps({"a" * 5000: None}),
        '{"userinfo":' + '{"a":' * 30 + "{}" + "}" * 31,
        "[" * 2000,
        '{"a":' * 300,
        '{"id_token":{"sub":{"value":"\\ud800"}}}',
        '{"id_token":{"sub":{"value":"\\u0000đ"}}}',
    ],
)
@pytest.mark.holds("OIDCC-5.5-4")
def test_a_malformed_value_is_invalid_request(portal: Portal, browser: Browser, claims: str) -> None:
    answer = portal.arrive(browser, claims=claims)
    assert (answer["error"], answer["state"]) == ("invalid_request", "state-of-the-portal")


@pytest.mark.holds("OIDCC-3.1.2.2-2")
def test_a_subject_asked_for_must_sign_in(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    sub = portal.sign_in(browser, person)["sub"]
    wanted = json_of(id_token={"sub": {"value": sub}})
    assert portal.arrive(browser, claims=wanted, prompt="none").get("code")
    for other in ("x", "\0", "a" * 300):
        wrong = json_of(id_token={"sub": {"value": other}})
        assert portal.arrive(browser, claims=wrong, prompt="none")["error"] == "login_required"
    stranger = provider.browser()
    assert portal.arrive(stranger, provider.citizen(), claims=wanted)["error"] == "login_required"


def test_claims_of_an_answer_are_those_of_its_own_request(portal: Portal, browser: Browser, person: Person) -> None:
    received(portal, browser, person, scope="openid email profile")
    answer = Answer(browser.get(portal.address(claims=json_of(userinfo={"email": None}))).left_for or "")
    tokens = portal.tokens(answer)
    assert set(portal.userinfo(tokens["access_token"]).get_json()) == {"sub", "email"}
