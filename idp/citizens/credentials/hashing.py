"""Password hashes: argon2id, then an HMAC under a key that is not in the database.

Owns the record, its parameters, and the queue that keeps hashing from taking the whole machine: one hash costs
20 ms and 19 MiB, so that a few hundred posts a second would stop every sign-in (shared security.md, 0 and 7).
RFC 9106; OWASP Password Storage Cheat Sheet.
"""

import base64
import os
import secrets
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypeVar
from uuid import UUID

from argon2.low_level import Type, hash_secret_raw

from idp.core.ids import is_same
from idp.core.keyring import Keyring, Purpose
from idp.core.settings import Settings

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 128
"""Lengths of a password in characters after NFC. Longer ones are never hashed, so that nobody posts megabytes."""

_ALGORITHM: Final = "argon2id"
_SALT_BYTES: Final = 16
_TAG_BYTES: Final = 32
# A third of the weight of others, where there are not cores for all.
_NICER: Final = 5

_T = TypeVar("_T")


class Busy(Exception):
    """So many passwords wait for hashing that one more would time out in its browser anyway."""


class HashingQueue:
    """A bounded queue for hashing: `workers` run, `waiting` wait, the next one is told Busy at once."""

    def __init__(self, *, workers: int, waiting: int) -> None:
        # Threads of its own: each thread that ever hashed keeps 19 MiB of malloc's, and requests have many threads.
        self._hashers = ThreadPoolExecutor(workers, thread_name_prefix="hash", initializer=_step_back)
        self._places = threading.BoundedSemaphore(workers + waiting)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue; `run` is for its holder. Raises Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self._places.release()

    def run(self, hash_password: Callable[[], _T]) -> _T:
        """Run `hash_password` as soon as a core is free, and wait for it."""
        return self._hashers.submit(hash_password).result()


def _step_back() -> None:
    """Let other threads go first: in a flood of passwords those who are signed in need a core too."""
    if sys.platform == "linux":
        # There, and only there, each thread has a niceness of its own.
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICER))


def queue(settings: Settings) -> HashingQueue:
    """Return the queue of this worker process."""
    workers = settings.hash_workers or max(1, (os.cpu_count() or 1) - 1)
    return _queue(workers, settings.hash_queue)


@cache
def _queue(workers: int, waiting: int) -> HashingQueue:
    return HashingQueue(workers=workers, waiting=waiting)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Costs of argon2id."""

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1

    def __str__(self) -> str:
        return f"m={self.memory_kib},t={self.passes},p={self.lanes}"


PARAMETERS: Final = Parameters()


@dataclass(frozen=True, slots=True)
class _Record:
    """The stored form `argon2id$PEPPER-KEY-ID$m=..,t=..,p=..$SALT$TAG`, both last in base64url."""

    key_id: str
    parameters: Parameters
    salt: bytes = field(repr=False)
    tag: bytes = field(repr=False)

    def __str__(self) -> str:
        return "$".join((_ALGORITHM, self.key_id, str(self.parameters), _encode(self.salt), _encode(self.tag)))


def normal(password: str) -> str:
    """Return `password` in NFC, so that it is the same from every keyboard (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", password)


def make(password: str, *, owner: UUID, keyring: Keyring) -> str:
    """Return the record to store for the password of citizen `owner`."""
    salt = secrets.token_bytes(_SALT_BYTES)
    key = keyring.key(Purpose.PEPPER)
    tag = _tag(password, salt, PARAMETERS, key_id=key.id, owner=owner, keyring=keyring)
    return str(_Record(key.id, PARAMETERS, salt, tag))


def is_right(password: str, stored: str, *, owner: UUID, keyring: Keyring) -> bool:
    """Tell whether `password` is the one `stored` was made from, for this owner.

    Raises KeyError when the pepper of the record is gone from the keyring: an operator's mistake, not a wrong
    password.
    """
    record = _read(stored)
    tag = _tag(password, record.salt, record.parameters, key_id=record.key_id, owner=owner, keyring=keyring)
    return is_same(tag, record.tag)


def is_outdated(stored: str, *, keyring: Keyring) -> bool:
    """Tell whether a record was made with other costs or another pepper than today's."""
    record = _read(stored)
    return record.parameters != PARAMETERS or record.key_id != keyring.key(Purpose.PEPPER).id


def pepper_of(stored: str) -> str:
    """Return the id of the pepper a record was made with. Raises ValueError for what is no record."""
    return _read(stored).key_id


def nobodys(keyring: Keyring) -> str:
    """Return a record that no password fits, at today's cost: what an unknown number is checked against."""
    key_id = keyring.key(Purpose.PEPPER).id
    return str(_Record(key_id, PARAMETERS, bytes(_SALT_BYTES), bytes(_TAG_BYTES)))


def _tag(password: str, salt: bytes, parameters: Parameters, *, key_id: str, owner: UUID, keyring: Keyring) -> bytes:
    raw = hash_secret_raw(
        normal(password).encode("utf-8", "surrogatepass"),
        salt,
        time_cost=parameters.passes,
        memory_cost=parameters.memory_kib,
        parallelism=parameters.lanes,
        hash_len=_TAG_BYTES,
        type=Type.ID,
    )
    # The owner is part of it: whoever can write to the database must not move their own hash to another account.
    return keyring.hmac(Purpose.PEPPER, raw + owner.bytes, key_id=key_id)


def _read(stored: str) -> _Record:
    algorithm, key_id, parameters, salt, tag = stored.split("$")
    if algorithm != _ALGORITHM:
        raise ValueError("a password record of an unknown algorithm")
    costs = dict(part.split("=") for part in parameters.split(","))
    return _Record(
        key_id,
        Parameters(memory_kib=int(costs["m"]), passes=int(costs["t"]), lanes=int(costs["p"])),
        _decode(salt),
        _decode(tag),
    )


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(encoded: str) -> bytes:
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
