"""Pruning: events older than the retention go, their hashes stay, and the trail itself says that they went.

In two steps, an hour or more apart: an event announces up to which number events are no longer kept, and is sealed as
any other; only then are they deleted. Verification lets an event be missing where such an announcement is sealed and a
signed checkpoint says that it was old enough.
"""

from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from idp.audit.events import Event
from idp.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditSealer
from idp.audit.record import record
from idp.audit.sealing import hold

BITE: Final = 1_000


def forget_checkpoints(engine: sa.Engine, now: datetime) -> None:
    """Delete the checkpoints whose time is over; the first of each day has none, and the newest stays."""
    is_newest = AuditCheckpoint.size == sa.select(sa.func.max(AuditCheckpoint.size)).scalar_subquery()
    with engine.begin() as connection:
        connection.execute(sa.delete(AuditCheckpoint).where(AuditCheckpoint.kept_until < now, ~is_newest))


def announce(engine: sa.Engine, now: datetime, *, days: int) -> int:
    """Say in the trail which events are older than `days`; return below which number events are no longer kept."""
    with engine.begin() as connection:
        held = hold(connection)
        if held is None:
            return 0
        old_enough = sa.select(sa.func.max(AuditCheckpoint.size)).where(
            AuditCheckpoint.kept_until.is_(None), AuditCheckpoint.at < now - timedelta(days=days)
        )
        before = connection.scalar(old_enough) or 0
        if before <= held.pruned:
            return int(held.pruned)
        with Session(connection, join_transaction_mode="control_fully") as session:
            record(session, Event.AUDIT_PRUNED, detail={"before": before, "days": days})
            [announced] = session.new
            assert isinstance(announced, AuditEvent)
            event_id = announced.id
            session.flush()
            connection.execute(sa.update(AuditSealer).values(pruned=before, pruned_by=event_id))
            session.commit()
        return int(before)


def prune(engine: sa.Engine, *, bite: int = BITE) -> int:
    """Delete what a sealed announcement named, `bite` events in a transaction; return how many numbers went by."""
    gone = 0
    while count := _bite(engine, bite):
        gone += count
    return gone


def _bite(engine: sa.Engine, bite: int) -> int:
    with engine.begin() as connection:
        held = hold(connection)
        if held is None or not _is_sealed(connection, held):
            return 0
        end = min(held.deleted + bite, held.pruned)
        gone = sa.select(AuditLeaf.event_id).where(AuditLeaf.seq >= held.deleted, AuditLeaf.seq < end)
        connection.execute(sa.delete(AuditEvent).where(AuditEvent.id.in_(gone)))
        connection.execute(sa.update(AuditSealer).values(deleted=end))
        return int(end - held.deleted)


def _is_sealed(connection: sa.Connection, held: Any) -> bool:
    announced = sa.select(AuditLeaf.seq).where(AuditLeaf.event_id == held.pruned_by)
    return held.pruned_by is not None and connection.scalar(announced) is not None
