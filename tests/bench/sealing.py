"""`make bench ARGS=--sealing`: how fast the trail is sealed, verified and paged on PostgreSQL, with so many events."""

import statistics
import time
from pathlib import Path

from idp.audit import exporting, proving
from idp.cli import db
from tests.unit.audit.trail import Trail, trail_at

_EVENTS = 200_000
_BITE = 10_000
_SECONDS = 5
_A_SECOND = 1_000
# Row keys of one a millisecond until now, as workers make them.
_INSERT = """
    INSERT INTO audit_event (id, at, name, citizen_id, outcome, detail)
    SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) - :count + n), 12, '0')
            || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15) AS uuid),
        now(), 'sso:session:opened', CAST(h AS uuid), 'done', '{"level"' || chr(58) || '1}'
    FROM (SELECT n, md5(CAST(random() AS text)) AS h FROM generate_series(1, :count) n) made
"""


def measure(directory: Path, database_url: str) -> None:
    """Print what sealing costs on the empty PostgreSQL database at `database_url`."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    db.upgrade(url)
    with trail_at(url, directory / "audit.pem") as trail:
        for _ in range(0, _EVENTS, _BITE):
            trail.sql(_INSERT, count=_BITE)
        wall, cpu = _timed(trail)
        print(f"backlog: {_EVENTS / wall:8.0f} events a second, {cpu / _EVENTS * 1e6:.0f} us CPU of the sealer each")
        taken = []
        for _ in range(_SECONDS):
            trail.sql(_INSERT, count=_A_SECOND)
            taken.append(_timed(trail)[0])
        print(f"steady: {_A_SECOND} events sealed in {statistics.median(taken) * 1_000:.0f} ms")
        begin = time.perf_counter()
        report = trail.verify()
        assert not report.findings
        print(f"verify: {report.size / (time.perf_counter() - begin):8.0f} events a second")
        pages = [_milliseconds(trail, start) for start in range(0, report.size - 500, report.size // 20)]
        print(f"page of {exporting.PAGE} events: median {statistics.median(pages):.1f} ms, worst {max(pages):.1f} ms")
        begin = time.perf_counter()
        proving.prove(trail.engine, report.size // 3)
        print(f"proof of inclusion: {(time.perf_counter() - begin) * 1_000:.1f} ms")


def _timed(trail: Trail) -> tuple[float, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    trail.seal()
    return time.perf_counter() - begin, time.process_time() - cpu


def _milliseconds(trail: Trail, start: int) -> float:
    begin = time.perf_counter()
    exporting.page(trail.engine, start=start)
    return (time.perf_counter() - begin) * 1_000
