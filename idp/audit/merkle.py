"""The tree of hashes over the sealed trail, and proofs from it (RFC 9162, 2.1). Arithmetic alone, nothing is stored.

A leaf is hashed behind 0x00 and a node behind 0x01, so that neither can pass for the other. What asks for proofs gives
a `Read`: the hash of the perfect subtree of 2^height leaves at a position, from wherever it is kept.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

EMPTY: Final = hashlib.sha256(b"").digest()
Read = Callable[[int, int], bytes]
"""Height and position -> hash of the leaves [position * 2^height, (position + 1) * 2^height)."""


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over its two halves."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over neighbouring subtrees of one height; their number is a power of two."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def root(read: Read, size: int) -> bytes:
    """Return the hash of the whole tree of the first `size` leaves."""
    return EMPTY if size == 0 else _over(read, 0, size)


def inclusion(read: Read, index: int, size: int) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of `size` leaves (2.1.3.1). Raises IndexError."""
    if not 0 <= index < size:
        raise IndexError(index)
    return _path(read, index, 0, size)


def consistency(read: Read, first: int, second: int) -> list[bytes]:
    """Return the proof that the tree of `second` leaves begins with that of `first` (2.1.4.1). Raises IndexError."""
    if not 0 < first <= second:
        raise IndexError(first)
    return _subproof(read, first, 0, second, is_known=True)


def includes(root_hash: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether `proof` leads from a leaf's hash to the root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(step, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root_hash


def extends(first_root: bytes, first: int, second_root: bytes, second: int, proof: Sequence[bytes]) -> bool:
    """Tell whether `proof` shows that the second tree begins with the first (2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


class Growing:
    """A tree that grows leaf by leaf, and remembers the roots of its perfect subtrees alone."""

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)

    @classmethod
    def from_stored(cls, read: Read, size: int) -> "Growing":
        """Return the tree of the first `size` stored leaves."""
        heights = [height for height in reversed(range(size.bit_length())) if size >> height & 1]
        return cls(size, [read(height, (size >> height) - 1) for height in heights])

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash; return height, position and hash of every subtree that it completes."""
        position, found, height, made = self.size, leaf, 0, []
        while position & 1:
            found = node_hash(self._peaks.pop(), found)
            position, height = position >> 1, height + 1
            made.append((height, position, found))
        self._peaks.append(found)
        self.size += 1
        return made

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        if not self._peaks:
            return EMPTY
        found = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            found = node_hash(peak, found)
        return found


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _over(read: Read, start: int, end: int) -> bytes:
    count = end - start
    if count & (count - 1) == 0:
        # Cut as the tree is, a range of 2^n leaves begins at a multiple of it.
        return read(count.bit_length() - 1, start // count)
    middle = start + _split(count)
    return node_hash(_over(read, start, middle), _over(read, middle, end))


def _path(read: Read, index: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(read, index, start, middle), _over(read, middle, end)]
    return [*_path(read, index, middle, end), _over(read, start, middle)]


def _subproof(read: Read, first: int, start: int, end: int, *, is_known: bool) -> list[bytes]:
    if first == end:
        return [] if is_known else [_over(read, start, end)]
    middle = start + _split(end - start)
    if first <= middle:
        return [*_subproof(read, first, start, middle, is_known=is_known), _over(read, middle, end)]
    return [*_subproof(read, first, middle, end, is_known=False), _over(read, start, middle)]
