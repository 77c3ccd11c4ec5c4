"""A trail for tests: events are written as acts write them, and tampered with as somebody with SQL would."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from idp.audit import notes, sealing
from idp.audit.events import Event
from idp.audit.notes import Checkpoint, CheckpointKey
from idp.audit.record import record
from idp.audit.verifying import Report, verify
from idp.core.database import driver_url, engine_options, prepare_engine

ORIGIN = "login.example.test/audit"


@dataclass(frozen=True)
class Trail:
    """A migrated database and the key of its checkpoints."""

    url: str
    engine: sa.Engine
    key: CheckpointKey
    key_file: Path

    def write(self, count: int = 1, **columns: Any) -> None:
        """Commit `count` events in one transaction."""
        with Session(self.engine) as session:
            for _ in range(count):
                record(session, Event.SESSION_OPENED, detail={"level": 1}, **columns)
            session.commit()

    def seal(self) -> Checkpoint | None:
        """Seal what is there, as the worker does; return the newest checkpoint made."""
        newest = None
        while True:
            sealed = sealing.seal(self.engine, self.key)
            assert sealed is not None
            newest = sealed.checkpoint or newest
            if sealed.is_all:
                return newest

    def sealed(self, *batches: int) -> list[Checkpoint]:
        """Write and seal batches of events; return the checkpoint of each."""
        made = []
        for count in batches:
            self.write(count)
            checkpoint = self.seal()
            assert checkpoint is not None
            made.append(checkpoint)
        return made

    def sql(self, statement: str, **values: Any) -> None:
        """Do what somebody with the rights of the database's owner can do."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.execute(sa.text(statement), values).all())

    def event_at(self, seq: int) -> Any:
        """Return the row key of the event at `seq`, as the database holds it."""
        return self.rows("SELECT event_id FROM audit_leaf WHERE seq = :seq", seq=seq)[0][0]

    def verify(self, elsewhere: Iterable[Checkpoint] = (), **given: Any) -> Report:
        return verify(self.engine, [self.key.verifier], elsewhere=elsewhere, **given)

    def found(self, elsewhere: Iterable[Checkpoint] = (), **given: Any) -> list[str]:
        """Return the differences as `idp audit verify` prints them."""
        return [str(finding).replace("\t", " ") for finding in self.verify(elsewhere, **given).findings]

    def age(self, by: timedelta) -> None:
        """Let the stored checkpoints be older than they are, signed by the real key."""
        for size, note in self.rows("SELECT size, note FROM audit_checkpoint"):
            was = notes.opened(note, [self.key.verifier])
            old = self.key.sign(size, was.root, was.at - by)
            with self.engine.begin() as connection:
                connection.execute(
                    sa.text("UPDATE audit_checkpoint SET note = :note WHERE size = :size"),
                    {"note": old.note, "size": size},
                )
                connection.execute(
                    sa.update(sealing.AuditCheckpoint).where(sealing.AuditCheckpoint.size == size).values(at=old.at)
                )

    def in_order(self) -> list[UUID]:
        """Return the row keys of sealed events in their order; the numbers have no gap."""
        with self.engine.begin() as connection:
            found = connection.execute(
                sa.select(sealing.AuditLeaf.seq, sealing.AuditLeaf.event_id).order_by(sealing.AuditLeaf.seq)
            ).all()
        assert [seq for seq, _ in found] == list(range(len(found)))
        return [event_id for _, event_id in found]


@contextmanager
def trail_at(url: str, key_file: Path) -> Iterator[Trail]:
    """Yield the trail in the migrated database at `url`; its key is made when it is missing."""
    engine = sa.create_engine(driver_url(url), **engine_options(url))
    prepare_engine(engine)
    notes.create(key_file)
    try:
        yield Trail(url, engine, notes.load(key_file, ORIGIN, is_production=True), key_file)
    finally:
        engine.dispose()
