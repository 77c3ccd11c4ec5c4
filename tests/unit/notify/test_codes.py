"""Codes and notices on their way: to an address of no account, by mail or text message, at once or not at all."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens import contact_proofs
from idp.citizens.contact_proofs import Channel, Purpose
from idp.citizens.models import Citizen
from idp.core import clock, runner
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.settings import Settings, SettingsRefused
from idp.notify import notices as outbox
from idp.notify import sms
from idp.notify.deliveries import senders_of
from idp.notify.models import OwedNotice
from idp.notify.notices import Former, Notice
from tests.codes import messages
from tests.gateway import Gateway, gateway
from tests.mailbox import Mailbox
from tests.provider import Provider
from tests.services import free_port
from tests.unit.notify.conftest import SENDER, notices_of
from tests.unit.oidc.test_secrets_hygiene import everything_logged

NEVER = threading.Event()
MAIL, PHONE = "hoa@thu.example", "+84912345678"
Rows = Callable[[], list[OwedNotice]]

pytestmark = pytest.mark.usefixtures("_empty_outbox")


@pytest.fixture
def texts() -> Iterator[Gateway]:
    with gateway() as opened:
        yield opened


def ask(provider: Provider, channel: Channel = Channel.MAIL, target: str = MAIL, **changes: Any) -> None:
    values = {"language": "vi", "address": "192.0.2.7", "keyring": provider.services.keyring, **changes}
    with provider.app.app_context():
        begun = contact_proofs.begin(new_id(), Purpose.ENROL, channel, target, **values)
    assert begun == contact_proofs.Begun(10)


@pytest.fixture(autouse=True)
def _forget_throttles(provider: Provider) -> None:
    provider.run(sa.text("DELETE FROM credential_throttle"))


def test_code_goes_by_mail_to_an_address_of_no_account(provider: Provider, server: Mailbox, rows: Rows) -> None:
    ask(provider, agency={"vi": "Cục Thuế", "en": "Tax Office"}, language="en")
    assert notices_of(provider, mail_server=server.url).run_due(NEVER) == 0
    assert notices_of(provider, mail_server=server.url, are_codes=True).run_due(NEVER) == 1
    [mail] = server.received
    assert mail.recipients == [MAIL]
    assert re.search(r"\d", str(mail.message["Subject"])) is None
    assert re.match(r"\d{6} is your LienKet code\.", mail.body())
    assert "Tax Office" in mail.body()
    [row] = rows()
    assert (row.state, row.channel, row.language, row.recipient, row.facts) == ("sent", "mail", "en", None, "")


def test_code_goes_by_text_message_and_each_is_on_record(provider: Provider, texts: Gateway, rows: Rows) -> None:
    (provider.settings.secrets_dir / sms.TOKEN).write_text("tin-nhan-bi-mat\n")
    citizen_id = new_id()
    ask(provider, Channel.SMS, "0912 345 678", citizen_id=citizen_id)
    runner_of = notices_of(provider, sms_url=texts.url, sms_sender="LIENKET", are_codes=True)
    assert runner_of.run_due(NEVER) == 1
    [message] = texts.received
    [row] = rows()
    assert message.authorization == "Bearer tin-nhan-bi-mat"
    text = message.document.pop("text")
    assert message.document == {"id": row.id.hex, "from": "LIENKET", "to": PHONE}
    assert re.match(r"\d{6} là mã xác thực LienKet của bạn\.", text)
    assert "Cán bộ không bao giờ hỏi mã này." in text
    sent = sa.select(AuditEvent.name).where(AuditEvent.citizen_id == citizen_id).order_by(AuditEvent.id)
    assert provider.scalars(sent) == ["citizens:proof:sent", "notify:sms:sent"]


def test_code_that_is_over_is_dropped(provider: Provider, server: Mailbox, rows: Rows) -> None:
    ask(provider)
    provider.run(sa.update(OwedNotice).values(stale_at=clock.now() - timedelta(seconds=1)))
    assert notices_of(provider, mail_server=server.url, are_codes=True).run_due(NEVER) == 1
    assert server.received == []
    assert [(row.state, row.outcome, row.facts) for row in rows()] == [("given up", "out of time", "")]


def test_code_is_tried_again_soon(provider: Provider, rows: Rows) -> None:
    ask(provider)
    down = notices_of(provider, mail_server=f"smtp://127.0.0.1:{free_port()}", are_codes=True)
    before = clock.now()
    assert down.run_due(NEVER) == 1
    [row] = rows()
    assert (row.state, row.outcome) == ("pending", "connect")
    assert row.due_at is not None
    assert row.due_at - before < timedelta(seconds=3)
    assert row.recipient is not None


@pytest.mark.parametrize(("status", "state"), [(422, "not sent"), (401, "pending"), (503, "pending"), (302, "pending")])
def test_refusal_of_the_gateway_is_final_only_when_the_message_is_the_trouble(
    provider: Provider, texts: Gateway, rows: Rows, status: int, state: str
) -> None:
    texts.status = status
    ask(provider, Channel.SMS, PHONE)
    notices_of(provider, sms_url=texts.url, sms_sender="LIENKET", are_codes=True).run_due(NEVER)
    [row] = rows()
    assert row.state == state
    assert row.outcome == ("redirect" if status == 302 else f"status {status}")


def test_code_leaves_within_a_second_although_notices_are_stuck(
    provider: Provider, server: Mailbox, texts: Gateway
) -> None:
    chosen = {"mail_server": server.url, "sms_url": texts.url, "sms_sender": "LIENKET"}
    person = provider.citizen(email=MAIL, email_verified=True)
    with runner.running([notices_of(provider, **chosen), notices_of(provider, are_codes=True, **chosen)]):
        server.hold.clear()
        with provider.app.app_context():
            outbox.owe(person.id, Notice.NEW_DEVICE, keyring=provider.services.keyring, device="")
            db.session.commit()
        server.wait_until_held()
        # Deep in its pause.
        time.sleep(0.3)
        begun = time.monotonic()
        ask(provider, Channel.SMS, PHONE)
        texts.wait_for(1)
        assert time.monotonic() - begun < 1
        server.hold.set()


def owe(provider: Provider, citizen_id: UUID, kind: Notice, **more: Any) -> None:
    with provider.app.app_context():
        outbox.owe(citizen_id, kind, keyring=provider.services.keyring, **more)
        db.session.commit()


@pytest.mark.parametrize(
    ("kind", "by_sms", "expected"),
    [
        (Notice.NEW_AGENCY, False, {"mail"}),
        (Notice.NEW_AGENCY, True, {"sms"}),
        (Notice.PASSWORD_CHANGED, False, {"mail", "sms"}),
    ],
)
def test_notice_goes_where_it_should(
    provider: Provider, server: Mailbox, texts: Gateway, rows: Rows, kind: Notice, *, by_sms: bool, expected: set[str]
) -> None:
    person = provider.citizen(email=MAIL, email_verified=True, phone_number=PHONE, phone_number_verified=True)
    provider.run(sa.update(Citizen).where(Citizen.id == person.id).values(notices_by_sms=by_sms))
    owe(provider, person.id, kind, agency={"vi": "Cục Thuế"})
    runner_of = notices_of(provider, mail_server=server.url, sms_url=texts.url, sms_sender="LIENKET")
    assert runner_of.run_due(NEVER) == len(expected)
    assert {mail.recipients[0] for mail in server.received} == ({MAIL} if "mail" in expected else set())
    assert {text.document["to"] for text in texts.received} == ({PHONE} if "sms" in expected else set())
    assert {(row.state, row.channel) for row in rows()} == {("sent", channel) for channel in expected}
    for message in texts.received:
        assert "http" not in message.document["text"]


def test_notice_goes_by_mail_where_there_is_no_gateway(provider: Provider, server: Mailbox, rows: Rows) -> None:
    person = provider.citizen(email=MAIL, email_verified=True, phone_number=PHONE, phone_number_verified=True)
    owe(provider, person.id, Notice.PASSWORD_CHANGED)
    assert notices_of(provider, mail_server=server.url).run_due(NEVER) == 1
    assert [(row.state, row.channel) for row in rows()] == [("sent", "mail")]


def test_notice_to_a_former_address_goes_there_alone(provider: Provider, server: Mailbox, rows: Rows) -> None:
    person = provider.citizen(email=MAIL, email_verified=True)
    owe(provider, person.id, Notice.CONTACT_CHANGED, to=Former(Channel.MAIL, "cu@thu.example", "fr"))
    [row] = rows()
    assert "cu@" not in (row.recipient or "")
    assert notices_of(provider, mail_server=server.url).run_due(NEVER) == 1
    [mail] = server.received
    assert (mail.recipients, mail.message["Content-Language"]) == (["cu@thu.example"], "fr")


def test_former_address_can_disown_its_going(provider: Provider, server: Mailbox) -> None:
    """The one mail that whoever took the account over cannot read: its link is the way back."""
    person = provider.citizen()
    owe(provider, person.id, Notice.CONTACT_CHANGED, to=Former(Channel.MAIL, "cu@thu.example", "fr"))
    notices_of(provider, mail_server=server.url).run_due(NEVER)
    [mail] = server.received
    link = re.search(r"/not-me/[A-Za-z0-9_-]{64}", mail.body())
    assert link is not None
    browser = provider.browser()
    assert "not-me-form" in browser.get(link.group()).forms
    assert "disown-reference" in browser.submit("not-me-form").ids


def test_text_messages_become_files_in_the_sandbox(provider: Provider, tmp_path: Path) -> None:
    ask(provider, Channel.SMS, PHONE)
    notices_of(provider, mail_folder=tmp_path / "thư", are_codes=True).run_due(NEVER)
    [file] = (tmp_path / "thư").iterdir()
    assert file.suffix == ".txt"
    assert file.read_text("utf-8").startswith(f"{PHONE}\n\n")


def test_gateway_is_refused_when_it_is_not_safe(tmp_path: Path) -> None:
    for change, words in (
        ({"sms_url": "http://sms.example/"}, "https"),
        ({"sms_url": "https://user@sms.example/"}, "user name"),
        ({"sms_url": "https://sms.example/", "sms_sender": " "}, "sms_sender"),
    ):
        with pytest.raises(ValueError, match=words):
            Settings(**{"sms_sender": "LIENKET", **change})
    production = {"profile": "production", "issuer": "https://id.example", "secrets_dir": tmp_path, "mail_from": SENDER}
    chosen = Settings(sms_url="https://sms.example/", sms_sender="LIENKET", **production)
    (tmp_path / sms.TOKEN).write_text("token\n")
    (tmp_path / sms.TOKEN).chmod(0o644)
    with pytest.raises(SettingsRefused, match="chmod 600"):
        senders_of(chosen)
    (tmp_path / sms.TOKEN).chmod(0o600)
    assert set(senders_of(chosen)) == {Channel.SMS}


def test_no_code_address_or_token_is_logged(
    provider: Provider, server: Mailbox, texts: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    (provider.settings.secrets_dir / sms.TOKEN).write_text("canary-token\n")
    ask(provider, Channel.SMS, PHONE)
    ask(provider)
    with provider.app.app_context():
        secrets = {part for message in messages(provider.services.keyring) for part in message[1:]}
    with everything_logged() as log:
        texts.status, server.refusal = 500, f"451 4.7.1 {MAIL} come again"
        chosen = {"mail_server": server.url, "sms_url": texts.url, "sms_sender": "LIENKET", "are_codes": True}
        notices_of(provider, **chosen).run_due(NEVER)
        browser = provider.browser()
        page = browser.get(provider.portal().address())
        browser.get(f"/signin/{page.handle}/forgotten")
        browser.submit("forgotten-form", number="979191000999")
        browser.submit("code-form", code="135791")
        written = log.getvalue() + capsys.readouterr().err
    # The mail server of the test logs in this process too.
    text = "\n".join(line for line in written.splitlines() if '"mail.log"' not in line)
    assert text.count("notice not sent") == 2
    for secret in secrets | {"canary-token", MAIL, PHONE, "979191000999", "135791"}:
        assert secret not in text
