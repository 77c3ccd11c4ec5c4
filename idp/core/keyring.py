"""The keyring: one key set per purpose, outside the database.

Owns sealing of single values (AES-256-GCM, key id inside, bound to its place), keyed indexes (HMAC-SHA-256), and
the files in `IDP_SECRETS_DIR`. Each purpose is one file of lines `KEY-ID BASE64URL-OF-32-BYTES`; the first line
writes, every line reads, so that a key is rotated by putting a new line on top. Leaves re-encryption to the rooms.
"""

import base64
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
# Fewer different bytes than this in 32 are a placeholder, not a key.
_LEAST_VARIETY = 8
_VERSION = "v1"


class Purpose(StrEnum):
    """What a key is for. Keys are never shared between purposes: one leak must not open another door."""

    DATA = "data"
    SIGNING = "signing"
    NUMBER_INDEX = "number-index"
    SUBJECT = "subject"
    PEPPER = "pepper"
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


class Keyring:
    """All keys of one provider, held in memory of each worker."""

    def __init__(self, keys: Mapping[Purpose, tuple[Key, ...]]) -> None:
        self._keys = keys
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

    def hmac(self, purpose: Purpose, message: bytes, *, key_id: str | None = None) -> bytes:
        """Return HMAC-SHA-256 of `message` under the writing key of `purpose`, or under the key named."""
        return hmac.new(self.key(purpose, key_id).material, message, hashlib.sha256).digest()

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
        if path.exists():
            continue
        descriptor, whole = tempfile.mkstemp(dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"k1 {_encode(secrets.token_bytes(KEY_BYTES))}\n")
            # A link, not a rename: it fails where another process was faster.
            os.link(whole, path)
            made.append(purpose)
        except FileExistsError:
            continue
        finally:
            Path(whole).unlink()
    return tuple(made)


def load(directory: Path, *, is_production: bool) -> Keyring:
    """Read the keyring from `directory`; outside production what is missing is made first.

    Raises KeyringRefused when a file is missing, malformed or short; in production also when others can read it.
    """
    if not is_production:
        create(directory)
    if not directory.is_dir():
        raise KeyringRefused(f"{directory} does not exist; `idp secrets init` makes it")
    return Keyring({purpose: _read(directory / f"{purpose}.keys", is_production=is_production) for purpose in Purpose})


def _read(path: Path, *, is_production: bool) -> tuple[Key, ...]:
    try:
        if is_production and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyringRefused(f"{path} can be read by others; chmod 600 it")
        lines = path.read_text("ascii").splitlines()
    except FileNotFoundError:
        raise KeyringRefused(f"{path} is missing; `idp secrets init` makes what is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyringRefused(f"{path} cannot be read ({type(error).__name__})") from None
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


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
