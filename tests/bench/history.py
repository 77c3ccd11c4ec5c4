"""`make bench ARGS=--history`: the first page of a history of 100,000 lines against one of ten and one of a full page.

In one process and by turns, on PostgreSQL and SQLite, because the answer wanted is a ratio: CPU of this process and
time to the answer, the database included. How many rows the database touches for it: test_ledger.py, without a clock.
"""

import statistics
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from tests.bench import seed
from tests.bench.application import PORT, Application
from tests.bench.load import Unit

LINES = (10, 20, 100_000)
_PATH = "/account/history"
_BITE = 10_000


def measure(directory: Path, database_url: str, *, pages: int = 20) -> None:
    """Print what the page costs on the empty database at `database_url`, opened `pages` times by each citizen."""
    site = seed.build(directory, database_url=database_url, port=PORT, clients=7, citizens=len(LINES) + 5)
    application = Application(site)
    citizens = _fill(application)
    taken: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for _ in range(pages):
        for lines, cookie in zip(LINES, site.cookies, strict=False):
            for path in (_PATH, f"{_PATH}?all=1"):
                begin, cpu = time.perf_counter(), time.process_time()
                application.do(_page(application, path, cookie))
                spent = ((time.perf_counter() - begin) * 1_000, (time.process_time() - cpu) * 1_000)
                taken.setdefault((lines, path), []).append(spent)
    kind = database_url.partition(":")[0].partition("+")[0]
    for (lines, path), spent in taken.items():
        best, median = min(time for time, _ in spent), statistics.median(time for time, _ in spent)
        cpu = statistics.median(cpu for _, cpu in spent)
        print(f"{kind:10} {lines:7} lines {path:23} best {best:6.1f} ms, median {median:6.1f} ms, CPU {cpu:5.1f} ms")
    _explain(application, citizens[-1])
    application.close()


def _page(application: Application, path: str, cookie: str) -> Unit:
    answer = yield application.requests._get(path, f"Cookie: {cookie}\r\n")
    assert b"history-" in answer.expect(200).body


def _fill(application: Application) -> list[UUID]:
    from idp.agencies.models import Client
    from idp.core import clock
    from idp.core.database import db
    from idp.core.ids import new_id
    from idp.sso.devices import SessionOrigin
    from idp.sso.models import Disclosure, SsoSession

    with application.app_context():
        clients = list(db.session.scalars(sa.select(Client.id)))
        # In the order of the cookies.
        owners = list(db.session.scalars(sa.select(SsoSession.citizen_id).order_by(SsoSession.id)))[: len(LINES)]
        now = clock.now()
        for owner, lines in zip(owners, LINES, strict=True):
            for start in range(0, lines, _BITE):
                numbers = range(start, min(lines, start + _BITE))
                origins = [
                    {
                        "session_id": new_id(),
                        "citizen_id": owner,
                        "opened_at": now - timedelta(minutes=number + 1),
                        "device": "Chrome, Android",
                        "network": "203.0.113.0/24",
                    }
                    for number in numbers
                ]
                disclosures = [
                    {
                        "id": new_id(),
                        "at": each["opened_at"],
                        "citizen_id": owner,
                        "client_id": clients[number % len(clients)],
                        "session_id": each["session_id"],
                        "basis": "consent",
                        "claims": "email name sub",
                        "acr": "loa1",
                    }
                    for number, each in zip(numbers, origins, strict=True)
                ]
                db.session.execute(sa.insert(SessionOrigin), origins)
                db.session.execute(sa.insert(Disclosure), disclosures)
                db.session.commit()
        db.session.execute(sa.text("ANALYZE"))
        db.session.commit()
    return owners


def _explain(application: Application, citizen: UUID) -> None:
    from idp.account.history import ledger
    from idp.core.database import db

    with application.app_context():
        bind = db.session.get_bind()
        how = "EXPLAIN QUERY PLAN" if bind.dialect.name == "sqlite" else "EXPLAIN (COSTS OFF)"
        for select in (ledger.disclosures, ledger.origins):
            statement = select(citizen, None, None, ledger.LINES + 1)
            text = statement.compile(bind, compile_kwargs={"literal_binds": True})
            print(f"  {select.__name__}:")
            for row in db.session.execute(sa.text(f"{how} {text}".replace(":", "\\:"))):
                print(f"    {row[-1]}")
