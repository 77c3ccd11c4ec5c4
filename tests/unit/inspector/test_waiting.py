"""The queue is bounded, counts what it drops, gives each client its share, and loses nothing it took."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from idp.core import errors, parameters, runner
from idp.core.asked import Asked
from idp.core.database import DatabaseUnavailable
from idp.core.errors import Entry
from idp.inspector import waiting
from idp.inspector.models import InspectedRequest
from idp.inspector.redaction import Record
from idp.inspector.waiting import Inspection

NEVER = threading.Event()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path / 'inspected.sqlite3'}")
    yield made
    made.dispose()


@pytest.fixture
def table(engine: sa.Engine) -> sa.Engine:
    InspectedRequest.__table__.create(engine)
    return engine


@pytest.fixture(autouse=True)
def one_second(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no time pass but by hand."""
    now = [100.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    return now


def observe(
    inspection: Inspection, path: str = "/token", client_id: str | None = "etax", refused: Entry | None = None
) -> None:
    note = Asked()
    note.client_id, note.refused = client_id, refused
    inspection.observe({"PATH_INFO": path}, note, reference="ABCDEFGH12", status=200 if refused is None else 400)


def rows(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(InspectedRequest.outcome)))


def test_queue_is_bounded_and_counts_what_it_drops(table: sa.Engine) -> None:
    inspection = Inspection(table, Record, most_waiting=5)
    for _ in range(7):
        observe(inspection, client_id=None, refused=errors.FORM_INVALID)
    assert (inspection.waiting, inspection.dropped) == (5, 2)
    asked: list[str] = []
    sa.event.listen(table, "before_cursor_execute", lambda *given: asked.append(given[2]))
    assert inspection.run_due(NEVER) == 5
    assert len([sql for sql in asked if sql.startswith("INSERT")]) == 1
    assert rows(table) == ["PR-201"] * 5
    assert inspection.run_due(NEVER) == 0


def test_each_client_has_its_share_of_a_second(table: sa.Engine, one_second: list[float]) -> None:
    inspection = Inspection(table, Record)
    for _ in range(waiting.FAILURES_OF_ONE + 5):
        observe(inspection)
        observe(inspection, refused=errors.CODE_REFUSED)
    observe(inspection, client_id="library")
    assert inspection.waiting == waiting.SUCCESSES_OF_ONE + waiting.FAILURES_OF_ONE + 1
    for client in range(2 * waiting.SUCCESSES):
        observe(inspection, client_id=f"client-{client}")
    assert inspection.waiting == waiting.SUCCESSES + waiting.FAILURES_OF_ONE
    for client in (*range(2 * waiting.FAILURES), *[None] * waiting.FAILURES_OF_ONE):
        observe(inspection, client_id=client and f"client-{client}", refused=errors.CODE_REFUSED)
    assert inspection.waiting == waiting.SUCCESSES + waiting.FAILURES
    one_second[0] += 1
    observe(inspection)
    assert inspection.waiting == waiting.SUCCESSES + waiting.FAILURES + 1
    assert inspection.dropped == 0


def test_only_what_clients_ask_is_kept(table: sa.Engine) -> None:
    inspection = Inspection(table, Record)
    observe(inspection, path="/account")
    observe(inspection, path="/account", refused=errors.NOT_FOUND)
    observe(inspection, path="/signin/handle")
    observe(inspection, path="/logout", client_id=None)
    assert inspection.waiting == 0
    observe(inspection, path="/signin/handle/login", refused=errors.FLOW_LOST)
    assert inspection.waiting == 1


def test_nothing_is_lost_while_the_database_is_away(engine: sa.Engine) -> None:
    inspection = Inspection(engine, Record, most_waiting=3)
    for _ in range(2):
        observe(inspection)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            inspection.run_due(NEVER)
    for _ in range(4):
        observe(inspection, refused=errors.CODE_REFUSED)
    with pytest.raises(DatabaseUnavailable):
        inspection.run_due(NEVER)
    InspectedRequest.__table__.create(engine)
    assert inspection.run_due(NEVER) == 3
    assert inspection.run_due(NEVER) == 2
    assert inspection.dropped == 1


def test_rows_that_a_broken_commit_left_are_not_written_twice(table: sa.Engine) -> None:
    inspection = Inspection(table, Record)
    observe(inspection)
    observe(inspection, refused=errors.CODE_REFUSED)
    lost = sa.exc.OperationalError("COMMIT", None, Exception("connection lost"))

    def break_off(_: object) -> None:
        raise lost

    sa.event.listen(table, "commit", break_off)
    with pytest.raises(DatabaseUnavailable):
        inspection.run_due(NEVER)
    sa.event.remove(table, "commit", break_off)
    # As if it had been one after all.
    with table.begin() as connection:
        connection.execute(sa.insert(InspectedRequest), inspection._unwritten[:1])
    assert inspection.run_due(NEVER) == 2
    assert sorted(rows(table)) == sorted(["ok", errors.CODE_REFUSED.code])


def test_a_record_that_cannot_be_read_holds_up_nobody(table: sa.Engine) -> None:
    def directory(client_id: str) -> Record:
        raise ValueError(client_id)

    inspection = Inspection(table, directory)
    observe(inspection)
    observe(inspection, client_id=None, refused=errors.FORM_INVALID)
    assert inspection.run_due(NEVER) == 2


def test_what_people_type_on_our_pages_does_not_wait(table: sa.Engine) -> None:
    inspection = Inspection(table, Record)
    note = Asked()
    note.refused, note.parameters = errors.FLOW_LOST, parameters.read(b"password=mat-khau")
    inspection.observe({"PATH_INFO": "/signin/handle/login"}, note, reference="ABCDEFGH12", status=400)
    assert (inspection.waiting, note.parameters) == (1, parameters.NOTHING)


def test_what_waits_is_written_when_the_worker_stops(table: sa.Engine) -> None:
    inspection = Inspection(table, Record)
    with runner.running([inspection]):
        observe(inspection)
    assert rows(table) == ["ok"]


def test_a_defect_in_redaction_keeps_the_request_without_parameters(
    table: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(waiting, "redact", broken)
    inspection = Inspection(table, Record)
    observe(inspection)
    assert inspection.run_due(NEVER) == 1
