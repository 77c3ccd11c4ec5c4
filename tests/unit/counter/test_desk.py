"""Who may come to the desk: an officer, with a passkey, not long ago; to others there is nothing."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp.citizens import officers
from idp.core.database import db
from idp.core.ids import new_id
from idp.sso.models import SsoSession
from tests.browser import Browser
from tests.provider import Provider
from tests.unit.counter.desk import Clerk, show_code

PAGES = ("", "/card", "/second", "/mandate", "/mandate/end", "/help", "/history")


@pytest.mark.parametrize("page", PAGES)
def test_stranger_is_asked_to_sign_in_and_a_citizen_finds_nothing(
    provider: Provider, browser: Browser, page: str
) -> None:
    assert "counter-signin-form" in browser.get(f"/counter{page}").forms
    provider.portal().arrive(browser, provider.citizen())
    answer = browser.get(f"/counter{page}")
    assert (answer.status, answer.error_code) == (404, "OP-003")


def test_officer_works_with_a_passkey_and_not_with_password_and_code(clerk: Clerk) -> None:
    browser = clerk.browser
    browser.get("/counter")
    browser.submit("counter-signin-form")
    page = browser.submit("login-form", number=clerk.person.number, password=clerk.person.password)
    page = browser.submit("totp-form", code=clerk.person.code())
    # Signed in, and asked for the key all the same.
    assert page.step == "code"
    assert browser.get("/account").status == 200
    assert "counter-signin-form" in browser.get("/counter").forms
    page = clerk.sign_in()
    assert "counter-card" in page.ids
    assert {browser.get(f"/counter{each}").status for each in PAGES} == {200}


def test_key_that_only_an_identity_provider_vouches_for_opens_no_desk(provider: Provider, clerk: Clerk) -> None:
    clerk.sign_in()
    mine = sa.update(SsoSession).where(SsoSession.id == provider.session_of(clerk.person).id)
    provider.run(mine.values(provider_id=new_id(), provider_level=3, provider_amr="hwk", own_amr=""))
    assert "counter-signin-form" in clerk.browser.get("/counter").forms
    assert clerk.browser.get("/account").status == 200


def test_desk_left_open_closes_after_its_time(provider: Provider, clerk: Clerk) -> None:
    clerk.sign_in()
    signed_in = provider.session_of(clerk.person)
    mine = sa.update(SsoSession).where(SsoSession.id == signed_in.id)
    provider.run(mine.values(authenticated_at=signed_in.authenticated_at - timedelta(minutes=16)))
    assert "counter-signin-form" in clerk.browser.get("/counter/card").forms
    assert clerk.browser.get("/account").status == 200


def test_officer_whose_work_ended_finds_nothing_at_the_next_click(provider: Provider, clerk: Clerk) -> None:
    clerk.sign_in("/counter/card")
    with provider.app.app_context():
        assert officers.end(clerk.person.id) is not None
        db.session.commit()
    assert clerk.submit("card-form", number="1").error_code == "OP-003"
    assert clerk.browser.get("/counter").error_code == "OP-003"


def test_form_of_another_page_or_site_is_refused(clerk: Clerk) -> None:
    clerk.sign_in("/counter/card")
    action, fields = clerk.browser.form("card-form")
    assert clerk.browser.post("/counter/second", {"csrf": fields["csrf"]}).error_code == "ID-008"
    clerk.browser.get("/counter/card")
    refused = clerk.browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.error_code == "ID-008"


def test_codes_typed_by_one_officer_are_counted(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    person = provider.citizen()
    code = show_code(browser, provider.portal())
    for _ in range(30):
        assert clerk.see(person, "BCDF-GHJK").status == 400
    page = clerk.see(person, code)
    assert page.status == 400
    assert "Quá nhiều lần thử" in page.text
