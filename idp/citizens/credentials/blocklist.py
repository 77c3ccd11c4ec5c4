"""The list of passwords that attackers know, which the operator supplies: built once, looked up without loading it.

The file is a header and the first eight bytes of the SHA-1 of each password, sorted: two thousand million of them would
be wrong about one password in nine thousand million. SHA-1 because published lists come that way; it protects nothing
here. A look-up reads some thirty places of the file by the operating system's cache.
"""

import hashlib
import heapq
import mmap
import os
import re
import struct
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

_MAGIC: Final = b"LKPWLST1"
_ENTRY: Final = 8
_HEADER: Final = struct.Struct(">8sQ")
# Entries sorted in memory at once, 8 MB of them; the runs are merged on disk.
_RUN: Final = 1_000_000
_HASHED: Final = re.compile(r"([0-9A-Fa-f]{40})(:[0-9]+)?")


class BlocklistRefused(Exception):
    """The file is none of ours, or not whole; the message says which."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What `show` tells of a list."""

    entries: int
    size: int
    built_at: datetime


def entry_of(password: str) -> int:
    """Return how a password is kept on the list."""
    return int.from_bytes(hashlib.sha1(password.encode("utf-8", "surrogatepass")).digest()[:_ENTRY])  # noqa: S324


def holds(path: Path, password: str) -> bool:
    """Tell whether `password` (NFC) is on the list at `path`, as it is or in small letters. Raises BlocklistRefused."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        count = _count(path, view[: _HEADER.size], len(view))
        return any(_is_in(view, count, entry_of(each)) for each in {password, password.lower()})


def summary(path: Path) -> Summary:
    """Return what is known of the list at `path`. Raises BlocklistRefused."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            count = _count(path, file.read(_HEADER.size), status.st_size)
    except OSError as error:
        raise BlocklistRefused(f"{path} cannot be read ({error.strerror})") from None
    return Summary(count, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _count(path: Path, header: bytes, size: int) -> int:
    if len(header) == _HEADER.size:
        magic, count = _HEADER.unpack(header)
        if magic == _MAGIC and size == _HEADER.size + count * _ENTRY:
            return int(count)
    raise BlocklistRefused(f"{path}: is no list made by `idp passwords blocklist build`, or not the whole of it")


def _is_in(view: mmap.mmap, count: int, wanted: int) -> bool:
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        place = _HEADER.size + middle * _ENTRY
        found = int.from_bytes(view[place : place + _ENTRY])
        if found == wanted:
            return True
        if found < wanted:
            low = middle + 1
        else:
            high = middle
    return False


def build(lines: Iterable[bytes], path: Path) -> int:
    """Write the list of `lines` to `path`, replacing what was there at once; return how many entries it has.

    A line is a password in UTF-8, or its SHA-1 in hex, with `:` and a count or without. Empty lines are passed over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as open_files:
        runs = [open_files.enter_context(_sorted_run(run, path.parent)) for run in _runs(lines)]
        unfinished = path.with_name(f".{path.name}.unfinished")
        with unfinished.open("wb") as file:
            count = _write(file, heapq.merge(*map(_entries, runs)))
        unfinished.replace(path)
    return count


def _write(file: IO[bytes], entries: Iterator[int]) -> int:
    # Nothing is a list before its count is right, so that half of one is none.
    file.write(_HEADER.pack(b"", 0))
    count, last = 0, -1
    for entry in entries:
        if entry != last:
            file.write(entry.to_bytes(_ENTRY))
            count, last = count + 1, entry
    file.seek(0)
    file.write(_HEADER.pack(_MAGIC, count))
    file.flush()
    os.fsync(file.fileno())
    return count


def _runs(lines: Iterable[bytes]) -> Iterator["array[int]"]:
    run = array("Q")
    for line in lines:
        if (entry := _read(line)) is not None:
            run.append(entry)
        if len(run) == _RUN:
            yield run
            run = array("Q")
    yield run


def _read(line: bytes) -> int | None:
    text = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
    if not text:
        return None
    if hashed := _HASHED.fullmatch(text):
        return int(hashed.group(1)[: _ENTRY * 2], 16)
    return int.from_bytes(hashlib.sha1(text.encode("utf-8", "surrogateescape")).digest()[:_ENTRY])  # noqa: S324


def _sorted_run(run: "array[int]", folder: Path) -> IO[bytes]:
    # Without a name: it is gone when the command ends, however it ends.
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (whoever merges the runs closes them)
    array("Q", sorted(run)).tofile(file)
    file.seek(0)
    return file


def _entries(file: IO[bytes]) -> Iterator[int]:
    while piece := file.read(_ENTRY * 8_192):
        yield from array("Q", piece)
