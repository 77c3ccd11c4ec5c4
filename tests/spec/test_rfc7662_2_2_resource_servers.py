"""RFC 7662, 2.2, RFC 9068, 2.2.2, and RFC 9701, 5: what a token tells a resource server, and what it does not."""

from typing import Any

import pytest
from jose import jwt

from tests.browser import Browser
from tests.provider import Person, Portal, Provider

RESOURCE = "https://api.hocvan.example/"
JWT_TYPE = "application/token-introspection+jwt"


@pytest.fixture(scope="module", params=["opaque", "jwt"])
def server(provider: Provider, request: pytest.FixtureRequest) -> Portal:
    return provider.portal(
        scope="openid name", resource_identifiers=[f"{RESOURCE}{request.param}"], access_token_format=request.param
    )


@pytest.fixture(scope="module")
def portal(provider: Provider, server: Portal) -> Portal:
    return provider.portal(scope="openid name email", resources=server.document["resource_identifiers"])


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com", email_verified=True)


@pytest.fixture
def tokens(portal: Portal, server: Portal, browser: Browser, person: Person) -> dict[str, Any]:
    [resource] = server.document["resource_identifiers"]
    asked = {"scope": "openid name email", "resource": resource, "acr_values": "loa2"}
    return portal.tokens(portal.arrive(browser, person, **asked))


@pytest.mark.holds("RFC7662-2.2-1")
def test_a_resource_server_learns_what_it_must(
    provider: Provider, portal: Portal, server: Portal, tokens: dict[str, Any]
) -> None:
    seen = server.post("/introspect", token=tokens["access_token"]).get_json()
    assert (seen["active"], seen["iss"], seen["acr"]) == (True, provider.settings.issuer, "loa2")
    assert (seen["token_type"], seen["client_id"]) == ("Bearer", portal.client_id)
    assert seen["aud"] == server.document["resource_identifiers"][0]
    assert all(isinstance(seen[name], int) and not isinstance(seen[name], bool) for name in ("exp", "iat"))
    assert isinstance(seen["sub"], str)


@pytest.mark.holds("RFC9701-5-4", "RFC7662-2.2-3")
def test_the_signed_answer_says_no_more_than_this_server_may_know(
    provider: Provider, portal: Portal, server: Portal, tokens: dict[str, Any], person: Person
) -> None:
    headers = {"Authorization": server.basic(), "Accept": JWT_TYPE}
    response = provider.http().post("/introspect", data={"token": tokens["access_token"]}, headers=headers)
    assert response.mimetype == JWT_TYPE
    told = jwt.get_unverified_claims(response.get_data(as_text=True))["token_introspection"]
    assert told == server.post("/introspect", token=tokens["access_token"]).get_json()
    assert told["scope"] == "openid name"
    assert told["sub"] != portal.claims(tokens)["sub"]
    assert not {"hoa@example.com", person.number, person.full_name} & {str(value) for value in told.values()}


@pytest.mark.holds("RFC9068-2.2.2-1")
def test_a_jwt_holds_nothing_of_the_citizen_but_a_name_of_its_sector(server: Portal, tokens: dict[str, Any]) -> None:
    if server.document["access_token_format"] == "opaque":
        assert tokens["access_token"].count(".") != 2
        return
    assert set(jwt.get_unverified_claims(tokens["access_token"])) == {
        "iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope", "auth_time", "acr", "amr",
    }  # fmt: skip
