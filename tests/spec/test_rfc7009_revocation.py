"""RFC 7009: a client gives back a token."""

from typing import Any

import pytest

from tests.browser import Browser
from tests.provider import Person, Portal, Provider

ASKED = "openid offline_access"


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope=ASKED, grant_types=["authorization_code", "refresh_token"])


@pytest.fixture
def tokens(portal: Portal, browser: Browser, person: Person) -> dict[str, Any]:
    return portal.tokens(portal.arrive(browser, person, scope=ASKED))


@pytest.mark.holds("RFC7009-2-1", "RFC7009-2.1-3", "RFC7009-2.1-5", "RFC7009-2.2-1")
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "unheard-of"])
def test_a_revoked_access_token_stops_and_the_grant_goes_on(
    portal: Portal, tokens: dict[str, Any], hint: str | None
) -> None:
    form = {"token": tokens["access_token"], **({"token_type_hint": hint} if hint else {})}
    response = portal.post("/revoke", **form)
    assert (response.status_code, response.get_data()) == (200, b"")
    assert response.headers["Cache-Control"] == "no-store"
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    assert portal.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.holds("RFC7009-2.1-3", "RFC7009-2.1-4")
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token"])
def test_a_revoked_refresh_token_takes_everything_along(
    portal: Portal, tokens: dict[str, Any], hint: str | None
) -> None:
    newer = portal.refresh(tokens["refresh_token"]).get_json()
    form = {"token": newer["refresh_token"], **({"token_type_hint": hint} if hint else {})}
    assert portal.post("/revoke", **form).status_code == 200
    assert portal.refresh(newer["refresh_token"]).get_json()["error"] == "invalid_grant"
    for token in (tokens["access_token"], newer["access_token"]):
        assert portal.userinfo(token).status_code == 401


@pytest.mark.holds("RFC7009-2.2-1", "RFC7009-5-1")
@pytest.mark.parametrize("token", ["unheard-of", "x.y.z", "k1.x.y", "đ", "t" * 20_000])
def test_an_unknown_token_is_no_error(portal: Portal, token: str) -> None:
    assert portal.post("/revoke", token=token).status_code == 200


def test_revoking_twice_is_no_error(portal: Portal, tokens: dict[str, Any]) -> None:
    for _ in range(2):
        assert portal.post("/revoke", token=tokens["access_token"]).status_code == 200
        assert portal.post("/revoke", token=tokens["refresh_token"]).status_code == 200


@pytest.mark.holds("RFC7009-2.1-2")
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_token_of_another_client_is_refused_and_stays_good(
    provider: Provider, portal: Portal, tokens: dict[str, Any], kind: str
) -> None:
    response = provider.portal().post("/revoke", token=tokens[kind])
    assert (response.status_code, response.get_json()["error"]) == (400, "unauthorized_client")
    assert portal.userinfo(tokens["access_token"]).status_code == 200
    assert portal.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.holds("RFC7009-2.1-1", "RFC7009-5-1")
def test_revoking_needs_the_clients_authentication(provider: Provider, portal: Portal, tokens: dict[str, Any]) -> None:
    for headers in ({}, {"Authorization": portal.basic("wrong")}):
        response = provider.http().post("/revoke", data={"token": tokens["access_token"]}, headers=headers)
        assert (response.status_code, response.get_json()["error"]) == (401, "invalid_client")
    assert portal.userinfo(tokens["access_token"]).status_code == 200


@pytest.mark.holds("RFC7009-2.1-1", "RFC7009-2.2.1-1")
def test_a_wrong_request_is_a_json_error(provider: Provider, portal: Portal, tokens: dict[str, Any]) -> None:
    headers = {"Authorization": portal.basic(), "Content-Type": "application/x-www-form-urlencoded"}
    http = provider.http()
    for body in ("", "token=", "token=x&token=y"):
        response = http.post("/revoke", data=body, headers=headers)
        assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")
    for refused in (
        http.post(f"/revoke?token={tokens['access_token']}", data={"token": "x"}, headers=headers),
        http.get(f"/revoke?token={tokens['access_token']}", headers=headers),
    ):
        assert refused.status_code in (400, 405)
    assert portal.userinfo(tokens["access_token"]).status_code == 200
