"""Compact JWS: reading, verifying, and the hash that ties an ID token to its access token.

Only signatures are judged here; what the claims say is judged by whoever asked. Every refusal is one exception that
quotes nothing of the token, because a token is input and may be somebody's secret.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

MAX_TOKEN_BYTES = 16_384
MAX_KID_LENGTH = 200

# What we sign with, and what clients may sign with. HMAC and `none` are absent by choice: a public key must never
# be usable as a shared secret (RFC 8725, 2.1).
SIGNING_ALGORITHMS = ("RS256", "ES256")
CLIENT_ALGORITHMS = ("ES256", "PS256", "RS256")

# Members that tell a verifier to fetch, embed or reinterpret (RFC 8725, 2.8 and 3.10; RFC 7797).
_FORBIDDEN = frozenset({"crit", "zip", "b64", "jku", "jwk", "x5u", "x5c", "enc"})


class TokenRefused(Exception):
    """The token is not a compact JWS signed by the expected key; the message says which rule it broke."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key with the single algorithm it is used with."""

    kid: str | None
    algorithm: str
    key: RSAKey | ECKey


def verify(
    keys: Sequence[VerificationKey], compact: str, *, algorithms: Collection[str], typ: str | None = None
) -> dict[str, Any]:
    """Return the claims of `compact`, signed by one of `keys` with one of `algorithms`.

    The header's `kid` picks the key; without one there must be exactly one key for the algorithm. `typ`, when given,
    must match the header's without regard to case and to a leading `application/` (RFC 8725, 3.11).
    Raises TokenRefused.
    """
    header = _header(compact)
    algorithm = header.get("alg")
    if algorithm not in algorithms or algorithm not in CLIENT_ALGORITHMS:
        raise TokenRefused("the algorithm is not allowed")
    if typ is not None and _media_type(header.get("typ")) != typ.lower():
        raise TokenRefused("the type is another one")
    key = _pick(keys, algorithm, header.get("kid"))
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        payload = jws.deserialize_compact(compact, key.key, registry=registry).payload
    except (JoseError, ValueError, TypeError) as error:
        raise TokenRefused(f"the signature does not hold ({type(error).__name__})") from None
    return _object(payload or b"", "the payload")


def verify_with(
    jwks: Mapping[str, Any], compact: str, *, algorithms: Collection[str], typ: str | None = None
) -> dict[str, Any]:
    """Return the claims of `compact` signed under a client's registered key set (`{"keys": [...]}`).

    Times, audience and `jti` are the caller's to judge (RFC 7523, 3). Raises TokenRefused, also for a key set that
    cannot be read.
    """
    try:
        keys = [key for member in jwks["keys"] for key in verification_keys(member, algorithms)]
    except (JoseError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise TokenRefused(f"the registered key set cannot be read ({type(error).__name__})") from None
    return verify(keys, compact, algorithms=algorithms, typ=typ)


def unverified_subject(compact: str) -> str | None:
    """Return the `sub` a token claims, before anything about it is believed: only to find whose keys to try."""
    try:
        _header(compact)
        payload = compact.split(".")[1]
        claims = _object(base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True), "it")
    except (TokenRefused, ValueError, binascii.Error):
        return None
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else None


def verification_keys(jwk: Mapping[str, Any], algorithms: Collection[str]) -> tuple[VerificationKey, ...]:
    """Return the public JWK `jwk` once per algorithm of `algorithms` it fits. Raises joserfc's errors."""
    kid = jwk.get("kid")
    if jwk.get("use", "sig") != "sig" or (kid is not None and not isinstance(kid, str)):
        return ()
    key: RSAKey | ECKey
    if jwk.get("kty") == "RSA":
        key = RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
        fitting = {"RS256", "PS256"}
    elif jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
        key = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"]})
        fitting = {"ES256"}
    else:
        return ()
    if "alg" in jwk:
        fitting &= {jwk["alg"]}
    return tuple(VerificationKey(kid, algorithm, key) for algorithm in sorted(fitting & set(algorithms)))


def at_hash(access_token: str) -> str:
    """Return the left half of the token's SHA-256 in base64url (OpenID Connect Core 1.0, 3.1.3.6; RS256, ES256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode("ascii")).digest()[:16]).rstrip(b"=").decode()


def _pick(keys: Sequence[VerificationKey], algorithm: str, kid: object) -> VerificationKey:
    fitting = [key for key in keys if key.algorithm == algorithm and (kid is None or key.kid == kid)]
    if len(fitting) != 1:
        raise TokenRefused("no key fits" if not fitting else "several keys fit; name one by kid")
    return fitting[0]


def _header(compact: str) -> dict[str, Any]:
    if len(compact) > MAX_TOKEN_BYTES:
        raise TokenRefused("the token is too large")
    parts = compact.split(".")
    if not compact.isascii() or len(parts) != 3 or not all(parts):  # noqa: PLR2004 (header, payload, signature)
        raise TokenRefused("not a compact JWS")
    try:
        raw = base64.b64decode(parts[0] + "=" * (-len(parts[0]) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise TokenRefused("the header is not base64url") from None
    header = _object(raw, "the header")
    if not _FORBIDDEN.isdisjoint(header):
        raise TokenRefused("the header has a member that is never allowed")
    kid = header.get("kid")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_LENGTH):
        raise TokenRefused("the kid is not a short text")
    if not isinstance(header.get("alg"), str):
        raise TokenRefused("the header has no alg")
    return header


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise TokenRefused(f"{what} is not a JSON object with distinct members") from None
    if not isinstance(value, dict):
        raise TokenRefused(f"{what} is not a JSON object")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two parsers may read two members of one name differently (RFC 7519, 4).
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _media_type(typ: object) -> str | None:
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None
