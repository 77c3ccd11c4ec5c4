"""Identifiers and the secrets we issue.

Owns how a row key, a reference and an opaque secret are made and how a secret is remembered. Row keys are UUID
version 7, made here rather than by a database sequence, so that any shard can write without asking another.
"""

import hashlib
import hmac
import os
import secrets
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

# Crockford's base 32: nothing in it is mistaken for something else when read out.
_REFERENCE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_REFERENCE_LENGTH = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> UUID:
    """Return a new UUID version 7: 48 bits of milliseconds, then 74 random bits (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value)


def id_at(instant: datetime) -> UUID:
    """Return a new UUID version 7 of a moment that has passed; ids of different microseconds sort by them.

    Twelve of the random bits hold the microseconds (RFC 9562, 6.2, method 3).
    """
    microseconds = (instant - _EPOCH) // timedelta(microseconds=1)
    milliseconds, rest = divmod(microseconds, 1_000)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (rest << 64) | (0x2 << 62) | random)


def new_secret() -> str:
    """Return 256 random bits in base64url, 43 characters: codes, tokens, session ids, client secrets."""
    return secrets.token_urlsafe(32)


def new_handle() -> str:
    """Return 128 random bits in base64url, 22 characters: names of things that a cookie guards besides."""
    return secrets.token_urlsafe(16)


def new_reference() -> str:
    """Return ten characters a person can read out over the telephone (no I, L, O, U).

    It goes to the error page and the log line of the same failure, and means nothing else.
    """
    bits = int.from_bytes(os.urandom(7), "big")
    return "".join([_REFERENCE_ALPHABET[(bits >> 5 * place) & 31] for place in range(_REFERENCE_LENGTH)])


def digest(secret: str) -> bytes:
    """Return the SHA-256 of a secret we issued: the only form of it that is stored.

    A plain hash is enough because the secret has 256 random bits; what a person typed goes through argon2id.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def is_same(given: bytes, stored: bytes) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(given, stored)
