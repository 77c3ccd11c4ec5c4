"""Answers that only one client can read: JWE in compact form, to a public key the client registered.

Owns choosing the key and encrypting. Clients send us no JWE; what providers encrypt to us is `decryption`'s.
Nothing is compressed, because length would then tell what is inside (RFC 8725, 3.6).
"""

from collections.abc import Mapping
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.util import base64_to_int

from idp.keys.jose import import_public

# RFC 7518, 4.3 and 4.6 in direct mode; RSA1_5 and its padding oracles are absent by choice. A128CBC-HS256 is the
# default of a client that names no `enc` (OpenID Connect Dynamic Client Registration 1.0, 2).
KEY_ALGORITHMS = ("RSA-OAEP-256", "ECDH-ES")
CONTENT_ALGORITHMS = ("A256GCM", "A128CBC-HS256")
MIN_RSA_BITS = 2_048


class NoKeyFits(Exception):
    """The client registered no public key for the algorithm it chose; nothing is sent in clear instead."""


def encrypt(payload: str, jwks: Mapping[str, Any], *, alg: str, enc: str, cty: str | None = None) -> str:
    """Return `payload` encrypted to the first fitting key of a client's key set (`{"keys": [...]}`).

    `cty` is `JWT` for a nested token (RFC 7519, 5.2). Raises NoKeyFits, also for a key set that cannot be read, and
    ValueError for an algorithm that is not offered.
    """
    if alg not in KEY_ALGORITHMS or enc not in CONTENT_ALGORITHMS:
        raise ValueError("not an algorithm for encrypted answers")
    try:
        jwk = next(jwk for jwk in _preferred(jwks["keys"]) if is_for_encryption(jwk, alg))
        key = import_public(jwk)
    except (StopIteration, JoseError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoKeyFits(type(error).__name__) from None
    header = {"alg": alg, "enc": enc}
    if isinstance(kid := jwk.get("kid"), str):
        header["kid"] = kid
    if cty is not None:
        header["cty"] = cty
    return jwe.encrypt_compact(header, payload, key, algorithms=[alg, enc])


def is_for_encryption(jwk: Mapping[str, Any], alg: str | None = None) -> bool:
    """Tell whether a public JWK may be used with `alg`, or with any of KEY_ALGORITHMS. Raises joserfc's errors."""
    if jwk.get("use", "enc") != "enc":
        return False
    if jwk.get("kty") == "RSA":
        if base64_to_int(jwk["n"]).bit_length() < MIN_RSA_BITS:
            return False
        fitting = "RSA-OAEP-256"
    elif jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
        fitting = "ECDH-ES"
    else:
        return False
    import_public(jwk)
    return jwk.get("alg", fitting) == fitting and alg in (None, fitting)


def _preferred(keys: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    # A key that says what it is for goes before one that may also sign.
    return sorted(keys, key=lambda jwk: jwk.get("use") != "enc")
