"""The second verification alone: what python-jose must refuse even if Authlib one day did not."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from clients.agency_login import LoginRefused
from clients.agency_login.id_token import verify_id_token
from tests.unit.clients.scripted_provider import ES256_KEY, RS256_KEY, SUB, half_hash, sign
from tests.unit.clients.test_refusals import CLAIMS, SIGNATURES, altered, compact

ISSUER = "https://login.example"
KEYS = {key.kid: key.as_dict(private=False) for key in (ES256_KEY, RS256_KEY)}


def make_claims() -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ISSUER,
        "sub": SUB,
        "aud": "portal",
        "iat": now,
        "exp": now + 300,
        "nonce": "nonce-of-the-test",
        "at_hash": half_hash("access-token"),
    }


def verify(token: object, find_key: Callable[[str], Any] = KEYS.get) -> dict[str, Any]:
    return verify_id_token(
        token, find_key, issuer=ISSUER, client_id="portal", nonce="nonce-of-the-test", access_token="access-token"
    )


@pytest.mark.parametrize("key", [ES256_KEY, RS256_KEY], ids=["ES256", "RS256"])
def test_id_token_is_accepted_when_all_is_well(key: Any) -> None:
    claims = make_claims()
    assert verify(sign(claims, key)) == claims
    assert verify(sign({**claims, "aud": ["portal"], "azp": "portal"}, key))["sub"] == SUB


@pytest.mark.parametrize(("change", "code"), CLAIMS.values(), ids=CLAIMS.keys())
@pytest.mark.holds("OIDCC-3.1.3-4")
def test_claims_are_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(LoginRefused) as refused:
        verify(sign(altered(change)(make_claims())))
    # python-jose has one error for all times; only exp has its own.
    assert refused.value.refusal.code == ("token-refused" if "nbf" in change else code)


@pytest.mark.parametrize("change", [{"exp": "9999999999"}, {"iat": True}, {"iat": "0"}, {"exp": [1]}, {"sub": ""}])
def test_claims_of_a_wrong_type_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(LoginRefused):
        verify(sign({**make_claims(), **change}))


@pytest.mark.parametrize("forge", SIGNATURES.values(), ids=SIGNATURES.keys())
@pytest.mark.holds("OIDCC-3.1.3-4")
def test_signatures_are_refused(forge: Callable[[dict[str, Any]], str]) -> None:
    with pytest.raises(LoginRefused) as refused:
        verify(forge(make_claims()))
    assert refused.value.refusal.code == "token-refused"


def test_key_for_another_algorithm_is_refused() -> None:
    with pytest.raises(LoginRefused):
        verify(sign(make_claims(), ES256_KEY), lambda kid: {**KEYS["es-1"], "alg": "ES384"})
    with pytest.raises(LoginRefused):
        verify(sign(make_claims(), ES256_KEY), lambda kid: KEYS["rs-1"])


def test_critical_header_is_refused_before_the_signature_is_looked_at() -> None:
    with pytest.raises(LoginRefused, match="crit"):
        verify(compact({"alg": "ES256", "typ": "JWT", "kid": "es-1", "crit": ["exp"]}, make_claims()) + ".AAAA")


@pytest.mark.parametrize("token", [None, "", b"a.b.c", "a.b.c", "..", 7, {"payload": "x"}])
def test_anything_else_is_refused(token: object) -> None:
    with pytest.raises(LoginRefused):
        verify(token)
