"""Verifying: each kind of tampering by SQL is named by its number, and what is whole raises no alarm."""

from idp.audit import leaves, notes
from tests.unit.audit.trail import Trail


def test_nothing_is_found_when_nobody_tampered(trail: Trail) -> None:
    elsewhere = trail.sealed(5, 300, 4)
    trail.write(2)
    report = trail.verify(elsewhere)
    assert (report.findings, report.size, report.unsealed) == ((), 309, 2)


def test_an_edited_event_is_named(trail: Trail) -> None:
    trail.sealed(9)
    for column, value in (("outcome", "refused"), ("detail", '{"level": 2}'), ("name", "sso:session:ended")):
        trail.sql(f"UPDATE audit_event SET {column} = :value WHERE id = :id", value=value, id=trail.event_at(4))
        assert trail.found() == ["edited 4"]
    trail.sql("UPDATE audit_event SET at = '2026-01-01 00:00:00.000000' WHERE id = :id", id=trail.event_at(7))
    assert trail.found() == ["edited 4", "edited 7"]


def test_a_deleted_event_is_named(trail: Trail) -> None:
    trail.sealed(9)
    trail.sql("DELETE FROM audit_event WHERE id = :id", id=trail.event_at(3))
    assert trail.found() == ["deleted 3"]


def test_an_event_deleted_with_its_leaf_is_named(trail: Trail) -> None:
    trail.sealed(9)
    trail.sql("DELETE FROM audit_event WHERE id = :id", id=trail.event_at(3))
    trail.sql("DELETE FROM audit_leaf WHERE seq = 3")
    assert trail.found() == ["leaf deleted 3-3"]


def test_two_events_that_changed_places_are_named(trail: Trail) -> None:
    trail.sealed(9)
    for number, other in ((2, -1), (6, 2), (-1, 6)):
        trail.sql("UPDATE audit_leaf SET seq = :other WHERE seq = :number", number=number, other=other)
    assert trail.found() == ["leaves changed 0-8", "moved 2", "moved 6"]


def test_an_inserted_leaf_is_named(trail: Trail) -> None:
    trail.sealed(9)
    trail.write()
    trail.sql(
        "INSERT INTO audit_leaf (seq, event_id, hash) SELECT 9, e.id, l.hash FROM audit_event e, audit_leaf l "
        "WHERE l.seq = 0 AND NOT EXISTS (SELECT 1 FROM audit_leaf o WHERE o.event_id = e.id)"
    )
    trail.sql("UPDATE audit_sealer SET size = 10")
    assert trail.found() == ["edited 9", "inserted 9-9"]


def test_whoever_changes_the_hashes_too_cannot_sign(trail: Trail) -> None:
    trail.sealed(4, 3, 5)
    forge(trail, 5)
    # Between the checkpoints of four and seven events.
    assert trail.found() == ["leaves changed 4-6"]


def forge(trail: Trail, seq: int) -> None:
    """Edit an event and give its leaf the hash that fits."""
    trail.sql("UPDATE audit_event SET outcome = 'forged' WHERE id = :id", id=trail.event_at(seq))
    with trail.engine.begin() as connection:
        chosen = leaves.EVENT.select().with_only_columns(*leaves.COLUMNS).where(leaves.EVENT.c.outcome == "forged")
        row = connection.execute(chosen).one()
    trail.sql("UPDATE audit_leaf SET hash = :hash WHERE seq = :seq", hash=leaves.hash_of(seq, row), seq=seq)


def test_a_changed_node_is_named_with_what_it_stands_over(trail: Trail) -> None:
    trail.sealed(600)
    trail.sql("UPDATE audit_node SET hash = (SELECT hash FROM audit_leaf WHERE seq = 0) WHERE position = 1")
    assert trail.found() == ["node changed 256-511"]


def test_checkpoints_signed_by_somebody_else_count_for_nothing(trail: Trail, tmp_path) -> None:
    trail.sealed(4, 3)
    notes.create(tmp_path / "another.pem")
    another = notes.load(tmp_path / "another.pem", trail.key.verifier.name, is_production=True)
    [note] = [row.note for row in trail.rows("SELECT note FROM audit_checkpoint WHERE size = 7")]
    forged = another.sign(7, notes.opened(note, [trail.key.verifier]).root, notes.opened(note, [trail.key.verifier]).at)
    trail.sql("UPDATE audit_checkpoint SET note = :note WHERE size = 7", note=forged.note)
    assert trail.found() == ["checkpoint not signed by a trusted key 7", "inserted 0-6"]


def test_a_trail_that_was_cut_short_is_named(trail: Trail) -> None:
    elsewhere = trail.sealed(4, 3)
    trail.sql("DELETE FROM audit_leaf WHERE seq > 4")
    assert trail.found() == ["truncated 5-6"]
    # Who is thorough removes what speaks against it, but not what is kept elsewhere.
    trail.sql("DELETE FROM audit_leaf WHERE seq > 3")
    trail.sql("DELETE FROM audit_checkpoint WHERE size > 4")
    trail.sql("UPDATE audit_sealer SET size = 4")
    assert trail.found() == []
    assert trail.found(elsewhere) == ["truncated 4-6"]


def test_a_trail_that_goes_on_otherwise_after_a_restore_is_named(trail: Trail) -> None:
    elsewhere = trail.sealed(4, 3, 2)
    # The backup was taken after the first four.
    trail.sql("DELETE FROM audit_event WHERE id IN (SELECT event_id FROM audit_leaf WHERE seq > 3)")
    trail.sql("DELETE FROM audit_leaf WHERE seq > 3")
    trail.sql("DELETE FROM audit_checkpoint WHERE size > 4")
    trail.sql("UPDATE audit_sealer SET size = 4")
    trail.sealed(3, 5)
    assert trail.found() == []
    assert trail.found(elsewhere) == ["forked 4-6"]
    assert trail.found(elsewhere[:1]) == []


def test_only_the_asked_range_is_compared(trail: Trail) -> None:
    trail.sealed(9)
    trail.sql("UPDATE audit_event SET outcome = 'forged'")
    assert trail.found(start=3, end=5) == ["edited 3", "edited 4"]
