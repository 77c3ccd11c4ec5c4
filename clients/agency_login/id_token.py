"""Verify the ID token with python-jose, independently of Authlib.

Two implementations must agree before anybody is signed in. python-jose is used within narrow bounds, because by itself
it would take a PEM or DER public key as an HMAC secret, accept any algorithm, and ignore `typ` and an unknown `kid`:
keys reach it as a JWKS dictionary of one public key, algorithms are a constant of ours, and `typ`, `kid` and the key
type are checked first.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any

from jose import jwt
from jose.exceptions import ExpiredSignatureError, JOSEError

from clients.agency_login.refusals import LoginRefused, Refusal

# Ours, not the provider's metadata: who could change the metadata must not be able to choose a weaker algorithm.
ALGORITHMS = ("ES256", "RS256")
CLOCK_TOLERANCE = 60  # seconds
_LONGEST = 16_384
_DOTS = 2  # header.payload.signature
_LONGEST_SUB = 255  # OpenID Connect Core 1.0, 2
_KEY_TYPES = {"ES256": "EC", "RS256": "RSA"}
_OPTIONS = {
    "require_iss": True,
    "require_sub": True,
    "require_aud": True,
    "require_exp": True,
    "require_iat": True,
    "leeway": CLOCK_TOLERANCE,
}


def verify_id_token(
    id_token: object,
    find_key: Callable[[str], Mapping[str, Any] | None],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str,
) -> dict[str, Any]:
    """Return the claims of `id_token`, or raise LoginRefused (token-refused, clock-skew).

    `find_key` takes a key id and returns the provider's public JWK or None; it may ask the provider again.
    Source: OpenID Connect Core 1.0, 3.1.3.7; RFC 8725, 3.
    """
    if not isinstance(id_token, str) or len(id_token) > _LONGEST or id_token.count(".") != _DOTS:
        raise LoginRefused(Refusal.TOKEN_REFUSED, "the ID token is not a compact JWS")
    try:
        header = jwt.get_unverified_header(id_token)
    except JOSEError as error:
        raise LoginRefused(Refusal.TOKEN_REFUSED, type(error).__name__) from None
    jwk = _key_for(header, find_key)
    try:
        claims: dict[str, Any] = jwt.decode(
            id_token,
            {"keys": [jwk]},
            algorithms=list(ALGORITHMS),
            audience=client_id,
            issuer=issuer,
            access_token=access_token,
            options=dict(_OPTIONS),
        )
    except ExpiredSignatureError:
        raise LoginRefused(Refusal.CLOCK_SKEW, "the ID token has expired") from None
    # JOSEError and not JWTError: a key of the wrong type raises JWKError. TypeError: a claim that is null or a list.
    except (JOSEError, TypeError) as error:
        raise LoginRefused(Refusal.TOKEN_REFUSED, f"python-jose: {type(error).__name__}") from None
    _check_claims(claims, client_id, nonce)
    return claims


def _key_for(header: Mapping[str, Any], find_key: Callable[[str], Mapping[str, Any] | None]) -> Mapping[str, Any]:
    """Choose the one key this header may be verified with."""
    kid, algorithm = header.get("kid"), header.get("alg")
    # An access or logout token of the same provider is signed with the same key and must not pass for an ID token.
    if header.get("typ", "JWT") != "JWT" or "crit" in header:
        raise LoginRefused(Refusal.TOKEN_REFUSED, "the header has another typ, or crit")
    if algorithm not in ALGORITHMS:
        raise LoginRefused(Refusal.TOKEN_REFUSED, "the algorithm is not one of ours")
    if not isinstance(kid, str) or not kid:
        raise LoginRefused(Refusal.TOKEN_REFUSED, "the header has no kid")
    jwk = find_key(kid)
    if jwk is None:
        raise LoginRefused(Refusal.TOKEN_REFUSED, "the key is not one of the provider's")
    if jwk["kty"] != _KEY_TYPES[algorithm] or jwk.get("alg", algorithm) != algorithm:
        raise LoginRefused(Refusal.TOKEN_REFUSED, "the key is meant for another algorithm")
    return jwk


def _check_claims(claims: Mapping[str, Any], client_id: str, nonce: str) -> None:
    """Check what python-jose leaves out: nonce, audience alone, azp, types, a time of issue in the future."""
    if claims["aud"] not in (client_id, [client_id]) or claims.get("azp", client_id) != client_id:
        raise LoginRefused(Refusal.TOKEN_REFUSED, "the ID token is meant for others too")
    sent_nonce = claims.get("nonce")
    if not isinstance(sent_nonce, str) or not hmac.compare_digest(sent_nonce.encode(), nonce.encode()):
        raise LoginRefused(Refusal.TOKEN_REFUSED, "the nonce differs")
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= _LONGEST_SUB:
        raise LoginRefused(Refusal.TOKEN_REFUSED, "sub is not a short string")
    if any(isinstance(claims[name], bool) or not isinstance(claims[name], int | float) for name in ("exp", "iat")):
        raise LoginRefused(Refusal.TOKEN_REFUSED, "exp or iat is not a number")
    if claims["iat"] > time.time() + CLOCK_TOLERANCE:
        raise LoginRefused(Refusal.CLOCK_SKEW, "the ID token was issued in the future")
