"""Sealing: every committed event once, in an order without gaps, whoever races, comes late or is killed."""

import multiprocessing
import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from idp.audit import merkle, notes, sealing, tree
from idp.audit.events import Event
from idp.audit.job import Sealing
from idp.audit.models import AuditEvent
from idp.audit.record import record
from idp.core import clock
from idp.core.database import hot_path
from idp.core.ids import new_id
from idp.core.settings import load
from tests.unit.audit.trail import ORIGIN, Trail, trail_at


def written(trail: Trail) -> set[Any]:
    with trail.engine.begin() as connection:
        return set(connection.scalars(sa.select(AuditEvent.id)))


def test_events_get_numbers_and_a_signed_root_when_sealed(trail: Trail) -> None:
    first, second = trail.sealed(3, 2)
    assert (first.size, second.size, first.origin) == (3, 5, ORIGIN)
    assert set(trail.in_order()) == written(trail)
    [note] = [row.note for row in trail.rows("SELECT note FROM audit_checkpoint WHERE size = 5")]
    assert notes.opened(note, [trail.key.verifier]).root == second.root
    with trail.engine.begin() as connection:
        assert merkle.root(tree.reader(connection), 5) == second.root


def test_nothing_is_signed_when_nothing_happened(trail: Trail) -> None:
    assert trail.seal() is None
    trail.sealed(1)
    assert trail.seal() is None
    assert trail.rows("SELECT count(*) AS n FROM audit_checkpoint")[0].n == 1


def test_nodes_are_stored_where_a_proof_reads_them(trail: Trail) -> None:
    (checkpoint,) = trail.sealed(600)
    assert trail.rows("SELECT level, position FROM audit_node ORDER BY position") == [(1, 0), (1, 1)]
    with trail.engine.begin() as connection:
        read = tree.reader(connection)
        for index in (0, 255, 256, 599):
            leaf = read(0, index)
            assert merkle.includes(checkpoint.root, 600, index, leaf, merkle.inclusion(read, index, 600))


def test_an_event_that_commits_late_is_sealed_behind_those_before_it(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    with trail_at(migrated_postgres_url, tmp_path / "audit.pem") as trail, Session(trail.engine) as slow:
        record(slow, Event.SESSION_OPENED, detail={"level": 1})
        slow.flush()
        for _ in range(4):
            # Time goes on: whoever looks from now on looks no further back than it must.
            trail.sealed(1)
            move_back(trail, timedelta(minutes=2))
        assert len(trail.in_order()) == 4
        slow.commit()
        trail.seal()
        order = trail.in_order()
        assert (len(order), set(order)) == (5, written(trail))
        assert order[-1] == min(order)
        assert trail.found() == []


def move_back(trail: Trail, by: timedelta) -> None:
    """Let the mark be as old as if `by` had gone by: sealing notes a time of MARGIN ago."""
    later = sealing.first_id_of(clock.now() + by)
    with trail.engine.begin() as connection:
        connection.execute(sa.update(sealing.AuditSealer).values(mark=later))


def settle(trail: Trail) -> UUID:
    """Seal until what was noted last is settled: a transaction of another test's database keeps it open, too."""
    move_back(trail, timedelta(0))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        trail.seal()
        with trail.engine.begin() as connection:
            settled = connection.scalar(sa.select(sealing.AuditSealer.settled))
        assert settled is not None
        if settled.int:
            return settled
        time.sleep(0.05)
    raise AssertionError("nothing was settled in a minute")


def test_what_is_settled_is_not_looked_at_again(trail: Trail) -> None:
    begun = clock.now()
    trail.sealed(2)
    assert settle(trail) >= sealing.first_id_of(begun - sealing.MARGIN)


def test_events_of_a_clock_that_was_slow_are_found_by_the_sweep(trail: Trail) -> None:
    trail.sealed(1)
    settle(trail)
    hour_ago = sealing.first_id_of(clock.now() - timedelta(hours=1))
    with Session(trail.engine) as session:
        session.add(AuditEvent(id=hour_ago, at=clock.now(), name=Event.SESSION_ENDED.value))
        session.commit()
    trail.seal()
    assert len(trail.in_order()) == 1
    assert sealing.sweep(trail.engine, trail.key, since=clock.now() - timedelta(hours=2)) == 1
    assert trail.in_order()[-1] == hour_ago
    assert trail.found() == []


def test_an_event_that_cannot_be_read_does_not_stop_the_others(trail: Trail) -> None:
    with Session(trail.engine) as session:
        session.add(AuditEvent(id=new_id(), at=clock.now(), name="what is \u0301 this\n", outcome="\U0001f511"))
        session.commit()
    trail.sql("UPDATE audit_event SET detail = '{not json'")
    trail.sealed(2)
    assert len(trail.in_order()) == 3
    assert trail.found() == []


def _seal_all(url: str, key_file: str, gate: Any) -> None:
    with trail_at(url, Path(key_file)) as trail:
        gate.wait(60)
        for _ in range(12):
            try:
                sealing.seal(trail.engine, trail.key)
            except sa.exc.OperationalError:
                assert url.startswith("sqlite")


def _write_on(url: str, key_file: str, gate: Any) -> None:
    with trail_at(url, Path(key_file)) as trail:
        gate.wait(60)
        for _ in range(40):
            trail.write(3)


def start(*processes: Any) -> None:
    for process in processes:
        process.start()


def context() -> Any:
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__])
    return found


def test_two_sealers_give_each_event_one_number_while_others_write(trail: Trail) -> None:
    place, gate = context(), context().Barrier(3)
    arguments = (trail.url, str(trail.key_file), gate)
    running = [place.Process(target=each, args=arguments) for each in (_seal_all, _seal_all, _write_on)]
    start(*running)
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0, 0, 0]
    trail.seal()
    assert len(trail.in_order()) == 120
    assert set(trail.in_order()) == written(trail)
    assert trail.found() == []


def _seal_and_die(url: str, key_file: str, statement: str) -> None:
    with trail_at(url, Path(key_file)) as trail:

        @sa.event.listens_for(trail.engine, "after_cursor_execute")
        def die(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
            if sql.startswith(statement):
                os.kill(os.getpid(), signal.SIGKILL)

        sealing.seal(trail.engine, trail.key)


@pytest.mark.parametrize("statement", ["INSERT INTO audit_leaf", "INSERT INTO audit_checkpoint"])
def test_nothing_is_half_sealed_when_the_sealer_is_killed(trail: Trail, statement: str) -> None:
    trail.sealed(2)
    trail.write(300)
    process = context().Process(target=_seal_and_die, args=(trail.url, str(trail.key_file), statement))
    start(process)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(trail.in_order()) == 2
    deadline = time.monotonic() + 10
    # PostgreSQL notices after a moment that the connection is gone.
    while sealing.seal(trail.engine, trail.key) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(trail.in_order()) == 302
    assert trail.found() == []


def test_the_job_seals_hands_out_and_keeps_house_once_an_hour(trail: Trail, tmp_path: Path) -> None:
    sink = tmp_path / "checkpoints"
    chosen = load({"IDP_AUDIT_CHECKPOINTS_FILE": str(sink), "IDP_DATABASE_URL": trail.url})
    path = hot_path(trail.url)
    job, going = Sealing(trail.engine, path, trail.key, chosen), threading.Event()
    trail.write(2)
    assert job.run_due(going) == 2
    trail.write(1)
    assert (job.run_due(going), job.run_due(going)) == (1, 0)
    handed = [notes.opened(note, [trail.key.verifier]) for note in notes.notes_in(sink.read_text())]
    # The first turn of the hour sealed by sweeping; whatever seals next hands out.
    assert handed[-1].size == 3
    assert trail.found(handed) == []
    close(path)


def close(path: Any) -> None:
    from tests.unit.core.provider import close as close_path

    close_path(path)


def test_a_sink_that_cannot_be_written_does_not_stop_the_sealing(trail: Trail, tmp_path: Path) -> None:
    chosen = load({"IDP_AUDIT_CHECKPOINTS_FILE": str(tmp_path), "IDP_DATABASE_URL": trail.url})
    path = hot_path(trail.url)
    trail.write(1)
    job = Sealing(trail.engine, path, trail.key, chosen)
    job.run_due(threading.Event())
    trail.write(1)
    job.run_due(threading.Event())
    assert len(trail.in_order()) == 2
    close(path)
