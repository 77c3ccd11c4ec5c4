"""Deleting what has expired: all of it, nothing else, in bites, on record, by several at once."""

import multiprocessing
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import current_app

from idp.audit.models import AuditEvent
from idp.core import clock, limits
from idp.core.database import Model, db
from idp.core.ids import digest, new_id
from idp.core.limits import RateLimit
from idp.inspector.models import InspectedRequest
from idp.ops import housekeeping
from idp.ops.housekeeping import Housekeeping
from idp.sso.models import Interaction, SsoSession
from tests.unit.core.provider import Provider, provider_on


def windows(rows: int, *, over_for: timedelta) -> None:
    """Write `rows` rate-limit windows that closed `over_for` ago."""
    closed = clock.now() - over_for
    db.session.add_all(RateLimit(digest=digest(str(new_id())), hits=1, expires_at=closed) for _ in range(rows))
    db.session.commit()


def left() -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(RateLimit)) or 0


def test_expired_rows_go_in_bites_when_past_their_grace(provider: Provider) -> None:
    windows(25, over_for=timedelta(minutes=2))
    windows(3, over_for=timedelta(seconds=10))
    windows(4, over_for=-timedelta(minutes=2))
    assert housekeeping.delete_expired(bite=10) == {"rate_limit": 25}
    assert left() == 7
    details = [detail for detail in db.session.scalars(sa.select(AuditEvent.detail)) if detail]
    assert sorted(detail["rows"] for detail in details) == [5, 10, 10]
    assert {detail["table"] for detail in details} == {"rate_limit"}
    assert housekeeping.delete_expired(bite=10) == {}


def _keep_house(url: str, secrets: str, total) -> None:
    with provider_on(url, Path(secrets)):
        deleted = housekeeping.delete_expired(bite=20).get("rate_limit", 0)
    with total.get_lock():
        total.value += deleted


def test_every_row_is_counted_once_when_two_keep_house(provider: Provider, tmp_path: Path) -> None:
    windows(500, over_for=timedelta(minutes=2))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    total = context.Value("i", 0)
    running = [
        context.Process(target=_keep_house, args=(provider.url, str(tmp_path / "secrets"), total)) for _ in range(2)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0, 0]
    assert (total.value, left()) == (500, 0)
    rows = [detail["rows"] for detail in db.session.scalars(sa.select(AuditEvent.detail)) if detail]
    assert sum(rows) == 500


def test_one_worker_keeps_house_in_each_hour(provider: Provider) -> None:
    windows(2, over_for=timedelta(minutes=2))
    rates = limits.limiter(provider.hot_path, None, secret=b"secret-of-the-test")
    make = partial(Housekeeping, current_app.app_context, keyring=provider.keyring, limiter=rates)
    going = threading.Event()
    assert make().run_due(going) == 0
    first, second = (make(first_after=0) for _ in range(2))
    assert (first.run_due(going), second.run_due(going)) == (1, 0)
    # The window of the turn itself is what is left.
    assert left() == 1
    assert (first.run_due(going), second.run_due(going)) == (0, 0)
    db.session.execute(sa.delete(RateLimit))
    db.session.commit()
    assert make(first_after=0).run_due(going) == 1


def test_what_is_left_stays_when_the_worker_ends(provider: Provider) -> None:
    windows(2, over_for=timedelta(minutes=2))
    ended = threading.Event()
    ended.set()
    assert housekeeping.delete_expired(stop=ended) == {}
    assert left() == 2


def test_every_registered_table_can_be_cleaned_when_empty(provider: Provider) -> None:
    assert {table for table, _, _ in housekeeping.expiring()} >= {Interaction.__tablename__, SsoSession.__tablename__}
    assert housekeeping.delete_expired() == {}


def test_every_table_with_an_expiry_is_registered() -> None:
    registered = {table for table, _, _ in housekeeping.expiring()}
    assert {table.name for table in Model.metadata.tables.values() if "expires_at" in table.c} <= registered


@pytest.mark.parametrize(("table", "column", "grace"), list(housekeeping.expiring()))
def test_grace_is_what_the_security_page_says_when_registered(table: str, column: str, grace: int) -> None:
    # security.md, 6: sessions and codes a day, jti ten minutes; nothing that expires is kept longer than 30 days.
    assert column in Model.metadata.tables[table].c
    assert 0 <= grace <= 30 * 86_400


def test_inspected_requests_go_after_seven_days(provider: Provider) -> None:
    for age in (timedelta(days=6, hours=23), timedelta(days=7, minutes=1)):
        db.session.add(
            InspectedRequest(
                id=new_id(), at=clock.now() - age, reference="ABCDEFGH12", endpoint="token", outcome="PR-206",
                status=400, is_proven=False, parameters={},
            )
        )  # fmt: skip
    db.session.commit()
    assert housekeeping.delete_expired() == {"inspected_request": 1}
