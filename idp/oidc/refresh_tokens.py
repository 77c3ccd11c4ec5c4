"""Refresh tokens: computed, not stored.

    KEY-ID . base64url(row of the offline grant, generation) . base64url(HMAC-SHA-256 of both)

The grant's row says which generation works now, so spending one is a compare-and-set on a single row, a token of an
older generation is known as a replay of this very family, and a stolen database holds no token at all.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from uuid import UUID

from idp.core.keyring import Keyring, Purpose

_GENERATION_BYTES = 4
_NAME_BYTES = 16 + _GENERATION_BYTES
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Which refresh token it is: its family and its place in it."""

    grant_id: UUID
    generation: int


def write(token: RefreshToken, keyring: Keyring) -> str:
    """Return the text of a refresh token, under the writing key."""
    return _write(token, keyring, keyring.key(Purpose.TOKEN).id)


def read(text: str, keyring: Keyring) -> RefreshToken | None:
    """Return the refresh token that `text` is, or None for one that we never wrote."""
    parts = text.split(".")
    if len(text) > _LONGEST or not text.isascii() or len(parts) != 3:  # noqa: PLR2004 (the three parts above)
        return None
    try:
        name = base64.b64decode(parts[1] + "=", altchars=b"-_", validate=True)
        if len(name) != _NAME_BYTES:
            return None
        token = RefreshToken(UUID(bytes=name[:16]), int.from_bytes(name[16:], "big"))
        genuine = _write(token, keyring, parts[0])
    except (KeyError, ValueError, binascii.Error):
        return None
    return token if hmac.compare_digest(genuine.encode(), text.encode()) else None


def _write(token: RefreshToken, keyring: Keyring, key_id: str) -> str:
    name = token.grant_id.bytes + token.generation.to_bytes(_GENERATION_BYTES, "big")
    mac = keyring.hmac(Purpose.TOKEN, b"refresh:" + name, key_id=key_id)
    return f"{key_id}.{_text(name)}.{_text(mac)}"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
