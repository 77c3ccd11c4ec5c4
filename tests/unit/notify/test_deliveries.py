"""The outbox of notices: owed with the act, sent once, put off and given up, and never in the way of anybody."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.core import clock
from idp.core.database import db
from idp.notify import notices as outbox
from idp.notify.deliveries import PAUSES, Notices
from idp.notify.models import OwedNotice
from idp.notify.notices import Notice
from tests.mailbox import Mailbox
from tests.provider import Person, Provider, provider_at
from tests.services import free_port
from tests.unit.notify.conftest import SENDER, notices_of

Rows = Callable[[], list[OwedNotice]]
NEVER = threading.Event()
ADDRESS = "hoa@thu.example"
SEVERAL = 12

pytestmark = pytest.mark.usefixtures("_empty_outbox")


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email=ADDRESS, email_verified=True, locale="fr-FR")


def owe(provider: Provider, citizen_id: Any, kind: Notice = Notice.PASSWORD_DISABLED, **facts: Any) -> None:
    with provider.app.app_context():
        outbox.owe(citizen_id, kind, keyring=provider.services.keyring, **facts)
        db.session.commit()


def make_due(provider: Provider) -> None:
    past = clock.now() - timedelta(seconds=1)
    provider.run(sa.update(OwedNotice).where(OwedNotice.due_at.is_not(None)).values(due_at=past))


def events_about(provider: Provider, person: Person) -> list[tuple[str, str]]:
    mine = AuditEvent.citizen_id == person.id
    chosen = sa.select(AuditEvent).where(mine, AuditEvent.name.like("notify:%")).order_by(AuditEvent.id)
    return [(event.name, event.outcome) for event in provider.scalars(chosen)]


def test_a_notice_is_sent_once_in_the_citizens_language_when_owed(
    provider: Provider, notices: Notices, server: Mailbox, person: Person, rows: Rows
) -> None:
    owe(provider, person.id)
    assert notices.run_due(NEVER) == 1
    assert notices.run_due(NEVER) == 0
    [mail] = server.received
    assert (mail.sender, mail.recipients) == ("khong-tra-loi@lienket.example", [ADDRESS])
    assert mail.message["To"] == ADDRESS
    assert mail.message["Subject"] == "LienKet : votre mot de passe est désactivé"
    [row] = rows()
    assert (row.state, row.outcome, row.attempts, row.channel, row.language) == ("sent", "sent", 1, "mail", "fr")
    assert row.due_at is None
    assert events_about(provider, person) == [("notify:notice:sent", "sent")]


def test_nothing_is_owed_when_the_act_fails(provider: Provider, person: Person, rows: Rows) -> None:
    with provider.app.app_context():
        outbox.owe(person.id, Notice.PASSWORD_DISABLED, keyring=provider.services.keyring)
        db.session.rollback()
    assert rows() == []


def test_the_row_tells_nobody_what_it_is_about(provider: Provider, person: Person, rows: Rows) -> None:
    owe(provider, person.id, Notice.NEW_AGENCY, agency={"vi": "Bệnh viện Nhiệt đới"})
    [row] = rows()
    assert "Nhiệt" not in row.facts
    assert "agency" not in row.facts


@pytest.mark.parametrize("members", [{}, {"email": ADDRESS}, {"email": ADDRESS, "email_verified": False}])
def test_nothing_goes_to_an_address_that_nobody_proved(
    provider: Provider, notices: Notices, server: Mailbox, rows: Rows, members: dict[str, Any]
) -> None:
    person = provider.citizen(**members)
    owe(provider, person.id)
    assert notices.run_due(NEVER) == 1
    assert server.received == []
    [row] = rows()
    assert (row.state, row.outcome, row.channel) == ("not sent", "no address", None)
    assert events_about(provider, person) == [("notify:notice:not-sent", "no address")]


def test_a_notice_is_recorded_as_not_sent_when_there_is_no_mail_server(
    provider: Provider, person: Person, rows: Rows
) -> None:
    owe(provider, person.id)
    assert notices_of(provider).run_due(NEVER) == 1
    [row] = rows()
    assert (row.state, row.outcome) == ("not sent", "no server")


def test_the_pauses_grow_and_a_day_later_it_is_given_up_when_the_server_is_down(
    provider: Provider, person: Person, rows: Rows
) -> None:
    down = notices_of(provider, mail_server=f"smtp://127.0.0.1:{free_port()}")
    owe(provider, person.id)
    for pause in PAUSES:
        before = clock.now()
        assert down.run_due(NEVER) == 1
        [row] = rows()
        assert (row.state, row.outcome) == ("pending", "connect")
        assert row.due_at is not None
        assert timedelta(seconds=pause - 1) < row.due_at - before < timedelta(seconds=pause + 5)
        assert down.run_due(NEVER) == 0
        make_due(provider)
    assert down.run_due(NEVER) == 1
    [row] = rows()
    assert (row.state, row.outcome, row.attempts) == ("given up", "connect", len(PAUSES) + 1)
    assert events_about(provider, person) == [("notify:notice:given-up", "connect")]
    assert sum(PAUSES) <= timedelta(days=1).total_seconds()


def test_old_news_are_not_sent_when_the_runner_was_away_for_a_day(
    provider: Provider, notices: Notices, server: Mailbox, person: Person, rows: Rows
) -> None:
    owe(provider, person.id)
    provider.age(OwedNotice, OwedNotice.citizen_id == person.id, days=1, minutes=1)
    assert notices.run_due(NEVER) == 1
    assert server.received == []
    assert [(row.state, row.outcome) for row in rows()] == [("given up", "out of time")]


@pytest.mark.parametrize(
    ("answer", "state"), [("550 5.1.1 no such user hoa@thu.example", "not sent"), ("451 4.7.1 come again", "pending")]
)
@pytest.mark.parametrize("at_data", [False, True])
def test_a_refusal_is_final_only_when_the_server_says_so(
    provider: Provider,
    notices: Notices,
    server: Mailbox,
    person: Person,
    rows: Rows,
    *,
    answer: str,
    state: str,
    at_data: bool,
) -> None:
    server.refusal, server.at_data = answer, at_data
    owe(provider, person.id)
    assert notices.run_due(NEVER) == 1
    [row] = rows()
    assert (row.state, row.outcome) == (state, f"status {answer[:3]}")
    if state == "pending":
        server.refusal = None
        make_due(provider)
        notices.run_due(NEVER)
        assert len(server.received) == 1


def test_one_that_cannot_be_read_does_not_hold_up_the_others(
    provider: Provider, notices: Notices, server: Mailbox, person: Person
) -> None:
    owe(provider, person.id)
    provider.run(sa.update(OwedNotice).values(facts="v1.k1.AAAA"))
    owe(provider, person.id, Notice.CODES_DISABLED)
    assert notices.run_due(NEVER) == 2
    assert len(server.received) == 1


def _run(url: str, directory: Any, settings: dict[str, Any], gate: Any, pipe: Any) -> None:
    with provider_at(url, directory, **settings) as provider:
        runner = notices_of(provider, mail_server=settings["mail_server"])
        gate.wait(timeout=60)
        pipe.send(runner.run_due(threading.Event()))


@contextmanager
def runners(provider: Provider, server: Mailbox, number: int) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield processes that run the notices of `provider` from the same moment on, and what each will say."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    gate = context.Barrier(number)
    settings = {"issuer": provider.settings.issuer, "mail_server": server.url, "mail_from": SENDER}
    processes, pipes = [], []
    for _ in range(number):
        here, there = context.Pipe()
        arguments = (provider.url, provider.settings.secrets_dir, settings, gate, there)
        process = context.Process(target=_run, args=arguments)
        process.start()
        there.close()
        processes.append(process)
        pipes.append(here)
    try:
        yield processes, pipes
    finally:
        for process, pipe in zip(processes, pipes, strict=True):
            process.join(30)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()


def test_each_notice_is_sent_once_when_runners_race(
    provider: Provider, server: Mailbox, person: Person, rows: Rows
) -> None:
    for _ in range(SEVERAL):
        owe(provider, person.id)
    with runners(provider, server, 3) as (_, pipes):
        tried = [pipe.recv() if pipe.poll(60) else 0 for pipe in pipes]
    assert sum(tried) == len(server.received) == SEVERAL
    assert len({mail.message["Message-ID"] for mail in server.received}) == SEVERAL
    assert {(row.state, row.attempts) for row in rows()} == {("sent", 1)}


def test_nothing_is_lost_when_a_runner_is_killed_in_the_middle(
    provider: Provider, notices: Notices, server: Mailbox, person: Person, rows: Rows
) -> None:
    server.hold.clear()
    owe(provider, person.id)
    with runners(provider, server, 1) as ([process], _):
        server.wait_until_held()
        process.kill()
    [row] = rows()
    assert (row.state, row.attempts) == ("pending", 1)
    # Nobody else's while the lease runs.
    assert notices.run_due(NEVER) == 0
    server.hold.set()
    make_due(provider)
    assert notices.run_due(NEVER) == 1
    assert len(server.received) == 1
    assert [(row.state, row.attempts) for row in rows()] == [("sent", 2)]
    assert events_about(provider, person) == [("notify:notice:sent", "sent")]
