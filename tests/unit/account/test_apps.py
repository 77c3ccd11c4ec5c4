"""A citizen's authenticator apps: set up, named and removed by whoever has just signed in with all the account has."""

import re
from datetime import timedelta

import pyotp
import pytest
import qrcode
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.assurance import Proofing
from idp.citizens.credentials import apps, recovery
from idp.citizens.models import PendingCredential, RecoveryCode, RecoverySheet, TotpCredential
from idp.core import clock
from idp.core.database import db
from idp.notify.models import OwedNotice
from tests.browser import Browser, Page
from tests.provider import Person, Provider
from tests.racers import Shot, racers_at
from tests.unit.account.entering import enter

PATH = "/account/apps"


def secret_on(page: Page) -> str:
    return page.ids["app-secret"].replace(" ", "")


def code_at(secret: str, seconds: int = 0) -> str:
    """Return the code an app shows so many seconds from now."""
    return pyotp.TOTP(secret).at(clock.now() + timedelta(seconds=seconds))


def add(browser: Browser, *, name: str = "Điện thoại mới") -> tuple[Page, str]:
    """Set an app up; return the page after it and its secret."""
    secret = secret_on(browser.get(f"{PATH}/add"))
    return browser.submit("app-form", code=code_at(secret), label=name), secret


def link(page: Page, end: str, number: int = -1) -> str:
    return [each for each in page.links if each.startswith(PATH) and each.endswith(end)][number]


def rows(provider: Provider, person: Person) -> list[TotpCredential]:
    chosen = sa.select(TotpCredential).where(TotpCredential.citizen_id == person.id)
    return provider.scalars(chosen.order_by(TotpCredential.confirmed_at))


def test_app_is_added_and_signs_in(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    page, secret = add(browser)
    assert page.path == f"{PATH}?done=added"
    assert page.ids["app-2"] == "Điện thoại mới"
    other = provider.browser()
    other.get(provider.portal().address(acr_values="loa2"))
    other.submit("login-form", number=person.number, password=person.password)
    # The code that set it up is used up; the next one is good.
    page = other.submit("totp-form", code=code_at(secret, -30))
    assert (page.step, page.status) == ("code", 400)
    page = other.submit("totp-form", code=code_at(secret, 30))
    assert page.step == "consent"


def test_code_that_set_an_app_up_is_used_up(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    secret = secret_on(browser.get(f"{PATH}/add"))
    code = code_at(secret, 30)
    assert browser.submit("app-form", code=code).path == f"{PATH}?done=added"
    other = provider.browser()
    other.get(provider.portal().address(acr_values="loa2"))
    other.submit("login-form", number=person.number, password=person.password)
    assert other.submit("totp-form", code=code).status == 400


def test_qr_code_and_link_hold_the_same_secret_and_no_number(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    page = browser.get(f"{PATH}/add")
    [uri] = [each for each in page.links if each.startswith("otpauth:")]
    read = pyotp.parse_uri(uri)
    assert (read.secret, read.issuer, read.name) == (secret_on(page), "LienKet", person.full_name)
    assert person.number not in page.html
    # The picture, module for module, is the code of that address.
    side = int(re.search(r'viewBox="0 0 (\d+)', page.html)[1])  # type: ignore[index]
    shown = [[False] * side for _ in range(side)]
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", page.html):
        for step in range(int(width)):
            shown[int(y)][int(x) + step] = True
    expected = qrcode.QRCode(border=4)
    expected.add_data(uri)
    assert shown == expected.get_matrix()


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "000000"])
def test_wrong_code_keeps_the_secret_and_the_name(
    provider: Provider, browser: Browser, person: Person, code: str
) -> None:
    enter(browser, person, PATH)
    secret = secret_on(browser.get(f"{PATH}/add"))
    page = browser.submit("app-form", code=code, label="Máy bàn")
    assert (page.status, secret_on(page)) == (400, secret)
    assert page.forms["app-form"].fields["label"] == "Máy bàn"
    assert len(rows(provider, person)) == 1


def test_secret_waits_sealed_and_for_this_session_alone(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    page = browser.get(f"{PATH}/add")
    secret = secret_on(page)
    assert secret_on(browser.get(f"{PATH}/add")) == secret
    assert secret not in str(page.forms["app-form"].fields)
    assert secret not in "".join(provider.scalars(sa.select(PendingCredential.secret)))
    other = provider.browser()
    enter(other, provider.citizen(), PATH)
    assert secret_on(other.get(f"{PATH}/add")) != secret
    page = other.submit("app-form", code=code_at(secret))
    assert page.status == 400


def test_secret_left_open_too_long_is_nobodys(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    secret = secret_on(browser.get(f"{PATH}/add"))
    provider.age(PendingCredential, sa.true(), minutes=31)
    provider.age(TotpCredential, TotpCredential.citizen_id == person.id, minutes=31)
    page = browser.submit("app-form", code=code_at(secret))
    assert page.path == PATH
    assert len(rows(provider, person)) == 1
    assert secret_on(browser.get(f"{PATH}/add")) != secret


def test_double_click_adds_one_app(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    secret = secret_on(browser.get(f"{PATH}/add"))
    with racers_at(provider, processes=2) as racers:
        action, fields = browser.form("app-form", code=code_at(secret, 30))
        hits = racers.race(Shot("POST", action, {"data": fields}, browser.cookies()))
    # Both are told the same: which answer the browser shows is anybody's guess.
    assert [(hit.status, hit.location) for hit in hits] == [(303, f"{PATH}?done=added")] * 2
    assert len(rows(provider, person)) == 2


def test_no_more_than_a_handful_of_apps(browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    for _ in range(apps.MOST - 1):
        page, _ = add(browser)
    assert {"apps-most", f"app-{apps.MOST}"} <= set(page.ids)
    assert browser.get(f"{PATH}/add").path == PATH


# --- who may come here --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PATH, f"{PATH}/add", "/account/ways", "/account/recovery", "/account/recovery/new"])
def test_page_asks_for_all_factors_of_the_account(browser: Browser, person: Person, path: str) -> None:
    enter(browser, person)
    assert "space-signin-form" in browser.get(path).forms
    browser.submit("space-signin-form")
    assert browser.page is not None
    assert browser.page.step == "code"
    assert browser.submit("totp-form", code=person.code()).path == path


def test_stolen_password_adds_nothing_when_an_officer_bound_the_account(provider: Provider, browser: Browser) -> None:
    person = provider.citizen(totp=False)
    page = enter(browser, person, PATH)
    assert {"apps-none", "apps-second-factor"} <= set(page.ids)
    assert browser.get(f"{PATH}/add").path == PATH
    assert "codes-second-factor" in browser.get("/account/recovery").ids
    assert browser.get("/account/recovery/new").path == "/account/recovery"
    person.set(proofing=Proofing.MATCHED)
    browser.get(f"{PATH}/add")
    action, fields = browser.form("app-form", code="123456")
    person.set(proofing=Proofing.BOUND)
    assert browser.post(action, fields).path == PATH


def test_lost_phone_is_replaced_with_a_recovery_code(provider: Provider, browser: Browser, person: Person) -> None:
    """The whole way: code from the sheet, new app, old app gone, and the level is back."""
    codes = recovery.new_codes()
    with provider.app.app_context():
        recovery.store(person.id, codes, keyring=provider.services.keyring, now=clock.now())
        db.session.commit()
    browser.get(f"{PATH}/add")
    browser.submit("space-signin-form")
    page = browser.submit("login-form", number=person.number, password=person.password)
    browser.get(f"/signin/{page.handle}/code/recovery")
    page = browser.submit("recovery-form", code=codes[0])
    assert "recovery-set-up" in page.ids
    assert browser.get(f"/signin/{page.handle}").path == f"{PATH}/add"
    assert "space-recovered" in browser.get("/account").ids
    page, secret = add(browser)
    browser.get(link(page, "/remove", 0))
    assert browser.submit("app-remove-form").path == f"{PATH}?done=removed"
    portal = provider.portal()
    other = provider.browser()
    other.get(portal.address(acr_values="loa2"))
    other.submit("login-form", number=person.number, password=person.password)
    assert other.submit("totp-form", code=person.code()).status == 400
    assert other.submit("totp-form", code=code_at(secret, 30)).step == "consent"


# --- names and removal --------------------------------------------------------------------------------------------


def test_app_gets_another_name(provider: Provider, browser: Browser, person: Person) -> None:
    page = enter(browser, person, PATH)
    browser.get(link(page, "/name"))
    page = browser.submit("app-name-form", label="  Máy   ở nhà ")
    assert (page.path, page.ids["app-1"]) == (f"{PATH}?done=renamed", "Máy ở nhà")
    assert "Máy" not in str(rows(provider, person)[0].name)
    browser.get(link(page, "/name"))
    assert browser.submit("app-name-form", label=" ").status == 400


def test_removal_signs_out_everywhere_else_and_is_told(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    page, _ = add(browser)
    elsewhere = provider.browser()
    enter(elsewhere, person)
    browser.get(link(page, "/remove"))
    assert browser.submit("app-remove-form").path == f"{PATH}?done=removed"
    assert "space-signin-form" in elsewhere.get("/account").forms
    owed = sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id).order_by(OwedNotice.id)
    assert [kind for kind in provider.scalars(owed) if "app" in kind] == ["app-added", "app-removed"]
    events = sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id).order_by(AuditEvent.id)
    assert [name for name in provider.scalars(events) if name.endswith(("totp:added", "totp:removed"))] == [
        "citizens:totp:added",
        "citizens:totp:removed",
    ]


def test_last_second_factor_stays(provider: Provider, browser: Browser, person: Person) -> None:
    page = enter(browser, person, PATH)
    page = browser.get(link(page, "/remove"))
    page = browser.submit("app-remove-form")
    assert (page.status, "error-summary" in page.ids) == (400, True)
    assert len(rows(provider, person)) == 1


def test_page_says_what_it_means_when_codes_alone_remain(provider: Provider, browser: Browser, person: Person) -> None:
    page = enter(browser, person, PATH)
    remove = link(page, "/remove")
    with provider.app.app_context():
        recovery.store(person.id, recovery.new_codes(), keyring=provider.services.keyring, now=clock.now())
        db.session.commit()
    browser.get("/account")
    page = browser.get(remove)
    assert "app-lowers" in page.html
    assert browser.submit("app-remove-form").path == f"{PATH}?done=removed"
    portal = provider.portal()
    other = provider.browser()
    claims = portal.sign_in(other, person, acr_values="loa2")
    assert claims["acr"] == "loa1"


def test_one_of_two_apps_stays_when_both_are_removed_at_once(
    provider: Provider, browser: Browser, person: Person
) -> None:
    enter(browser, person, PATH)
    page, _ = add(browser)
    shots = []
    for number in (0, 1):
        browser.get(link(page, "/remove", number))
        action, fields = browser.form("app-remove-form")
        shots.append(Shot("POST", action, {"data": fields}, browser.cookies()))
    with racers_at(provider, processes=2) as racers:
        racers.race(*shots)
    assert len(rows(provider, person)) == 1


def test_app_of_somebody_else_is_not_there(provider: Provider, browser: Browser, person: Person) -> None:
    other = provider.browser()
    page = enter(other, provider.citizen(), PATH)
    enter(browser, person, PATH)
    for end in ("/name", "/remove"):
        assert browser.get(link(page, end)).error_code == "OP-003"


# --- recovery codes and the page of all ways ----------------------------------------------------------------------


def codes_on(page: Page) -> list[str]:
    return re.findall(r'<li class="app-secret">([0-9A-Z-]+)</li>', page.html)


def test_new_sheet_counts_once_it_is_confirmed(provider: Provider, browser: Browser, person: Person) -> None:
    page = enter(browser, person, "/account/recovery")
    assert "codes-new" in page.ids
    page = browser.get("/account/recovery/new")
    codes = codes_on(page)
    assert len(codes) == 10
    assert person.number not in page.html
    assert codes_on(browser.get("/account/recovery/new")) == codes
    with provider.app.app_context():
        assert recovery.left(person.id) == 0
    page = browser.submit("codes-form")
    assert page.path == "/account/recovery?done=made"
    assert "10" in page.ids["codes-left"]
    assert codes_on(browser.get("/account/recovery/new")) != codes
    with provider.app.app_context():
        result = recovery.spend(person.id, codes[0], keyring=provider.services.keyring)
    assert result.left == 9


@pytest.mark.parametrize("is_used_up", [False, True])
def test_new_sheet_ends_the_old_one_and_the_other_sessions(
    provider: Provider, browser: Browser, person: Person, is_used_up: bool
) -> None:
    """Also after its last code: that may be how somebody else came in."""
    enter(browser, person, "/account/recovery")
    old = codes_on(browser.get("/account/recovery/new"))
    browser.submit("codes-form")
    if is_used_up:
        mine = RecoveryCode.citizen_id == person.id
        provider.run(sa.update(RecoveryCode).where(mine).values(used_at=clock.now()))
    elsewhere = provider.browser()
    enter(elsewhere, person)
    page = browser.get("/account/recovery/new")
    assert "codes-ends" in page.ids
    browser.submit("codes-form")
    assert "space-signin-form" in elsewhere.get("/account").forms
    with provider.app.app_context():
        keyring = provider.services.keyring
        assert recovery.spend(person.id, old[0], keyring=keyring).outcome is recovery.Outcome.REFUSED
        assert recovery.spend(person.id, codes_on(page)[0], keyring=keyring).outcome is recovery.Outcome.ACCEPTED


def test_second_click_and_late_click_change_nothing(provider: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, "/account/recovery")
    browser.get("/account/recovery/new")
    action, fields = browser.form("codes-form")
    assert browser.post(action, fields).path == "/account/recovery?done=made"
    assert browser.post(action, fields).path == "/account/recovery"
    browser.get("/account/recovery/new")
    provider.age(PendingCredential, sa.true(), minutes=31)
    assert browser.post(action, fields).path == "/account/recovery"
    made = sa.select(AuditEvent.id).where(
        AuditEvent.citizen_id == person.id, AuditEvent.name == "citizens:recovery-codes:made"
    )
    assert len(provider.scalars(made)) == 1


def test_all_ways_are_on_one_page(browser: Browser, person: Person) -> None:
    page = enter(browser, person, "/account/ways")
    assert {"ways-password", "ways-apps", "ways-passkeys", "ways-recovery"} <= set(page.ids)
    assert "/account/ways" in browser.get("/account").links


@pytest.mark.parametrize("guard", ["app", "sheet"])
def test_second_factor_that_guesses_have_disabled_still_guards_the_account(
    provider: Provider, browser: Browser, guard: str
) -> None:
    """Or whoever has the password would type a hundred wrong codes, and need none from then on."""
    person = provider.citizen(totp=guard == "app", level="loa1")
    if guard == "app":
        provider.run(
            sa.update(TotpCredential).where(TotpCredential.citizen_id == person.id).values(disabled_at=clock.now())
        )
    else:
        with provider.app.app_context():
            recovery.store(person.id, recovery.new_codes(), keyring=provider.services.keyring, now=clock.now())
            db.session.commit()
        mine = RecoverySheet.citizen_id == person.id
        provider.run(sa.update(RecoverySheet).where(mine).values(disabled_at=clock.now()))
    enter(browser, person, "/account/lock")
    for path in (PATH, f"{PATH}/add", "/account/contacts", "/account/password", "/account/data"):
        page = enter_until_asked(browser, person, path)
        assert "space-blocked" in page.ids, path


def enter_until_asked(browser: Browser, person: Person, path: str) -> Page:
    """Open a page of the own space as `enter` does, and return where it ends."""
    browser.get(path)
    page = browser.submit("space-signin-form")
    return (
        browser.submit("login-form", number=person.number, password=person.password) if page.step == "login" else page
    )
