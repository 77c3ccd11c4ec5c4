"""DPoP proofs (RFC 9449, 4): a small JWT that shows its sender holds a private key.

Owns whether a proof is well made and truly signed by the key it carries, and making proofs of our own. What a proof was
made for (method, address, time, nonce, access token) is judged by `oidc.sender`.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from idp.core import clock
from idp.core.ids import new_handle
from idp.keys import jose, public_jwk
from idp.keys.jose import FAPI_ALGORITHMS, TokenRefused, VerificationKey
from idp.keys.public_jwk import JwkRefused

# RSASSA-PKCS1-v1_5 is left out as FAPI 2.0, 5.4.1 asks; nothing older than a proof needs it.
ALGORITHMS = FAPI_ALGORITHMS
PROVER_ALGORITHM = "ES256"
_TYPE = "dpop+jwt"
_KEYS_REMEMBERED = 1_024


class Prover:
    """A key pair of ours that lives as long as one exchange, and the proofs it makes."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256")
        public = self._key.as_dict(private=False)
        jwk = {name: public[name] for name in ("kty", "crv", "x", "y")}
        self._header = {"alg": PROVER_ALGORITHM, "typ": _TYPE, "jwk": jwk}

    def proof(self, method: str, address: str, *, nonce: str | None = None, access_token: str | None = None) -> str:
        """Return a proof for one request (RFC 9449, 4.2)."""
        claims: dict[str, Any] = {
            "jti": new_handle(),
            "htm": method,
            "htu": address.partition("?")[0],
            "iat": clock.epoch(clock.now()),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        if access_token is not None:
            left = hashlib.sha256(access_token.encode("ascii")).digest()
            claims["ath"] = base64.urlsafe_b64encode(left).rstrip(b"=").decode("ascii")
        return jwt.encode(dict(self._header), claims, self._key, algorithms=[PROVER_ALGORITHM])


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
