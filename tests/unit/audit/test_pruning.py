"""Pruning: old events go once the trail says so, their hashes stay, and nothing else may be missing."""

from datetime import timedelta

from idp.audit import pruning
from idp.core import clock
from tests.unit.audit.trail import Trail


def test_old_events_go_in_two_steps_and_the_trail_still_verifies(trail: Trail) -> None:
    trail.sealed(4)
    trail.age(timedelta(days=40))
    trail.sealed(3)
    assert pruning.announce(trail.engine, clock.now(), days=31) == 4
    # Announced, and not sealed yet: nothing goes.
    assert pruning.prune(trail.engine) == 0
    trail.seal()
    assert pruning.prune(trail.engine, bite=3) == 4
    assert pruning.announce(trail.engine, clock.now(), days=31) == 4
    report = trail.verify()
    assert (report.findings, report.pruned, report.size) == ((), 4, 8)
    trail.sql("DELETE FROM audit_event WHERE id = :id", id=trail.event_at(5))
    assert trail.found() == ["deleted 5"]


def test_a_retention_that_nobody_sealed_excuses_nothing(trail: Trail) -> None:
    trail.sealed(4)
    assert pruning.announce(trail.engine, clock.now(), days=31) == 0
    trail.sql("DELETE FROM audit_event WHERE id = :id", id=trail.event_at(1))
    trail.sql("UPDATE audit_sealer SET pruned = 3, deleted = 3")
    assert trail.found() == ["deleted 1"]


def test_checkpoints_go_but_the_first_of_a_day_and_the_newest(trail: Trail) -> None:
    trail.sealed(1, 1, 1)
    pruning.forget_checkpoints(trail.engine, clock.now() + timedelta(days=31))
    assert [row.size for row in trail.rows("SELECT size FROM audit_checkpoint ORDER BY size")] == [1, 3]
    assert trail.found() == []
