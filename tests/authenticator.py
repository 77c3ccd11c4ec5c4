"""A passkey authenticator in software, and the browser around it: what answers a ceremony of WebAuthn.

    key = Authenticator()                         a phone or security key; `algorithm`, `is_synced` as wanted
    key.create(options) / key.get(options)        the JSON that a page's script would send
    key.get(options, origin=..., flags=...)       the same with one thing wrong

Written from the specification and with nothing of what the provider uses to check it, CBOR included.
"""

import base64
import html
import json
import re
import secrets
import struct
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from tests.browser import Page

ORIGIN = "https://dangnhap.example"
# Flags of authenticator data (WebAuthn Level 3, 6.1).
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
ES256, EDDSA, RS256 = -7, -8, -257


def text(value: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def raw(value: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def cbor(value: Any) -> bytes:
    """Encode integers, bytes, text and maps (RFC 8949, 3)."""
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    assert isinstance(value, dict)
    return _head(5, len(value)) + b"".join(cbor(key) + cbor(each) for key, each in value.items())


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes([kind << 5 | number])
    for more, size, form in ((24, 1, ">B"), (25, 2, ">H"), (26, 4, ">I")):
        if number < 1 << 8 * size:
            return bytes([kind << 5 | more]) + struct.pack(form, number)
    raise ValueError(number)


@dataclass
class Authenticator:
    """One authenticator with one passkey, once `create` was called. `count` is told at the next signature."""

    algorithm: int = ES256
    is_synced: bool = False
    count: int = 0
    step: int = 1
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    user_handle: bytes = b""

    def __post_init__(self) -> None:
        """Make the key."""
        self.key: Any
        if self.algorithm == ES256:
            self.key = ec.generate_private_key(ec.SECP256R1())
        elif self.algorithm == EDDSA:
            self.key = ed25519.Ed25519PrivateKey.generate()
        else:
            self.key = rsa.generate_private_key(65537, 2048)

    @property
    def flags(self) -> int:
        """Return the flags this authenticator sets."""
        return PRESENT | VERIFIED | (ELIGIBLE | BACKED_UP if self.is_synced else 0)

    def cose_key(self) -> dict[int, Any]:
        """Return the public key as COSE_Key (RFC 9053, 7)."""
        public = self.key.public_key()
        if self.algorithm == ES256:
            point = public.public_numbers()
            return {1: 2, 3: ES256, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}
        if self.algorithm == EDDSA:
            return {1: 1, 3: EDDSA, -1: 6, -2: public.public_bytes_raw()}
        numbers = public.public_numbers()
        return {1: 3, 3: RS256, -1: numbers.n.to_bytes(256), -2: numbers.e.to_bytes(3)}

    def sign(self, message: bytes) -> bytes:
        """Sign as WebAuthn wants it (6.5.5)."""
        if self.algorithm == ES256:
            return self.key.sign(message, ec.ECDSA(hashes.SHA256()))
        if self.algorithm == EDDSA:
            return self.key.sign(message)
        return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def create(self, options: str, **wrong: Any) -> str:
        """Return the answer to creation options; `wrong` replaces parts of it."""
        asked = json.loads(options)
        assert self.algorithm in [each["alg"] for each in asked["pubKeyCredParams"]] or wrong
        self.user_handle = raw(asked["user"]["id"])
        client_data = _client_data("webauthn.create", asked["challenge"], wrong)
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + cbor(self.cose_key())
        data = self._data(asked["rp"]["id"], wrong, ATTESTED) + wrong.get("attested", attested)
        statement = {"fmt": wrong.get("format", "none"), "attStmt": {}, "authData": data}
        response = {
            "clientDataJSON": text(client_data),
            "attestationObject": text(wrong.get("attestation", cbor(statement))),
            "transports": ["internal"],
        }
        return self._answer(response, wrong)

    def get(self, options: str, **wrong: Any) -> str:
        """Return the answer to request options; `wrong` replaces parts of it."""
        asked = json.loads(options)
        self.count += self.step
        client_data = _client_data("webauthn.get", asked["challenge"], wrong)
        data = self._data(asked["rpId"], wrong, 0)
        signature = self.sign(data + sha256(client_data).digest())
        response = {
            "clientDataJSON": text(client_data),
            "authenticatorData": text(data),
            "signature": text(wrong.get("signature", signature)),
            "userHandle": text(self.user_handle),
        } | wrong.get("response", {})
        return self._answer({name: value for name, value in response.items() if value is not None}, wrong)

    def _data(self, rp_id: str, wrong: dict[str, Any], more: int) -> bytes:
        flags = wrong.get("flags", self.flags) | more
        digest = sha256(wrong.get("rp_id", rp_id).encode()).digest()
        return digest + bytes([flags]) + struct.pack(">I", wrong.get("count", self.count))

    def _answer(self, response: dict[str, Any], wrong: dict[str, Any]) -> str:
        name = text(wrong.get("credential_id", self.credential_id))
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})


def _client_data(kind: str, challenge: str, wrong: dict[str, Any]) -> bytes:
    document = {
        "type": wrong.get("type", kind),
        "challenge": wrong.get("challenge", challenge),
        "origin": wrong.get("origin", ORIGIN),
        "crossOrigin": wrong.get("cross_origin", False),
    }
    return json.dumps(document).encode()


def options_on(page: Page) -> str:
    """Return the options that the passkey form of a page hands to its script."""
    found = re.search(r'data-options="([^"]*)"', page.html)
    assert found is not None, f"no passkey is asked for on {page.path}"
    return html.unescape(found[1])
