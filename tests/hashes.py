"""Passwords of test people, hashed once in each process.

argon2 answers the same input with the same bytes, so that remembering its answer changes nothing but the 20 ms it
takes, thousands of times in a run. Only records with the salt below are remembered: those made here. Whatever the
product makes has a salt of its own and is hashed, and what a hash costs is tested with such records.
"""

from functools import cache
from typing import Any
from uuid import UUID

from idp.citizens.credentials import hashing
from idp.core.keyring import Keyring, Purpose

_SALT = b"salt-of-the-test"
_hash = hashing.hash_secret_raw
_remembered = cache(_hash)


def _hash_or_remember(secret: bytes, salt: bytes, **costs: Any) -> bytes:
    return (_remembered if salt == _SALT else _hash)(secret, salt, **costs)


hashing.hash_secret_raw = _hash_or_remember


def record_of(password: str, *, owner: UUID, keyring: Keyring) -> str:
    """Return what `hashing.make` would, had it drawn our salt."""
    key = keyring.key(Purpose.PEPPER)
    tag = hashing._tag(password, _SALT, hashing.PARAMETERS, key_id=key.id, owner=owner, keyring=keyring)
    return str(hashing._Record(key.id, hashing.PARAMETERS, _SALT, tag))
