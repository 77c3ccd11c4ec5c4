"""The keyring: one key set per purpose, outside the database.

Owns sealing of single values (AES-256-GCM, bound to their place), the keys of single owners that lie wrapped in the
database, keyed indexes (HMAC-SHA-256), and reading the files in `IDP_SECRETS_DIR`. Each purpose is one file of lines
`KEY-ID BASE64URL-OF-32-BYTES`; the first line writes, every line reads. Leaves the change of those files to
`key_files`, re-encryption to `ops.reseal`.

    v1.KEY-ID.NONCE-AND-CIPHERTEXT   under a key of the keyring
    v2.NONCE-AND-CIPHERTEXT          under a key of its owner's, which is a v1 value itself
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from idp.core import secret_files
from idp.core.secret_files import SecretFileRefused

KEY_BYTES = 32
_NONCE_BYTES = 12
# Fewer different bytes than this in 32 are a placeholder, not a key.
_LEAST_VARIETY = 8
_VERSION = "v1"
_OWN_VERSION = "v2"


class Purpose(StrEnum):
    """What a key is for. Keys are never shared between purposes: one leak must not open another door."""

    DATA = "data"
    SIGNING = "signing"
    NUMBER_INDEX = "number-index"
    SUBJECT = "subject"
    PEPPER = "pepper"
    THROTTLE = "throttle"
    FORM = "form"
    TOKEN = "token"  # noqa: S105 (the name of a purpose)
    LOG = "log"


class KeyringRefused(Exception):
    """The keyring is missing, unreadable or too weak; the message names the file and what to do."""


class SealBroken(Exception):
    """A sealed value was altered, moved to another place, or written with a key that is gone."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its id (short ASCII, without a dot) and 32 bytes."""

    id: str
    material: bytes


@dataclass(frozen=True)
class Place:
    """Where a sealed value lives; it opens nowhere else, so values cannot be swapped between rows or columns."""

    table: str
    column: str
    row: str

    def bound(self, key_id: str) -> bytes:
        """Return the additional data that AES-GCM authenticates beside the value."""
        return f"{self.table}|{self.column}|{self.row}|{key_id}".encode()


class OwnKey:
    """The key of one owner, unwrapped: what it sealed can be opened by nothing else, the keyring included."""

    def __init__(self, material: bytes) -> None:
        self._cipher = AESGCM(material)

    def __repr__(self) -> str:
        return "OwnKey(...)"

    def seal(self, plaintext: str, place: Place) -> str:
        """Return `plaintext` as `v2.NONCE-AND-CIPHERTEXT`, openable at `place` only."""
        nonce = os.urandom(_NONCE_BYTES)
        return f"{_OWN_VERSION}.{_encode(nonce + self._cipher.encrypt(nonce, plaintext.encode(), _own_bound(place)))}"

    def unseal(self, sealed: str, place: Place) -> str:
        """Return the plaintext of a value that this key sealed at `place`. Raises SealBroken."""
        try:
            version, body = sealed.split(".")
            raw = _decode(body)
            if version != _OWN_VERSION:
                raise SealBroken(f"{place.table}.{place.column}: not under an owner's key")
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _own_bound(place)).decode()
        except (ValueError, InvalidTag) as error:
            raise SealBroken(f"{place.table}.{place.column}: {type(error).__name__}") from None


def is_under_own_key(sealed: str) -> bool:
    """Tell whether a sealed value needs its owner's key."""
    return sealed.startswith(f"{_OWN_VERSION}.")


def key_id_of(sealed: str) -> str | None:
    """Return which key of the keyring a sealed value needs; None for one under its owner's key, or that is none."""
    version, _, rest = sealed.partition(".")
    key_id, separator, _ = rest.partition(".")
    return key_id if version == _VERSION and separator else None


class Keyring:
    """All keys of one provider, held in memory of each worker.

    `gives_own_keys` is off while workers still run that cannot read what is sealed under an owner's key.
    """

    def __init__(self, keys: Mapping[Purpose, tuple[Key, ...]], *, gives_own_keys: bool = True) -> None:
        self._keys = keys
        self.gives_own_keys = gives_own_keys
        self._ciphers = {
            (purpose, key.id): AESGCM(key.material)
            for purpose in (Purpose.DATA, Purpose.SIGNING)
            for key in keys[purpose]
        }

    def __repr__(self) -> str:
        return "Keyring(...)"

    def seal(self, plaintext: str, place: Place, *, purpose: Purpose = Purpose.DATA) -> str:
        """Return `plaintext` as `v1.KEY-ID.NONCE-AND-CIPHERTEXT`, openable at `place` only."""
        key = self._keys[purpose][0]
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[purpose, key.id].encrypt(nonce, plaintext.encode(), place.bound(key.id))
        return f"{_VERSION}.{key.id}.{_encode(nonce + sealed)}"

    def unseal(self, sealed: str, place: Place, *, purpose: Purpose = Purpose.DATA) -> str:
        """Return the plaintext of a value sealed at `place`. Raises SealBroken."""
        try:
            version, key_id, body = sealed.split(".")
            cipher = self._ciphers[purpose, key_id]
            raw = _decode(body)
            if version != _VERSION:
                raise SealBroken(f"{place.table}.{place.column}: unknown version")
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.bound(key_id)).decode()
        except (ValueError, KeyError, InvalidTag) as error:
            raise SealBroken(f"{place.table}.{place.column}: {type(error).__name__}") from None

    def new_own_key(self, place: Place) -> str:
        """Return a new random key for one owner, wrapped for keeping at `place`."""
        return self.seal(_encode(secrets.token_bytes(KEY_BYTES)), place)

    def own_key(self, wrapped: str, place: Place) -> OwnKey:
        """Return the key that lies wrapped at `place`. Raises SealBroken."""
        return OwnKey(_decode(self.unseal(wrapped, place)))

    def hmac(self, purpose: Purpose, message: bytes, *, key_id: str | None = None) -> bytes:
        """Return HMAC-SHA-256 of `message` under the writing key of `purpose`, or under the key named."""
        return hmac.new(self.key(purpose, key_id).material, message, hashlib.sha256).digest()

    def tag(self, purpose: Purpose, message: bytes) -> str:
        """Return the HMAC of `message` under the writing key of `purpose` as base64url text; `fits` knows it again."""
        return _encode(self.hmac(purpose, message))

    def fits(self, purpose: Purpose, message: bytes, given: str) -> bool:
        """Tell in constant time whether `given` is the base64url text of an HMAC of `message` under any key.

        Any, because of two workers one may know the next writing key before the other.
        """
        tags = (_encode(self.hmac(purpose, message, key_id=key_id)) for key_id in self.key_ids(purpose))
        return any(hmac.compare_digest(given.encode(), tag.encode()) for tag in tags)

    def key(self, purpose: Purpose, key_id: str | None = None) -> Key:
        """Return the writing key of `purpose`, or the one named. Raises KeyError for an unknown id."""
        if key_id is None:
            return self._keys[purpose][0]
        for key in self._keys[purpose]:
            if key.id == key_id:
                return key
        raise KeyError(key_id)

    def key_ids(self, purpose: Purpose) -> tuple[str, ...]:
        """Return the ids of all keys of `purpose`, the writing one first."""
        return tuple(key.id for key in self._keys[purpose])


def create(directory: Path) -> tuple[Purpose, ...]:
    """Make the key files that are missing in `directory` (mode 0700, files 0600); return their purposes.

    Existing files are never touched: overwriting one would lose every value sealed with it. Safe to race: a file
    appears whole, and once.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    made = []
    for purpose in Purpose:
        path = directory / f"{purpose}.keys"
        if not path.exists() and secret_files.write_once(path, line_of(Key("k1", secrets.token_bytes(KEY_BYTES)))):
            made.append(purpose)
    return tuple(made)


def load(directory: Path, *, is_production: bool, gives_own_keys: bool = True) -> Keyring:
    """Read the keyring from `directory`; outside production what is missing is made first.

    Raises KeyringRefused when a file is missing, malformed or short; in production also when others can read it.
    """
    if not is_production:
        create(directory)
    if not directory.is_dir():
        raise KeyringRefused(f"{directory} does not exist; `idp secrets init` makes it")
    keys = {purpose: read(directory / f"{purpose}.keys", is_production=is_production) for purpose in Purpose}
    return Keyring(keys, gives_own_keys=gives_own_keys)


def read(path: Path, *, is_production: bool) -> tuple[Key, ...]:
    """Return the keys in one file, the writing one first. Raises KeyringRefused as `load` does."""
    try:
        lines = secret_files.read(path, is_production=is_production).splitlines()
    except FileNotFoundError:
        raise KeyringRefused(f"{path} is missing; `idp secrets init` makes what is missing") from None
    except SecretFileRefused as refused:
        raise KeyringRefused(str(refused)) from None
    keys: dict[str, Key] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        key_id, _, material = line.partition(" ")
        try:
            key = Key(key_id, _decode(material.strip()))
        except ValueError:
            raise KeyringRefused(f"{path}:{number}: expected a line `KEY-ID BASE64URL`") from None
        if (
            not key_id.isalnum()
            or key_id in keys
            or len(key.material) != KEY_BYTES
            or len(set(key.material)) < _LEAST_VARIETY
        ):
            raise KeyringRefused(f"{path}:{number}: needs a new key id and {KEY_BYTES} random bytes")
        keys[key_id] = key
    if not keys:
        raise KeyringRefused(f"{path} holds no key")
    return tuple(keys.values())


def line_of(key: Key) -> str:
    """Return the line of a key file that holds `key`."""
    return f"{key.id} {_encode(key.material)}\n"


def _own_bound(place: Place) -> bytes:
    return f"{_OWN_VERSION}|{place.table}|{place.column}|{place.row}".encode()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
