"""A client's DPoP key, and the proofs it makes (RFC 9449, 4.2), made without any code of the provider's."""

import base64
import hashlib
import json
import secrets
import time
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

_MAKERS: dict[str, Any] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "PS256": lambda: RSAKey.generate_key(2_048),
    "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
}


def encoded(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class ProofKey:
    """A key pair of a client."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.key = _MAKERS[algorithm]()
        self.thumbprint: str = self.key.thumbprint()

    @property
    def public(self) -> dict[str, Any]:
        """Return the public JWK."""
        members: dict[str, Any] = self.key.as_dict(private=False)
        return {name: value for name, value in members.items() if name != "kid"}

    def proof(
        self,
        method: str,
        address: str,
        *,
        access_token: str | None = None,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Return a proof for one request; a change to None drops the claim, `iat` may be given as a shift."""
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": address,
            "iat": int(time.time()) + changes.pop("shift", 0),
            "ath": encoded(hashlib.sha256(access_token.encode()).digest()) if access_token else None,
            **changes,
        }
        members = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.public, **(header or {})}
        members = {name: value for name, value in members.items() if value is not None}
        payload = json.dumps({name: value for name, value in claims.items() if value is not None})
        signed = f"{encoded(json.dumps(members).encode())}.{encoded(payload.encode())}"
        # By hand: joserfc would not sign half of what a test must send.
        algorithm = jws.JWSRegistry(algorithms=[self.algorithm]).get_alg(self.algorithm)
        return f"{signed}.{encoded(algorithm.sign(signed.encode(), self.key))}"
