"""Changing the files of the keyring: a key is prepared, then writes, and in the end is retired.

In two steps, because processes read the files when they start: a value written with a key that some worker has not
read yet would be lost on it. Owns the files and their order; leaves to `ops.sealed` whether a key is still needed.
Every change appears whole, and of two at the same time the second waits.
"""

import fcntl
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from idp.core.keyring import KEY_BYTES, Key, KeyringRefused, Purpose, line_of, read

_OURS = re.compile(r"k([0-9]{1,9})")


class RotationRefused(Exception):
    """The step is not the next one; the message says what is."""


def waiting(keys: Sequence[Key]) -> str | None:
    """Return the key that was prepared and does not write yet: one of ours that is younger than the writing one."""
    writing = _serial(keys[0].id)
    younger = [key.id for key in keys[1:] if writing and _serial(key.id) > writing]
    return younger[0] if younger else None


def prepare(directory: Path, purpose: Purpose) -> str:
    """Put a new random key below the writing one, so that it can be read before anything is written with it.

    Returns its id. Raises RotationRefused when one is waiting already, KeyringRefused for a broken file.
    """

    def add(keys: list[Key]) -> tuple[list[Key], str]:
        if (next_id := waiting(keys)) is not None:
            raise RotationRefused(f"{next_id} is waiting: `idp secrets rotate {purpose} --write {next_id}` comes next")
        key = Key(f"k{max(_serial(each.id) for each in keys) + 1}", secrets.token_bytes(KEY_BYTES))
        return [keys[0], key, *keys[1:]], key.id

    return _change(directory, purpose, add)


def promote(directory: Path, purpose: Purpose, key_id: str) -> str:
    """Put the key `key_id` on top: it writes from now on. Raises RotationRefused for an unknown one."""

    def lift(keys: list[Key]) -> tuple[list[Key], str]:
        chosen = [key for key in keys if key.id == key_id]
        if not chosen:
            raise RotationRefused(f"{purpose} has no key {key_id}")
        return [*chosen, *(key for key in keys if key.id != key_id)], key_id

    return _change(directory, purpose, lift)


def retire(directory: Path, purpose: Purpose, key_id: str) -> None:
    """Take the key `key_id` away for ever. Raises RotationRefused for the writing key and an unknown one."""

    def drop(keys: list[Key]) -> tuple[list[Key], str]:
        if key_id == keys[0].id:
            raise RotationRefused(f"{key_id} is the key that writes {purpose}; rotate first")
        if all(key.id != key_id for key in keys):
            raise RotationRefused(f"{purpose} has no key {key_id}")
        return [key for key in keys if key.id != key_id], key_id

    _change(directory, purpose, drop)


def _change(directory: Path, purpose: Purpose, change: Callable[[list[Key]], tuple[list[Key], str]]) -> str:
    path = directory / f"{purpose}.keys"
    with _alone(directory):
        changed, key_id = change(list(read(path, is_production=False)))
        # mkstemp makes it 0600; who may read it stays who could.
        descriptor, whole = tempfile.mkstemp(dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.writelines(line_of(key) for key in changed)
                file.flush()
                os.fsync(file.fileno())
            owner = path.stat()
            if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(whole, owner.st_uid, owner.st_gid)
            Path(whole).replace(path)
        except BaseException:
            Path(whole).unlink(missing_ok=True)
            raise
    return key_id


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise KeyringRefused(f"{directory} cannot be read ({type(error).__name__})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _serial(key_id: str) -> int:
    found = _OURS.fullmatch(key_id)
    return int(found[1]) if found else 0
