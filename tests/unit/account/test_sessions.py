"""Devices: each is shown to its own citizen, and signing out of it ends it everywhere it reached."""

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.citizens.models import CitizenState
from idp.sso.models import LogoutDelivery, SsoSession
from tests.browser import Browser
from tests.listener import listening, register
from tests.provider import Person, Provider
from tests.unit.account.entering import enter

PATH = "/account/sessions"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1"
HOSTILE = "<script>alert(1)</script>"


def another(provider: Provider, person: Person, user_agent: str = PHONE) -> Browser:
    """Return a second browser, signed in."""
    browser = provider.browser()
    browser._client.environ_base["HTTP_USER_AGENT"] = user_agent
    browser._client.environ_base["REMOTE_ADDR"] = "2001:db8:1:2::7"
    enter(browser, person)
    return browser


def is_in(browser: Browser) -> bool:
    return "space-signin-form" not in browser.get("/account").forms


def test_each_device_is_listed_and_this_one_marked(provider: Provider, browser: Browser, person: Person) -> None:
    another(provider, person)
    enter(browser, person, PATH)
    page = browser.get(f"{PATH}?lang=en")
    assert "Safari, iPhone" in page.text
    assert "2001:db8:1::/48" in page.text
    assert "2001:db8:1:2::7" not in page.text
    assert page.text.count("This device") == 1
    # There is one form for the other, and none for this one.
    assert [name for name in page.forms if name.startswith("session-form-")] == ["session-form-2"]


def test_one_device_is_signed_out_and_shown_as_such(provider: Provider, browser: Browser, person: Person) -> None:
    first, second = another(provider, person), another(provider, person)
    enter(browser, person, PATH)
    assert browser.submit("session-form-2").path == PATH
    assert (is_in(first), is_in(second), is_in(browser)) == (True, False, True)
    page = browser.get(PATH)
    assert "session-form-2" in page.forms
    assert "session-form-3" not in page.forms
    assert "sessions-ended" in page.ids
    outcomes = provider.scalars(
        sa.select(AuditEvent.outcome).where(
            AuditEvent.citizen_id == person.id, AuditEvent.name == Event.SESSION_ENDED.value
        )
    )
    assert outcomes == ["signed out elsewhere"]


def test_all_others_are_signed_out_and_this_one_stays(provider: Provider, browser: Browser, person: Person) -> None:
    others = [another(provider, person) for _ in range(2)]
    stranger, theirs = provider.citizen(), provider.browser()
    enter(theirs, stranger)
    enter(browser, person, PATH)
    page = browser.submit("sessions-others-form")
    assert [is_in(other) for other in others] == [False, False]
    assert is_in(browser)
    assert is_in(theirs)
    assert "sessions-others-form" not in page.forms


def test_everywhere_means_here_too(provider: Provider, browser: Browser, person: Person) -> None:
    other = another(provider, person)
    enter(browser, person, PATH)
    page = browser.submit("sessions-everywhere-form")
    assert "signed-out" in page.ids
    assert not is_in(other)
    assert not is_in(browser)
    assert "sid" not in {name.removeprefix("__Host-") for name, value in browser.cookies().items() if value}


def test_agencies_of_an_ended_device_are_told(provider: Provider, browser: Browser, person: Person) -> None:
    with listening() as listener:
        portal = provider.portal()
        register(portal, backchannel_logout_uri=f"{listener.url}/logout")
        other = another(provider, person)
        portal.arrive(other, person)
        enter(browser, person, PATH)
        browser.submit("sessions-others-form")
        assert len(listener.received) == 1
    states = provider.scalars(sa.select(LogoutDelivery.state).where(LogoutDelivery.citizen_id == person.id))
    assert states == ["confirmed"]


def test_sign_in_under_way_on_an_ended_device_starts_from_the_password(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal(scope="openid name")
    other = another(provider, person)
    page = other.get(portal.address(scope="openid name"))
    assert "consent-form" in page.forms
    enter(browser, person, PATH)
    browser.submit("sessions-others-form")
    page = other.submit("consent-form", decision="allow")
    assert page.left_for is None
    assert "login-form" in page.forms
    # Whoever knows the password may go on where they were, and is asked again.
    page = other.submit("login-form", number=person.number, password=person.password)
    assert "consent-form" in page.forms


def test_forms_of_one_session_do_nothing_in_another(provider: Provider, browser: Browser, person: Person) -> None:
    other, victim = another(provider, person), another(provider, person)
    enter(browser, person, PATH)
    action, fields = browser.form("session-form-2")
    enter(other, person, PATH)
    assert other.post(action, fields).error_code == "ID-008"
    # The token of the page is right, the name of the session is one of another's page.
    _, own = other.form("sessions-everywhere-form") if other.get(PATH) else ("", {})
    assert other.post(action, {**fields, "csrf": own["csrf"]}).path == PATH
    assert is_in(victim)
    assert is_in(browser)


def test_forms_without_their_token_or_from_elsewhere_do_nothing(
    provider: Provider, browser: Browser, person: Person
) -> None:
    other = another(provider, person)
    enter(browser, person, PATH)
    action, fields = browser.form("sessions-others-form")
    assert browser.post(action, {"which": "others"}).error_code == "ID-008"
    assert browser.post(action, fields, headers={"Sec-Fetch-Site": "same-site"}).error_code == "ID-008"
    assert browser.post(action, {**fields, "csrf": fields["csrf"][::-1]}).error_code == "ID-008"
    assert browser.post("/account/number", fields).error_code == "OP-004"
    assert browser.post(action, {**fields, "which": "x"}).path == PATH
    assert browser.post(action, {"csrf": fields["csrf"]}).path == PATH
    assert is_in(other)


def test_session_of_another_citizen_is_out_of_reach(provider: Provider, browser: Browser, person: Person) -> None:
    theirs = provider.browser()
    stranger = provider.citizen()
    enter(theirs, stranger)
    row = provider.session_of(stranger)
    enter(browser, person, PATH)
    action, fields = browser.form("sessions-everywhere-form")
    for which in (str(row.id), row.id.hex):
        assert browser.post(action, {**fields, "which": which}).path == PATH
    assert is_in(theirs)


def test_stale_session_or_disabled_account_signs_nobody_out(
    provider: Provider, browser: Browser, person: Person
) -> None:
    other = another(provider, person)
    enter(browser, person, PATH)
    action, fields = browser.form("sessions-others-form")
    person.set(state=CitizenState.DISABLED)
    assert "space-signin-form" in browser.post(action, fields).forms
    person.set(state=CitizenState.ACTIVE)
    provider.let_pass(person, hours=1)
    assert "space-signin-form" in browser.post(action, fields).forms
    assert is_in(other)


def test_hostile_browser_is_text(provider: Provider, browser: Browser, person: Person) -> None:
    another(provider, person, user_agent=HOSTILE)
    page = enter(browser, person, PATH)
    assert HOSTILE not in page.html
    assert "alert" not in page.html


def test_sessions_that_are_over_are_not_listed(provider: Provider, browser: Browser, person: Person) -> None:
    another(provider, person)
    provider.let_pass(person, hours=1)
    page = enter(browser, person, PATH)
    assert "session-form-2" not in page.forms
    assert len(provider.scalars(sa.select(SsoSession.id).where(SsoSession.citizen_id == person.id))) == 2
