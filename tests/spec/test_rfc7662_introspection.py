"""RFC 7662: a portal asks whether an access token of its own is still good."""

from typing import Any

import pytest

from tests.browser import Browser
from tests.provider import Person, Portal, Provider


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


def introspected(portal: Portal, **form: str) -> Any:
    response = portal.provider.http().post("/introspect", data=form, headers={"Authorization": portal.basic()})
    assert response.headers["Cache-Control"] == "no-store"
    return response.get_json()


@pytest.mark.holds("RFC7662-2.1-2", "RFC7662-2.2-4")
def test_a_live_token_is_described(portal: Portal, browser: Browser, person: Person) -> None:
    tokens = portal.tokens(portal.arrive(browser, person, acr_values="loa2"))
    claims = portal.claims(tokens)
    told = introspected(portal, token=tokens["access_token"], token_type_hint="access_token")
    assert told["exp"] - told["iat"] == tokens["expires_in"]
    assert {name: told[name] for name in ("active", "client_id", "sub", "scope", "token_type", "iss", "acr")} == {
        "active": True,
        "client_id": portal.client_id,
        "sub": claims["sub"],
        "scope": "openid",
        "token_type": "Bearer",
        "iss": claims["iss"],
        "acr": "loa2",
    }


@pytest.mark.holds("RFC7662-2.2-2")
def test_any_other_token_is_only_inactive(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    answer = portal.arrive(browser, person)
    tokens = portal.tokens(answer)
    stranger = provider.portal()
    for asked_by, token in (
        (stranger, tokens["access_token"]),
        (portal, "unheard-of"),
        (portal, tokens["id_token"]),
        (portal, answer["code"]),
    ):
        assert introspected(asked_by, token=token) == {"active": False}
    browser.get("/logout")
    browser.submit("logout-form")
    assert introspected(portal, token=tokens["access_token"]) == {"active": False}


@pytest.mark.holds("RFC7662-2.1-1", "RFC7662-4-2")
def test_only_an_authenticated_portal_may_ask(provider: Provider, portal: Portal) -> None:
    http = provider.http()
    wrong = http.post("/introspect", data={"token": "x"}, headers={"Authorization": portal.basic("wrong")})
    for response in (http.post("/introspect", data={"token": "x"}), wrong):
        assert (response.status_code, response.get_json()["error"]) == (401, "invalid_client")


@pytest.mark.holds("RFC7662-2.3-1")
def test_a_request_without_a_token_or_with_two_is_refused(portal: Portal) -> None:
    assert introspected(portal)["error"] == "invalid_request"
    twice = portal.provider.http().post(
        "/introspect",
        data=b"token=a&token=b",
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": portal.basic()},
    )
    assert (twice.status_code, twice.get_json()["error"]) == (400, "invalid_request")
