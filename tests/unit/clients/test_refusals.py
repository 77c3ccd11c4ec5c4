"""Every answer that must not sign anybody in: the right page, and no session."""

import hmac
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from clients.agency_login import refusals
from tests.unit.clients.conftest import Browser, make_app
from tests.unit.clients.scripted_provider import ES256_KEY, RS256_KEY, SUB, ScriptedProvider, encode, sign

FOREIGN_KEY = ECKey.generate_key("P-256", {"kid": "es-1"})  # the genuine key's name
NAMELESS_KEY = ECKey.import_key({k: v for k, v in ES256_KEY.as_dict(private=True).items() if k != "kid"})
UNKNOWN_KEY = ECKey.generate_key("P-256", {"kid": "never-published"})


def refused(browser: Browser, code: str, path: str = "/signin") -> None:
    """Sign in, and expect the page `code` and no session."""
    expect(browser, browser.sign_in(path), code)


def expect(browser: Browser, response: Any, code: str) -> None:
    assert f'data-code="{code}"' in response.text
    assert response.status_code >= 400
    assert browser.sub() == ""


def compact(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(encode(json.dumps(part).encode()) for part in (header, claims))


def unsigned(claims: dict[str, Any]) -> str:
    return compact({"alg": "none", "typ": "JWT", "kid": "es-1"}, claims) + "."


def hmac_with_public_key(secret: bytes) -> Callable[[dict[str, Any]], str]:
    """Sign with a public key as the HMAC secret, by hand: joserfc rightly refuses to help."""

    def forge(claims: dict[str, Any]) -> str:
        signed = compact({"alg": "HS256", "typ": "JWT", "kid": "rs-1"}, claims)
        return f"{signed}.{encode(hmac.digest(secret, signed.encode(), 'sha256'))}"

    return forge


ANSWERS = {
    "iss of another provider": ({"iss": "https://attacker.example"}, "wrong-issuer"),
    "iss with a slash more": ({"iss": "{issuer}/"}, "wrong-issuer"),
    "no iss": ({"iss": None}, "wrong-issuer"),
    "state of nobody": ({"state": "x" * 43}, "stale-request"),
    "empty state": ({"state": ""}, "stale-request"),
    "no state": ({"state": None}, "stale-request"),
    "no code": ({"code": None}, "provider-error"),
    "code twice": ({"code": ["code-0", "code-0"]}, "provider-error"),
    "code of another login": ({"code": "code-9"}, "stale-request"),
}


@pytest.mark.parametrize(("change", "code"), ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.holds("RFC9207-2.4-1")
def test_answer_is_refused_when_its_parameters_are_wrong(
    browser: Browser, provider: ScriptedProvider, change: dict[str, Any], code: str
) -> None:
    def alter(answer: dict[str, str]) -> dict[str, Any]:
        changed = {k: v.format(issuer=provider.issuer) if isinstance(v, str) else v for k, v in change.items()}
        return {name: value for name, value in {**answer, **changed}.items() if value is not None}

    provider.change_answer = alter
    refused(browser, code)
    if code == "wrong-issuer":
        assert provider.token_requests == []  # the code must not reach any token endpoint


ERRORS = {
    "access_denied": "access-denied",
    "login_required": "login-required",
    "consent_required": "login-required",
    "unmet_authentication_requirements": "unmet-level",
    "temporarily_unavailable": "provider-unreachable",
    "server_error": "provider-error",
    "invalid_request": "portal-misconfigured",
    "unauthorized_client": "portal-misconfigured",
    "<script>alert(1)</script>": "provider-error",
}


@pytest.mark.parametrize(("error", "code"), ERRORS.items())
def test_error_answer_gets_its_page_and_repeats_nothing(
    browser: Browser, provider: ScriptedProvider, error: str, code: str
) -> None:
    provider.change_answer = lambda answer: {
        "error": error,
        "error_description": "call 0900-SCAM",
        "state": answer["state"],
        "iss": answer["iss"],
    }
    response = browser.sign_in()
    expect(browser, response, code)
    assert "SCAM" not in response.text
    assert "alert" not in response.text


@pytest.mark.holds("RFC9207-2.4-1")
def test_error_answer_of_another_issuer_is_a_wrong_issuer(browser: Browser, provider: ScriptedProvider) -> None:
    provider.change_answer = lambda answer: {"error": "access_denied", "state": answer["state"]}
    refused(browser, "wrong-issuer")


def test_answer_is_refused_the_second_time(browser: Browser, app: Any) -> None:
    callback = browser.answer_of(browser.begin())
    assert browser.portal.get(callback).status_code == 303
    response = browser.portal.get(callback)
    assert response.status_code == 400
    assert 'data-code="stale-request"' in response.text
    assert 'id="continue"' in response.text  # the citizen is signed in; the old tab says how to go on
    assert browser.sub() == SUB


def test_answer_is_refused_after_a_refused_one_to_the_same_request(
    browser: Browser, provider: ScriptedProvider
) -> None:
    provider.change_answer = lambda answer: {**answer, "error": "access_denied"}
    callback = browser.answer_of(browser.begin())
    expect(browser, browser.portal.get(callback), "access-denied")
    expect(browser, browser.portal.get(callback), "stale-request")


@pytest.mark.holds("RFC9700-4.7-1")
def test_answer_is_refused_in_another_browser(browser: Browser, app: Any) -> None:
    callback = browser.answer_of(browser.begin())
    stranger = Browser(app)
    stranger.begin()
    expect(stranger, stranger.portal.get(callback), "stale-request")


def test_answer_is_refused_after_half_an_hour(browser: Browser) -> None:
    callback = browser.answer_of(browser.begin())
    with browser.portal.session_transaction() as session:
        key = next(key for key in session if key.startswith("_state_"))
        session[key]["data"]["started_at"] -= 1801
        session.modified = True
    expect(browser, browser.portal.get(callback), "stale-request")


CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "nonce of another login": ({"nonce": "x" * 43}, "token-refused"),
    "no nonce": ({"nonce": None}, "token-refused"),
    "nonce as a list": ({"nonce": ["x"]}, "token-refused"),
    "issuer of another provider": ({"iss": "https://attacker.example"}, "token-refused"),
    "no issuer": ({"iss": None}, "token-refused"),
    "audience of another client": ({"aud": "library"}, "token-refused"),
    "audience of two clients": ({"aud": ["portal", "library"], "azp": "portal"}, "token-refused"),
    "no audience": ({"aud": None}, "token-refused"),
    "azp of another client": ({"azp": "library"}, "token-refused"),
    "no sub": ({"sub": None}, "token-refused"),
    "sub as a number": ({"sub": 7}, "token-refused"),
    "no exp": ({"exp": None}, "token-refused"),
    "no iat": ({"iat": None}, "token-refused"),
    "at_hash of another token": ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "token-refused"),
    "expired": ({"exp": -61, "iat": -400}, "clock-skew"),
    "issued in the future": ({"iat": 90, "exp": 400}, "clock-skew"),
    "not valid yet": ({"nbf": 90}, "clock-skew"),
}


def altered(change: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Change claims; None takes one away, times are seconds from now."""

    def alter(claims: dict[str, Any]) -> dict[str, Any]:
        times = {name: int(time.time()) + change[name] for name in ("exp", "iat", "nbf") if change.get(name)}
        return {name: value for name, value in {**claims, **change, **times}.items() if value is not None}

    return alter


@pytest.mark.parametrize(("change", "code"), CLAIMS.values(), ids=CLAIMS.keys())
@pytest.mark.holds("OIDCC-3.1.3-4")
def test_id_token_is_refused_when_its_claims_are_wrong(
    browser: Browser, provider: ScriptedProvider, change: dict[str, Any], code: str
) -> None:
    provider.change_claims = altered(change)
    refused(browser, code)


def test_clocks_that_differ_by_less_than_a_minute_are_borne(browser: Browser, provider: ScriptedProvider) -> None:
    provider.change_claims = altered({"exp": -50, "iat": -350})
    browser.sign_in()
    assert browser.sub() == SUB
    provider.change_claims = altered({"iat": 50, "exp": 350})
    assert browser.sign_in().status_code == 303


SIGNATURES: dict[str, Callable[[dict[str, Any]], str]] = {
    "alg none": unsigned,
    "HS256 with the public key as PEM": hmac_with_public_key(RS256_KEY.as_pem(private=False)),
    "HS256 with the public key as DER": hmac_with_public_key(RS256_KEY.as_der(private=False)),
    "foreign key under the genuine name": lambda claims: sign(claims, FOREIGN_KEY),
    "key never published": lambda claims: sign(claims, UNKNOWN_KEY),
    "no kid": lambda claims: jwt.encode({"alg": "ES256"}, claims, NAMELESS_KEY),
    "typ of an access token": lambda claims: sign(claims, typ="at+jwt"),
    "typ of a logout token": lambda claims: sign(claims, typ="logout+jwt"),
    "key in the header": lambda claims: jwt.encode(
        {"alg": "ES256", "typ": "JWT", "kid": "es-1", "jwk": FOREIGN_KEY.as_dict(private=False)}, claims, FOREIGN_KEY
    ),
    "signature cut off": lambda claims: sign(claims).rpartition(".")[0] + ".",
    "not a token": lambda claims: "not-a-token",
    "five parts": lambda claims: sign(claims) + ".x.y",
    "very long": lambda claims: sign({**claims, "padding": "x" * 20_000}),
}


@pytest.mark.parametrize("forge", SIGNATURES.values(), ids=SIGNATURES.keys())
@pytest.mark.holds("OIDCC-3.1.3-4")
def test_id_token_is_refused_when_its_signature_is_not_the_providers(
    browser: Browser, provider: ScriptedProvider, forge: Callable[[dict[str, Any]], str]
) -> None:
    provider.sign = forge
    refused(browser, "token-refused")


def test_algorithms_of_the_metadata_do_not_widen_ours(browser: Browser, provider: ScriptedProvider) -> None:
    provider.metadata = {"id_token_signing_alg_values_supported": ["HS256", "none", "RS512"]}
    provider.sign = lambda claims: jwt.encode(
        {"alg": "RS512", "typ": "JWT", "kid": "rs-1"},
        claims,
        RSAKey.import_key({name: v for name, v in RS256_KEY.as_dict(private=True).items() if name != "alg"}),
        algorithms=["RS512"],
    )
    refused(browser, "token-refused")


def test_symmetric_key_among_the_published_ones_is_not_used(browser: Browser, provider: ScriptedProvider) -> None:
    secret = OctKey.generate_key(256, {"kid": "oct-1"})
    provider.keys.append(secret.as_dict(private=True))
    provider.sign = lambda claims: jwt.encode(
        {"alg": "HS256", "typ": "JWT", "kid": "oct-1"}, claims, secret, algorithms=["HS256"]
    )
    refused(browser, "token-refused")


def test_new_key_of_the_provider_is_found_and_asked_for_at_most_once_a_minute(
    browser: Browser, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in()
    new_key = ECKey.generate_key("P-256", {"kid": "es-2"})
    provider.keys.append(new_key.as_dict(private=False))
    provider.sign = lambda claims: sign(claims, new_key)
    for _ in range(3):
        expect_page = browser.sign_in()
        assert 'data-code="token-refused"' in expect_page.text
    assert provider.calls.count("jwks") == 1
    monkeypatch.setattr("clients.agency_login.provider.KEY_REFETCH_INTERVAL", 0)
    assert browser.sign_in().status_code == 303
    assert provider.calls.count("jwks") == 2


USERINFO: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another sub": (lambda answer: {**answer, "sub": "somebody-else"}, "token-refused"),
    "no sub": (lambda answer: {"name": answer["name"]}, "token-refused"),
    "a list": (lambda answer: [answer], "provider-error"),
    "not JSON": (lambda answer: "<html>", "provider-error"),
    "an error": (lambda answer: ("", 500), "provider-error"),
    "too long": (lambda answer: {**answer, "name": "x" * 300_000}, "provider-unreachable"),
    "elsewhere": (lambda answer: ("", 302, {"Location": "/jwks"}), "provider-unreachable"),
}


@pytest.mark.parametrize(("answer", "code"), USERINFO.values(), ids=USERINFO.keys())
def test_userinfo_is_refused_when_it_is(
    browser: Browser, provider: ScriptedProvider, answer: Callable[[dict[str, Any]], Any], code: str
) -> None:
    provider.userinfo_answer = answer
    refused(browser, code)


TOKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a wrong client secret": (lambda answer: ({"error": "invalid_client"}, 401), "portal-misconfigured"),
    "a spent code": (lambda answer: ({"error": "invalid_grant"}, 400), "stale-request"),
    "an error": (lambda answer: ("", 503), "provider-error"),
    "not JSON": (lambda answer: "<html>", "provider-error"),
    "a list": (lambda answer: [answer], "provider-error"),
    "no ID token": (lambda answer: {k: v for k, v in answer.items() if k != "id_token"}, "token-refused"),
    "an ID token that is no string": (lambda answer: {**answer, "id_token": {}}, "token-refused"),
    "no access token": (lambda answer: {k: v for k, v in answer.items() if k != "access_token"}, "token-refused"),
    "another token type": (lambda answer: {**answer, "token_type": "DPoP"}, "provider-error"),
    "an error that is no string": (lambda answer: {"error": ["x"]}, "provider-error"),
    "elsewhere": (lambda answer: ("", 307, {"Location": "/userinfo"}), "provider-unreachable"),
}


@pytest.mark.parametrize(("answer", "code"), TOKEN.values(), ids=TOKEN.keys())
def test_token_answer_is_refused_when_it_is(
    browser: Browser, provider: ScriptedProvider, answer: Callable[[dict[str, Any]], Any], code: str
) -> None:
    provider.token_answer = answer
    refused(browser, code)


@pytest.mark.parametrize("endpoint", ["token", "jwks", "userinfo"])
def test_hanging_endpoint_ends_in_a_page_soon(browser: Browser, provider: ScriptedProvider, endpoint: str) -> None:
    provider.hanging = {endpoint}
    callback = browser.answer_of(browser.begin())
    began = time.monotonic()
    expect(browser, browser.portal.get(callback), "provider-unreachable")
    assert time.monotonic() - began < 3


def test_hanging_discovery_ends_in_a_page_and_heals_by_itself(browser: Browser, provider: ScriptedProvider) -> None:
    provider.hanging = {"discovery"}
    response = browser.portal.get("/page")
    assert response.status_code == 503
    assert 'data-code="provider-unreachable"' in response.text
    provider.hanging = set()
    assert browser.sign_in().status_code == 303


def test_dripping_answer_is_cut_off(provider: ScriptedProvider, browser: Browser) -> None:
    def drip(answer: dict[str, Any]) -> Any:
        from flask import Response

        def body() -> Any:
            for _ in range(30):
                time.sleep(0.2)
                yield b" "

        return Response(body(), content_type="application/json")

    provider.userinfo_answer = drip
    callback = browser.answer_of(browser.begin())
    began = time.monotonic()
    expect(browser, browser.portal.get(callback), "provider-unreachable")
    assert time.monotonic() - began < 3


def test_portal_starts_while_the_provider_is_down(provider: ScriptedProvider) -> None:
    browser = Browser(make_app(provider, issuer="http://127.0.0.1:9"))
    assert browser.portal.get("/").status_code == 200
    assert 'data-code="provider-unreachable"' in browser.portal.get("/signin").text


DISCOVERY = {
    "another issuer": ({"issuer": "https://attacker.example"}, "wrong-issuer"),
    "no token endpoint": ({"token_endpoint": None}, "provider-error"),
    "a token endpoint without TLS": ({"token_endpoint": "http://login.example/token"}, "provider-error"),
    "a page of script": ({"authorization_endpoint": "javascript:alert(1)"}, "provider-error"),
}


@pytest.mark.parametrize(("metadata", "code"), DISCOVERY.values(), ids=DISCOVERY.keys())
@pytest.mark.holds("OIDCD-4.3-1", "RFC8414-3.3-1")
def test_discovery_is_refused_when_it_names(
    browser: Browser, provider: ScriptedProvider, metadata: dict[str, Any], code: str
) -> None:
    provider.metadata = metadata
    response = browser.portal.get("/signin")
    assert f'data-code="{code}"' in response.text


def test_metadata_cannot_reach_into_the_http_session(app: Any, provider: ScriptedProvider) -> None:
    provider.metadata = {"verify": False, "proxies": {"https": "http://attacker.example"}}
    provider.metadata["id_token_signing_alg_values_supported"] = ["none"]
    metadata = app.extensions["login"].provider.metadata()
    assert {"verify", "proxies"}.isdisjoint(metadata)
    assert metadata["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]


def test_sign_out_says_so_when_the_provider_is_down(provider: ScriptedProvider, browser: Browser) -> None:
    provider.hanging = {"discovery"}
    response = browser.portal.post("/signout")
    assert response.status_code == 503
    assert 'data-code="signout-incomplete"' in response.text


def test_log_and_page_share_a_reference_and_hold_no_secret(
    browser: Browser, provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    def forge(claims: dict[str, Any]) -> str:
        seen.append(sign(claims, FOREIGN_KEY))
        return seen[-1]

    provider.sign = forge
    authorization_request = browser.begin()
    logged = caplog.text
    callback = browser.answer_of(authorization_request)
    caplog.clear()  # the test's own request, with the state in its address
    response = browser.portal.get(callback)
    logged += caplog.text
    reference = response.text.partition('id="error-reference">')[2].partition("<")[0]
    own = [record.getMessage() for record in caplog.records if record.name == "agency_login"]
    assert len(own) == 1
    assert reference
    assert reference in own[0]
    verifier = provider.token_requests[-1]["code_verifier"]
    state = provider.authorization_requests[-1]["state"]
    for secret in (seen[0], "access-token-of-the-test", "secret-of-the-test", verifier, state):
        assert secret not in logged


def test_every_refusal_has_words_in_both_languages() -> None:
    for refusal in refusals.Refusal:
        assert set(refusals.WORDINGS[refusal]) == {"vi", "en"}
