"""Proofs for others: that an event is in the trail, that one checkpoint continues another, and extracts.

What is handed out needs nothing of ours to be checked but the public key (clients/verify_extract.py).
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit import leaves, merkle, tree
from idp.audit.models import AuditCheckpoint, AuditLeaf

SLICE: Final = 20_000
_LEAF = AuditLeaf.__table__
_EVENT = leaves.EVENT


class ProofRefused(Exception):
    """What should be proven is not sealed, or no longer kept; the message says which."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A stored checkpoint."""

    size: int
    note: str


def newest(connection: sa.Connection) -> Signed:
    """Return the newest checkpoint. Raises ProofRefused."""
    chosen = sa.select(AuditCheckpoint.size, AuditCheckpoint.note).order_by(AuditCheckpoint.size.desc()).limit(1)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise ProofRefused("nothing is sealed yet")
    return Signed(*row)


def prove(engine: sa.Engine, seq: int) -> dict[str, Any]:
    """Return the extract of one event (see `extract`). Raises ProofRefused, HashMissing."""
    with engine.begin() as connection:
        signed = newest(connection)
        events = list(_proven(connection, signed, _LEAF.c.seq == seq))
    if not events:
        raise ProofRefused(f"there is no event {seq} in the trail any more, or not yet")
    return {"checkpoint": signed.note, "events": events}


def prove_consistency(engine: sa.Engine, first: int, second: int) -> dict[str, Any]:
    """Return the proof that the tree of size `second` begins with that of `first`.

    Base64 hashes from the lowest (RFC 9162, 2.1.4.1). Raises ProofRefused, HashMissing.
    """
    with engine.begin() as connection:
        signed = newest(connection)
        if not 0 < first <= second <= signed.size:
            raise ProofRefused(f"sizes of checkpoints are from 1 to {signed.size}, the older one first")
        proof = merkle.consistency(tree.reader(connection), first, second)
    return {"first": first, "second": second, "proof": _texts(proof)}


def extract(engine: sa.Engine, *, citizen_id: UUID | None = None, client_id: UUID | None = None) -> dict[str, Any]:
    """Return all sealed events of a citizen or client that are kept, each with its proof under the newest checkpoint.

    `events` have `seq`, `leaf` (the text that is hashed) and `proof` (base64). Read in slices of a transaction each.
    Raises ProofRefused, HashMissing.
    """
    is_asked = _EVENT.c.citizen_id == citizen_id if client_id is None else _EVENT.c.client_id == client_id
    with engine.begin() as connection:
        signed = newest(connection)
    events: list[dict[str, Any]] = []
    for start in range(0, signed.size, SLICE):
        with engine.begin() as connection:
            in_slice = _LEAF.c.seq.between(start, min(start + SLICE, signed.size) - 1)
            events += _proven(connection, signed, sa.and_(in_slice, is_asked))
    return {"checkpoint": signed.note, "events": events}


def _proven(connection: sa.Connection, signed: Signed, chosen: sa.ColumnElement[bool]) -> Iterator[dict[str, Any]]:
    rows = connection.execute(
        sa.select(_LEAF.c.seq, *leaves.COLUMNS)
        .select_from(_LEAF.join(_EVENT, _EVENT.c.id == _LEAF.c.event_id))
        .where(chosen, _LEAF.c.seq < signed.size)
        .order_by(_LEAF.c.seq)
    ).all()
    read = tree.reader(connection)
    for seq, *row in rows:
        text = leaves.body(seq, leaves.members_of(row)).decode()
        yield {"seq": seq, "leaf": text, "proof": _texts(merkle.inclusion(read, seq, signed.size))}


def _texts(hashes: list[bytes]) -> list[str]:
    return [base64.b64encode(each).decode() for each in hashes]
