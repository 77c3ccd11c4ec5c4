"""Closing an account: asked for freshly signed in, kept with one click; on its day nothing of the person is left."""

import threading
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.account.closing.job import Closings
from idp.citizens import erasure, rights
from idp.citizens.closing import Closing
from idp.citizens.erasure import ClosedNumber
from idp.citizens.models import CitizenNumber, CitizenState, PasswordCredential
from idp.core import clock
from idp.core.database import Model, db
from idp.core.keyring import is_under_own_key
from idp.notify.models import OwedNotice
from idp.notify.notices import Notice
from idp.ops import housekeeping
from idp.sso.agreements import Agreement
from idp.sso.models import Consent, Disclosure, LogoutDelivery
from tests.browser import Browser
from tests.listener import listening, register
from tests.provider import Person, Provider
from tests.racers import Shot, racers_at
from tests.unit.account.entering import enter
from tests.unit.account.test_disowning import link_of
from tests.unit.account.test_lock import lasting
from tests.unit.account.test_sessions import is_in

PATH = "/account/close"


def ask(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    assert "closing-keep-form" in browser.submit("close-form").forms


def run(provider: Provider) -> int:
    return Closings(provider.services, provider.app.app_context).run_due(threading.Event())


def bring(provider: Provider, person: Person, **before: float) -> None:
    """Let the day of closing be as far away as `before` says, whatever time that takes."""
    day = clock.now() + timedelta(**before)
    provider.run(sa.update(Closing).where(Closing.citizen_id == person.id).values(closes_at=day, due_at=clock.now()))


def kinds(provider: Provider, person: Person) -> list[str]:
    return provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id))


def test_the_day_is_named_before_and_after_asking_and_the_account_works_until_then(
    provider: Provider, browser: Browser, person: Person
) -> None:
    day = (clock.now() + timedelta(days=15)).astimezone(clock.VIETNAM).strftime("%d/%m/%Y")
    page = enter(browser, person, PATH)
    assert day in page.ids["close-when"]
    assert "15" in page.ids["close-when"]
    page = browser.submit("close-form")
    assert page.path == PATH
    assert day in page.ids["closing-when"]
    assert day in browser.get("/account").text
    assert kinds(provider, person).count("closing-asked") == 1
    assert provider.portal().arrive(browser, person).get("code")
    assert run(provider) == 0


def test_one_click_keeps_the_account_until_the_day(provider: Provider, browser: Browser, person: Person) -> None:
    ask(browser, person)
    # Not only freshly signed in.
    provider.let_pass(person, minutes=9)
    assert browser.get("/account/keep").path == "/account"
    assert "space-keep-form" in browser.get("/account").forms
    page = browser.submit("space-keep-form")
    assert page.path == "/account"
    assert "space-keep-form" not in page.forms
    assert provider.scalars(sa.select(Closing).where(Closing.citizen_id == person.id)) == []
    ask(browser, person)
    browser.submit("closing-keep-form")
    assert "close-form" in browser.get(PATH).forms
    bring(provider, person)
    run(provider)
    assert person.row().state is CitizenState.ACTIVE


def test_a_notice_comes_once_three_days_before(provider: Provider, browser: Browser, person: Person) -> None:
    ask(browser, person)
    bring(provider, person, days=2.9)
    run(provider)
    run(provider)
    assert kinds(provider, person).count("closing-soon") == 1
    assert person.row().state is CitizenState.ACTIVE


def test_who_disowns_the_notice_keeps_the_account(provider: Provider, browser: Browser, person: Person) -> None:
    ask(browser, person)
    reader = provider.browser()
    reader.get(link_of(provider, person, Notice.CLOSING_ASKED))
    reader.submit("not-me-form")
    assert provider.scalars(sa.select(Closing).where(Closing.citizen_id == person.id)) == []
    assert not is_in(browser)


def test_asking_needs_a_fresh_sign_in_and_its_own_form(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    action, fields = browser.form("close-form")
    assert browser.post(action, {"decision": "close"}).error_code == "ID-008"
    assert browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"}).error_code == "ID-008"
    assert "close-form" in browser.post(action, {**fields, "decision": "x"}).forms
    stale = provider.browser()
    provider.portal().arrive(stale, person)
    assert "space-signin-form" in stale.get(PATH).forms
    assert provider.scalars(sa.select(Closing).where(Closing.citizen_id == person.id)) == []


def test_two_clicks_are_one_wish(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    action, fields = browser.form("close-form")
    with racers_at(provider, processes=2) as racers:
        hits = racers.race(Shot("POST", action, {"data": fields}, browser.cookies()))
    assert [hit.status for hit in hits] == [303, 303]
    assert kinds(provider, person).count("closing-asked") == 1


def test_on_the_day_nothing_of_the_person_is_left_and_what_happened_stays(
    provider: Provider, browser: Browser, person: Person
) -> None:
    with listening() as listener:
        portal = provider.portal(**lasting(provider))
        register(portal, backchannel_logout_uri=f"{listener.url}/logout")
        tokens = portal.tokens(portal.arrive(browser, person, scope="openid offline_access"))
        ask(browser, person)
        bring(provider, person)
        assert run(provider) == 1
    row = person.row()
    assert (row.state, row.profile, row.locale, row.data_key) == (CitizenState.CLOSED, "", None, "")
    assert not is_in(browser)
    assert portal.refresh(tokens["refresh_token"]).status_code == 400
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    for model in (CitizenNumber, PasswordCredential, Consent, OwedNotice):
        assert provider.scalars(sa.select(model).where(model.citizen_id == person.id)) == [], model
    for model in (Disclosure, Agreement, LogoutDelivery, ClosedNumber):
        assert provider.scalars(sa.select(model).where(model.citizen_id == person.id)) != [], model
    # As unknown as a number that never was here.
    page = provider.browser()
    page.get(portal.address())
    shown = page.submit("login-form", number=person.number, password=person.password)
    assert "login-form" in shown.forms
    assert run(provider) == 0


def test_own_words_go_with_the_person_and_an_answer_comes_too_late(
    provider: Provider, browser: Browser, person: Person
) -> None:
    enter(browser, person, "/account/rights/objection")
    browser.submit("rights-form", words="Xin đừng dùng số điện thoại của tôi")
    of_person = sa.select(rights.RightsRequest).where(rights.RightsRequest.citizen_id == person.id)
    [asked] = provider.scalars(of_person)
    assert is_under_own_key(asked.words)
    ask(browser, person)
    bring(provider, person)
    run(provider)
    with provider.app.app_context():
        said = rights.answer(
            asked.reference, rights.State.REFUSED, "Tài khoản đã đóng", keyring=provider.services.keyring
        )
        db.session.commit()
        assert asked.reference not in [each.reference for each in rights.unanswered(keyring=provider.services.keyring)]
    [row] = provider.scalars(of_person)
    assert (said, row.words, row.answer) == (True, "", None)
    assert provider.scalars(sa.select(OwedNotice).where(OwedNotice.citizen_id == person.id)) == []


def test_one_account_that_cannot_be_closed_keeps_no_other_waiting(
    provider: Provider, browser: Browser, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, theirs = provider.citizen(), provider.browser()
    for each, their in ((person, browser), (other, theirs)):
        ask(their, each)
        bring(provider, each)
    erase = erasure.erase

    def broken(citizen_id: UUID, *, now: datetime) -> None:
        if citizen_id == person.id:
            raise ValueError
        erase(citizen_id, now=now)

    monkeypatch.setattr(erasure, "erase", broken)
    run(provider)
    assert (person.row().state, other.row().state) == (CitizenState.ACTIVE, CitizenState.CLOSED)
    monkeypatch.undo()
    # Not again at each look, but before long.
    assert run(provider) == 0
    provider.run(sa.update(Closing).where(Closing.citizen_id == person.id).values(due_at=clock.now()))
    assert run(provider) == 1
    assert person.row().state is CitizenState.CLOSED


def test_the_same_person_enrols_again_as_somebody_new(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal()
    before = portal.sign_in(browser, person)
    ask(browser, person)
    bring(provider, person)
    run(provider)
    again = provider.citizen(number=person.number)
    assert again.id != person.id
    assert portal.sign_in(provider.browser(), again)["sub"] != before["sub"]
    # And may go again.
    other = provider.browser()
    ask(other, again)
    bring(provider, again)
    assert run(provider) == 1
    indexes = provider.scalars(
        sa.select(ClosedNumber.number_index).where(ClosedNumber.citizen_id.in_([person.id, again.id]))
    )
    assert len(indexes) == 2
    assert len(set(indexes)) == 1


def test_the_history_goes_when_its_time_is_over(provider: Provider, browser: Browser, person: Person) -> None:
    provider.portal().arrive(browser, person)
    ask(browser, person)
    bring(provider, person)
    run(provider)
    due = provider.scalars(sa.select(Closing.due_at).where(Closing.citizen_id == person.id))[0]
    assert due - clock.now() > timedelta(days=1_800)
    provider.run(sa.update(Closing).where(Closing.citizen_id == person.id).values(due_at=clock.now()))
    run(provider)
    for model in (Disclosure, Agreement, ClosedNumber):
        assert provider.scalars(sa.select(model).where(model.citizen_id == person.id)) == [], model
    assert person.row().state is CitizenState.CLOSED


def test_every_table_about_a_citizen_is_erased_or_kept_for_a_reason() -> None:
    assert housekeeping.ROOMS
    about = {name for name, table in Model.metadata.tables.items() if "citizen_id" in table.c}
    assert set(erasure.KEPT) <= about | {"citizen"}
    assert set(erasure.HISTORY) <= set(erasure.KEPT)
    # Each needs an index, or erasing reads it from end to end; of what lives for minutes little is there.
    for name in about - set(erasure.KEPT) - {"contact_proof", "counter_pairing", "password_reset"}:
        table = Model.metadata.tables[name]
        leading = {next(iter(index.columns)).name for index in table.indexes}
        leading.add(next(iter(table.primary_key.columns)).name)
        assert "citizen_id" in leading, name


@pytest.mark.parametrize("state", [CitizenState.DISABLED, CitizenState.LOCKED])
def test_an_account_that_is_locked_meanwhile_is_closed_on_its_day(
    provider: Provider, browser: Browser, person: Person, state: CitizenState
) -> None:
    ask(browser, person)
    person.set(state=state)
    bring(provider, person)
    run(provider)
    assert person.row().state is CitizenState.CLOSED
