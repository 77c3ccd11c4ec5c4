"""OpenID Connect Core 1.0, 3.1.2.1: `id_token_hint`."""

import base64
import json
from typing import Any

import pytest
from joserfc import jwt as signing
from joserfc.jwk import RSAKey

from idp.core import clock
from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, walk


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def signed(provider: Provider, **claims: Any) -> str:
    """Return a token with our own signature."""
    with provider.app.app_context():
        return provider.services.signing_keys.signer("ES256").sign(claims, typ="JWT")


@pytest.mark.holds("B11", "OIDCC-3.1.2.1-9")
def test_the_hinted_person_is_let_through(portal: Portal, browser: Browser, person: Person) -> None:
    tokens = portal.tokens(portal.arrive(browser, person))
    for prompt in (None, "none"):
        again = portal.tokens(portal.arrive(browser, id_token_hint=tokens["id_token"], prompt=prompt))
        assert portal.claims(again)["sub"] == portal.claims(tokens)["sub"]


@pytest.mark.holds("B11")
def test_an_expired_hint_is_as_good(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    claims = portal.sign_in(browser, person)
    long_ago = clock.epoch(clock.now()) - 86_400
    hint = signed(provider, **{**claims, "iat": long_ago - 60, "exp": long_ago})
    assert portal.arrive(browser, id_token_hint=hint, prompt="none").get("code")


@pytest.mark.holds("B11", "OIDCC-3.1.2.1-9")
def test_somebody_else_is_login_required_when_no_page_may_be_shown(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    hint = portal.tokens(portal.arrive(browser, person))["id_token"]
    other = provider.browser()
    portal.arrive(other, provider.citizen())
    answer = portal.arrive(other, id_token_hint=hint, prompt="none")
    assert (answer["error"], answer["state"]) == ("login_required", "state-of-the-portal")
    assert portal.arrive(provider.browser(), id_token_hint=hint, prompt="none")["error"] == "login_required"


def test_somebody_else_may_sign_in_as_the_hinted_person(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    tokens = portal.tokens(portal.arrive(browser, person))
    shared = provider.browser()
    portal.arrive(shared, provider.citizen())
    page = shared.get(portal.address(id_token_hint=tokens["id_token"]))
    assert page.step == "login"
    claims = portal.claims(portal.tokens(Answer(walk(shared, page, person))))
    assert claims["sub"] == portal.claims(tokens)["sub"]


@pytest.mark.holds("OIDCC-3.1.2.2-2")
def test_the_portal_is_told_when_the_wrong_person_signs_in(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    hint = portal.tokens(portal.arrive(browser, person))["id_token"]
    answer = portal.arrive(provider.browser(), provider.citizen(), id_token_hint=hint)
    assert answer["error"] == "login_required"


def test_a_hint_that_is_not_ours_for_this_client_is_refused(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    tokens = portal.tokens(portal.arrive(browser, person))
    claims = portal.claims(tokens)
    header, payload, signature = tokens["id_token"].split(".")
    bare = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).decode().rstrip("=")
    stranger = RSAKey.generate_key(2048)
    strangers = provider.portal()
    hints = [
        f"{bare}.{payload}.",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}",
        signing.encode({"alg": "RS256", "kid": provider.jwks()[0]["kid"]}, claims, stranger),
        signed(provider, **{**claims, "aud": strangers.client_id}),
        signed(provider, **{**claims, "sub": 7}),
        # Our own keys, from before the issuer was renamed.
        signed(provider, **{**claims, "iss": "https://old.example"}),
        signed(provider, **{name: value for name, value in claims.items() if name != "iss"}),
        "x" * 4000,
        "é.é.é",
    ]
    for hint in hints:
        answer = portal.arrive(browser, id_token_hint=hint)
        assert (answer["error"], answer["state"]) == ("invalid_request", "state-of-the-portal"), hint
