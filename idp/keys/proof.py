"""DPoP proofs (RFC 9449, 4): a small JWT that shows its sender holds a private key.

Owns whether a proof is well made and truly signed by the key it carries. What it was made for (method, address,
time, nonce, access token) is judged by `oidc.sender`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from joserfc.errors import JoseError

from idp.keys import jose, public_jwk
from idp.keys.jose import FAPI_ALGORITHMS, TokenRefused, VerificationKey
from idp.keys.public_jwk import JwkRefused

# RSASSA-PKCS1-v1_5 is left out as FAPI 2.0, 5.4.1 asks; nothing older than a proof needs it.
ALGORITHMS = FAPI_ALGORITHMS
_TYPE = "dpop+jwt"
_KEYS_REMEMBERED = 1_024


@dataclass(frozen=True, slots=True)
class Proof:
    """What a well-signed proof says: its claims, and the thumbprint (RFC 7638) of the key that signed it."""

    claims: Mapping[str, Any]
    thumbprint: str


def read(compact: str) -> Proof:
    """Return the proof in `compact` after checking type, algorithm, key and signature (RFC 9449, 4.3, 2 to 7).

    Raises TokenRefused.
    """
    header = jose.read_header(compact, may_have=("jwk",))
    if jose.media_type(header) != _TYPE:
        raise TokenRefused("the type is another one")
    algorithm = jose.allowed(header, ALGORITHMS)
    jwk = header.get("jwk")
    if not isinstance(jwk, dict):
        raise TokenRefused("the proof carries no key")
    key, thumbprint = _key(json.dumps(jwk, sort_keys=True), algorithm)
    return Proof(jose.claims_of(compact, key), thumbprint)


# A client proves the same key again and again; finding it costs a tenth of making it.
@lru_cache(_KEYS_REMEMBERED)
def _key(text: str, algorithm: str) -> tuple[VerificationKey, str]:
    jwk = json.loads(text)
    try:
        public_jwk.checked(jwk, (algorithm,))
        [key] = jose.verification_keys(jwk, (algorithm,))
    except (JwkRefused, JoseError, ValueError, TypeError):
        raise TokenRefused("the key in the proof is not a public key for its algorithm") from None
    return key, key.key.thumbprint()
