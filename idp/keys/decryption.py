"""Answers that only we can read: JWE in compact form, from identity providers, to a key we published for them.

Owns opening what was encrypted to one of those keys. What lies inside is signed and judged by
whoever asked. A header may name neither another algorithm than agreed nor anything to fetch; nothing packed is opened,
because a few bytes may unpack to gigabytes (RFC 8725, 2.6 and 3.6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from idp.keys import jose, signer
from idp.keys.jose import TokenRefused

# By key algorithm the kind of key it is used with, by the name such a key goes by in the table of keys.
KIND_BY_ALGORITHM: Mapping[str, str] = {
    "RSA-OAEP-256": "RSA-OAEP-256",
    "ECDH-ES": "ECDH-ES",
    "ECDH-ES+A256KW": "ECDH-ES",
}
KEY_ALGORITHMS = tuple(KIND_BY_ALGORITHM)
KINDS = tuple(dict.fromkeys(KIND_BY_ALGORITHM.values()))


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """One key pair of ours that answers are encrypted to; `kind` is one of KINDS."""

    kid: str
    kind: str
    key: RSAKey | ECKey = field(repr=False)


def load(pem: str, jwk: Mapping[str, Any], kind: str) -> DecryptionKey:
    """Return the key of `kind` whose PKCS#8 PEM and public JWK `signer.generate` made."""
    return DecryptionKey(str(jwk["kid"]), kind, signer.load_private(pem, jwk))


def opened(keys: Sequence[DecryptionKey], compact: str, *, alg: str, enc: str) -> str:
    """Return the token inside `compact`, encrypted with `alg` and `enc` to one of `keys` (RFC 7516, 5.2).

    The header's `kid` picks the key; without one each of its kind is tried. Raises TokenRefused.
    """
    header = jose.read_encrypted_header(compact)
    if (header["alg"], header.get("enc")) != (alg, enc):
        raise TokenRefused("the algorithms are not those agreed")
    if str(header.get("cty", "JWT")).lower().removeprefix("application/") != "jwt":
        raise TokenRefused("what is inside is no token")
    kid = header.get("kid")
    # Claims may be repeated in the header (RFC 7519, 5.3), so that unknown members are no error.
    registry = jwe.JWERegistry(algorithms=[alg, enc], strict_check_header=False)
    for key in keys:
        if key.kind == KIND_BY_ALGORITHM[alg] and kid in (None, key.kid):
            try:
                content = jwe.decrypt_compact(compact, key.key, registry=registry).plaintext
                return (content or b"").decode("ascii")
            except (JoseError, ValueError, TypeError, KeyError):
                # One refusal for all that may be wrong: a difference could be measured (RFC 7516, 11.5).
                continue
    raise TokenRefused("no key of ours opens it")
