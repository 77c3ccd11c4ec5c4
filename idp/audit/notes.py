"""Checkpoints as signed notes, and the key that signs them (C2SP signed-note and tlog-checkpoint, decision 0010).

A note is text that a person can read and keep anywhere: the log's name, the number of sealed events, the root of their
tree, when it was signed, and an Ed25519 signature. The private key lies in a PEM file of its own, apart from the
keyring: a process that serves requests needs neither.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from idp.core import secret_files
from idp.core.keyring import KeyringRefused
from idp.core.secret_files import SecretFileRefused

_ED25519: Final = b"\x01"
_DASH: Final = "\u2014 "
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_ID_BYTES: Final = 4


class NoteRefused(Exception):
    """Not a checkpoint of this log signed by a key that is trusted; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree as it was at a moment: `size` leaves under `root`. `note` is the signed text it was read from."""

    origin: str
    size: int
    root: bytes
    at: datetime
    note: str = ""

    def text(self) -> str:
        """Return what is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\nat {self.at.astimezone(UTC).strftime(_TIME)}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under the name it signs by."""

    name: str
    key: Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the form `NAME+ID+KEY` (signed-note, verifier keys). Raises NoteRefused."""
        try:
            name, key_id, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
            found = cls(name, Ed25519PublicKey.from_public_bytes(raw[1:]))
        except (ValueError, binascii.Error):
            raise NoteRefused("not a verifier key `NAME+ID+KEY`") from None
        if raw[:1] != _ED25519 or found.key_id.hex() != key_id:
            raise NoteRefused("the verifier key does not fit its own id")
        return found

    @property
    def _raw(self) -> bytes:
        return _ED25519 + self.key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that begin each signature by this key."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._raw).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._raw).decode()}"


class CheckpointKey:
    """The private key that signs checkpoints."""

    def __init__(self, origin: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = Verifier(origin, key.public_key())

    def __repr__(self) -> str:
        return f"CheckpointKey({self.verifier.name})"

    def sign(self, size: int, root: bytes, at: datetime) -> Checkpoint:
        """Return the checkpoint with its note."""
        made = Checkpoint(self.verifier.name, size, root, at)
        text = made.text()
        signature = base64.b64encode(self.verifier.key_id + self._key.sign(text.encode())).decode()
        return Checkpoint(made.origin, size, root, at, f"{text}\n{_DASH}{made.origin} {signature}\n")


def origin_of(issuer: str) -> str:
    """Return the name of the log of the provider at `issuer`: host, path and `audit`, without a scheme."""
    parts = urlsplit(issuer)
    return f"{parts.netloc}{parts.path.rstrip('/')}/audit"


def create(path: Path) -> bool:
    """Make a key at `path` (0600); False, and nothing is touched, where there is one. Safe to race."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return secret_files.write_once(path, pem.decode())


def load(path: Path, origin: str, *, is_production: bool) -> CheckpointKey:
    """Read the key at `path`. Raises KeyringRefused; in production also when others can read it."""
    try:
        pem = secret_files.read(path, is_production=is_production)
        key = serialization.load_pem_private_key(pem.encode(), None)
    except FileNotFoundError:
        raise KeyringRefused(f"{path} is missing; `idp audit init` makes it") from None
    except SecretFileRefused as refused:
        raise KeyringRefused(str(refused)) from None
    except (ValueError, TypeError) as error:
        raise KeyringRefused(f"{path} cannot be read ({type(error).__name__})") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyringRefused(f"{path} is no Ed25519 key")
    return CheckpointKey(origin, key)


def opened(note: str, verifiers: Iterable[Verifier]) -> Checkpoint:
    """Return the checkpoint in a signed note, if one of `verifiers` signed it. Raises NoteRefused."""
    text, separator, signatures = note.partition("\n\n")
    text += "\n"
    trusted = {(each.name, each.key_id): each for each in verifiers}
    for line in signatures.splitlines() if separator else ():
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            continue
        verifier = trusted.get((name, raw[:_ID_BYTES]))
        if verifier is not None and _holds(verifier, raw[_ID_BYTES:], text):
            return _read(text, name, note)
    raise NoteRefused("no trusted key signed the checkpoint")


def notes_in(text: str) -> Iterator[str]:
    """Yield the notes of a file that holds one after the other."""
    lines: list[str] = []
    for line in text.splitlines():
        if lines and lines[-1].startswith(_DASH) and not line.startswith(_DASH):
            yield "\n".join(lines) + "\n"
            lines = []
        if line or lines:
            lines.append(line)
    if lines:
        yield "\n".join(lines) + "\n"


def _holds(verifier: Verifier, signature: bytes, text: str) -> bool:
    try:
        verifier.key.verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True


def _read(text: str, name: str, note: str) -> Checkpoint:
    try:
        origin, size, encoded, at = text.splitlines()
        made = Checkpoint(
            origin,
            int(size),
            base64.b64decode(encoded, validate=True),
            datetime.strptime(at, f"at {_TIME}").replace(tzinfo=UTC),
            note,
        )
    except (ValueError, binascii.Error):
        raise NoteRefused("the signed text is no checkpoint") from None
    if origin != name or made.text() != text:
        raise NoteRefused("the checkpoint is of another log")
    return made
