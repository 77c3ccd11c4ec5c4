"""The hot path: the same statements, values and refusals on SQLite and on PostgreSQL."""

import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.models import INSERT_EVENT, AuditEvent
from idp.core import clock
from idp.core.database import (
    Change,
    DatabaseUnavailable,
    GateShut,
    HotPath,
    Query,
    as_instant,
    as_uuid,
    db,
    driver_url,
    engine_options,
    hot_path,
    split_words,
)
from idp.core.ids import new_id
from idp.core.limits import RateLimit
from tests.unit.core.provider import Provider, close

ADD = Change(
    "INSERT INTO rate_limit (digest, hits, expires_at) VALUES (:digest, :hits, {after_life})", returning=("hits",)
)
SPEND = Change(
    "UPDATE rate_limit SET hits = hits + 1 WHERE digest = :digest AND hits = 0 AND expires_at > {now}",
    returning=("digest", "hits"),
    then=(
        """
        INSERT INTO audit_event (id, at, name, outcome, reference)
        SELECT :id, {now}, 'test', 'done', CAST(:reference AS text) {from_first} WHERE {first.hits} = 1
        """,
    ),
)
GATE = "INSERT INTO rate_limit (digest, hits, expires_at) VALUES (:gate, 0, :gate_expires_at) ON CONFLICT DO NOTHING"
GATED = Change(
    f"{SPEND.first} AND {{if_open}}",
    returning=SPEND.returning,
    then=SPEND.then,
    gates=(GATE,),
)
TWICE_GATED = replace(
    GATED,
    gates=(
        GATE,
        (
            "INSERT INTO rate_limit (digest, hits, expires_at) "
            "SELECT :second, 0, :gate_expires_at WHERE {if_open} ON CONFLICT DO NOTHING"
        ),
    ),
)
BEFORE = Change(
    "UPDATE rate_limit SET hits = hits + 1 WHERE digest = :digest AND {in_order}",
    before=(
        "UPDATE rate_limit SET hits = hits - 1 WHERE digest = :one",
        "DELETE FROM rate_limit WHERE digest = :other AND {in_order}",
    ),
    returning=("hits",),
)
NOTE = Change(INSERT_EVENT + "VALUES (:id, {now}, 'test', NULL, NULL, NULL, 'done', NULL)")
GATED_NOTE = replace(
    NOTE, first=NOTE.first.replace("VALUES (", "SELECT ").rstrip(")") + " WHERE {if_open}", gates=(GATE,)
)
READ = Query("SELECT digest, hits, expires_at, {now} AS now, '100%' AS percent FROM rate_limit WHERE digest = :digest")


@pytest.fixture
def path(provider: Provider) -> HotPath:
    return provider.hot_path


def add(path: HotPath, digest: bytes = b"a", *, life: int = 60) -> None:
    path.apply(ADD, {"digest": digest, "hits": 0, "life": life})


def events() -> int:
    found = db.session.scalar(sa.select(sa.func.count()).select_from(AuditEvent)) or 0
    db.session.rollback()
    return found


def spend(path: HotPath, digest: bytes = b"a") -> bool:
    return path.apply(SPEND, {"digest": digest, "id": new_id(), "reference": None}) is not None


def spend_behind(path: HotPath, gate: bytes, digest: bytes = b"a") -> bool:
    values = {"digest": digest, "id": new_id(), "reference": None, "gate": gate, "gate_expires_at": clock.now()}
    return path.apply(GATED, values) is not None


def test_nothing_else_happens_when_the_gate_was_passed_before(path: HotPath) -> None:
    add(path)
    assert spend_behind(path, b"gate")
    add(path, b"b")
    with pytest.raises(GateShut):
        spend_behind(path, b"gate", b"b")
    assert events() == 1
    assert spend(path, b"b")


def test_the_gate_is_passed_even_when_the_rest_touches_nothing(path: HotPath) -> None:
    assert not spend_behind(path, b"gate", b"unknown")
    add(path)
    with pytest.raises(GateShut):
        spend_behind(path, b"gate")
    assert spend_behind(path, b"another")
    assert events() == 1


def test_a_second_gate_is_tried_only_behind_the_first_and_the_shut_one_is_named(path: HotPath) -> None:
    def spend_behind_both(gate: bytes, second: bytes, digest: bytes) -> bool:
        values = {"digest": digest, "id": new_id(), "reference": None, "gate_expires_at": clock.now()}
        return path.apply(TWICE_GATED, {**values, "gate": gate, "second": second}) is not None

    for digest in (b"a", b"b"):
        add(path, digest)
    assert spend_behind_both(b"gate", b"second", b"a")
    with pytest.raises(GateShut) as first:
        spend_behind_both(b"gate", b"unspent", b"b")
    with pytest.raises(GateShut) as second:
        spend_behind_both(b"spent", b"second", b"b")
    assert (first.value.gate, second.value.gate) == (0, 1)
    # What was not tried can be spent later; what was spent before a shut gate stays spent.
    assert spend_behind_both(b"other", b"unspent", b"b")
    with pytest.raises(GateShut) as spent:
        spend_behind_both(b"spent", b"another", b"b")
    assert spent.value.gate == 0
    assert events() == 2


def test_what_stands_before_is_changed_whatever_becomes_of_the_rest(path: HotPath) -> None:
    for digest in (b"a", b"b", b"c"):
        add(path, digest)
    values = {"one": b"a", "other": b"b"}
    assert path.apply(BEFORE, {**values, "digest": b"c"}) == {"hits": 1}
    assert path.apply(BEFORE, {**values, "digest": b"unknown"}) is None
    assert path.one(READ, {"digest": b"b"}) is None
    row = path.one(READ, {"digest": b"a"})
    assert row is not None
    assert row["hits"] == -2


def test_values_come_back_as_written_when_read(path: HotPath) -> None:
    assert path.apply(ADD, {"digest": b"\0\xff", "hits": 7, "life": 60}) == {"hits": 7}
    row = path.one(READ, {"digest": b"\0\xff"})
    assert row is not None
    assert (bytes(row["digest"]), row["hits"], row["percent"]) == (b"\0\xff", 7, "100%")
    life = as_instant(row["expires_at"]) - as_instant(row["now"])
    assert timedelta(seconds=59) < life <= timedelta(seconds=60)
    assert abs(as_instant(row["now"]) - clock.now()) < timedelta(seconds=5)
    assert path.one(READ, {"digest": b"nothing"}) is None


def test_both_ways_agree_when_one_writes_and_the_other_reads(path: HotPath) -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
    db.session.add(RateLimit(digest=b"orm", hits=1, expires_at=moment))
    db.session.commit()
    row = path.one(READ, {"digest": b"orm"})
    assert row is not None
    assert as_instant(row["expires_at"]) == moment
    add(path, b"hot")
    stored = db.session.scalars(sa.select(RateLimit.expires_at).where(RateLimit.digest == b"hot")).one()
    assert stored.tzinfo is not None
    db.session.commit()
    assert timedelta(seconds=50) < stored - clock.now() <= timedelta(seconds=61)
    key = new_id()
    path.apply(
        Change("INSERT INTO audit_event (id, at, name, outcome) VALUES (:id, {now}, 'test', 'done')"), {"id": key}
    )
    assert db.session.get(AuditEvent, key) is not None
    found = path.one(
        Query("SELECT id, at FROM audit_event WHERE id = :id AND at < :moment"),
        {"id": key, "moment": clock.now() + timedelta(seconds=5)},
    )
    assert found is not None
    assert as_uuid(found["id"]) == key


def test_all_parts_are_written_when_the_first_touched_a_row(path: HotPath) -> None:
    add(path)
    assert spend(path)
    assert events() == 1


def test_no_part_is_written_when_the_first_touched_nothing(path: HotPath) -> None:
    add(path)
    assert spend(path)
    assert not spend(path)
    assert not spend(path, b"unknown")
    assert events() == 1


def test_nothing_is_written_when_a_later_part_fails(path: HotPath) -> None:
    add(path)
    taken = new_id()
    insert = "INSERT INTO audit_event (id, at, name, outcome) SELECT :id, {now}, 'test', 'done' {from_first}"
    change = Change("UPDATE rate_limit SET hits = 9 WHERE digest = :digest", returning=("hits",), then=(insert,))
    assert path.apply(change, {"digest": b"a", "id": taken}) == {"hits": 9}
    with pytest.raises(Exception, match=r"(?i)unique"):
        path.apply(
            Change(change.first.replace("9", "10"), returning=("hits",), then=(insert,)), {"digest": b"a", "id": taken}
        )
    row = path.one(READ, {"digest": b"a"})
    assert row is not None
    assert row["hits"] == 9


def test_the_database_decides_when_something_expires(path: HotPath) -> None:
    add(path, life=0)
    assert not spend(path)


def _race(url: str, wins) -> None:
    path = hot_path(url)
    won = sum(spend(path, str(number).encode()) for number in range(100))
    close(path)
    with wins.get_lock():
        wins.value += won


def test_one_process_wins_each_time_when_four_spend(provider: Provider) -> None:
    for number in range(100):
        add(provider.hot_path, str(number).encode())
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    wins = context.Value("i", 0)
    running = [context.Process(target=_race, args=(provider.url, wins)) for _ in range(4)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * 4
    assert (wins.value, events()) == (100, 100)


def test_each_thread_has_its_own_connection_when_several_ask(path: HotPath) -> None:
    add(path)
    found: list[object] = []

    def read() -> None:
        found.extend(path.one(READ, {"digest": b"a"}) for _ in range(20))
        close(path)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert None not in found


class _Meanwhile(list):
    """The idle cursors of a hot path; another thread takes each one the moment it is free."""

    def __init__(self, act) -> None:
        super().__init__()
        self._act = act

    def append(self, cursor) -> None:
        super().append(cursor)
        act, self._act = self._act, None
        if act is not None:
            thread = threading.Thread(target=act)
            thread.start()
            thread.join()


def test_columns_are_the_statements_own_when_another_thread_takes_the_cursor(migrated_postgres_url: str) -> None:
    path = hot_path(migrated_postgres_url)
    level, token = Query("SELECT 1 AS id, 2 AS level"), Query("SELECT 3 AS token, 4 AS profile")
    others = []
    path._idle = _Meanwhile(lambda: others.append(path.one(token, {})))
    for _ in range(2):
        assert path.one(level, {}) == {"id": 1, "level": 2}
        assert path.one(token, {}) == {"token": 3, "profile": 4}
    assert others == [{"token": 3, "profile": 4}]
    close(path)


def test_columns_are_the_statements_own_when_threads_begin_at_once(migrated_postgres_url: str) -> None:
    queries = {Query(f"SELECT {number} AS a{number}, 'x' AS b{number}"): number for number in range(5)}
    wrong: list[object] = []
    for _ in range(30):
        path = hot_path(migrated_postgres_url)
        gate = threading.Barrier(8)

        def read(path: HotPath = path, gate: threading.Barrier = gate) -> None:
            gate.wait()
            for query, number in queries.items():
                row = path.one(query, {})
                if row != {f"a{number}": number, f"b{number}": "x"}:
                    wrong.append(row)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        close(path)
    assert not wrong


def test_reading_goes_on_when_the_server_dropped_the_connection(migrated_postgres_url: str) -> None:
    path = hot_path(migrated_postgres_url)
    row = path.one(Query("SELECT pg_backend_pid() AS pid"), {})
    assert row is not None
    engine = sa.create_engine(driver_url(migrated_postgres_url))
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": row["pid"]})
    engine.dispose()
    again = path.one(Query("SELECT pg_backend_pid() AS pid"), {})
    assert again is not None
    assert again["pid"] != row["pid"]
    close(path)


LOG = Query(
    "SELECT pg_current_wal_insert_lsn() AS written, pg_current_wal_flush_lsn() AS on_disk, "
    "current_setting('synchronous_commit') AS mode"
)


def is_on_disk_when_done(path: HotPath, change: Change) -> bool:
    """Apply `change`; tell whether PostgreSQL has more on its disk then than it had written before."""
    key = new_id()
    before = path.one(LOG, {})
    path.apply(change, {"id": key, "gate": key.bytes, "gate_expires_at": clock.now()})
    after = path.one(LOG, {})
    assert before is not None
    assert after is not None
    assert (before["mode"], after["mode"]) == ("on", "on")
    return position(after["on_disk"]) > position(before["written"])


def position(lsn: str) -> tuple[int, int]:
    high, low = lsn.split("/")
    return int(high, 16), int(low, 16)


@pytest.mark.parametrize("change", [NOTE, GATED_NOTE], ids=["alone", "behind-a-gate"])
def test_a_change_is_done_when_it_is_on_disk_unless_it_is_not_awaited(
    migrated_postgres_url: str, change: Change
) -> None:
    # The server of the tests does not wait for its disk otherwise.
    engine = sa.create_engine(driver_url(migrated_postgres_url))
    with engine.begin() as connection:
        name = connection.scalar(sa.text("SELECT current_database()"))
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = on'))
    engine.dispose()
    path = hot_path(migrated_postgres_url)
    assert all(is_on_disk_when_done(path, change) for _ in range(10))
    # What else the server writes in that moment may take it along, but not each time.
    assert not all(is_on_disk_when_done(path, replace(change, is_awaited=False)) for _ in range(50))
    close(path)


@pytest.fixture
def locked(provider: Provider) -> Iterator[None]:
    """Hold the row `a` locked by somebody else."""
    engine = sa.create_engine(driver_url(provider.url), connect_args=engine_options(provider.url)["connect_args"])
    with engine.connect() as other:
        if engine.dialect.name == "sqlite":
            other.connection.driver_connection.isolation_level = None
            other.exec_driver_sql("BEGIN IMMEDIATE")
        other.execute(sa.text("UPDATE rate_limit SET hits = 0"))
        yield
        other.rollback()
    engine.dispose()


def test_a_write_fails_in_time_when_another_holds_the_row(provider: Provider, request: pytest.FixtureRequest) -> None:
    add(provider.hot_path)
    request.getfixturevalue("locked")
    began = clock.now()
    with pytest.raises(DatabaseUnavailable):
        spend(provider.hot_path)
    assert clock.now() - began < timedelta(seconds=8)


def test_the_database_is_unavailable_when_nobody_listens() -> None:
    with pytest.raises(DatabaseUnavailable):
        hot_path("postgresql://somebody@127.0.0.1:1/nothing").one(Query("SELECT 1 AS one"), {})


def test_a_naive_time_is_refused_when_written(provider: Provider) -> None:
    db.session.add(RateLimit(digest=b"a", hits=1, expires_at=clock.now().replace(tzinfo=None)))
    with pytest.raises(sa.exc.StatementError, match="naive"):
        db.session.commit()
    db.session.rollback()


def test_durable_settings_hold_when_the_database_is_sqlite(migrated_sqlite_url: str) -> None:
    path = hot_path(migrated_sqlite_url)
    pragmas = [path.one(Query(f"PRAGMA {name}"), {}) for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert [next(iter(row.values())) for row in pragmas if row] == ["wal", 2, 1]
    close(path)


def test_words_are_split_when_there_are_any() -> None:
    assert (split_words("a b"), split_words(""), split_words(None)) == (("a", "b"), (), ())


def test_keys_are_uuids_when_given_either_way() -> None:
    key = new_id()
    assert as_uuid(key) is key
    assert as_uuid(key.hex) == UUID(key.hex) == key
