"""Deliveries: taken once, retried with growing pauses, never lost, and never at another client's expense."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest
import sqlalchemy as sa
from jose import jwt

from idp.audit.models import AuditEvent
from idp.core import clock
from idp.core.database import DatabaseUnavailable
from idp.core.outbound import Outbound
from idp.oidc.logout import backchannel
from idp.oidc.logout.backchannel import MOST_FOR_ONE_CLIENT, PATIENCE, PAUSES, RESTS, BackChannel
from idp.sso.models import LogoutBreaker, LogoutDelivery
from tests.listener import Listener, listening, register
from tests.provider import Portal, Provider, provider_at
from tests.unit.oidc.logout.conftest import Owe


def now_of(provider: Provider, row: LogoutDelivery) -> LogoutDelivery:
    [fresh] = provider.scalars(sa.select(LogoutDelivery).where(LogoutDelivery.id == row.id))
    assert isinstance(fresh, LogoutDelivery)
    return fresh


def run(channel: BackChannel) -> int:
    """Deliver what is due and wait until all of it is recorded."""
    started = channel.run_due(threading.Event())
    channel.close()
    return started


def make_due(provider: Provider, row: LogoutDelivery) -> None:
    """Let the pause, or the lease, pass."""
    past = clock.now() - timedelta(seconds=1)
    waiting = LogoutDelivery.due_at.is_not(None)
    provider.run(sa.update(LogoutDelivery).where(LogoutDelivery.id == row.id, waiting).values(due_at=past))


def end_rest(provider: Provider, row: LogoutDelivery) -> None:
    past = clock.now() - timedelta(seconds=1)
    provider.run(sa.update(LogoutBreaker).where(LogoutBreaker.client_id == row.client_id).values(open_until=past))


def breaker_of(provider: Provider, row: LogoutDelivery) -> LogoutBreaker:
    [breaker] = provider.scalars(sa.select(LogoutBreaker).where(LogoutBreaker.client_id == row.client_id))
    assert isinstance(breaker, LogoutBreaker)
    return breaker


def seconds_until(instant: datetime | None) -> float:
    assert instant is not None
    return (instant - clock.now()).total_seconds()


def test_delivery_is_made_once_when_asked_twice(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    row = owe(portal)
    assert run(channel) == 1
    assert run(channel) == 0
    assert len(listener.received) == 1
    assert now_of(provider, row).state == "confirmed"


def test_pauses_grow_and_end_when_the_client_never_answers_well(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    listener.status = 500
    row = owe(portal)
    for attempt, pause in enumerate(PAUSES, start=1):
        assert run(channel) == 1
        fresh = now_of(provider, row)
        assert (fresh.state, fresh.attempts, fresh.outcome) == ("pending", attempt, "status 500")
        assert pause - 5 < seconds_until(fresh.due_at) <= pause + 1
        assert run(channel) == 0, "before its time"
        make_due(provider, row)
        if attempt >= PATIENCE:
            end_rest(provider, row)
    assert run(channel) == 1
    fresh = now_of(provider, row)
    assert (fresh.state, fresh.attempts, fresh.due_at) == ("given up", len(PAUSES) + 1, None)
    tokens = [jwt.get_unverified_claims(received.token) for received in listener.received]
    assert len({claims["jti"] for claims in tokens}) == len(PAUSES) + 1, "each attempt has a fresh token"
    events = provider.scalars(sa.select(AuditEvent).where(AuditEvent.session_id == row.session_id))
    assert [(event.name, event.outcome) for event in events] == [("oidc:logout:given-up", "status 500")]


def test_a_failing_client_rests_when_its_patience_is_used_up(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    listener.status = 503
    for _ in range(PATIENCE):
        owe(portal)
        run(channel)
    waiting = owe(portal)
    assert RESTS[0] - 5 < seconds_until(breaker_of(provider, waiting).open_until) <= RESTS[0] + 1
    with listening() as other:
        healthy = provider.portal()
        register(healthy, backchannel_logout_uri=f"{other.url}/out")
        owe(healthy)
        assert run(channel) == 1
        assert len(other.received) == 1, "the others are told meanwhile"
    assert len(listener.received) == PATIENCE
    assert now_of(provider, waiting).attempts == 0, "resting uses up no attempts"


def test_one_probe_goes_ahead_when_the_rest_is_over(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    listener.status = 503
    rows = [owe(portal) for _ in range(PATIENCE)]
    for _ in rows:
        run(channel)
        for row in rows:
            make_due(provider, row)
    assert breaker_of(provider, rows[0]).failures >= PATIENCE
    for rest in (*RESTS[1:], RESTS[-1]):
        provider.run(sa.update(LogoutBreaker).values(failures=PATIENCE + RESTS.index(rest) - 1))
        end_rest(provider, rows[0])
        before = len(listener.received)
        assert run(channel) == 1
        assert len(listener.received) == before + 1
        assert rest - 5 < seconds_until(breaker_of(provider, rows[0]).open_until) <= rest + 1
    listener.status = 200
    end_rest(provider, rows[0])
    provider.run(sa.update(LogoutDelivery).values(attempts=1))
    for row in rows:
        make_due(provider, row)
    assert run(channel) == 1
    assert (breaker_of(provider, rows[0]).failures, breaker_of(provider, rows[0]).open_until) == (0, None)
    for _ in rows:
        for row in rows:
            make_due(provider, row)
        run(channel)
    assert {now_of(provider, row).state for row in rows} == {"confirmed"}


def test_delivery_is_given_up_when_a_day_has_passed_although_the_client_rests(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    row = owe(portal, created_at=clock.now() - timedelta(hours=25), due_at=clock.now() - timedelta(hours=25))
    with provider.app.app_context():
        from idp.core.database import db

        db.session.add(
            LogoutBreaker(client_id=row.client_id, failures=9, open_until=clock.now() + timedelta(minutes=5))
        )
        db.session.commit()
    run(channel)
    fresh = now_of(provider, row)
    assert (fresh.state, fresh.outcome) == ("given up", "out of time")
    assert listener.received == []


def test_delivery_is_given_up_when_the_client_has_taken_its_address_back(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    row = owe(portal)
    register(portal, backchannel_logout_uri=None)
    run(channel)
    fresh = now_of(provider, row)
    assert (fresh.state, fresh.outcome) == ("given up", "unregistered")
    assert listener.received == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/out", "https://127.0.0.1:1/", "https://10.0.0.1/out"])
def test_private_addresses_are_not_reached_in_production(
    provider: Provider, portal: Portal, listener: Listener, owe: Owe, address: str
) -> None:
    guarded = BackChannel(
        replace(provider.services, outbound=Outbound(is_sandbox=False, resolve=lambda host, _: [host]))
    )
    register(portal, backchannel_logout_uri=address.replace("127.0.0.1:1", listener.url.rpartition("/")[2]))
    row = owe(portal)
    run(guarded)
    fresh = now_of(provider, row)
    assert (fresh.state, fresh.outcome) == ("pending", "network")
    assert listener.received == []


def test_nothing_is_sent_in_clear_when_the_key_for_it_is_gone(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    register(portal, id_token_encryption={"alg": "RSA-OAEP-256", "enc": "A256GCM"})
    row = owe(portal)
    run(channel)
    assert now_of(provider, row).outcome == "no key fits"
    assert listener.received == []


def test_a_client_that_hangs_leaves_room_for_the_others(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    listener.hold.clear()
    stuck = [owe(portal) for _ in range(6)]
    with listening() as other:
        healthy = provider.portal()
        register(healthy, backchannel_logout_uri=f"{other.url}/out")
        owed = owe(healthy)
        start = time.monotonic()
        channel.run_due(threading.Event())
        other.wait_for(1)
        assert time.monotonic() - start < 3
        assert len(listener.wait_for(MOST_FOR_ONE_CLIENT)) == MOST_FOR_ONE_CLIENT
        listener.hold.set()
        channel.close()
        assert now_of(provider, owed).state == "confirmed"
    states = sorted((now_of(provider, row).state, now_of(provider, row).attempts) for row in stuck)
    assert states == [("confirmed", 1)] * MOST_FOR_ONE_CLIENT + [("pending", 0)] * 4


def test_notify_returns_when_its_time_is_over(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    listener.hold.clear()
    row = owe(portal)
    client = provider.services.clients.find(portal.client_id)
    assert client is not None
    start = time.monotonic()
    channel.notify(row.session_id, [client], within=0.3)
    assert time.monotonic() - start < 2
    channel.notify(row.session_id, [client], within=0.1)
    listener.hold.set()
    channel.close()
    assert len(listener.received) == 1
    assert now_of(provider, row).state == "confirmed"


def test_notify_leaves_it_to_the_runner_when_the_database_is_away(
    provider: Provider, portal: Portal, owe: Owe, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = owe(portal)
    client = provider.services.clients.find(portal.client_id)
    assert client is not None

    class Away:
        def apply(self, *_: object) -> None:
            raise DatabaseUnavailable

    BackChannel(replace(provider.services, hot_path=Away())).notify(row.session_id, [client])  # type: ignore[arg-type]
    assert now_of(provider, row).attempts == 0


def test_the_first_final_word_stands_when_a_lease_ran_out(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    listener.hold.clear()
    row = owe(portal)
    channel.run_due(threading.Event())
    listener.wait_for(1)
    make_due(provider, row)
    second = BackChannel(provider.services)
    second.run_due(threading.Event())
    listener.wait_for(2)
    listener.hold.set()
    channel.close()
    second.close()
    assert (now_of(provider, row).state, now_of(provider, row).attempts) == ("confirmed", 2)
    events = provider.scalars(sa.select(AuditEvent).where(AuditEvent.session_id == row.session_id))
    assert [event.name for event in events] == ["oidc:logout:confirmed"]


# --- real processes ---------------------------------------------------------------------------------------------


def _deliver(url: str, directory: Any, issuer: str, gate: Any, pipe: Connection) -> None:
    with provider_at(url, directory, issuer=issuer) as provider:
        channel = BackChannel(provider.services)
        gate.wait(timeout=60)
        started = channel.run_due(threading.Event())
        channel.close()
        pipe.send(started)


@contextmanager
def runners(provider: Provider, number: int) -> Iterator[tuple[list[Any], list[Connection]]]:
    """Yield processes that run the deliveries of `provider` from the same moment on, and what each will say."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "tests.racers"])
    gate = context.Barrier(number)
    running, pipes = [], []
    for _ in range(number):
        here, there = context.Pipe()
        arguments = (provider.url, provider.settings.secrets_dir, provider.settings.issuer, gate, there)
        process = context.Process(target=_deliver, args=arguments)
        process.start()
        there.close()
        running.append(process)
        pipes.append(here)
    try:
        yield running, pipes
    finally:
        for process, pipe in zip(running, pipes, strict=True):
            process.join(30)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()


def test_each_delivery_is_made_once_when_runners_race(provider: Provider, listener: Listener, owe: Owe) -> None:
    portals = [provider.portal() for _ in range(8)]
    for each in portals:
        register(each, backchannel_logout_uri=f"{listener.url}/{each.client_id}")
    rows = [owe(each) for each in portals for _ in range(MOST_FOR_ONE_CLIENT)]
    with runners(provider, 3) as (_, pipes):
        started = [pipe.recv() if pipe.poll(60) else 0 for pipe in pipes]
    assert sum(started) == len(rows)
    assert len(listener.received) == len(rows)
    assert {(now_of(provider, row).state, now_of(provider, row).attempts) for row in rows} == {("confirmed", 1)}


def test_nothing_is_lost_when_a_worker_is_killed_before_the_answer(
    provider: Provider, channel: BackChannel, portal: Portal, listener: Listener, owe: Owe
) -> None:
    listener.hold.clear()
    row = owe(portal)
    with runners(provider, 1) as ([process], _):
        listener.wait_for(1, seconds=60)
        os.kill(process.pid, signal.SIGKILL)
    listener.hold.set()
    fresh = now_of(provider, row)
    assert (fresh.state, fresh.attempts, fresh.outcome) == ("pending", 1, None)
    assert 0 < seconds_until(fresh.due_at) <= backchannel.LEASE_SECONDS
    assert run(channel) == 0, "while the lease lasts"
    make_due(provider, row)
    assert run(channel) == 1
    assert (now_of(provider, row).state, now_of(provider, row).attempts) == ("confirmed", 2)
    first, second = (jwt.get_unverified_claims(received.token)["jti"] for received in listener.received)
    assert first != second
