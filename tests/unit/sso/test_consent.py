"""Consent and notice: the very values, asked once per citizen, client and set of claims; only what is new again."""

import pytest
import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.sso.models import Consent, Disclosure
from tests.browser import Browser, Page
from tests.provider import Answer, Person, Provider


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com", phone_number="+84301234567", nickname="Út")


def log_in(browser: Browser, address: str, person: Person) -> Page:
    browser.get(f"{address}&ui_locales=en")
    return browser.submit("login-form", number=person.number, password=person.password)


def code_of(page: Page) -> str | None:
    return Answer(page.left_for).get("code") if page.left_for else None


@pytest.mark.holds("OIDCC-3.1.2.4-1")
def test_the_page_names_agency_person_purposes_and_values(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid email phone name")
    page = log_in(browser, portal.address(scope="openid email phone"), person)
    assert page.step == "consent"
    for text in (
        f"Portal {portal.client_id}",
        person.full_name,
        "hoa@example.com",
        "+84301234567",
        "to use email",
        "to use phone",
    ):
        assert text in page.text
    # Nothing about what was not asked for.
    assert "to use name" not in page.text
    assert code_of(browser.submit("consent-form", decision="allow"))


def test_only_openid_says_that_nothing_is_sent(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid email")
    page = log_in(browser, portal.address(), person)
    assert page.step == "consent"
    assert "hoa@example.com" not in page.text
    tokens = portal.tokens(Answer(browser.submit("consent-form", decision="allow").left_for or ""))
    assert set(portal.userinfo(tokens["access_token"]).get_json()) == {"sub"}


@pytest.mark.holds("OIDCC-3.1.2.4-1")
def test_a_client_under_a_law_shows_a_notice_with_the_law(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid idnum", basis="legal", legal_basis={"vi": "Luật 38", "en": "Law 38/2019"})
    page = log_in(browser, portal.address(scope="openid idnum"), person)
    assert page.step == "notice"
    assert "Law 38/2019" in page.text
    assert person.number in page.text.replace(" ", "")
    assert "consent-form" not in page.forms
    assert code_of(browser.submit("notice-form"))
    # Told once.
    assert code_of(browser.get(portal.address(scope="openid idnum")))


def test_what_was_agreed_is_not_asked_again(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid email phone")
    log_in(browser, portal.address(scope="openid email"), person)
    browser.submit("consent-form", decision="allow")
    for scope in ("openid email", "openid"):
        assert code_of(browser.get(portal.address(scope=scope)))
    later = provider.browser()
    assert code_of(log_in(later, portal.address(scope="openid email"), person))


def test_only_what_is_new_is_asked_and_the_rest_is_remembered(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal(scope="openid email phone profile")
    log_in(browser, portal.address(scope="openid email"), person)
    browser.submit("consent-form", decision="allow")
    page = browser.get(portal.address(scope="openid email phone"))
    assert page.step == "consent"
    assert page.text.index("+84301234567") < page.text.index("hoa@example.com")
    browser.submit("consent-form", decision="allow")
    assert code_of(browser.get(portal.address(scope="openid email phone")))
    assert code_of(browser.get(portal.address(scope="openid email")))
    assert browser.get(portal.address(scope="openid profile")).step == "consent"


def test_agreement_is_for_one_client_and_one_citizen(provider: Provider, browser: Browser, person: Person) -> None:
    portal, other = provider.portal(scope="openid email"), provider.portal(scope="openid email")
    log_in(browser, portal.address(scope="openid email"), person)
    browser.submit("consent-form", decision="allow")
    assert browser.get(other.address(scope="openid email")).step == "consent"
    second = provider.citizen(email="b@example.com")
    assert log_in(provider.browser(), portal.address(scope="openid email"), second).step == "consent"


def test_a_client_that_changes_its_basis_starts_anew(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid email", basis="legal")
    assert log_in(browser, portal.address(scope="openid email"), person).step == "notice"
    browser.submit("notice-form")
    provider.portal(**{**portal.document, "basis": "consent", "legal_basis": None})
    assert browser.get(portal.address(scope="openid email")).step == "consent"


@pytest.mark.parametrize("basis", ["consent", "legal"])
def test_what_is_not_held_is_named_before_it_is_agreed_to(provider: Provider, browser: Browser, basis: str) -> None:
    bare = provider.citizen(email="bare@example.com", email_verified=True)
    portal = provider.portal(scope="openid email phone birthplace", basis=basis)
    form = {"consent": ("consent-form", {"decision": "allow"}), "legal": ("notice-form", {})}[basis]
    first, later = (
        portal.address(scope="openid email"),
        portal.address(scope="openid email phone birthplace", ui_locales="en"),
    )
    page = log_in(browser, first, bare)
    assert "Not held today" not in page.text
    assert "Mobile number" not in page.text
    browser.submit(form[0], **form[1])
    # Agreed to the one does not cover the others, although today nothing more would be sent.
    page = browser.get(later)
    assert page.step in ("consent", "notice")
    assert page.text.count("Not held today, will be sent once known") == 1
    # What is new stands before what was agreed to.
    assert page.text.index("Not held today") < page.text.index("Mobile number") < page.text.index("bare@example.com")
    assert "claim." not in page.text
    token = portal.tokens(Answer(browser.submit(form[0], **form[1]).left_for or ""))["access_token"]
    assert "phone_number" not in portal.userinfo(token).get_json()
    [agreed] = provider.scalars(sa.select(Consent.claims).where(Consent.citizen_id == bare.id))
    assert {"email", "phone_number"} <= set(agreed.split())
    # Once known, it is sent without asking again: it was named.
    provider.citizen(number=bare.number, email="bare@example.com", email_verified=True, phone_number="+84301234567")
    answer = browser.get(later).left_for
    assert answer is not None
    token = portal.tokens(Answer(answer))["access_token"]
    assert portal.userinfo(token).get_json()["phone_number"] == "+84301234567"


@pytest.mark.holds("OIDCC-3.1.2.4-1", "OIDCC-17-1")
def test_refusing_sends_nothing_and_is_not_remembered(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid email")
    log_in(browser, portal.address(scope="openid email"), person)
    refused = Answer(browser.submit("consent-form", decision="deny").left_for or "")
    assert (refused["error"], refused["state"]) == ("access_denied", "state-of-the-portal")
    assert not provider.scalars(sa.select(Consent).where(Consent.citizen_id == person.id))
    assert not provider.scalars(sa.select(Disclosure).where(Disclosure.citizen_id == person.id))
    assert browser.get(portal.address(scope="openid email")).step == "consent"


@pytest.mark.parametrize("decision", [{}, {"decision": ""}, {"decision": "maybe"}])
def test_neither_yes_nor_no_asks_again(
    provider: Provider, browser: Browser, person: Person, decision: dict[str, str]
) -> None:
    portal = provider.portal()
    log_in(browser, portal.address(), person)
    assert browser.submit("consent-form", **decision).step == "consent"


@pytest.mark.holds("OIDCC-17-1")
def test_every_release_is_in_the_ledger_and_the_trail(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid email")
    log_in(browser, portal.address(scope="openid email"), person)
    browser.submit("consent-form", decision="allow")
    browser.get(portal.address())
    rows = provider.scalars(sa.select(Disclosure).where(Disclosure.citizen_id == person.id).order_by(Disclosure.at))
    assert [(row.claims, row.acr, row.basis) for row in rows] == [
        ("email email_verified", "loa1", "consent"),
        ("", "loa1", "consent"),
    ]
    names = provider.scalars(
        sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id).order_by(AuditEvent.id)
    )
    assert names.count(Event.CODE_ISSUED) == 2
    assert names.count(Event.CONSENT_GIVEN) == 1
