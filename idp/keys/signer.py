"""Making keys, and signing: the port, and the adapter for keys held in this process."""

from collections.abc import Mapping
from typing import Any, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from idp.keys.jose import SIGNING_ALGORITHMS

RSA_BITS = 2_048


class Signer(Protocol):
    """One active signing key. May be called from several threads at once."""

    @property
    def kid(self) -> str:
        """Return the key's id, as in the JWKS."""

    @property
    def algorithm(self) -> str:
        """Return the JWS algorithm."""

    def sign(self, claims: Mapping[str, Any], *, typ: str) -> str:
        """Return `claims` as a compact JWS with `alg`, `kid` and `typ` in its header."""


class SoftwareSigner:
    """A signer whose private key lives in this process's memory."""

    def __init__(self, kid: str, algorithm: str, key: RSAKey | ECKey) -> None:
        self._kid = kid
        self._algorithm = algorithm
        self._key = key
        self._header = {"alg": algorithm, "kid": kid}

    def __repr__(self) -> str:
        return f"SoftwareSigner({self._kid}, {self._algorithm})"

    @property
    def kid(self) -> str:
        """Return the key's id, as in the JWKS."""
        return self._kid

    @property
    def algorithm(self) -> str:
        """Return the JWS algorithm."""
        return self._algorithm

    def sign(self, claims: Mapping[str, Any], *, typ: str) -> str:
        """Return `claims` as a compact JWS with `alg`, `kid` and `typ` in its header."""
        # One key, never a KeySet: joserfc would pick any key of a set, also a retired one.
        return jwt.encode(dict(self._header), dict(claims), self._key, algorithms=[self._algorithm], default_type=typ)


def generate(algorithm: str) -> tuple[str, dict[str, Any]]:
    """Make a key pair for `algorithm`; return its private half as PKCS#8 PEM and its public JWK with `kid`.

    `kid` is the thumbprint (RFC 7638), so that a name never stands for two keys. A key that answers are encrypted to
    (`algorithm` is one of decryption.KINDS) names no `alg`: it may serve several.
    """
    native: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    public: RSAKey | ECKey
    if algorithm in ("RS256", "PS256", "RSA-OAEP-256"):
        native = rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
        public = RSAKey.import_key(native.public_key())
    elif algorithm in ("ES256", "ECDH-ES"):
        native = ec.generate_private_key(ec.SECP256R1())
        public = ECKey.import_key(native.public_key())
    else:
        raise ValueError(f"no key can be made for {algorithm}")
    pem = native.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    purpose = {"use": "sig", "alg": algorithm} if algorithm in SIGNING_ALGORITHMS else {"use": "enc"}
    return pem.decode(), {**public.as_dict(), "kid": public.thumbprint(), **purpose}


def load(pem: str, jwk: Mapping[str, Any]) -> SoftwareSigner:
    """Return a signer for a private key that `generate` made, with the public JWK it returned beside it."""
    return SoftwareSigner(str(jwk["kid"]), str(jwk["alg"]), load_private(pem, jwk))


def load_private(pem: str, jwk: Mapping[str, Any]) -> RSAKey | ECKey:
    """Return a private key that `generate` made, with the public JWK it returned beside it."""
    # Validation of the primes costs 37 ms a key; ours came sealed and authenticated from our own table.
    native = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    # joserfc keeps the public JWK as the key's only description, so that no export of it can leak the private half.
    if isinstance(native, rsa.RSAPrivateKey):
        return RSAKey(native, dict(jwk))
    if isinstance(native, ec.EllipticCurvePrivateKey):
        return ECKey(native, dict(jwk))
    raise TypeError("not a key of ours")
