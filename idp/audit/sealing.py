"""Sealing: events that were committed get their sequence number, their leaf and a signed checkpoint, seconds later.

An act inserts its event and waits for nobody. One sealer at a time, on whichever node, holds the lock on its row and
gives numbers in the order in which it finds events; a transaction that commits late is given a later number, and is
never lost. Killed at any moment it leaves nothing half done: leaves, nodes, checkpoint and progress are one
transaction.

Where to look is the only question of time. An event's id begins with when it was made, at most MARGIN before its
transaction took an id of its own. `mark` is such an id from the past, `mark_xid` the transaction that noted it: once
every transaction up to that one is over (PostgreSQL says so in a snapshot; SQLite has one writer, which is the sealer
itself), nothing can appear below `mark`, and later looks begin there. What a node with a wrong clock wrote further
back is found by `sweep`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit import leaves, merkle, tree
from idp.audit.models import AuditCheckpoint, AuditLeaf, AuditNode, AuditSealer
from idp.audit.notes import Checkpoint, CheckpointKey
from idp.core import clock

BATCH: Final = 4_000
MARGIN: Final = timedelta(seconds=30)
"""Longest time from making an event's id to the first write of its transaction, and how wrong a clock may be."""
KEPT: Final = timedelta(days=30)
"""How long every checkpoint is kept; the first of each day stays."""
_SLICE: Final = timedelta(minutes=1)
_EVENT = leaves.EVENT
_LEAF = AuditLeaf.__table__


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one look sealed; the checkpoint is None where there was nothing to seal."""

    events: int
    checkpoint: Checkpoint | None

    @property
    def is_all(self) -> bool:
        """Tell whether nothing was left for another look."""
        return self.events < BATCH


def seal(engine: sa.Engine, key: CheckpointKey) -> Sealed | None:
    """Seal what was committed, at most BATCH events; None when somebody else is sealing.

    Side effects: one transaction. Raises SQLAlchemy's OperationalError.
    """
    begun = clock.now()
    with engine.begin() as connection:
        held = hold(connection)
        if held is None:
            return None
        settled, mark, mark_xid = _settled(connection, held, first_id_of(begun - MARGIN))
        rows = _unsealed(connection, after=held.settled)
        if len(rows) == BATCH:
            settled = min(settled, _id_of(rows[-1]))
        checkpoint = _append(connection, rows, held.size, key)
        connection.execute(
            sa.update(AuditSealer).values(settled=max(settled, held.settled), mark=mark, mark_xid=mark_xid)
        )
        return Sealed(len(rows), checkpoint)


def sweep(engine: sa.Engine, key: CheckpointKey, *, since: datetime) -> int:
    """Seal what was dated further back than anybody looks, from `since` on; return how many events.

    A clock that was wrong by more than MARGIN makes such events. In slices of a minute, a transaction each.
    """
    found, start, end = 0, since, clock.now()
    while start < end:
        with engine.begin() as connection:
            held = hold(connection)
            if held is not None:
                rows = _unsealed(connection, after=first_id_of(start), before=first_id_of(start + _SLICE))
                _append(connection, rows, held.size, key)
                found += len(rows)
                # The rest of a slice is looked at again.
                start += _SLICE if len(rows) < BATCH else timedelta()
        if held is None:
            time.sleep(0.1)
    return found


def hold(connection: sa.Connection) -> Any | None:
    """Return the sealer's row and keep everybody else from sealing until the transaction ends; None if one does."""
    return connection.execute(sa.select(AuditSealer.__table__).with_for_update(skip_locked=True)).one_or_none()


def first_id_of(instant: datetime) -> UUID:
    """Return the smallest row key that could be made at `instant` (RFC 9562, 5.7)."""
    return UUID(int=int(instant.timestamp() * 1_000) << 80)


def export(checkpoint: Checkpoint, sink: Path) -> None:
    """Add a checkpoint to the file `sink`, which may be append-only and is opened anew each time. Raises OSError."""
    with sink.open("a", encoding="utf-8") as file:
        file.write(checkpoint.note + "\n")


def _settled(connection: sa.Connection, held: Any, candidate: UUID) -> tuple[UUID, UUID, int]:
    """Return below which id everything is committed by now, and the mark and its transaction to keep."""
    if connection.dialect.name == "sqlite":
        return candidate, candidate, 0
    # The row's lock has given this transaction its id: whoever wrote before has a smaller one.
    own, oldest = connection.execute(
        sa.text(
            "SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) AS own, "
            "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS oldest"
        )
    ).one()
    if oldest > held.mark_xid:
        return held.mark, candidate, own
    return held.settled, held.mark, held.mark_xid


def _unsealed(connection: sa.Connection, *, after: UUID, before: UUID | None = None) -> Sequence[Any]:
    # The same bound on both sides: each is one stretch of an index.
    is_leaf = sa.and_(_LEAF.c.event_id == _EVENT.c.id, _LEAF.c.event_id >= after)
    chosen = (
        sa.select(*leaves.COLUMNS)
        .select_from(_EVENT.outerjoin(_LEAF, is_leaf))
        .where(_EVENT.c.id >= after, _LEAF.c.seq.is_(None))
        .order_by(_EVENT.c.id)
        .limit(BATCH)
    )
    if before is not None:
        chosen = chosen.where(_EVENT.c.id < before)
    return connection.execute(chosen).all()


def _id_of(row: Any) -> UUID:
    return row[0] if isinstance(row[0], UUID) else UUID(row[0])


def _append(connection: sa.Connection, rows: Sequence[Any], size: int, key: CheckpointKey) -> Checkpoint | None:
    if not rows:
        return None
    growing = merkle.Growing.from_stored(tree.reader(connection), size)
    made, completed = [], []
    for seq, row in enumerate(rows, start=size):
        hashed = leaves.hash_of(seq, row)
        made.append({"seq": seq, "event_id": _id_of(row), "hash": hashed})
        completed += growing.append(hashed)
    connection.execute(sa.insert(AuditLeaf), made)
    if nodes := tree.rows_of(completed):
        connection.execute(sa.insert(AuditNode), nodes)
    connection.execute(sa.update(AuditSealer).values(size=growing.size))
    checkpoint = key.sign(growing.size, growing.root(), clock.now())
    _keep(connection, checkpoint)
    return checkpoint


def _keep(connection: sa.Connection, checkpoint: Checkpoint) -> None:
    row = AuditCheckpoint
    midnight = checkpoint.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    is_first = connection.scalar(sa.select(row.size).where(row.kept_until.is_(None), row.at >= midnight)) is None
    connection.execute(
        sa.insert(row).values(
            size=checkpoint.size,
            at=checkpoint.at,
            kept_until=None if is_first else checkpoint.at + KEPT,
            note=checkpoint.note,
        )
    )
