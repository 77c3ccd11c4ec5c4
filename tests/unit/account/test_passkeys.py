"""A citizen's passkeys: made, named and removed by whoever has just signed in with all the account has."""

import pytest
import sqlalchemy as sa

from idp.citizens.assurance import Proofing
from idp.citizens.models import Passkey, PasswordCredential
from idp.cli import db as schema
from idp.core import clock
from idp.notify.models import OwedNotice
from tests.authenticator import Authenticator, options_on
from tests.browser import Browser, Page
from tests.provider import Person, Provider, provider_at
from tests.unit.account.entering import enter

PATH = "/account/passkeys"


def add(browser: Browser, key: Authenticator, *, name: str = "Điện thoại") -> Page:
    page = browser.get(f"{PATH}/add")
    return browser.submit("passkey-form", passkey=key.create(options_on(page)), label=name)


def link(page: Page, end: str) -> str:
    [found] = [each for each in page.links if each.startswith(PATH) and each.endswith(end)]
    return found


def test_passkey_is_added_and_signs_in(provider: Provider, browser: Browser, person: Person) -> None:
    key = Authenticator()
    assert "passkeys-none" in enter(browser, person, PATH).ids
    page = add(browser, key)
    assert page.path == f"{PATH}?done=added"
    assert {"passkeys-done", "passkey-1"} <= set(page.ids)
    assert "Điện thoại" in page.text
    other = provider.browser()
    page = other.get(provider.portal().address())
    page = other.submit("passkey-form", passkey=key.get(options_on(page)))
    assert page.step == "consent"


@pytest.mark.parametrize("name", ["", "x" * 41, "\u200b\u202e"])
def test_passkey_is_kept_under_a_name_of_ours_when_its_own_cannot_be(
    browser: Browser, person: Person, name: str
) -> None:
    enter(browser, person, PATH)
    assert "Khóa truy cập" in add(browser, Authenticator(), name=name).ids["passkey-1"]


def test_page_comes_back_with_a_new_challenge_when_the_passkey_is_wrong(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    page = browser.get(f"{PATH}/add")
    asked = options_on(page)
    page = browser.submit("passkey-form", passkey=Authenticator().create(asked, origin="https://evil.example"))
    assert (page.status, "error-summary" in page.ids) == (400, True)
    # Spent, although it was refused.
    page = browser.submit("passkey-form", passkey=Authenticator().create(asked))
    assert page.status == 400
    page = browser.submit("passkey-form", passkey=Authenticator().create(options_on(page)))
    assert page.path == f"{PATH}?done=added"


def test_answer_of_another_session_is_refused(provider: Provider, browser: Browser, person: Person) -> None:
    """MF-06: a ceremony begun by one citizen is not finished by another."""
    thief, theirs = provider.citizen(), provider.browser()
    enter(theirs, thief, PATH)
    asked = options_on(theirs.get(f"{PATH}/add"))
    enter(browser, person, PATH)
    browser.get(f"{PATH}/add")
    page = browser.submit("passkey-form", passkey=Authenticator().create(asked))
    assert page.status == 400
    assert provider.scalars(sa.select(Passkey.id).where(Passkey.citizen_id.in_([person.id, thief.id]))) == []


def test_page_allows_its_script_and_says_what_to_do_without(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    page = browser.get(f"{PATH}/add")
    assert "script-src 'self';" in page.response.headers["Content-Security-Policy"]
    assert "passkey-instead" in page.ids
    assert "hidden>" in page.html.partition('id="passkey-form"')[2].partition("\n    <input")[0]
    assert "script-src" not in browser.get(PATH).response.headers["Content-Security-Policy"]


# --- who may come here --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PATH, f"{PATH}/add"])
def test_page_asks_for_all_factors_of_the_account(browser: Browser, person: Person, path: str) -> None:
    """A stolen password alone must not enrol a passkey beside the one-time code it could not give."""
    enter(browser, person)
    assert "space-signin-form" in browser.get(path).forms
    browser.submit("space-signin-form")
    assert browser.page is not None
    assert browser.page.step == "code"
    browser.submit("totp-form", code=person.code())
    assert browser.page.path == path


def test_page_asks_for_both_factors_when_nobody_bound_the_identity(browser: Browser, person: Person) -> None:
    person.set(proofing=Proofing.MATCHED)
    enter(browser, person)
    browser.get(PATH)
    page = browser.submit("space-signin-form")
    assert page.step == "code"
    browser.submit("totp-form", code=person.code())
    assert browser.get(f"{PATH}/add").status == 200


def test_stolen_password_makes_no_passkey_when_an_officer_bound_the_account(
    provider: Provider, browser: Browser
) -> None:
    person = provider.citizen(totp=False)
    page = enter(browser, person, PATH)
    assert "passkeys-add" not in page.ids
    assert "passkeys-second-factor" in page.ids
    assert browser.get(f"{PATH}/add").path == PATH
    person.set(proofing=Proofing.MATCHED)
    made = browser.get(f"{PATH}/add")
    person.set(proofing=Proofing.BOUND)
    action, fields = browser.form("passkey-form")
    assert made.path == f"{PATH}/add"
    assert browser.post(action, {**fields, "passkey": "{}"}).path == PATH
    assert "passkeys-none" in browser.get(PATH).ids


def test_page_asks_to_sign_in_again_after_ten_minutes(provider: Provider, browser: Browser) -> None:
    person = provider.citizen(totp=False)
    person.set(proofing=Proofing.MATCHED)
    enter(browser, person, PATH)
    assert browser.get(f"{PATH}/add").path == f"{PATH}/add"
    provider.let_pass(person, minutes=11)
    assert "space-signin-form" in browser.get(f"{PATH}/add").forms
    page = browser.submit("space-signin-form")
    assert page.step == "login"


def test_form_is_refused_from_another_page_or_site(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    page = add(browser, Authenticator())
    remove = link(page, "/remove")
    browser.get(link(page, "/name"))
    _, fields = browser.form("passkey-name-form", label="x")
    assert browser.post(remove, {"csrf": fields["csrf"]}).error_code == "ID-008"
    browser.get(remove)
    action, fields = browser.form("passkey-remove-form")
    assert browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"}).error_code == "ID-008"
    assert "passkey-1" in browser.get(PATH).ids


# --- names and removal --------------------------------------------------------------------------------------------


def test_passkey_gets_another_name(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    browser.get(link(add(browser, Authenticator()), "/name"))
    page = browser.submit("passkey-name-form", label="  Máy   ở nhà ")
    assert page.path == f"{PATH}?done=renamed"
    assert page.ids["passkey-1"] == "Máy ở nhà"
    browser.get(link(page, "/name"))
    page = browser.submit("passkey-name-form", label=" ")
    assert (page.status, "error-summary" in page.ids) == (400, True)


def test_removal_signs_out_everywhere_else(provider: Provider, browser: Browser, person: Person) -> None:
    key = Authenticator()
    elsewhere = provider.browser()
    enter(browser, person, PATH)
    page = add(browser, key)
    enter(elsewhere, person)
    assert "space-signout" in elsewhere.get("/account").ids
    browser.get(link(page, "/remove"))
    page = browser.submit("passkey-remove-form")
    assert page.path == f"{PATH}?done=removed"
    assert {"passkeys-done", "passkeys-none"} <= set(page.ids)
    assert "space-signin-form" in elsewhere.get("/account").forms
    owed = sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id).order_by(OwedNotice.id)
    assert [kind for kind in provider.scalars(owed) if "passkey" in kind] == ["passkey-added", "passkey-removed"]
    page = elsewhere.get(provider.portal().address())
    page = elsewhere.submit("passkey-form", passkey=key.get(options_on(page)))
    assert (page.step, page.status) == ("login", 400)


def test_last_way_in_stays(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    page = add(browser, Authenticator())
    provider.run(
        sa.update(PasswordCredential).where(PasswordCredential.citizen_id == person.id).values(disabled_at=clock.now())
    )
    browser.get(link(page, "/remove"))
    page = browser.submit("passkey-remove-form")
    assert (page.status, "error-summary" in page.ids) == (400, True)
    assert "passkey-1" in browser.get(PATH).ids


def test_passkey_of_somebody_else_is_not_there(provider: Provider, browser: Browser, person: Person) -> None:
    other = provider.browser()
    enter(other, provider.citizen(), PATH)
    page = add(other, Authenticator())
    enter(browser, person, PATH)
    for end in ("/name", "/remove"):
        assert browser.get(link(page, end)).error_code == "OP-003"
    assert browser.get(f"{PATH}/not-an-id/remove").error_code == "OP-003"


def test_nothing_is_offered_at_an_address_without_a_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("numeric")
    url = f"sqlite:///{directory / 'lienket.sqlite3'}"
    schema.upgrade(url)
    with provider_at(url, directory / "secrets", issuer="http://127.0.0.1:8000") as provider:
        person, browser = provider.citizen(totp=False), provider.browser()
        page = browser.get(provider.portal().address())
        assert "passkey-form" not in page.forms
        assert "passkeys-add" not in enter(browser, person, PATH).ids
        assert browser.get(f"{PATH}/add").path == PATH
