"""Card, face and code: an account is bound, made, given new keys or unlocked, each once, in order, by who may."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp.account.data import holdings
from idp.audit.models import AuditEvent
from idp.citizens import contact_data, officers
from idp.citizens.assurance import Proofing
from idp.citizens.models import Citizen, CitizenState, Passkey, TotpCredential
from idp.citizens.pairing import Pairing
from idp.citizens.registry.table import Answer
from idp.core import clock
from idp.core.database import db
from idp.notify.models import OwedNotice
from idp.sso.models import Interaction, LogoutDelivery, PasswordReset
from tests.authenticator import Authenticator
from tests.browser import Browser, Page
from tests.provider import PASSWORD, Person, Provider
from tests.unit.account.entering import enter
from tests.unit.account.test_lock import lasting
from tests.unit.account.test_passkeys import add
from tests.unit.counter.desk import NEW_PASSWORD, Clerk, path_of, show_code, stranger


def again(browser: Browser) -> Page:
    """Press "check again" on the citizen's page."""
    assert browser.page is not None
    return browser.get(path_of(browser.page, "/counter"))


def notices(provider: Provider, person: Person) -> list[str]:
    owed = sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id).order_by(OwedNotice.id)
    return list(provider.scalars(owed))


def choose_password(browser: Browser) -> Page:
    again(browser)
    return browser.submit("password-form", password=NEW_PASSWORD, again=NEW_PASSWORD)


def test_account_is_bound_once_its_owner_signs_in(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    person, portal = provider.citizen(), provider.portal()
    person.set(proofing=Proofing.MATCHED)
    code = show_code(browser, portal)
    page = clerk.see(person, code)
    assert "visit-form" in page.forms
    assert person.number not in page.html
    assert "visit-allowed" in clerk.allow("bind").ids
    assert person.row().proofing is Proofing.MATCHED
    page = again(browser)
    assert page.step == "confirm"
    page = browser.submit("bind-form", number=person.number, password=PASSWORD, code="000000")
    assert (page.status, person.row().proofing) == (400, Proofing.MATCHED)
    page = browser.submit("bind-form", number=person.number, password=PASSWORD, code=person.code())
    assert page.step == "consent"
    assert person.row().proofing is Proofing.BOUND
    assert "level-raised" in notices(provider, person)
    [event] = provider.scalars(
        sa.select(AuditEvent).where(
            AuditEvent.citizen_id == person.id, AuditEvent.name == "citizens:counter:identity-bound"
        )
    )
    assert set(event.detail) == {"officer", "counter", "reference", "was"}
    assert "visit-used" in clerk.browser.get(clerk.browser.page.path).ids
    assert event.detail["reference"] in clerk.browser.get("/counter/history").text
    elsewhere = provider.browser()
    enter(elsewhere, person)
    assert event.detail["reference"] in elsewhere.get("/account/mandates").ids["counter-acts"]
    # What is held about the citizen tells the act, and not by whose key.
    with provider.app.app_context():
        told = [each for each in holdings._events(person.id) if each["event"] == event.name]
    assert set(told[0]["detail"]) == {"counter", "reference", "was"}


def test_account_of_somebody_else_is_not_bound(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    """Whoever made an account with a stranger's data gains nothing from the stranger's visit, nor the reverse."""
    person, other = provider.citizen(totp=False), provider.citizen(totp=False)
    for each in (person, other):
        each.set(proofing=Proofing.MATCHED)
    clerk.see(person, show_code(browser, provider.portal()))
    clerk.allow("bind")
    again(browser)
    page = browser.submit("bind-form", number=other.number, password=PASSWORD)
    assert page.status == 400
    assert {person.row().proofing, other.row().proofing} == {Proofing.MATCHED}


def test_new_account_is_made_bound_and_given_recovery_codes(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    person, portal = stranger(provider), provider.portal()
    clerk.see(person, show_code(browser, portal))
    clerk.allow("new")
    again(browser)
    assert browser.submit("password-form", password="ngắn", again="ngắn").status == 400
    assert browser.submit("password-form", password=NEW_PASSWORD, again="khác").status == 400
    page = choose_password(browser)
    assert page.step == "codes"
    assert browser.get(page.path).html == page.html
    page = browser.submit("codes-form")
    assert page.step == "login"
    page = browser.submit("login-form", number=person.number, password=NEW_PASSWORD)
    assert page.step == "consent"
    [made] = provider.scalars(sa.select(Citizen).order_by(Citizen.created_at.desc()).limit(1))
    assert (made.proofing, made.state) == (Proofing.BOUND, CitizenState.ACTIVE)
    # The codes are shown no more, to nobody, and nowhere is the number or name in clear.
    assert browser.get(path_of(page, "/counter/codes")).step != "codes"
    assert provider.scalars(sa.select(Pairing.id).where(Pairing.handout.is_not(None))) == []


def test_keys_of_a_bound_account_are_replaced_by_two_officers(
    provider: Provider, clerk: Clerk, clerks: Callable[[], Clerk], browser: Browser
) -> None:
    person, thief = provider.citizen(email="ba@thu.example", email_verified=True), provider.browser()
    logout = "https://portal.example/logout"
    provider.portal(backchannel_logout_uri=logout).arrive(thief, person)
    enter(thief, person, "/account/passkeys")
    add(thief, Authenticator())
    code = show_code(browser, provider.portal())
    clerk.see(person, code)
    page = clerk.allow("replace")
    assert "visit-waits" in page.ids
    assert "replacement-begun" in notices(provider, person)
    assert "at-counter-second" in again(browser).ids
    # Not by the same one, not before the second has looked, and not by whoever never typed the code.
    clerk.browser.get("/counter/second")
    assert clerk.submit("second-form", code=code).status == 400
    second = clerks()
    second.sign_in(page.path)
    assert second.browser.page is not None
    assert second.browser.page.error_code == "OP-003"
    second.sign_in("/counter/second")
    page = second.submit("second-form", code=code)
    assert "confirm-form" in page.forms
    assert second.submit("confirm-form", document="id-card").status == 400
    assert "password-form" not in again(browser).forms
    page = second.submit("confirm-form", document="id-card", face="yes")
    assert "visit-allowed" in page.ids
    assert choose_password(browser).step == "codes"
    assert "replacement-done" in notices(provider, person)
    left = sa.select(TotpCredential.id).where(
        TotpCredential.citizen_id == person.id, TotpCredential.disabled_at.is_(None)
    )
    keys = sa.select(Passkey.id).where(Passkey.citizen_id == person.id, Passkey.ended_at.is_(None))
    assert provider.scalars(left) == provider.scalars(keys) == []
    assert "space-signin-form" in thief.get("/account").forms
    assert provider.scalars(sa.select(LogoutDelivery.id).where(LogoutDelivery.citizen_id == person.id))
    browser.submit("codes-form")
    assert browser.submit("login-form", number=person.number, password=PASSWORD).status == 400
    assert browser.submit("login-form", number=person.number, password=NEW_PASSWORD).step == "consent"
    assert "Thay cách đăng nhập" in clerk.browser.get("/counter/history").text
    assert "Xác nhận việc thay cách đăng nhập" in second.browser.get("/counter/history").text


def test_new_keys_leave_nothing_to_whoever_held_the_account(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    """Neither lasting access, nor a new password under way, nor the mail and telephone by which to begin one."""
    person = provider.citizen(totp=False, email="trom@thu.example", email_verified=True)
    person.set(proofing=Proofing.MATCHED)
    portal, thief = provider.portal(**lasting(provider)), provider.browser()
    tokens = portal.tokens(portal.arrive(thief, person, scope="openid offline_access"))
    page = provider.browser().get(portal.address())
    with provider.app.app_context():
        interaction_id = db.session.scalars(sa.select(Interaction.id).order_by(Interaction.id.desc()).limit(1)).one()
        soon = clock.now() + timedelta(minutes=9)
        db.session.add(
            PasswordReset(
                interaction_id=interaction_id, id=interaction_id, citizen_id=person.id, account="", expires_at=soon
            )
        )
        db.session.commit()
    assert page.step == "login"
    clerk.see(person, show_code(browser, provider.portal()))
    clerk.allow("replace")
    assert choose_password(browser).step == "codes"
    assert portal.refresh(tokens["refresh_token"]).status_code == 400
    assert provider.scalars(sa.select(PasswordReset.id).where(PasswordReset.citizen_id == person.id)) == []
    with provider.app.app_context():
        known, _ = contact_data.known(person.id, keyring=provider.services.keyring)
        assert known == {}
        told = sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id, OwedNotice.recipient.is_not(None))
        assert set(db.session.scalars(told)) == {"replacement-done", "contact-removed"}


def test_what_an_officer_allowed_is_not_done_once_their_work_has_ended(
    provider: Provider, clerk: Clerk, browser: Browser
) -> None:
    clerk.see(stranger(provider), show_code(browser, provider.portal()))
    clerk.allow("new")
    again(browser)
    action, fields = browser.form("password-form", password=NEW_PASSWORD, again=NEW_PASSWORD)
    with provider.app.app_context():
        officers.end(clerk.person.id)
        db.session.commit()
    assert "at-counter-form" in browser.post(action, fields).forms


def test_account_bound_meanwhile_is_not_given_keys_by_one_officer(
    provider: Provider, clerk: Clerk, browser: Browser
) -> None:
    person = provider.citizen(totp=False)
    person.set(proofing=Proofing.MATCHED)
    clerk.see(person, show_code(browser, provider.portal()))
    assert "visit-allowed" in clerk.allow("replace").ids
    person.set(proofing=Proofing.BOUND)
    assert choose_password(browser).status == 409
    assert provider.browser().get("/").status == 200
    assert "replacement-done" not in notices(provider, person)


def test_officer_is_no_second_for_the_own_account(
    provider: Provider, clerk: Clerk, clerks: Callable[[], Clerk], browser: Browser
) -> None:
    second = clerks()
    code = show_code(browser, provider.portal())
    clerk.see(second.person, code)
    clerk.allow("replace")
    second.sign_in("/counter/second")
    assert second.submit("second-form", code=code).status == 400


def test_officer_does_nothing_for_the_own_account(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    page = clerk.see(clerk.person, show_code(browser, provider.portal()))
    assert page.status == 400
    assert "tài khoản của chính bạn" in page.text


def test_account_that_its_owner_locked_is_unlocked(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    person = provider.citizen(totp=False)
    person.set(state=CitizenState.LOCKED)
    clerk.see(person, show_code(browser, provider.portal()))
    clerk.allow("unlock")
    assert person.row().state is CitizenState.ACTIVE
    assert "unlocked" in notices(provider, person)
    assert "at-counter-unlocked" in again(browser).ids
    browser.get(path_of(browser.page, "/login"))  # type: ignore[arg-type]
    assert browser.submit("login-form", number=person.number, password=PASSWORD).step == "consent"


def test_new_keys_open_an_account_that_its_owner_had_locked(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    person = provider.citizen(totp=False)
    person.set(state=CitizenState.LOCKED, proofing=Proofing.MATCHED)
    clerk.see(person, show_code(browser, provider.portal()))
    clerk.allow("replace")
    choose_password(browser)
    browser.submit("codes-form")
    assert browser.submit("login-form", number=person.number, password=NEW_PASSWORD).step == "consent"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer.DECEASED, "đã mất"),
        (Answer.LOCKED, "bị khóa"),
        (Answer.MISMATCH, "không khớp"),
        (Answer.NOT_FOUND, "không có số này"),
        (Answer.SILENT, "tạm thời gián đoạn"),
    ],
)
def test_officer_is_told_what_the_register_said_and_the_code_stays_good(
    provider: Provider, clerk: Clerk, browser: Browser, answer: Answer, words: str
) -> None:
    person = provider.citizen(totp=False)
    code = show_code(browser, provider.portal())
    person.register_says(answer)
    page = clerk.see(person, code)
    assert page.status == 400
    assert words in page.ids["error-summary"] + page.text
    assert "at-counter-shown" in again(browser).ids
    person.register_says(Answer.MATCH)
    assert "visit-form" in clerk.see(person, code).forms


@pytest.mark.parametrize("missing", ["number", "full_name", "year", "document", "face", "code"])
def test_nothing_is_asked_while_something_is_missing(
    provider: Provider, clerk: Clerk, browser: Browser, missing: str
) -> None:
    page = clerk.see(provider.citizen(), show_code(browser, provider.portal()), **{missing: ""})
    assert (page.status, "error-summary" in page.ids) == (400, True)


def test_code_opens_one_visit_for_one_officer(
    provider: Provider, clerk: Clerk, clerks: Callable[[], Clerk], browser: Browser
) -> None:
    person = provider.citizen()
    code = show_code(browser, provider.portal())
    page = clerk.see(person, code)
    second = clerks()
    assert second.see(person, code).status == 400
    second.browser.get(page.path)
    assert second.browser.page is not None
    assert second.browser.page.error_code == "OP-003"


def test_code_is_good_for_its_time_only(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    code = show_code(browser, provider.portal())
    page = browser.page
    assert page is not None
    provider.age(Pairing, Pairing.used_at.is_(None), minutes=16)
    assert clerk.see(provider.citizen(), code).status == 400
    # The sign-in itself still waits, and gives another code.
    assert "at-counter-form" in again(browser).forms
    assert browser.submit("at-counter-form").ids["at-counter-code"] != code


def test_pages_out_of_order_lead_to_where_the_citizen_is(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    person = provider.citizen(totp=False)
    code = show_code(browser, provider.portal())
    page = browser.page
    assert page is not None
    for end in ("/confirm", "/password", "/codes"):
        assert "at-counter-code" in browser.get(path_of(page, f"/counter{end}")).ids
    person.set(proofing=Proofing.MATCHED)
    clerk.see(person, code)
    clerk.allow("bind")
    assert browser.get(path_of(page, "/counter/password")).step == "confirm"
    thief = provider.browser()
    assert thief.get(path_of(page, "/counter")).error_code == "ID-001"


def test_act_is_used_once_when_its_form_is_sent_twice(provider: Provider, clerk: Clerk, browser: Browser) -> None:
    person = stranger(provider)
    clerk.see(person, show_code(browser, provider.portal()))
    clerk.allow("new")
    again(browser)
    action, fields = browser.form("password-form", password=NEW_PASSWORD, again=NEW_PASSWORD)
    assert browser.post(action, fields).step == "codes"
    assert browser.post(action, fields).step == "codes"
    browser.submit("codes-form")
    assert browser.post(action, fields).step in ("login", "counter")
