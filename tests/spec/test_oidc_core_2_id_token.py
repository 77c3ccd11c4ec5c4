"""OpenID Connect Core 1.0, 2, 3.1.3.3, 3.1.3.6 and 10.1: the ID token and the keys it is verified with."""

import pytest
from jose import jwt
from jose.exceptions import JOSEError
from joserfc import jwt as other
from joserfc.jwk import KeySet

from idp.core import clock
from tests.browser import Browser
from tests.provider import Person, Portal, Provider


@pytest.fixture(scope="module", params=["ES256", "RS256"])
def portal(provider: Provider, request: pytest.FixtureRequest) -> Portal:
    return provider.portal(id_token_signed_response_alg=request.param)


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.mark.holds("B23", "OIDCC-2-4", "OIDCC-2-5", "OIDCC-10-1", "OIDCC-15.1-1")
def test_two_libraries_verify_the_token_and_read_the_same(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    tokens = portal.tokens(portal.arrive(browser, person))
    claims = portal.claims(tokens)
    algorithm = portal.document["id_token_signed_response_alg"]
    read = other.decode(tokens["id_token"], KeySet.import_key_set({"keys": provider.jwks()}), algorithms=[algorithm])
    assert read.claims == claims
    assert read.header == {"alg": algorithm, "kid": read.header["kid"], "typ": "JWT"}


@pytest.mark.holds("B23", "OIDCC-2-1", "OIDCC-2-2", "OIDCC-3.1.3-2", "OIDCC-3.1.3-3")
def test_the_claims_are_those_of_the_specification(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    tokens = portal.tokens(portal.arrive(browser, person))
    claims = portal.claims(tokens)
    now = clock.epoch(clock.now())
    assert claims["iss"] == provider.settings.issuer
    assert claims["aud"] == portal.client_id
    assert now - 10 <= claims["iat"] <= now
    assert claims["exp"] - claims["iat"] == tokens["expires_in"] == provider.settings.token_lifetime
    assert all(isinstance(claims[name], int) for name in ("iat", "exp", "auth_time"))
    assert isinstance(claims["amr"], list)


@pytest.mark.holds("RFC6750-5.3-1", "OIDCC-16-1")
def test_tokens_live_shorter_at_a_higher_level(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    tokens = portal.tokens(portal.arrive(browser, person, acr_values="loa2"))
    claims = portal.claims(tokens)
    assert tokens["expires_in"] == claims["exp"] - claims["iat"] == provider.settings.token_lifetime_high


def test_a_changed_token_is_refused(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    token = portal.tokens(portal.arrive(browser, person))["id_token"]
    header, payload, signature = token.split(".")
    changed = f"{header}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}"
    with pytest.raises(JOSEError):
        jwt.decode(changed, {"keys": provider.jwks()}, algorithms=["RS256", "ES256"], audience=portal.client_id)


@pytest.mark.holds("B23", "OIDCD-3-5", "FAPI2SP-5.4.2-1", "FAPI2SP-5.4.3-1")
def test_published_keys_are_public_named_and_distinct(provider: Provider) -> None:
    response = provider.http().get("/jwks")
    assert response.mimetype == "application/json"
    keys = response.get_json()["keys"]
    assert {key["alg"] for key in keys} == {"RS256", "ES256", "PS256"}
    assert len({key["kid"] for key in keys}) == len(keys)
    for key in keys:
        assert not set(key) & {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
        assert key["use"] == "sig"


def test_the_key_set_is_not_sent_again_when_it_is_known(provider: Provider) -> None:
    first = provider.http().get("/jwks")
    assert "max-age=300" in first.headers["Cache-Control"]
    again = provider.http().get("/jwks", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")
