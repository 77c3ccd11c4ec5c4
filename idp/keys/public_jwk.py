"""Public keys that others give us: whether a JWK may verify a client's signatures, or hide answers to it."""

import base64
from collections.abc import Collection, Mapping
from typing import Any

from joserfc.errors import JoseError

from idp.keys import encryption
from idp.keys.jose import CLIENT_ALGORITHMS, MAX_KID_LENGTH, verification_keys

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KEPT_MEMBERS = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")
MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 4_096


class JwkRefused(Exception):
    """The key may not be registered; the message says why and what to do, and quotes nothing of it."""


def checked(jwk: Mapping[str, Any], algorithms: Collection[str] = CLIENT_ALGORITHMS) -> dict[str, str]:
    """Return the members of the public JWK `jwk` that we keep (RFC 7517; RFC 7518, 6). Raises JwkRefused.

    Accepted are RSA keys of 2048 to 4096 bits with a usual exponent (RS256, PS256, RSA-OAEP-256), P-256 keys (ES256,
    ECDH-ES) and Ed25519 keys. A key must sign with one of `algorithms`, or be for encryption: by `use`, by `alg`.
    """
    if not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise JwkRefused("holds a private or shared key; send only the public half and make a new pair")
    if not isinstance(jwk.get("kid", ""), str) or len(jwk.get("kid", "")) > MAX_KID_LENGTH:
        raise JwkRefused(f"kid must be a text of at most {MAX_KID_LENGTH} characters")
    if jwk.get("use", "sig") not in ("sig", "enc"):
        raise JwkRefused('use must be "sig" or "enc"')
    if jwk.get("kty") == "RSA":
        _check_rsa(jwk)
    elif (jwk.get("kty"), jwk.get("crv")) not in (("EC", "P-256"), ("OKP", "Ed25519")):
        raise JwkRefused("must be an RSA key, an EC key on P-256 or an Ed25519 key")
    is_hiding = jwk.get("use") == "enc" or jwk.get("alg") in encryption.KEY_ALGORITHMS
    try:
        usable = encryption.is_for_encryption(jwk) if is_hiding else verification_keys(jwk, algorithms)
    except (JoseError, KeyError, TypeError, ValueError):
        raise JwkRefused("is not a valid public key") from None
    if not usable:
        fitting = encryption.KEY_ALGORITHMS if is_hiding else algorithms
        raise JwkRefused(f"alg must fit the key and be one of {', '.join(fitting)}")
    return {name: jwk[name] for name in _KEPT_MEMBERS if name in jwk}


def _check_rsa(jwk: Mapping[str, Any]) -> None:
    try:
        modulus, exponent = (_number(jwk[name]) for name in ("n", "e"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise JwkRefused("is not a valid public key") from None
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise JwkRefused(f"must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    # 3 is broken by careless padding elsewhere, a huge one costs seconds a verification.
    if exponent != 65_537:  # noqa: PLR2004 (F4, the exponent everybody uses)
        raise JwkRefused("must have the exponent 65537 (AQAB)")


def _number(text: str) -> int:
    return int.from_bytes(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
