"""The lock: whoever puts it on is out everywhere, nobody gets in, and nobody learns of it before the right password."""

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.citizens.models import CitizenState
from idp.notify.models import OwedNotice
from idp.sso.models import LogoutDelivery
from tests.browser import Browser
from tests.listener import listening, register
from tests.provider import Person, Provider
from tests.unit.account.entering import enter
from tests.unit.account.test_sessions import is_in

PATH = "/account/lock"


def lasting(provider: Provider) -> dict[str, object]:
    return {"scope": "openid offline_access", "grant_types": ["authorization_code", "refresh_token"]}


def test_locking_ends_sessions_and_lasting_access_and_tells_agencies_and_the_citizen(
    provider: Provider, browser: Browser, person: Person
) -> None:
    with listening() as listener:
        portal = provider.portal(**lasting(provider))
        register(portal, backchannel_logout_uri=f"{listener.url}/logout")
        other = provider.browser()
        tokens = portal.tokens(portal.arrive(other, person, scope="openid offline_access"))
        page = enter(browser, person, PATH)
        assert "lock-submit" in page.ids
        page = browser.submit("lock-form")
        assert page.path == f"{PATH}/done"
        assert "locked" in page.ids
        assert len(listener.received) == 1
    assert person.row().state is CitizenState.LOCKED
    assert not is_in(browser)
    assert not is_in(other)
    assert portal.refresh(tokens["refresh_token"]).status_code == 400
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    owed = provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id))
    assert owed.count("account-locked") == 1
    events = provider.scalars(
        sa.select(AuditEvent.outcome).where(
            AuditEvent.citizen_id == person.id, AuditEvent.name == Event.CITIZEN_LOCKED.value
        )
    )
    assert events == ["done"]
    assert provider.scalars(sa.select(LogoutDelivery.state).where(LogoutDelivery.citizen_id == person.id)) == [
        "confirmed"
    ]


def test_a_locked_account_is_told_only_to_whoever_knows_the_password(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal()
    person.set(state=CitizenState.LOCKED)
    stranger = provider.citizen()
    page = browser.get(portal.address(ui_locales="en"))
    wrong = browser.submit("login-form", number=person.number, password="wrong password")
    browser.get(portal.address(ui_locales="en"))
    usual = browser.submit("login-form", number=stranger.number, password="wrong password")
    assert wrong.text.replace(person.number, "") == usual.text.replace(stranger.number, "")
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.error_code == "ID-021"
    assert "one-stop desk" in page.text
    # The way back to the portal says no, and no session is left.
    page = browser.submit("cancel")
    assert page.left_for is not None
    assert "error=access_denied" in page.left_for
    assert not is_in(browser)


def test_a_lock_needs_its_own_form_and_two_clicks_make_one(
    provider: Provider, browser: Browser, person: Person
) -> None:
    enter(browser, person, PATH)
    action, fields = browser.form("lock-form")
    assert browser.post(action, {}).error_code == "ID-008"
    assert browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"}).error_code == "ID-008"
    assert person.row().state is CitizenState.ACTIVE
    cookies = browser.cookies()
    browser.post(action, fields)
    browser.put(cookies)
    assert "space-signin-form" in browser.post(action, fields).forms
    owed = provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id))
    assert owed.count("account-locked") == 1


def test_the_page_after_the_lock_leads_home_whoever_is_signed_in(browser: Browser, person: Person) -> None:
    assert "locked" in browser.get(f"{PATH}/done").ids
    enter(browser, person)
    assert browser.get(f"{PATH}/done").path == PATH
