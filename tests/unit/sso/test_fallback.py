"""Without the phone: what a person is offered, and a recovery code that lets them on but proves no level."""

import pytest
import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.citizens.credentials import recovery
from idp.citizens.models import RecoveryCode, TotpCredential
from idp.core import clock
from idp.core.database import db
from tests.authenticator import Authenticator, options_on
from tests.browser import Browser, Page
from tests.provider import Answer, Person, Portal, Provider, json_of, walk
from tests.racers import Shot, racers_at

ROUNDS = 25
ESSENTIAL = json_of(id_token={"acr": {"essential": True, "values": ["loa2"]}})


def sheet(provider: Provider, person: Person) -> tuple[str, ...]:
    """Give a person recovery codes."""
    codes = recovery.new_codes()
    with provider.app.app_context():
        recovery.store(person.id, codes, keyring=provider.services.keyring, now=clock.now())
        db.session.commit()
    return codes


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture
def codes(provider: Provider, person: Person) -> tuple[str, ...]:
    return sheet(provider, person)


@pytest.fixture
def portal(provider: Provider) -> Portal:
    return provider.portal()


def at_code(browser: Browser, portal: Portal, person: Person, **changes: str | None) -> Page:
    """Walk to the page of the code."""
    page = browser.get(portal.address(**{"acr_values": "loa2", **changes}))
    if "login-form" in page.forms:
        page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "code", page.text
    return page


def at_recovery(browser: Browser, portal: Portal, person: Person, **changes: str | None) -> Page:
    """Walk to the page of the recovery code, by its links."""
    page = at_code(browser, portal, person, **changes)
    [other] = [each for each in page.links if each.endswith("/code/other")]
    [asked] = [each for each in browser.get(other).links if each.endswith("/code/recovery")]
    return browser.get(asked)


def test_recovery_code_leads_on_at_loa1_and_says_how_many_are_left(
    browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...]
) -> None:
    at_recovery(browser, portal, person)
    page = browser.submit("recovery-form", code=codes[3].lower().replace("-", " "))
    assert page.step == "used"
    assert "9" in page.ids["recovery-left"]
    page = browser.get(f"/signin/{page.handle}")
    claims = portal.claims(portal.tokens(Answer(walk(browser, page, person))))
    assert (claims["acr"], claims["amr"]) == ("loa1", ["pwd", "recovery"])


def test_code_is_spent_by_one_use(browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...]) -> None:
    at_recovery(browser, portal, person)
    browser.submit("recovery-form", code=codes[0])
    browser.forget()
    at_recovery(browser, portal, person)
    page = browser.submit("recovery-form", code=codes[0])
    assert (page.step, page.status) == ("recovery", 400)
    assert "error-summary" in page.ids


@pytest.mark.parametrize("typed", ["", "123456", "4FX-20K"])
def test_what_cannot_be_a_code_is_no_guess(
    provider: Provider, browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...], typed: str
) -> None:
    at_recovery(browser, portal, person)
    page = browser.submit("recovery-form", code=typed)
    assert (page.status, "error-summary" in page.ids) == (400, True)
    refused = sa.select(AuditEvent.id).where(
        AuditEvent.citizen_id == person.id, AuditEvent.name == Event.RECOVERY_CODE_REFUSED.value
    )
    assert provider.scalars(refused) == []


def test_guesses_are_slowed_down(browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...]) -> None:
    at_recovery(browser, portal, person)
    for _ in range(10):
        assert browser.submit("recovery-form", code="0" * 18).status == 400
    page = browser.submit("recovery-form", code=codes[0])
    assert page.status == 429
    assert page.response.headers["Retry-After"]


# --- it proves no level -------------------------------------------------------------------------------------------


def test_recovery_code_is_not_taken_where_the_level_is_essential(
    browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...]
) -> None:
    page = at_code(browser, portal, person, acr_values=None, claims=ESSENTIAL)
    handle = page.handle
    page = browser.get(f"/signin/{handle}/code/other")
    assert {"other-recovery-elsewhere", "other-space", "other-counter"} <= set(page.ids)
    assert "other-recovery" not in page.ids
    assert browser.get(f"/signin/{handle}/code/recovery").step == "other"


def test_posting_a_recovery_code_where_it_is_not_taken_spends_nothing(
    provider: Provider, browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...]
) -> None:
    page = at_code(browser, portal, person, acr_values=None, claims=ESSENTIAL)
    _, fields = browser.form("totp-form")
    page = browser.post(f"/signin/{page.handle}/code/recovery", {**fields, "code": codes[0]})
    assert page.step == "other"
    used = sa.select(RecoveryCode.used_at).where(RecoveryCode.citizen_id == person.id)
    assert set(provider.scalars(used)) == {None}


def test_next_portal_asks_again_and_takes_no_second_code(
    browser: Browser, portal: Portal, provider: Provider, person: Person, codes: tuple[str, ...]
) -> None:
    at_recovery(browser, portal, person)
    page = browser.submit("recovery-form", code=codes[0])
    walk(browser, browser.get(f"/signin/{page.handle}"), person)
    other = provider.portal()
    page = browser.get(other.address(acr_values="loa2"))
    assert page.step == "code"
    assert {"totp-form", "settle-form"} <= set(page.forms)
    assert "other-recovery" not in browser.get(f"/signin/{page.handle}/code/other").ids
    browser.get(f"/signin/{page.handle}/code")
    page = browser.submit("settle-form", decision="settle")
    claims = other.claims(other.tokens(Answer(walk(browser, page, person))))
    assert claims["acr"] == "loa1"


def test_nobody_settles_for_less_without_a_recovery_code(
    browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...]
) -> None:
    """With the password alone a wish for more is not waved away: the portal may forget to look at acr."""
    page = at_code(browser, portal, person)
    action, fields = browser.form("totp-form")
    assert browser.post(action, {**fields, "decision": "settle"}).step == "code"
    assert browser.get(f"/signin/{page.handle}/code/used").step == "code"
    assert browser.get(f"/signin/{page.handle}").step == "code"


def test_code_of_the_app_still_raises_after_a_recovery_code(
    browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...], provider: Provider
) -> None:
    at_recovery(browser, portal, person)
    page = browser.submit("recovery-form", code=codes[0])
    walk(browser, browser.get(f"/signin/{page.handle}"), person)
    other = provider.portal()
    claims = other.sign_in(browser, person, acr_values="loa2")
    assert (claims["acr"], claims["amr"]) == ("loa2", ["pwd", "otp", "recovery", "mfa"])


# --- what is offered ----------------------------------------------------------------------------------------------


def test_only_the_counter_is_left_to_somebody_without_anything_else(
    browser: Browser, portal: Portal, person: Person
) -> None:
    page = at_code(browser, portal, person)
    page = browser.get(f"/signin/{page.handle}/code/other")
    assert "other-counter" in page.ids
    assert not {"other-recovery", "other-passkey", "other-recovery-elsewhere"} & set(page.ids)
    assert browser.get(f"/signin/{page.handle}/code/recovery").step == "other"


def test_passkey_is_named_to_whoever_has_one(browser: Browser, portal: Portal, person: Person) -> None:
    browser.get("/account/passkeys/add")
    browser.submit("space-signin-form")
    browser.submit("login-form", number=person.number, password=person.password)
    page = browser.submit("totp-form", code=person.code())
    browser.submit("passkey-form", passkey=Authenticator().create(options_on(page)), label="x")
    browser.forget()
    page = at_code(browser, portal, person)
    assert "other-passkey" in browser.get(f"/signin/{page.handle}/code/other").ids


@pytest.mark.parametrize("end", ["other", "recovery", "used"])
def test_page_typed_out_of_order_leads_to_where_the_person_is(
    provider: Provider, browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...], end: str
) -> None:
    page = browser.get(portal.address(acr_values="loa2"))
    assert browser.get(f"/signin/{page.handle}/code/{end}").step == "login"
    page = browser.submit("login-form", number=person.number, password=person.password)
    page = browser.submit("totp-form", code=person.code())
    assert page.step == "consent"
    assert browser.get(f"/signin/{page.handle}/code/{end}").step == "consent"
    assert provider.browser().get(f"/signin/{page.handle}/code/{end}").error_code == "ID-001"


def test_form_is_refused_without_its_token(
    browser: Browser, portal: Portal, person: Person, codes: tuple[str, ...]
) -> None:
    page = at_recovery(browser, portal, person)
    assert browser.post(page.path, {"csrf": "x", "code": codes[0]}).error_code == "ID-008"


# --- the own space ------------------------------------------------------------------------------------------------


def test_recovery_code_opens_the_guarded_pages_of_the_own_space(
    browser: Browser, person: Person, codes: tuple[str, ...]
) -> None:
    browser.get("/account/passkeys")
    browser.submit("space-signin-form")
    page = browser.submit("login-form", number=person.number, password=person.password)
    browser.get(f"/signin/{page.handle}/code/recovery")
    page = browser.submit("recovery-form", code=codes[0])
    assert page.step == "used"
    page = browser.get(f"/signin/{page.handle}")
    assert page.path == "/account/passkeys"
    # A key reaches loa3: it takes more than a sheet of paper to make one.
    assert "passkeys-add" not in page.ids


def test_somebody_with_codes_alone_is_led_to_them(
    provider: Provider, browser: Browser, person: Person, codes: tuple[str, ...]
) -> None:
    provider.run(sa.delete(TotpCredential).where(TotpCredential.citizen_id == person.id))
    browser.get("/account/passkeys")
    browser.submit("space-signin-form")
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "other"
    assert {"other-recovery", "other-counter"} <= set(page.ids)
    assert "other-back" not in page.ids


def test_password_alone_does_not_open_them_when_there_are_codes(
    provider: Provider, browser: Browser, person: Person, codes: tuple[str, ...]
) -> None:
    provider.run(sa.delete(TotpCredential).where(TotpCredential.citizen_id == person.id))
    browser.get("/account")
    browser.submit("space-signin-form")
    browser.submit("login-form", number=person.number, password=person.password)
    assert "space-signin-form" in browser.get("/account/passkeys").forms


# --- many at once -------------------------------------------------------------------------------------------------


def test_one_browser_wins_when_four_send_the_same_recovery_code(provider: Provider, portal: Portal) -> None:
    """Four browsers, each signed in with the password, and one code: one of them gets on."""
    person = provider.citizen()
    codes = list(sheet(provider, person))

    def waiting() -> tuple[str, dict[str, str], dict[str, str]]:
        browser = provider.browser()
        at_recovery(browser, portal, person)
        return *browser.form("recovery-form"), browser.cookies()

    browsers = [waiting() for _ in range(4)]
    with racers_at(provider, processes=4) as racers:
        for _ in range(ROUNDS):
            sent = codes.pop()
            shots = [Shot("POST", at, {"data": {**fields, "code": sent}}, kept) for at, fields, kept in browsers]
            hits = racers.race(*shots)
            statuses = [hit.status for hit in hits]
            assert sorted(statuses) == [303, 400, 400, 400], [hit.location for hit in hits]
            if len(codes) == 1:  # with the last one gone, the page is no longer theirs
                codes = list(sheet(provider, person))
            browsers[statuses.index(303)] = waiting()


def test_double_click_leads_on_and_spends_one_code(
    provider: Provider, portal: Portal, person: Person, codes: tuple[str, ...]
) -> None:
    browser = provider.browser()
    at_recovery(browser, portal, person)
    action, fields = browser.form("recovery-form", code=codes[0])
    shot = Shot("POST", action, {"data": fields}, browser.cookies())
    with racers_at(provider, processes=2) as racers:
        hits = racers.race(shot)
    assert [hit.status for hit in hits] == [303, 303]
    with provider.app.app_context():
        assert recovery.left(person.id) == 9
