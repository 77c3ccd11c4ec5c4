"""The contract of rate-limit counters, on every adapter, and what happens when one is away."""

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from idp.core import limits
from idp.core.database import DatabaseUnavailable, db, hot_path
from idp.core.ids import new_id
from idp.core.limits import Counter, CounterUnavailable, Limiter, RateLimit, SqlCounter, ValkeyCounter
from tests.services import free_port
from tests.unit.core.provider import close, provider_on

SECRET = b"s" * 32


def build(kind: str, url: str) -> Counter:
    return ValkeyCounter(url) if kind == "valkey" else SqlCounter(hot_path(url))


@pytest.fixture(params=["sqlite", "postgresql", "valkey"])
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return the kind of a counter and the address of its empty store."""
    names = {"sqlite": "migrated_sqlite_url", "postgresql": "migrated_postgres_url", "valkey": "valkey_url"}
    return request.param, request.getfixturevalue(names[request.param])


@pytest.fixture
def counter(place: tuple[str, str]) -> Iterator[Counter]:
    given = build(*place)
    yield given
    if isinstance(given, SqlCounter):
        close(given._hot_path)
    elif isinstance(given, ValkeyCounter):
        given._storage.storage.close()


def test_hits_are_numbered_when_counted(counter: Counter) -> None:
    assert [counter.count(b"a" * 32, window=60) for _ in range(3)] == [1, 2, 3]
    assert counter.count(b"b" * 32, window=60) == 1
    assert 55 < counter.closes_in(b"a" * 32) <= 60
    assert counter.closes_in(b"c" * 32) == 0


def test_a_new_window_opens_when_the_old_one_is_over(counter: Counter) -> None:
    assert [counter.count(b"a" * 32, window=1) for _ in range(2)] == [1, 2]
    time.sleep(1.2)
    assert counter.closes_in(b"a" * 32) == 0
    assert counter.count(b"a" * 32, window=1) == 1


def test_the_window_stays_when_hits_go_on(counter: Counter) -> None:
    counter.count(b"a" * 32, window=2)
    time.sleep(1.2)
    counter.count(b"a" * 32, window=2)
    assert counter.closes_in(b"a" * 32) < 1


def _hit(kind: str, url: str, allowed) -> None:
    limiter = Limiter(build(kind, url), secret=SECRET)
    verdicts = [limiter.hit("token", "client", amount=150, per_seconds=600) for _ in range(100)]
    with allowed.get_lock():
        allowed.value += sum(verdict.is_allowed for verdict in verdicts)


def test_exactly_the_limit_is_allowed_when_four_processes_hit(place: tuple[str, str]) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    allowed = context.Value("i", 0)
    running = [context.Process(target=_hit, args=(*place, allowed)) for _ in range(4)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * 4
    assert allowed.value == 150


def test_the_refusal_says_when_to_try_again(counter: Counter) -> None:
    limiter = Limiter(counter, secret=SECRET)
    verdicts = [limiter.hit("token", "client", amount=2, per_seconds=60) for _ in range(3)]
    assert [verdict.is_allowed for verdict in verdicts] == [True, True, False]
    assert 55 <= verdicts[2].retry_after <= 60
    assert limiter.hit("login", "client", amount=2, per_seconds=60).is_allowed
    assert limiter.hit("token", "other\0\udcff", amount=2, per_seconds=60).is_allowed


def test_the_database_counts_when_valkey_is_away(migrated_database_url: str, tmp_path: Path) -> None:
    with provider_on(migrated_database_url, tmp_path / "secrets", is_fresh=True) as given:
        limiter = limits.limiter(given.hot_path, f"redis://127.0.0.1:{free_port()}/0", secret=SECRET)
        began = time.monotonic()
        verdicts = [limiter.hit("token", "client", amount=2, per_seconds=60) for _ in range(4)]
        assert [verdict.is_allowed for verdict in verdicts] == [True, True, False, False]
        assert time.monotonic() - began < 2
        assert db.session.scalar(sa.select(RateLimit.hits)) == 4


def test_the_hit_fails_when_no_counter_answers() -> None:
    class Away:
        def count(self, key: bytes, *, window: int) -> int:
            raise CounterUnavailable

        def closes_in(self, key: bytes) -> float:
            raise CounterUnavailable

    with pytest.raises(DatabaseUnavailable):
        Limiter(Away(), Away(), secret=SECRET).hit("token", "client", amount=2, per_seconds=60)
    with pytest.raises(ValueError, match="limit nothing"):
        Limiter(secret=SECRET)


def test_valkey_is_left_alone_for_a_while_when_it_failed(monkeypatch: pytest.MonkeyPatch, counter: Counter) -> None:
    class Flaky:
        calls = 0

        def count(self, key: bytes, *, window: int) -> int:
            self.calls += 1
            raise CounterUnavailable

        def closes_in(self, key: bytes) -> float:
            raise CounterUnavailable

    flaky = Flaky()
    limiter = Limiter(flaky, counter, secret=SECRET)
    for _ in range(5):
        limiter.hit("token", "client", amount=2, per_seconds=60)
    assert flaky.calls == 1
    monkeypatch.setattr(limits, "VALKEY_REST_SECONDS", 0.0)
    limiter._resting_until = [0.0, 0.0]
    for _ in range(3):
        limiter.hit("token", "client", amount=2, per_seconds=60)
    assert flaky.calls == 4


def test_no_address_is_readable_when_stored(migrated_sqlite_url: str, tmp_path: Path) -> None:
    with provider_on(migrated_sqlite_url, tmp_path / "secrets", is_fresh=True) as given:
        Limiter(SqlCounter(given.hot_path), secret=SECRET).hit("login", "192.0.2.7", amount=2, per_seconds=60)
        stored = db.session.scalars(sa.select(RateLimit.digest)).one()
    assert b"192.0.2.7" not in stored
    assert len(stored) == 32


def test_a_client_is_slowed_after_its_burst_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    buckets = limits.Buckets(10)
    loud, quiet = new_id(), new_id()
    assert sum(buckets.take(loud) for _ in range(200)) == 50
    assert buckets.take(quiet)
    now += 1
    assert sum(buckets.take(loud) for _ in range(200)) == 10


def test_full_buckets_are_forgotten_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_BUCKETS", 5)
    now = 100.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    buckets = limits.Buckets(10)
    for _ in range(20):
        now += 1
        assert buckets.take(new_id())
    assert len(buckets._full_at) <= 5
