"""Making an account while the register is another house: each of its answers, and its silences."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens import verification
from idp.citizens.applicants.models import WaitingEnrolment
from idp.citizens.applicants.waiting import PAUSES, WaitingEnrolments
from idp.citizens.birthdate import BirthDate
from idp.citizens.registry.breaker import Breaker
from idp.citizens.registry.http import HttpRegistry
from idp.cli import db as schema
from idp.core import clock, runner
from idp.core.keyring import SealBroken
from idp.notify.models import OwedNotice
from idp.ops import housekeeping
from idp.sandbox.register import Entry, Register, Says
from tests.applicant import NAME, Applicant, account_of, code_sent, new_number
from tests.provider import Answer, Portal, Provider, provider_at
from tests.register import Simulator, simulated

BIRTH = BirthDate(1991, 2, 28)
SILENCES = [Says.CODE_004, Says.CODE_005, Says.MALFORMED, Says.DOWN, Says.SLOW]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with simulated(Register()) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def provider(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, simulator: Simulator
) -> Iterator[Provider]:
    directory: Path = tmp_path_factory.mktemp("provider")
    cluster = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    name = cluster.create() if cluster else ""
    url = cluster.url(name) if cluster else f"sqlite:///{directory / 'lienket.sqlite3'}"
    schema.upgrade(url)
    mail = {"mail_folder": directory / "mail", "mail_from": "LienKet <no-reply@lienket.example>"}
    with provider_at(url, directory / "secrets", registry="http", registry_url=simulator.url, **mail) as made:
        yield made
    if cluster:
        cluster.drop(name)


@pytest.fixture(autouse=True)
def well(provider: Provider, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with a register in good health that nobody has been disappointed by, and that is not waited for long."""
    simulator.register.mood = None
    adapter = provider.services.registry
    assert isinstance(adapter, HttpRegistry)
    monkeypatch.setattr(adapter, "_breaker", Breaker())
    monkeypatch.setattr(verification, "DEADLINE_SECONDS", 0.5)


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid name birthdate idnum")


def applicant_about_whom(
    provider: Provider, simulator: Simulator, says: Says, *, replaced_by: str | None = None, name: str = NAME
) -> Applicant:
    """Return an applicant about whom the register says this."""
    made = Applicant(provider, full_name=name)
    simulator.register.know(Entry(made.number, name, BIRTH, says=says, replaced_by=replaced_by))
    return made


def enrolments(provider: Provider) -> WaitingEnrolments:
    """Return the runner of this application."""
    [found] = [each for each in provider.app.extensions[runner.EXTENSION] if each.name == "enrolments"]
    assert isinstance(found, WaitingEnrolments)
    return found


def ask_again(provider: Provider) -> int:
    """Let the pause of everybody who waits pass, and run what is due."""
    row = WaitingEnrolment
    provider.run(sa.update(row).where(row.due_at.is_not(None)).values(due_at=clock.now() - timedelta(seconds=1)))
    return enrolments(provider).run_due(threading.Event())


def wait(applicant: Applicant, portal: Portal) -> WaitingEnrolment:
    """Walk until the page that says to wait; return the row."""
    applicant.arrive(portal)
    page = applicant.declare()
    assert "register-silent" in page.ids
    assert applicant.prove().step == "waiting"
    [row] = applicant.provider.scalars(
        sa.select(WaitingEnrolment).where(WaitingEnrolment.reference == applicant.page.ids["waiting-reference"])
    )
    return row


@pytest.mark.parametrize("says", [Says.RECORD, Says.TEN_ONLY])
def test_check_g_a_record_makes_an_account_also_when_all_of_the_name_stands_in_one_part(
    provider: Provider, portal: Portal, simulator: Simulator, says: Says
) -> None:
    applicant = applicant_about_whom(provider, simulator, says, name="K'Brếu" if says is Says.TEN_ONLY else NAME)
    applicant.until_codes(portal)
    assert applicant.finish().step == "consent"


def test_check_g_and_h_every_other_answer_is_one_and_the_same_refusal(
    provider: Provider, portal: Portal, simulator: Simulator
) -> None:
    refusals = [Says.NONE, Says.EMPTY, Says.SEVERAL, Says.DIFFERS, Says.DECEASED, Says.LOCKED, Says.REPLACED]
    seen = set()
    for says in refusals:
        applicant = applicant_about_whom(provider, simulator, says)
        applicant.arrive(portal)
        page = applicant.declare()
        seen.add((page.status, page.text.replace(applicant.number, "")))
    assert len(seen) == 1
    assert seen.pop()[0] == 400


def test_check_g_a_replaced_number_is_asked_about_under_the_new_one(
    provider: Provider, portal: Portal, simulator: Simulator
) -> None:
    new = new_number()
    applicant = applicant_about_whom(provider, simulator, Says.REPLACED, replaced_by=new)
    simulator.register.know(Entry(new, NAME, BIRTH))
    asked = simulator.register.asked
    applicant.until_codes(portal)
    assert simulator.register.asked == asked + 2
    applicant.finish()
    assert account_of(provider, new) is not None


@pytest.mark.parametrize("says", SILENCES)
def test_check_g_a_silent_register_lets_the_applicant_wait_and_tells_how_it_goes_on(
    provider: Provider, portal: Portal, simulator: Simulator, says: Says
) -> None:
    applicant = applicant_about_whom(provider, simulator, says)
    row = wait(applicant, portal)
    page = applicant.page
    assert applicant.contact in page.text
    assert row.expires_at - row.created_at == timedelta(days=14)
    for secret in (applicant.number, "Hoà Bình", applicant.contact):
        assert secret not in row.applicant
    # No step beyond can be reached, and the way back to the agency is open.
    base = page.path.removesuffix("/waiting")
    for step in ("password", "second-factor", "codes"):
        assert applicant.browser.get(f"{base}/{step}").step == "waiting"
    left_for = applicant.browser.cancel().left_for
    assert left_for is not None
    assert Answer(left_for)["error"] == "access_denied"
    # Still silent: asked again later and later.
    pauses = []
    for _ in range(3):
        assert ask_again(provider) >= 1
        [row] = provider.scalars(sa.select(WaitingEnrolment).where(WaitingEnrolment.id == row.id))
        assert row.due_at is not None
        pauses.append(round((row.due_at - clock.now()).total_seconds(), -1))
    assert pauses == [float(pause) for pause in PAUSES[1:4]]
    assert applicant.account() is None
    provider.run(sa.delete(WaitingEnrolment))


def test_when_the_register_answers_a_neutral_word_goes_out_and_the_same_details_go_on(
    provider: Provider, portal: Portal, simulator: Simulator
) -> None:
    applicant = applicant_about_whom(provider, simulator, Says.DOWN)
    row = wait(applicant, portal)
    simulator.register.script(applicant.number, Says.RECORD)
    assert ask_again(provider) == 1
    assert ask_again(provider) == 0
    [notice] = provider.scalars(
        sa.select(OwedNotice).where(OwedNotice.kind == "enrolment-answered").order_by(OwedNotice.id.desc()).limit(1)
    )
    assert notice.citizen_id is None
    [event] = provider.scalars(
        sa.select(AuditEvent)
        .where(AuditEvent.name == "citizens:enrolment:answered")
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    assert event.detail["waiting"] == row.id.hex
    for deliveries in provider.app.extensions[runner.EXTENSION]:
        deliveries.run_due(threading.Event())
    mails = [mail.read_bytes() for mail in provider.settings.mail_folder.glob("*.eml")]
    [mail] = [mail for mail in mails if notice.id.hex.encode() in mail]
    for never in (applicant.number, "Hoà", "http", "www."):
        assert never.encode() not in mail
    # The register may be away again: its answer is kept.
    simulator.register.script(applicant.number, Says.DOWN)
    asked = simulator.register.asked
    again = Applicant(provider, applicant.number)
    again.until_codes(portal)
    assert simulator.register.asked == asked
    assert again.finish().step == "consent"
    assert provider.scalars(sa.select(WaitingEnrolment).where(WaitingEnrolment.id == row.id)) == []


def test_an_answer_that_is_no_match_is_told_by_the_same_word_and_refused_as_any(
    provider: Provider, portal: Portal, simulator: Simulator
) -> None:
    applicant = applicant_about_whom(provider, simulator, Says.DOWN)
    wait(applicant, portal)
    simulator.register.script(applicant.number, Says.DECEASED)
    assert ask_again(provider) == 1
    again = Applicant(provider, applicant.number)
    again.arrive(portal)
    page = again.declare()
    assert (page.status, "person-refused" in page.ids) == (400, True)


def test_an_answer_grows_old_and_another_spelling_is_another_question(
    provider: Provider, portal: Portal, simulator: Simulator
) -> None:
    applicant = applicant_about_whom(provider, simulator, Says.DOWN)
    row = wait(applicant, portal)
    simulator.register.script(applicant.number, Says.RECORD)
    ask_again(provider)
    again = Applicant(provider, applicant.number)
    again.arrive(portal)
    asked = simulator.register.asked
    assert again.declare(full_name="tran thi hoa binh").step == "contact"
    assert simulator.register.asked == asked + 1
    provider.age(WaitingEnrolment, WaitingEnrolment.id == row.id, days=2)
    simulator.register.script(applicant.number, Says.DECEASED)
    later = Applicant(provider, applicant.number)
    later.arrive(portal)
    assert later.declare().status == 400


def test_who_waited_too_long_is_forgotten(provider: Provider, portal: Portal, simulator: Simulator) -> None:
    row = wait(applicant_about_whom(provider, simulator, Says.DOWN), portal)
    provider.age(WaitingEnrolment, WaitingEnrolment.id == row.id, days=15)
    assert ask_again(provider) == 0
    with provider.app.app_context():
        assert housekeeping.delete_expired()["waiting_enrolment"] == 1


def test_an_existing_account_is_not_revealed_to_who_waits(
    provider: Provider, portal: Portal, simulator: Simulator
) -> None:
    first = applicant_about_whom(provider, simulator, Says.RECORD)
    first.until_codes(portal)
    first.finish()
    simulator.register.script(first.number, Says.DOWN)
    wait(Applicant(provider, first.number), portal)
    provider.run(sa.delete(WaitingEnrolment))


def test_two_workers_ask_once(provider: Provider, portal: Portal, simulator: Simulator) -> None:
    applicant = applicant_about_whom(provider, simulator, Says.DOWN)
    wait(applicant, portal)
    simulator.register.script(applicant.number, Says.RECORD)
    row = WaitingEnrolment
    provider.run(sa.update(row).where(row.due_at.is_not(None)).values(due_at=clock.now() - timedelta(seconds=1)))
    asked = simulator.register.asked
    threads = [threading.Thread(target=enrolments(provider).run_due, args=(threading.Event(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert simulator.register.asked == asked + 1


def test_a_mobile_number_is_a_contact_as_good_as_mail(provider: Provider, portal: Portal, simulator: Simulator) -> None:
    applicant = applicant_about_whom(provider, simulator, Says.RECORD)
    applicant.contact = "0300 000 777"
    applicant.arrive(portal)
    applicant.declare()
    page = applicant.ask_for_code()
    assert "0300 000 777" in page.text
    assert applicant.browser.submit("contact-code-form", code=code_sent(provider)).step == "password"
    applicant.choose_password()
    applicant.choose("later")
    applicant.finish()
    citizen = applicant.account()
    assert citizen is not None
    assert "+84300000777" not in json.dumps(citizen.profile)


def test_an_enrolment_waits_once_under_the_last_address_that_was_proven(
    provider: Provider, portal: Portal, simulator: Simulator
) -> None:
    applicant = applicant_about_whom(provider, simulator, Says.DOWN)
    first = wait(applicant, portal)
    applicant.browser.get(applicant.page.path.replace("waiting", "contact"))
    applicant.contact = f"hai.{applicant.contact}"
    assert applicant.prove().step == "waiting"
    rows = provider.scalars(sa.select(WaitingEnrolment.id).where(WaitingEnrolment.details_index == first.details_index))
    assert (len(rows), first.id in rows) == (1, False)


def test_a_row_that_cannot_be_read_holds_up_nobody(provider: Provider, portal: Portal, simulator: Simulator) -> None:
    broken = wait(applicant_about_whom(provider, simulator, Says.DOWN), portal)
    other = applicant_about_whom(provider, simulator, Says.DOWN)
    wait(other, portal)
    simulator.register.script(other.number, Says.RECORD)
    provider.run(sa.update(WaitingEnrolment).where(WaitingEnrolment.id == broken.id).values(applicant="x"))
    due = {broken.id: 2}
    for row in provider.scalars(sa.select(WaitingEnrolment.id).where(WaitingEnrolment.due_at.is_not(None))):
        late = clock.now() - timedelta(seconds=due.get(row, 1))
        provider.run(sa.update(WaitingEnrolment).where(WaitingEnrolment.id == row).values(due_at=late))
    with pytest.raises(SealBroken):
        enrolments(provider).run_due(threading.Event())
    assert enrolments(provider).run_due(threading.Event()) >= 1
    provider.run(sa.delete(WaitingEnrolment).where(WaitingEnrolment.id == broken.id))
