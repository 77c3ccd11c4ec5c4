"""The citizen's own language: kept in the account, used where nothing else was chosen."""

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from tests.browser import Browser
from tests.provider import Person, Provider
from tests.unit.account.entering import enter

PATH = "/account/language"


def shown_in(html: str) -> str:
    return html.partition('<html lang="')[2][:2]


def test_chosen_language_is_kept_and_used_at_once(browser: Browser, person: Person) -> None:
    assert shown_in(enter(browser, person, PATH).html) == "vi"
    page = browser.submit("language-form-fr")
    assert shown_in(page.html) == "fr"
    assert "language-form-fr" not in page.forms
    assert person.row().locale == "fr"


def test_own_language_is_used_on_another_device_where_nothing_was_chosen(
    provider: Provider, browser: Browser, person: Person
) -> None:
    enter(browser, person, PATH)
    browser.submit("language-form-fr")
    elsewhere = provider.browser()
    assert shown_in(enter(elsewhere, person).html) == "fr"
    portal = provider.portal(scope="openid name")
    assert shown_in(elsewhere.get(portal.address(scope="openid name")).html) == "fr"
    # What the portal asks for, and what was chosen on the page, go first.
    assert shown_in(elsewhere.get(portal.address(scope="openid name", ui_locales="en")).html) == "en"
    assert shown_in(elsewhere.get("/account?lang=vi").html) == "vi"
    assert shown_in(elsewhere.get("/account").html) == "vi"


def test_agency_that_may_have_it_receives_the_language_chosen(
    provider: Provider, browser: Browser, person: Person
) -> None:
    enter(browser, person, PATH)
    browser.submit("language-form-en")
    portal = provider.portal(scope="openid profile")
    tokens = portal.tokens(portal.arrive(browser, scope="openid profile"))
    claims = portal.userinfo(tokens["access_token"]).get_json()
    assert claims["locale"] == "en"
    assert claims["name"] == person.full_name


def test_change_is_on_record_once(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    action, fields = browser.form("language-form-en")
    for _ in range(2):
        browser.post(action, fields)
    name = Event.CITIZEN_UPDATED.value
    chosen = sa.select(AuditEvent.detail).where(AuditEvent.citizen_id == person.id, AuditEvent.name == name)
    assert provider.scalars(chosen) == [{"language": "en"}]


def test_made_up_language_and_foreign_forms_change_nothing(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    action, fields = browser.form("language-form-en")
    before = person.row().locale
    assert browser.post(action, {**fields, "language": "xx"}).path == PATH
    assert browser.post(action, {"language": "en"}).error_code == "ID-008"
    assert browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"}).error_code == "ID-008"
    assert person.row().locale == before
