"""Connected agencies: what is shown is in force, and what was taken back is gone at once and asked for again."""

from typing import Any

import pytest
import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.citizens.models import CitizenState
from idp.sso.models import Consent
from tests.browser import Browser, Page
from tests.provider import Answer, Person, Portal, Provider
from tests.unit.account.entering import enter

PATH = "/account/agencies"
SCOPE = "openid name email offline_access"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def portal(provider: Provider) -> Portal:
    """Return a portal that asks by consent, for lasting access too."""
    return provider.portal(scope=SCOPE, grant_types=["authorization_code", "refresh_token"])


def connected(portal: Portal, browser: Browser, person: Person) -> dict[str, Any]:
    """Connect and return the tokens."""
    return portal.tokens(portal.arrive(browser, person, scope=SCOPE, prompt="consent"))


def opened(browser: Browser, person: Person, portal: Portal) -> Page:
    """Open the page of a client in English."""
    enter(browser, person, PATH)
    browser.get(f"{PATH}?lang=en")
    return browser.get(f"{PATH}/{portal.client_id}")


def consent_of(provider: Provider, person: Person) -> list[str]:
    return provider.scalars(sa.select(Consent.claims).where(Consent.citizen_id == person.id))


def test_consent_is_shown_item_by_item(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    tokens = connected(portal, browser, person)
    page = opened(browser, person, portal)
    assert "You have agreed since" in page.text
    assert "to use email" in page.text
    assert "agency-lasting" in page.ids
    assert "Not used yet" in page.text
    assert "agency-withdraw-email" in page.ids
    assert portal.refresh(tokens["refresh_token"]).status_code == 200
    assert "Last used at" in opened(browser, person, portal).text


def test_taking_everything_back_ends_what_the_agency_holds_and_asks_again(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    tokens = connected(portal, browser, person)
    waiting = portal.arrive(browser, scope=SCOPE)
    opened(browser, person, portal)
    page = browser.submit("agency-form")
    assert page.path == PATH
    assert "agencies-withdrawn" in page.ids
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    assert portal.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert portal.redeem(waiting["code"]).get_json()["error"] == "invalid_grant"
    assert consent_of(provider, person) == []
    assert "consent-form" in browser.get(portal.address(scope="openid")).forms
    assert Answer(portal.arrive(browser, scope="openid", prompt="none").location)["error"] == "consent_required"
    [detail] = provider.scalars(
        sa.select(AuditEvent.detail).where(
            AuditEvent.citizen_id == person.id, AuditEvent.name == Event.CONSENT_WITHDRAWN.value
        )
    )
    assert detail["whole"] is True


def test_connecting_again_is_no_more_withdrawn(portal: Portal, browser: Browser, person: Person) -> None:
    connected(portal, browser, person)
    opened(browser, person, portal)
    browser.submit("agency-form")
    connected(portal, browser, person)
    page = browser.get(PATH)
    assert "agencies-withdrawn" not in page.ids
    assert "agency-consent-1" in page.ids


def test_taking_one_item_back_leaves_the_others_agreed(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    tokens = connected(portal, browser, person)
    opened(browser, person, portal)
    page = browser.submit("agency-form-email")
    assert page.path == f"{PATH}/{portal.client_id}"
    assert "agency-withdraw-email" not in page.ids
    assert "agency-withdraw-name" in page.ids
    assert "email" not in consent_of(provider, person)[0].split()
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    assert portal.refresh(tokens["refresh_token"]).status_code == 400
    # Less than before is answered at once, the item taken back is asked for.
    assert "code" in portal.arrive(browser, scope="openid name", prompt="none").parameters
    assert portal.arrive(browser, scope=SCOPE, prompt="none")["error"] == "consent_required"
    page = browser.get(portal.address(scope="openid name email"))
    assert "consent-form" in page.forms


def test_lasting_access_is_taken_back_by_itself(portal: Portal, browser: Browser, person: Person) -> None:
    tokens = connected(portal, browser, person)
    opened(browser, person, portal)
    page = browser.submit("agency-form-offline_access")
    assert "agency-lasting" not in page.ids
    assert portal.refresh(tokens["refresh_token"]).status_code == 400


def test_tokens_of_others_go_on(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    connected(portal, browser, person)
    other_portal = provider.portal(scope="openid name")
    at_other = other_portal.tokens(other_portal.arrive(browser, scope="openid name"))
    neighbour, their_browser = provider.citizen(), provider.browser()
    theirs = connected(portal, their_browser, neighbour)
    opened(browser, person, portal)
    browser.submit("agency-form")
    assert other_portal.userinfo(at_other["access_token"]).status_code == 200
    assert portal.userinfo(theirs["access_token"]).status_code == 200
    assert portal.refresh(theirs["refresh_token"]).status_code == 200


def test_what_the_law_gives_cannot_be_taken_back_and_says_so(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal(scope="openid name", basis="legal")
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid name"))
    page = opened(browser, person, portal)
    assert "Legal basis: Law 1" in page.text
    assert "agency-by-law" in page.ids
    assert page.forms == {}
    # Somebody who makes the form by hand gets no further.
    token = _token_of(browser, person, provider, page.path)
    for form in ({"decision": "all"}, {"decision": "item", "claim": "name"}):
        browser.post(page.path, {**form, "csrf": token})
    assert portal.userinfo(tokens["access_token"]).status_code == 200
    assert len(consent_of(provider, person)) == 1


def _token_of(browser: Browser, person: Person, provider: Provider, path: str) -> str:
    """Return the form token of a page, as the house makes it."""
    from idp.account.views import Here
    from idp.sso.own_pages import own_client
    from idp.sso.situation import read_standing

    secret = next(value for name, value in browser.cookies().items() if name.removeprefix("__Host-") == "sid")
    standing = read_standing(provider.services.hot_path, secret, own_client(provider.settings))
    assert standing is not None
    assert standing.citizen_id == person.id
    return Here(provider.services, standing).form_token(path)


@pytest.mark.parametrize("form", [{}, {"decision": "x"}, {"decision": "item"}, {"decision": "item", "claim": "gender"}])
def test_forms_that_name_nothing_take_nothing(
    provider: Provider, portal: Portal, browser: Browser, person: Person, form: dict[str, str]
) -> None:
    connected(portal, browser, person)
    before = consent_of(provider, person)
    page = opened(browser, person, portal)
    csrf = page.forms["agency-form"].fields["csrf"]
    assert browser.post(page.path, {**form, "csrf": csrf}).path == page.path
    assert consent_of(provider, person) == before


@pytest.mark.parametrize("client_id", ["nobody", "%27", "x" * 300, "%00", "ü"])
def test_address_of_no_client_leads_to_the_list(browser: Browser, person: Person, client_id: str) -> None:
    enter(browser, person, PATH)
    assert browser.get(f"{PATH}/{client_id}").path == PATH


def test_client_of_somebody_else_is_not_told_apart_from_none(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    connected(portal, provider.browser(), provider.citizen())
    enter(browser, person, PATH)
    page = browser.get(f"{PATH}/{portal.client_id}")
    assert page.path == PATH
    assert "agencies-none" in page.ids


def test_forms_need_their_own_token_and_a_live_session(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    connected(portal, browser, person)
    opened(browser, person, portal)
    action, fields = browser.form("agency-form")
    assert browser.post(action, {"decision": "all"}).error_code == "ID-008"
    assert browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"}).error_code == "ID-008"
    other = provider.portal()
    other.arrive(browser)
    assert browser.post(f"{PATH}/{other.client_id}", fields).error_code == "ID-008"
    person.set(state=CitizenState.DISABLED)
    assert "space-signin-form" in browser.post(action, fields).forms
    person.set(state=CitizenState.ACTIVE)
    provider.let_pass(person, hours=1)
    assert "space-signin-form" in browser.post(action, fields).forms
    assert len(consent_of(provider, person)) == 2


def test_second_click_changes_nothing_more(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    connected(portal, browser, person)
    opened(browser, person, portal)
    action, fields = browser.form("agency-form")
    assert [browser.post(action, fields).path for _ in range(2)] == [PATH, PATH]
    names = provider.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id))
    assert names.count(Event.CONSENT_WITHDRAWN.value) == 1


def test_sign_in_under_way_asks_again_when_consent_was_just_taken_back(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    connected(portal, browser, person)
    page = browser.get(portal.address(scope="openid name", prompt="select_account"))
    opened(browser, person, portal)
    browser.submit("agency-form")
    browser.get(page.path)
    assert "consent-form" in browser.submit("account-form", decision="continue").forms


def test_hostile_names_are_text(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(
        scope="openid name",
        agency={"slug": f"hostile-{person.id.hex}", "name": {"vi": HOSTILE, "en": HOSTILE}},
        purposes={"name": {"vi": HOSTILE, "en": HOSTILE}},
        **{"client_name": HOSTILE, "client_name#en": HOSTILE},
    )
    portal.arrive(browser, person, scope="openid name")
    for page in (enter(browser, person, PATH), browser.get(f"{PATH}/{portal.client_id}")):
        assert HOSTILE not in page.html
        assert "&lt;script&gt;" in page.html
