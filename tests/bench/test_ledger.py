"""A citizen with 100,000 lines of history reads as few rows for a page as one with ten, whatever page it is.

Counted by PostgreSQL itself, without a clock: rows that its plan touched.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as dialect

from idp.account.data.holdings import personal_events
from idp.account.history import ledger
from idp.account.history.ledger import Cursor
from idp.core import clock
from tests import services

_MANY, _FEW, _OTHERS = 100_000, 10, 100_000
_BUSY, _QUIET = UUID(int=1), UUID(int=2)


@pytest.fixture(scope="module")
def large(postgresql: services.PostgreSQL, migrate: Callable[[str], None]) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a database with one busy citizen, a quiet one, and many others."""
    name = postgresql.create(template=postgresql.template("lk_template", migrate))
    url = postgresql.url(name).replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as connection:
        for citizen, rows in ((f"'{_BUSY}'", _MANY), (f"'{_QUIET}'", _FEW), ("md5('citizen' || n)", _OTHERS)):
            connection.execute(
                f"INSERT INTO disclosure SELECT md5(random()::text)::uuid, now() - n * interval '1 minute', "  # type: ignore[arg-type]
                f"{citizen}::uuid, md5('client' || n % 7)::uuid, md5('session' || n)::uuid, 'consent', 'name', 'loa1' "
                f"FROM generate_series(1, {rows}) AS n"
            )
            connection.execute(
                f"INSERT INTO session_origin SELECT md5(random()::text)::uuid, {citizen}::uuid, "  # type: ignore[arg-type]
                f"now() - n * interval '1 minute', 'Chrome', '' FROM generate_series(1, {rows}) AS n"
            )
            connection.execute(
                f"INSERT INTO agreement SELECT {citizen}::uuid, md5('client' || n % 7)::uuid, "  # type: ignore[arg-type]
                f"now() - n * interval '1 day', 'agreed', 'vi', NULL, '{{}}' FROM generate_series(1, {rows}) AS n"
            )
            connection.execute(
                f"INSERT INTO audit_event (id, at, name, citizen_id, outcome) SELECT md5(random()::text)::uuid, now(), "  # type: ignore[arg-type]
                "CASE WHEN n % 3 = 0 THEN 'sso:session:opened' ELSE 'oidc:code:issued' END, "
                f"{citizen}::uuid, 'done' FROM generate_series(1, {rows}) AS n"
            )
        connection.execute("ANALYZE")
        yield connection
    postgresql.drop(name)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _rows_read(connection: psycopg.Connection[Any], statement: sa.Select[Any], *, small: Sequence[str] = ()) -> int:
    """Return how many rows the scans of a statement touched, filtered ones included.

    Fails on a scan of a table that is not `small`.
    """
    sql = str(statement.compile(dialect=dialect.dialect(), compile_kwargs={"literal_binds": True}))
    row = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql.replace('%', '%%')}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    scans = [node for node in _nodes(row[0][0]["Plan"]) if "Scan" in node["Node Type"] and "Relation Name" in node]
    assert scans
    assert [
        node["Relation Name"]
        for node in scans
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] not in small
    ] == []
    return sum(
        int((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]) for node in scans
    )


@pytest.mark.slow
@pytest.mark.xdist_group("large")
@pytest.mark.parametrize("select", [ledger.disclosures, ledger.origins])
@pytest.mark.parametrize("minutes", [None, 50_000], ids=["newest", "in-the-middle"])
def test_page_of_the_history_reads_its_own_lines_alone(
    large: psycopg.Connection[Any], select: Callable[..., sa.Select[Any]], minutes: int | None
) -> None:
    before = Cursor(clock.now() - timedelta(minutes=minutes), UUID(int=5)) if minutes is not None else None
    read = {
        (citizen, since): _rows_read(large, select(citizen, before, since, ledger.LINES + 1))
        for citizen in (_BUSY, _QUIET)
        for since in (None, clock.now() - ledger.RECENT)
    }
    # The line itself, where it comes from, and what was in force then.
    most = 3 * (ledger.LINES + 2)
    assert all(rows <= most for rows in read.values()), read
    assert read[_BUSY, None] > 0


@pytest.mark.slow
@pytest.mark.xdist_group("large")
def test_filter_by_agency_looks_through_a_fixed_number_of_lines(large: psycopg.Connection[Any]) -> None:
    """The lines of an agency that has none in the window cost as much as those of one that has all."""
    statements = {
        (citizen, since): ledger.of_agency(citizen, None, since, "nowhere", ledger.LINES + 1)
        for citizen in (_BUSY, _QUIET)
        for since in (None, clock.now() - ledger.RECENT)
    }
    for (citizen, _), statement in statements.items():
        # There is no client or agency here: PostgreSQL reads tables of one page from end to end.
        read = _rows_read(large, statement, small=("client", "agency"))
        assert read <= 3 * ((ledger.LOOKED_THROUGH if citizen == _BUSY else _FEW) + 1)


@pytest.mark.slow
@pytest.mark.xdist_group("large")
@pytest.mark.parametrize("after", [None, UUID(int=1 << 127)], ids=["first", "in-the-middle"])
def test_bite_of_the_events_reads_its_own_rows_alone(large: psycopg.Connection[Any], after: UUID | None) -> None:
    read = {citizen: _rows_read(large, personal_events(citizen, after, 500)) for citizen in (_BUSY, _QUIET)}
    # The events of every login are not even in the index.
    assert read[_BUSY] == 500
    assert read[_QUIET] <= _FEW // 3
