"""One login on its way through the pages: reload, back, twice, out of order, in several tabs, without its cookie."""

import pytest
import sqlalchemy as sa

from idp.agencies import apply
from idp.core.ids import digest
from idp.sso.interaction import MOST_FLOWS
from idp.sso.models import Interaction, SsoSession
from tests.browser import Browser, Page
from tests.provider import Answer, Person, Portal, Provider, walk

STEPS = ("login", "account", "code", "consent", "notice")


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid email")


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com")


def arrived(page: Page) -> Answer:
    assert page.left_for is not None, f"{page.path}: {page.status} {page.text}"
    return Answer(page.left_for)


def log_in(browser: Browser, person: Person) -> Page:
    return browser.submit("login-form", number=person.number, password=person.password)


def to_consent(portal: Portal, browser: Browser, person: Person, **changes: str) -> Page:
    browser.get(portal.address(**changes))
    page = log_in(browser, person)
    assert page.step == "consent"
    return page


@pytest.mark.parametrize("step", [*STEPS, ""])
def test_any_step_typed_by_hand_leads_to_the_one_that_is_next(
    portal: Portal, browser: Browser, person: Person, step: str
) -> None:
    page = browser.get(portal.address(acr_values="loa2"))
    path = f"/signin/{page.handle}{'/' if step else ''}{step}"
    assert browser.get(path).step == "login"
    assert log_in(browser, person).step == "code"
    assert browser.get(path).step == "code"
    assert browser.submit("totp-form", code=person.code()).step == "consent"
    assert browser.get(path).step == "consent"


@pytest.mark.parametrize("step", STEPS)
def test_posting_to_another_step_changes_nothing(portal: Portal, browser: Browser, step: str) -> None:
    page = browser.get(portal.address())
    _, fields = browser.form("login-form")
    sent = {**fields, "decision": "allow", "code": "000000", "number": "", "password": ""}
    if step != "login":
        assert browser.post(f"/signin/{page.handle}/{step}", sent).step == "login"
    assert browser.get(f"/signin/{page.handle}").step == "login"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
@pytest.mark.parametrize("step", STEPS)
def test_no_method_but_post_acts(
    provider: Provider, portal: Portal, browser: Browser, person: Person, method: str, step: str
) -> None:
    target = portal if step != "notice" else provider.portal(basis="legal")
    prompt = {"prompt": "select_account"} if step == "account" else {}
    if step == "account":
        target.arrive(browser, person)
    page = browser.get(target.address(**prompt, **({"acr_values": "loa2"} if step == "code" else {})))
    if step not in ("login", "account"):
        page = log_in(browser, person)
    assert page.step == step
    body = b"decision=allow&number=1&password=2&code=3"
    answer = browser.send(method, page.path, data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code in (200, 405)
    assert browser.get(f"/signin/{page.handle}").step == step


def test_reloading_a_page_shows_it_again(portal: Portal, browser: Browser, person: Person) -> None:
    page = browser.get(portal.address(acr_values="loa2"))
    assert browser.get(page.path).step == "login"
    page = log_in(browser, person)
    assert browser.get(page.path).step == "code"
    page = browser.submit("totp-form", code=person.code())
    assert browser.get(page.path).step == "consent"


def test_reloading_the_end_gives_a_new_code_while_the_first_was_not_used(
    portal: Portal, browser: Browser, person: Person
) -> None:
    handle = to_consent(portal, browser, person).handle
    first = arrived(browser.submit("consent-form", decision="allow"))
    second = arrived(browser.get(f"/signin/{handle}"))
    assert first["code"] != second["code"]
    assert portal.redeem(first["code"]).get_json()["error"] == "invalid_grant"
    # The withdrawn code does not count as a replay that takes its successor with it.
    assert portal.redeem(second["code"]).status_code == 200


def test_the_back_button_after_the_end_shows_that_it_is_over(portal: Portal, browser: Browser, person: Person) -> None:
    page = to_consent(portal, browser, person)
    action, fields = browser.form("consent-form", decision="allow")
    portal.tokens(arrived(browser.post(action, fields)))
    for again in (browser.get(page.path), browser.get(f"/signin/{page.handle}"), browser.post(action, fields)):
        assert (again.status, again.error_code, again.left_for) == (400, "ID-007", None)
        assert "error-back" in again.ids
        assert f"https://{portal.client_id}.example/" in again.links
    cancelled = browser.post(f"/signin/{page.handle}/cancel", fields)
    assert cancelled.error_code == "ID-007"
    # The session is not lost by any of this.
    assert portal.arrive(browser, prompt="none").get("code")


@pytest.mark.parametrize("with_old_cookie", [False, True])
def test_sending_the_password_twice_goes_on(
    provider: Provider, portal: Portal, browser: Browser, person: Person, with_old_cookie: bool
) -> None:
    browser.get(portal.address())
    action, fields = browser.form("login-form", number=person.number, password=person.password)
    before = browser.cookies()
    browser.send("POST", action, data=fields)
    if with_old_cookie:
        # The browser dropped the first answer, and its cookie with it.
        browser.put(before)
    page = browser.post(action, fields)
    assert page.step == "consent"
    assert arrived(walk_on(browser, page, person)).get("code")
    live = sa.select(SsoSession).where(SsoSession.citizen_id == person.id, SsoSession.ended_at.is_(None))
    assert len(provider.scalars(live)) == 1


def walk_on(browser: Browser, page: Page, person: Person) -> Page:
    walk(browser, page, person)
    assert browser.page is not None
    return browser.page


@pytest.mark.parametrize("with_old_cookie", [False, True])
@pytest.mark.parametrize("in_running_session", [False, True])
def test_sending_the_code_twice_goes_on(
    portal: Portal, browser: Browser, person: Person, with_old_cookie: bool, in_running_session: bool
) -> None:
    if in_running_session:
        portal.arrive(browser, person)
    page = browser.get(portal.address(acr_values="loa2"))
    if not in_running_session:
        page = log_in(browser, person)
    assert page.step == "code"
    action, fields = browser.form("totp-form", code=person.code())
    before = browser.cookies()
    browser.send("POST", action, data=fields)
    if with_old_cookie:
        browser.put(before)
    answer = arrived(walk_on(browser, browser.post(action, fields), person))
    assert portal.claims(portal.tokens(answer))["acr"] == "loa2"
    assert portal.arrive(browser, prompt="none", acr_values="loa2").get("code")


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_sending_the_decision_twice_gives_the_same_answer(
    portal: Portal, browser: Browser, person: Person, decision: str
) -> None:
    to_consent(portal, browser, person)
    action, fields = browser.form("consent-form", decision=decision)
    browser.send("POST", action, data=fields)
    first = arrived(browser.post(action, fields))
    if decision == "allow":
        assert portal.redeem(first["code"]).status_code == 200
    else:
        assert first["error"] == "access_denied"
        other = {**fields, "decision": "allow"}
        assert arrived(browser.post(action, other))["error"] == "access_denied"


def test_cancelling_keeps_the_cookie_that_the_other_click_renewed(
    portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    browser.get(portal.address(acr_values="loa2"))
    action, fields = browser.form("totp-form", code=person.code())
    cancel, cancelled = browser.form("cancel")
    before = browser.cookies()
    browser.send("POST", action, data=fields)
    # The browser dropped the answer to the code, and its cookie with it.
    browser.put(before)
    assert browser.send("POST", cancel, data=cancelled).status_code == 303
    # Not followed: the answer to the cancel itself must hold the cookie.
    assert portal.arrive(browser, prompt="none").get("code")


def test_a_login_hint_cannot_be_read_in_the_database(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    page = browser.get(portal.address(login_hint=person.number))
    # The form holds it, so it went through the row.
    assert page.forms["login-form"].fields["number"].replace(" ", "") == person.number
    [row] = provider.scalars(sa.select(Interaction).where(Interaction.handle_digest == digest(page.handle)))
    assert person.number not in str(vars(row))
    assert portal.redirect_uri not in str(vars(row))


@pytest.mark.parametrize("typed", ["\t{}", "{}\t", "{}\t\t", " {}\t "])
def test_a_tab_that_came_along_with_the_number_is_accepted(
    portal: Portal, browser: Browser, person: Person, typed: str
) -> None:
    browser.get(portal.address())
    page = browser.submit("login-form", number=typed.format(person.number), password=person.password)
    assert page.step == "consent"


def test_an_old_cookie_opens_nothing_when_the_click_was_long_ago(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    browser.get(portal.address(acr_values="loa2"))
    action, fields = browser.form("totp-form", code=person.code())
    before = browser.cookies()
    browser.send("POST", action, data=fields)
    provider.let_pass(person, seconds=31)
    browser.put(before)
    assert browser.post(action, fields).step == "login"


def test_an_old_cookie_alone_opens_nothing(portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person)
    before = browser.cookies()["__Host-sid"]
    portal.arrive(browser, person, acr_values="loa2")
    browser.put({"__Host-sid": before})
    assert browser.get(portal.address()).step == "login"
    assert portal.arrive(browser, prompt="none")["error"] == "login_required"


def test_several_tabs_do_not_disturb_each_other(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    other = provider.portal()
    first = browser.get(portal.address(state="first"))
    second = browser.get(other.address(state="second"))
    third = browser.get(portal.address(state="third", acr_values="loa2"))
    browser.get(second.path)
    assert log_in(browser, person).step == "consent"
    assert arrived(browser.submit("consent-form", decision="allow"))["state"] == "second"
    # The other tabs notice the session at their next click and go on from there.
    assert browser.get(first.path).step == "consent"
    assert arrived(browser.submit("consent-form", decision="allow"))["state"] == "first"
    assert browser.get(third.path).step == "code"
    assert arrived(browser.submit("totp-form", code=person.code()))["state"] == "third"


def test_a_login_form_still_open_in_another_tab_may_be_sent(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    browser.get(portal.address(state="first"))
    action, fields = browser.form("login-form", number=person.number, password=person.password)
    portal.arrive(browser, person, state="second")
    assert arrived(walk_on(browser, browser.post(action, fields), person))["state"] == "first"


def test_signing_out_in_another_tab_asks_to_sign_in_again(portal: Portal, browser: Browser, person: Person) -> None:
    page = to_consent(portal, browser, person)
    action, fields = browser.form("consent-form", decision="allow")
    browser.get("/logout")
    browser.submit("logout-form")
    assert browser.post(action, fields).step == "login"
    assert browser.get(page.path).step == "login"


def lost(page: Page, portal: Portal) -> None:
    assert (page.status, page.error_code, page.left_for) == (400, "ID-001", None)
    assert page.ids["error-reference"]
    assert f"https://{portal.client_id}.example/" in page.links


def test_a_lost_cookie_offers_to_start_again_at_the_agency(portal: Portal, browser: Browser, person: Person) -> None:
    page = to_consent(portal, browser, person)
    action, fields = browser.form("consent-form", decision="allow")
    browser.forget("flow-")
    for shown in (
        browser.get(page.path),
        browser.get(f"/signin/{page.handle}"),
        browser.post(action, fields),
        browser.post(f"/signin/{page.handle}/cancel", fields),
    ):
        lost(shown, portal)
    assert portal.arrive(browser, person).get("code")


def test_the_link_of_a_login_is_worthless_to_somebody_else(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    page = browser.get(portal.address())
    victim = provider.browser()
    portal.arrive(victim, person)
    lost(victim.get(page.path), portal)
    lost(victim.get(f"/signin/{page.handle}"), portal)


@pytest.mark.parametrize("forged", ["", "x", "x" * 43, "đ", "'; DROP TABLE interaction; --", "\0"])
def test_a_forged_cookie_is_a_lost_one(portal: Portal, browser: Browser, forged: str) -> None:
    page = browser.get(portal.address())
    [name] = browser.cookies()
    header = {"Cookie": f"{name}={forged}".encode().decode("latin-1")}
    browser.forget()
    shown = browser.get(page.path, headers=header)
    lost(shown, portal)


def test_the_cookie_of_another_tab_does_not_fit(portal: Portal, browser: Browser) -> None:
    first, second = browser.get(portal.address()), browser.get(portal.address())
    cookies = browser.cookies()
    names = [f"__Host-flow-{page.handle[:8]}" for page in (first, second)]
    assert set(names) == set(cookies)
    browser.put({names[0]: cookies[names[1]], names[1]: cookies[names[0]]})
    lost(browser.get(first.path), portal)
    lost(browser.get(second.path), portal)


@pytest.mark.parametrize("handle", ["x", "x" * 22, "%00", "..%2f..", "đ", "x" * 3000, "'"])
def test_a_made_up_handle_is_a_page(browser: Browser, handle: str) -> None:
    for step in ("", "/login", "/consent"):
        page = browser.get(f"/signin/{handle}{step}")
        assert page.status in (400, 404)
        assert page.error_code in ("ID-001", "OP-003")
        assert browser.post(f"/signin/{handle}/login", {"csrf": "x"}).status in (400, 404)


def test_an_expired_interaction_offers_to_start_again(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    page = to_consent(portal, browser, person)
    action, fields = browser.form("consent-form", decision="allow")
    provider.age(Interaction, Interaction.handle_digest == digest(page.handle), seconds=600)
    for shown in (browser.get(page.path), browser.post(action, fields), browser.get(f"/signin/{page.handle}")):
        assert (shown.status, shown.error_code, shown.left_for) == (400, "ID-002", None)
        assert f"https://{portal.client_id}.example/" in shown.links
    # Signed in one is nevertheless, and the next request asks for the rest only.
    assert browser.get(portal.address()).step == "consent"


@pytest.mark.parametrize("token", [None, "", "x", "đ", "x" * 5000])
@pytest.mark.parametrize("form", ["login-form", "consent-form", "cancel"])
@pytest.mark.holds("OIDCC-3.1.2.3-2", "RFC6749-10.12-1")
def test_a_form_without_its_token_is_not_acted_on(
    portal: Portal, browser: Browser, person: Person, token: str | None, form: str
) -> None:
    page = browser.get(portal.address()) if form == "login-form" else to_consent(portal, browser, person)
    action, fields = browser.form(form, decision="allow", number=person.number, password=person.password)
    fields.pop("csrf")
    refused = browser.post(action, fields if token is None else {**fields, "csrf": token})
    assert (refused.status, refused.error_code) == (400, "ID-008")
    assert browser.get(page.path).step == page.step


def test_the_form_token_of_another_tab_is_not_accepted(portal: Portal, browser: Browser, person: Person) -> None:
    browser.get(portal.address())
    _, other = browser.form("login-form")
    browser.get(portal.address())
    action, fields = browser.form("login-form", number=person.number, password=person.password)
    assert browser.post(action, {**fields, "csrf": other["csrf"]}).error_code == "ID-008"


@pytest.mark.parametrize("step", STEPS)
def test_turning_back_is_possible_on_every_page(
    provider: Provider, browser: Browser, person: Person, step: str
) -> None:
    portal = provider.portal(basis="legal" if step == "notice" else "consent")
    if step == "account":
        portal.arrive(browser, person)
    wish = {"account": {"prompt": "select_account"}, "code": {"acr_values": "loa2"}}.get(step, {})
    page = browser.get(portal.address(**wish))
    if step not in ("login", "account"):
        page = log_in(browser, person)
    assert page.step == step
    assert "signin-cancel" in page.ids
    answer = arrived(browser.cancel())
    assert (answer["error"], answer["state"]) == ("access_denied", "state-of-the-portal")
    assert answer["iss"] == provider.settings.issuer
    # The decision stands, also for the back button.
    assert arrived(browser.get(page.path))["error"] == "access_denied"


def test_a_client_suspended_in_mid_flow_gets_nothing(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal()
    page = to_consent(portal, browser, person)
    action, fields = browser.form("consent-form", decision="allow")
    with provider.app.app_context():
        apply.suspend(portal.client_id)
    provider.forget_caches()
    for shown in (browser.get(page.path), browser.post(action, fields), browser.get(f"/signin/{page.handle}")):
        assert (shown.status, shown.error_code, shown.left_for) == (403, "PR-005", None)


def test_only_a_few_flow_cookies_are_kept(portal: Portal, browser: Browser) -> None:
    for _ in range(MOST_FLOWS + 4):
        page = browser.get(portal.address())
    flows = [name for name in browser.cookies() if name.startswith("__Host-flow-")]
    assert len(flows) <= MOST_FLOWS
    assert browser.get(page.path).step == "login"
