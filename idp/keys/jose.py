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
from functools import lru_cache
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

MAX_TOKEN_BYTES = 16_384
# Enough for an RSA key of 4096 bits inside.
MAX_HEADER_BYTES = 2_048
MAX_KID_LENGTH = 200

# What we sign with, and what clients may sign with. HMAC and `none` are absent by choice: a public key must never
# be usable as a shared secret (RFC 8725, 2.1). The two names of Ed25519 mean the same (RFC 9864, 4.1.2): FAPI 2.0
# says EdDSA, newer libraries Ed25519.
SIGNING_ALGORITHMS = ("RS256", "ES256", "PS256")
FAPI_ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA")
CLIENT_ALGORITHMS = (*FAPI_ALGORITHMS, "RS256")

# Members that tell a verifier to fetch, embed or reinterpret (RFC 8725, 2.8 and 3.10; RFC 7797).
_FORBIDDEN = frozenset({"crit", "zip", "b64", "jku", "jwk", "x5u", "x5c", "enc"})
_NUMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_KINDS: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_KEYS_REMEMBERED = 2_048
# joserfc warns at every use of the older name.
_KNOWN_AS = {"EdDSA": "Ed25519"}
_VERIFIERS = {
    name: jws.JWSRegistry(algorithms=[name]).get_alg(name) for name in CLIENT_ALGORITHMS if name not in _KNOWN_AS
}


class TokenRefused(Exception):
    """The token is not a compact JWS signed by the expected key; the message says which rule it broke."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key with the single algorithm it is used with; Ed25519 by that name."""

    kid: str | None
    algorithm: str
    key: RSAKey | ECKey | OKPKey


def verify(
    keys: Sequence[VerificationKey], compact: str, *, algorithms: Collection[str], typ: str | None = None
) -> dict[str, Any]:
    """Return the claims of `compact`, signed by one of `keys` with one of `algorithms`.

    The header's `kid` picks the key; without one there must be exactly one key for the algorithm. `typ`, when given,
    must match the header's without regard to case and to a leading `application/` (RFC 8725, 3.11).
    Raises TokenRefused.
    """
    header = read_header(compact)
    algorithm = allowed(header, algorithms)
    if typ is not None and media_type(header) != typ.lower():
        raise TokenRefused("the type is another one")
    return claims_of(compact, _pick(keys, algorithm, header.get("kid")))


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
        read_header(compact)
        claims = _object(_segment(compact.split(".")[1], "the payload"), "the payload")
    except TokenRefused:
        return None
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else None


def verification_keys(jwk: Mapping[str, Any], algorithms: Collection[str]) -> tuple[VerificationKey, ...]:
    """Return the public JWK `jwk` once per algorithm of `algorithms` it fits. Raises joserfc's errors."""
    kid = jwk.get("kid")
    if jwk.get("use", "sig") != "sig" or (kid is not None and not isinstance(kid, str)):
        return ()
    key: RSAKey | ECKey | OKPKey
    if jwk.get("kty") == "RSA":
        fitting = {"RS256", "PS256"}
    elif jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
        fitting = {"ES256"}
    elif jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
        fitting = {"Ed25519"}
    else:
        return ()
    if "alg" in jwk:
        fitting &= _canonical((jwk["alg"],))
    fitting &= _canonical(algorithms)
    if not fitting:
        return ()
    key = import_public(jwk)
    return tuple(VerificationKey(kid, algorithm, key) for algorithm in sorted(fitting))


def import_public(jwk: Mapping[str, Any]) -> RSAKey | ECKey | OKPKey:
    """Return the public half of an RSA, EC or OKP key, by nothing but its numbers.

    Raises joserfc's errors, and KeyError or TypeError for what is no key at all.
    """
    return _imported(jwk["kty"], *(jwk[name] for name in _NUMBERS[jwk["kty"]]))


# Checking a point costs as much as a signature, and a client comes with the same key again and again.
@lru_cache(_KEYS_REMEMBERED)
def _imported(kty: str, *numbers: str) -> RSAKey | ECKey | OKPKey:
    jwk: dict[str, str | list[str]] = {"kty": kty, **dict(zip(_NUMBERS[kty], numbers, strict=True))}
    return _KINDS[kty].import_key(jwk)


def at_hash(access_token: str) -> str:
    """Return the left half of the token's SHA-256 in base64url (OpenID Connect Core 1.0, 3.1.3.6).

    The hash is the one of the ID token's algorithm, and all of SIGNING_ALGORITHMS have SHA-256.
    """
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode("ascii")).digest()[:16]).rstrip(b"=").decode()


def read_header(compact: str, *, may_have: Collection[str] = ()) -> dict[str, Any]:
    """Return the header of a compact JWS, judged by itself: size, shape, no forbidden member but `may_have`.

    Raises TokenRefused.
    """
    parts = _parts(compact)
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 (header, payload, signature)
        raise TokenRefused("not a compact JWS")
    return _header(parts[0], may_have)


def read_encrypted_header(compact: str) -> dict[str, Any]:
    """Return the header of a compact JWE, judged in the same way. Raises TokenRefused."""
    parts = _parts(compact)
    # The encrypted key alone may be empty: with ECDH-ES there is none (RFC 7518, 4.6).
    if len(parts) != 5 or not all(parts[:1] + parts[2:]):  # noqa: PLR2004 (RFC 7516, 3.1)
        raise TokenRefused("not a compact JWE")
    return _header(parts[0], ("enc",))


def _parts(compact: str) -> list[str]:
    if len(compact) > MAX_TOKEN_BYTES:
        raise TokenRefused("the token is too large")
    if not compact.isascii():
        raise TokenRefused("the token is not ASCII")
    return compact.split(".")


def _header(segment: str, may_have: Collection[str]) -> dict[str, Any]:
    if len(segment) > MAX_HEADER_BYTES:
        raise TokenRefused("the header is too large")
    header = _object(_segment(segment, "the header"), "the header")
    if not (_FORBIDDEN & header.keys()).issubset(may_have):
        raise TokenRefused("the header has a member that is never allowed")
    kid = header.get("kid")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_LENGTH):
        raise TokenRefused("the kid is not a short text")
    if not isinstance(header.get("alg"), str):
        raise TokenRefused("the header has no alg")
    return header


def allowed(header: Mapping[str, Any], algorithms: Collection[str]) -> str:
    """Return the algorithm a header names if it is one of `algorithms`, Ed25519 by that name. Raises TokenRefused."""
    algorithm: str = _KNOWN_AS.get(header["alg"], header["alg"])
    if algorithm not in _VERIFIERS or algorithm not in _canonical(algorithms):
        raise TokenRefused("the algorithm is not allowed")
    return algorithm


def media_type(header: Mapping[str, Any]) -> str | None:
    """Return the `typ` of a header in small letters, without a leading `application/` (RFC 7515, 4.1.9)."""
    typ = header.get("typ")
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def claims_of(compact: str, key: VerificationKey) -> dict[str, Any]:
    """Return the claims of `compact` if `key` signed it; its header was read before. Raises TokenRefused."""
    signed, _, signature = compact.rpartition(".")
    try:
        is_right = _VERIFIERS[key.algorithm].verify(signed.encode(), _segment(signature, "the signature"), key.key)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenRefused(f"the signature does not hold ({type(error).__name__})") from None
    if not is_right:
        raise TokenRefused("the signature does not hold")
    return _object(_segment(signed.partition(".")[2], "the payload"), "the payload")


def _pick(keys: Sequence[VerificationKey], algorithm: str, kid: object) -> VerificationKey:
    fitting = [key for key in keys if key.algorithm == algorithm and (kid is None or key.kid == kid)]
    if len(fitting) != 1:
        raise TokenRefused("no key fits" if not fitting else "several keys fit; name one by kid")
    return fitting[0]


def _canonical(algorithms: Collection[str]) -> set[str]:
    return {_KNOWN_AS.get(name, name) for name in algorithms}


def _segment(text: str, what: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode())
    except (ValueError, binascii.Error):
        raise TokenRefused(f"{what} is not base64url") from None


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
