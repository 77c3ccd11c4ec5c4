"""RFC 9470: an agency's API asks for more, the portal sends the citizen back, and the new token opens it."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from clients.agency_login import AgencyApi
from tests.browser import Browser
from tests.proofs import ProofKey
from tests.provider import Person, Portal, Provider

RESOURCE = "https://api.buocnhay.example/v1"
CALLED_AT = "https://api.buocnhay.example"


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    """Return a portal that calls the API, which reads tokens by itself."""
    provider.portal(scope="openid name", resource_identifiers=[RESOURCE], access_token_format="jwt")
    return provider.portal(scope="openid name", resources=[RESOURCE])


@pytest.fixture
def api(provider: Provider) -> FlaskClient:
    guard = AgencyApi(issuer=provider.settings.issuer, resource=RESOURCE)
    # The provider under test has no socket: its keys come by the test client.
    guard.provider.key = lambda kid: next((key for key in provider.jwks() if key["kid"] == kid), None)  # type: ignore[method-assign]
    app = Flask("api")
    app.add_url_rule("/v1/plain", "plain", guard.token_required(scope="name")(lambda: guard.token.acr))
    app.add_url_rule("/v1/strong", "strong", guard.token_required(level="loa2", max_age=60)(lambda: guard.token.acr))
    return app.test_client()


def token_of(portal: Portal, browser: Browser, person: Person, **asked: str) -> str:
    answer = portal.arrive(browser, person, **{"scope": "openid name", "resource": RESOURCE, **asked})
    token: str = portal.tokens(answer)["access_token"]
    return token


def call(api: FlaskClient, path: str, token: str) -> Any:
    return api.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.holds("RFC9470-3-1", "RFC9470-4-1", "RFC9470-5-1", "RFC9470-6.1-1")
def test_the_demands_of_an_api_reach_the_citizen_and_are_met(
    provider: Provider, portal: Portal, browser: Browser, person: Person, api: FlaskClient
) -> None:
    weak = token_of(portal, browser, person)
    assert call(api, "/v1/plain", weak).text == "loa1"
    refused = call(api, "/v1/strong", weak)
    assert refused.status_code == 401
    demands = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers["WWW-Authenticate"]))
    assert demands.pop("error") == "insufficient_user_authentication"
    assert demands == {"acr_values": "loa2", "max_age": "60"}
    strong = token_of(portal, browser, person, **demands)
    assert call(api, "/v1/strong", strong).text == "loa2"


def test_a_token_for_userinfo_does_not_open_an_api(
    portal: Portal, browser: Browser, person: Person, api: FlaskClient
) -> None:
    plain = portal.tokens(portal.arrive(browser, person))
    for token in (plain["access_token"], plain["id_token"]):
        assert call(api, "/v1/plain", token).status_code == 401


@pytest.mark.holds("RFC9449-6.1-1", "RFC9449-7.1-1")
def test_a_bound_jwt_needs_its_key_at_an_api(
    provider: Provider, portal: Portal, browser: Browser, person: Person, api: FlaskClient
) -> None:
    key = ProofKey()
    code = portal.arrive(browser, person, scope="openid name", resource=RESOURCE)["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": portal.redirect_uri,
        "code_verifier": portal.verifier,
    }
    address, nonce = f"{provider.settings.issuer}/token", None
    for _ in range(2):
        headers = {"Authorization": portal.basic(), "DPoP": key.proof("POST", address, nonce=nonce)}
        answer = provider.http().post("/token", data=form, headers=headers)
        nonce = answer.headers["DPoP-Nonce"]
    token = answer.get_json()["access_token"]
    assert call(api, "/v1/plain", token).status_code == 401
    proof = key.proof("GET", f"{CALLED_AT}/v1/plain", access_token=token)
    bound = api.get("/v1/plain", headers={"Authorization": f"DPoP {token}", "DPoP": proof})
    assert (bound.status_code, bound.text) == (200, "loa1")
