"""The password in the own space: judged, kept, told, and the end of every other session."""

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.models import PasswordCredential
from idp.core import clock
from idp.notify.models import OwedNotice
from tests.browser import Browser
from tests.provider import Person, Provider
from tests.unit.account.entering import enter

PATH = "/account/password"
NEW = "mưa rào trên mái ngói cũ"


def test_new_password_signs_in_and_the_old_one_does_not(provider: Provider, browser: Browser, person: Person) -> None:
    elsewhere = provider.browser()
    enter(elsewhere, person)
    enter(browser, person, PATH)
    page = browser.submit("password-form", password=NEW, again=NEW)
    assert page.path == f"{PATH}?done=changed"
    assert "password-done" in page.ids
    assert "space-signout" in browser.get("/account").ids
    assert "space-signin-form" in elsewhere.get("/account").forms
    elsewhere.submit("space-signin-form")
    assert elsewhere.submit("login-form", number=person.number, password=person.password).status == 400
    assert elsewhere.submit("login-form", number=person.number, password=NEW).path == "/account"
    owed = sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id, OwedNotice.kind == "password-changed")
    assert provider.scalars(owed) == ["password-changed"]
    names = sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id)
    assert "citizens:password:set" in provider.scalars(names)


@pytest.mark.parametrize(
    ("typed", "again", "where"),
    [
        ("", "", "password"),
        ("ngắn", "ngắn", "password"),
        ("matkhau123456789", "matkhau123456789", "password"),
        ("Nguyễn Thị Hoà 1991", "Nguyễn Thị Hoà 1991", "password"),
        ("z" + "kLw9#vQp" * 16, "", "password"),
        (NEW, "mưa rào trên mái ngói mới", "again"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_nothing_changes(
    browser: Browser, person: Person, typed: str, again: str, where: str
) -> None:
    enter(browser, person, PATH)
    page = browser.submit("password-form", password=typed, again=again)
    assert (page.status, f"{where}-error" in page.ids) == (400, True)
    assert typed == "" or typed not in page.html
    browser.get("/account")
    again_later = person.provider.browser()
    enter(again_later, person)


def test_length_is_that_of_the_account(provider: Provider, browser: Browser, person: Person) -> None:
    short = "kLw9#vQp2x"
    enter(browser, person, PATH)
    assert browser.submit("password-form", password=short, again=short).path == f"{PATH}?done=changed"
    alone, other = provider.citizen(totp=False), provider.browser()
    enter(other, alone, PATH)
    assert other.submit("password-form", password=short, again=short).status == 400


def test_password_may_be_typed_in_either_form_of_unicode(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    apart = "mu\u031ba ra\u0300o tre\u0302n ma\u0301i ngo\u0301i cu\u0303"
    assert browser.submit("password-form", password=NEW, again=apart).path == f"{PATH}?done=changed"


def test_disabled_password_works_again(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    mine = PasswordCredential.citizen_id == person.id
    provider.run(sa.update(PasswordCredential).where(mine).values(disabled_at=clock.now(), failures=100))
    browser.submit("password-form", password=NEW, again=NEW)
    [row] = provider.scalars(sa.select(PasswordCredential).where(mine))
    assert (row.disabled_at, row.failures) == (None, 0)
