"""RFC 9449, 5 and 9: a client that authenticates may change its key; UserInfo asks for no nonce."""

from dataclasses import replace

import pytest

from tests.browser import Browser
from tests.keyed import KeyedPortal, keyed
from tests.proofs import ProofKey
from tests.provider import Person, Provider

ASKED = "openid offline_access"


@pytest.fixture(scope="module")
def portal(provider: Provider) -> KeyedPortal:
    return keyed(provider, profile="fapi2", scope=ASKED, grant_types=["authorization_code", "refresh_token"])


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.mark.holds("RFC9449-5-3")
def test_a_client_that_authenticates_may_change_its_key_when_it_refreshes(
    portal: KeyedPortal, browser: Browser, person: Person
) -> None:
    tokens = portal.tokens(portal.arrive(browser, person, scope=ASKED))
    moved = replace(portal, proof_key=ProofKey())
    response = moved.send("/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})
    assert response.status_code == 200, response.text
    renewed = response.get_json()["access_token"]
    assert moved.userinfo(renewed).status_code == 200
    # The new token is bound to the new key alone, the old one to the old.
    assert portal.userinfo(renewed).status_code == 401
    assert moved.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.holds("RFC9449-9-1")
def test_userinfo_asks_for_no_nonce_and_takes_one(
    provider: Provider, portal: KeyedPortal, browser: Browser, person: Person
) -> None:
    token = portal.tokens(portal.arrive(browser, person))["access_token"]
    first = portal.userinfo(token)
    assert first.status_code == 200
    assert "DPoP-Nonce" not in first.headers
    form = {**portal.request(), **portal.authentication()}
    proof = portal.proof_key.proof("POST", portal.issuer + "/par")
    nonce = provider.http().post("/par", data=form, headers={"DPoP": proof}).headers["DPoP-Nonce"]
    proof = portal.proof_key.proof("GET", portal.issuer + "/userinfo", access_token=token, nonce=nonce)
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
    assert provider.http().get("/userinfo", headers=headers).status_code == 200
