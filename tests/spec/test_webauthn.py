"""Signing in with passkeys: what they prove, where they are asked for, and that loa3 is proven anew each time.

WebAuthn Level 3, 7.2; RFC 8176, 2; OpenID Connect Core 1.0, 2 (acr, amr) and 5.5.1.1; RFC 9470.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp.citizens.credentials import passkey
from idp.citizens.models import CitizenState, Passkey
from idp.core.ids import new_id
from idp.sso.models import SsoSession
from tests.authenticator import PRESENT, Authenticator, options_on
from tests.browser import Browser, Page
from tests.provider import Answer, Person, Portal, Provider, json_of, walk
from tests.racers import Racers, Shot, racers_at

HARDWARE = ["hwk", "user", "mfa"]
SOFTWARE = ["swk", "user", "mfa"]
ESSENTIAL = json_of(id_token={"acr": {"essential": True, "values": ["loa3"]}})


@pytest.fixture
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def give(person: Person, key: Authenticator) -> Authenticator:
    """Enrol a passkey, as its page would."""
    provider, session = person.provider, new_id()
    with provider.app.app_context():
        options = passkey.begin_enrolment(
            person.id, account=person.full_name, bound_to=session, settings=provider.settings
        )
        assert options is not None
        passkey.finish_enrolment(
            person.id,
            key.create(options),
            name="key",
            bound_to=session,
            settings=provider.settings,
            keyring=provider.services.keyring,
        )
    return key


def use(browser: Browser, key: Authenticator, **wrong: object) -> Page:
    """Answer the passkey form of the page."""
    assert browser.page is not None
    return browser.submit("passkey-form", passkey=key.get(options_on(browser.page), **wrong))


def claims(portal: Portal, browser: Browser, person: Person | None = None) -> tuple[str, list[str]]:
    """Walk on from the page to the portal and return `acr` and `amr`."""
    assert browser.page is not None
    told = portal.claims(portal.tokens(Answer(walk(browser, browser.page, person))))
    return told["acr"], told["amr"]


def test_passkey_signs_in_without_a_number(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    browser.get(portal.address())
    use(browser, key)
    assert claims(portal, browser) == ("loa3", HARDWARE)


def test_synced_passkey_is_two_factors_and_no_more(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator(is_synced=True))
    browser.get(portal.address(acr_values="loa3"))
    use(browser, key)
    assert claims(portal, browser) == ("loa2", SOFTWARE)


def test_level_stays_that_of_the_identity_when_nobody_bound_it(
    provider: Provider, portal: Portal, browser: Browser
) -> None:
    key = give(provider.citizen(level="loa1"), Authenticator())
    browser.get(portal.address(acr_values="loa3"))
    use(browser, key)
    assert claims(portal, browser) == ("loa1", HARDWARE)


def test_passkey_is_the_second_factor_beside_the_password(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator(is_synced=True))
    browser.get(portal.address(acr_values="loa2"))
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert (page.step, "totp-form" in page.forms, "passkey-form" in page.forms) == ("code", True, True)
    use(browser, key)
    assert claims(portal, browser) == ("loa2", ["pwd", "swk", "user", "mfa"])


def test_code_still_works_beside_a_passkey(portal: Portal, browser: Browser, person: Person) -> None:
    give(person, Authenticator())
    browser.get(portal.address(acr_values="loa2"))
    browser.submit("login-form", number=person.number, password=person.password)
    browser.submit("totp-form", code=person.code())
    assert claims(portal, browser) == ("loa2", ["pwd", "otp", "mfa"])


# --- loa3 ---------------------------------------------------------------------------------------------------------


def test_essential_loa3_is_met_by_a_device_bound_passkey(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    browser.get(portal.address(claims=ESSENTIAL))
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert (page.step, "totp-form" in page.forms, "settle-form" in page.forms) == ("code", False, False)
    use(browser, key)
    assert claims(portal, browser) == ("loa3", ["pwd", "hwk", "user", "mfa"])


def test_loa3_is_never_given_by_single_sign_on(provider: Provider, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    first, second = provider.portal(), provider.portal()
    browser.get(first.address())
    use(browser, key)
    assert claims(first, browser)[0] == "loa3"
    assert provider.session_of(person).level == 2
    for asked, answered in ((None, "loa2"), ("loa1 loa3", "loa1"), ("loa2", "loa2")):
        browser.get(second.address(acr_values=asked))
        assert claims(second, browser) == (answered, HARDWARE)
    quiet = browser.get(second.address(acr_values="loa3", prompt="none"))
    assert quiet.left_for is not None
    assert Answer(quiet.left_for)["error"] == "interaction_required"
    for _ in range(2):
        page = browser.get(second.address(claims=ESSENTIAL))
        assert (page.step, "passkey-form" in page.forms) == ("code", True)
        use(browser, key)
        assert claims(second, browser) == ("loa3", HARDWARE)


def test_loa3_of_one_login_is_not_that_of_another(provider: Provider, browser: Browser, person: Person) -> None:
    """Two tabs: the key is used in one, and the other must still ask for it."""
    key = give(person, Authenticator())
    portal = provider.portal()
    one = browser.get(portal.address(claims=ESSENTIAL))
    other = browser.get(portal.address(claims=ESSENTIAL))
    browser.get(one.path)
    use(browser, key)
    page = browser.get(f"/signin/{other.handle}")
    assert (page.step, "passkey-form" in page.forms) == ("code", True)


def test_loa3_is_gone_when_the_session_signs_in_by_password_meanwhile(
    provider: Provider, browser: Browser, person: Person
) -> None:
    key = give(person, Authenticator())
    portal = provider.portal(scope="openid name")
    browser.get(portal.address(claims=ESSENTIAL, scope="openid name"))
    page = use(browser, key)
    assert page.step == "consent"
    browser.get(provider.portal().address(prompt="login"))
    browser.submit("login-form", number=person.number, password=person.password)
    page = browser.get(f"/signin/{page.handle}")
    assert (page.step, "passkey-form" in page.forms) == ("code", True)


def test_wish_for_loa3_is_settled_by_a_code(portal: Portal, browser: Browser, person: Person) -> None:
    give(person, Authenticator())
    browser.get(portal.address(acr_values="loa3"))
    browser.submit("login-form", number=person.number, password=person.password)
    browser.submit("totp-form", code=person.code())
    assert claims(portal, browser) == ("loa2", ["pwd", "otp", "mfa"])


def test_wish_for_loa3_is_settled_by_saying_so(portal: Portal, browser: Browser, person: Person) -> None:
    give(person, Authenticator())
    portal.sign_in(browser, person, acr_values="loa2")
    page = browser.get(portal.address(acr_values="loa3"))
    assert (page.step, "totp-form" in page.forms) == ("code", False)
    browser.submit("settle-form", decision="settle")
    assert claims(portal, browser) == ("loa2", ["pwd", "otp", "mfa"])


def test_essential_loa3_is_not_settled_by_a_form_of_ones_own(portal: Portal, browser: Browser, person: Person) -> None:
    give(person, Authenticator())
    portal.sign_in(browser, person, acr_values="loa2")
    page = browser.get(portal.address(claims=ESSENTIAL))
    action, fields = browser.form("passkey-form")
    for own in ({"decision": "settle"}, {"code": person.code()}):
        page = browser.post(action, {"csrf": fields["csrf"], **own})
        assert (page.step, page.status) == ("code", 200)


def test_essential_loa3_is_unmet_without_a_device_bound_passkey(
    portal: Portal, browser: Browser, person: Person
) -> None:
    give(person, Authenticator(is_synced=True))
    answer = portal.arrive(browser, person, claims=ESSENTIAL)
    assert answer["error"] == "unmet_authentication_requirements"


def test_synced_passkey_does_not_pass_where_a_bound_one_is_needed(
    portal: Portal, browser: Browser, person: Person
) -> None:
    give(person, Authenticator())
    synced = give(person, Authenticator(is_synced=True))
    browser.get(portal.address(claims=ESSENTIAL))
    browser.submit("login-form", number=person.number, password=person.password)
    page = use(browser, synced)
    assert (page.step, "passkey-form" in page.forms) == ("code", True)


def test_essential_loa3_is_unmet_once_the_count_fell(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator(count=9))
    browser.get(portal.address(claims=ESSENTIAL))
    page = use(browser, key, count=3)
    assert page.left_for is not None
    assert Answer(page.left_for)["error"] == "unmet_authentication_requirements"


# --- time, locks and other people ---------------------------------------------------------------------------------


def test_passkey_renews_the_time_of_sign_in(provider: Provider, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    portal = provider.portal()
    portal.sign_in(browser, person)
    provider.let_pass(person, minutes=20)
    before = provider.session_of(person).authenticated_at
    browser.get(portal.address(acr_values="loa3"))
    use(browser, key)
    assert provider.session_of(person).authenticated_at - before > timedelta(minutes=19)


def test_passkey_gets_a_new_session_secret(provider: Provider, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    portal = provider.portal()
    portal.sign_in(browser, person)
    before = browser.cookies()
    browser.get(portal.address(acr_values="loa3"))
    use(browser, key)
    after = browser.cookies()
    assert before["__Host-sid"] != after["__Host-sid"]


def test_passkey_works_while_passwords_are_locked_out(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    page = browser.get(portal.address())
    for _ in range(5):
        page = browser.submit("login-form", number=person.number, password="không phải mật khẩu này")
    assert page.status == 429
    use(browser, key)
    assert claims(portal, browser) == ("loa3", HARDWARE)


def test_passkey_of_a_disabled_account_goes_no_further(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    person.set(state=CitizenState.DISABLED)
    browser.get(portal.address())
    assert use(browser, key).error_code == "ID-003"


def test_passkey_of_another_citizen_is_no_second_factor(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    """MF-06: the step belongs to whoever gave the password."""
    give(person, Authenticator())
    thief = give(provider.citizen(), Authenticator())
    browser.get(portal.address(claims=ESSENTIAL))
    browser.submit("login-form", number=person.number, password=person.password)
    page = use(browser, thief)
    assert (page.step, page.status, "error-summary" in page.ids) == ("code", 400, True)
    assert provider.session_of(person).amr == "pwd"


def test_answer_for_another_page_is_refused(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    other = options_on(browser.get(portal.address()))
    browser.get(portal.address())
    page = browser.submit("passkey-form", passkey=key.get(other))
    assert (page.step, page.status) == ("login", 400)
    use(browser, key)
    assert claims(portal, browser) == ("loa3", HARDWARE)


def test_answer_made_for_signing_in_does_not_confirm(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    asked = options_on(browser.get(portal.address(claims=ESSENTIAL)))
    browser.submit("login-form", number=person.number, password=person.password)
    page = browser.submit("passkey-form", passkey=key.get(asked))
    assert (page.step, page.status) == ("code", 400)


def test_page_of_a_wrong_passkey_offers_a_new_try(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    browser.get(portal.address())
    page = use(browser, key, flags=PRESENT)
    assert (page.step, page.status, "error-summary" in page.ids) == ("login", 400, True)
    use(browser, key)
    assert claims(portal, browser) == ("loa3", HARDWARE)


def test_passkey_needs_the_form_token(portal: Portal, browser: Browser, person: Person) -> None:
    key = give(person, Authenticator())
    page = browser.get(portal.address())
    action, fields = browser.form("passkey-form", passkey=key.get(options_on(page)))
    assert browser.post(action, fields | {"csrf": "x"}).error_code == "ID-008"
    elsewhere = browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert elsewhere.error_code == "ID-008"


def test_script_is_allowed_on_pages_with_passkeys_alone(portal: Portal, browser: Browser, person: Person) -> None:
    page = browser.get(portal.address(acr_values="loa2"))
    assert "script-src 'self';" in page.response.headers["Content-Security-Policy"]
    assert "unsafe" not in page.response.headers["Content-Security-Policy"]
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert "totp-form" in page.forms
    assert "script-src" not in page.response.headers["Content-Security-Policy"]
    assert "<script" not in page.html


@pytest.fixture(scope="module")
def racers(provider: Provider) -> Iterator[Racers]:
    with racers_at(provider, processes=4) as team:
        yield team


def test_one_answer_signs_in_when_four_processes_send_it(
    provider: Provider, portal: Portal, browser: Browser, person: Person, racers: Racers
) -> None:
    key = give(person, Authenticator())
    page = browser.get(portal.address())
    action, fields = browser.form("passkey-form", passkey=key.get(options_on(page)))
    hits = racers.race(Shot("POST", action, {"data": fields}, browser.cookies()))
    assert sorted(hit.status for hit in hits) == [303, 400, 400, 400]
    assert sum("__Host-sid" in hit.cookies for hit in hits) == 1
    opened = provider.scalars(sa.select(SsoSession).where(SsoSession.citizen_id == person.id))
    assert len(opened) == 1
    assert provider.scalars(sa.select(Passkey.sign_count).where(Passkey.citizen_id == person.id)) == [1]
