"""The tree as it is stored: leaves one by one, nodes at every eighth height."""

from collections.abc import Iterable

import sqlalchemy as sa

from idp.audit import merkle
from idp.audit.models import AuditLeaf, AuditNode

SPAN = 8
"""Heights from one stored level to the next: a node of level 1 stands over 256 leaves, one of level 2 over 65,536."""
_LEAF = AuditLeaf.__table__
_NODE = AuditNode.__table__


class HashMissing(LookupError):
    """A stored hash is not there: the trail was changed, or the tree never was so large."""


def reader(connection: sa.Connection) -> merkle.Read:
    """Return the reader of stored hashes. It raises HashMissing."""

    def read(height: int, position: int) -> bytes:
        level, above = divmod(height, SPAN)
        first, count = position << above, 1 << above
        if level:
            chosen = sa.select(_NODE.c.hash).where(_NODE.c.level == level)
            chosen = chosen.where(_NODE.c.position.between(first, first + count - 1)).order_by(_NODE.c.position)
        else:
            chosen = sa.select(_LEAF.c.hash).where(_LEAF.c.seq.between(first, first + count - 1)).order_by(_LEAF.c.seq)
        hashes = [bytes(found) for found in connection.scalars(chosen)]
        if len(hashes) != count:
            raise HashMissing(position << height)
        return merkle.fold(hashes)

    return read


def rows_of(made: Iterable[tuple[int, int, bytes]]) -> list[dict[str, object]]:
    """Return those of the completed subtrees that are stored, as rows of `audit_node`."""
    return [
        {"level": height // SPAN, "position": position, "hash": found}
        for height, position, found in made
        if height % SPAN == 0
    ]
