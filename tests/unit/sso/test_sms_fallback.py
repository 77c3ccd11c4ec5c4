"""A code by SMS instead of the app: for a proven telephone, where there is a gateway, once, and told to its owner."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.credentials import recovery
from idp.cli import db as schema
from idp.core import clock
from idp.core.database import db
from idp.notify.models import OwedNotice
from tests.browser import Browser, Page
from tests.codes import messages
from tests.provider import Answer, Person, Portal, Provider, json_of, provider_at, walk

PHONE = "+84901234567"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Yield a provider whose messages go to a folder."""
    directory = tmp_path_factory.mktemp("sms")
    cluster = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    name = cluster.create() if cluster else ""
    url = cluster.url(name) if cluster else f"sqlite:///{directory / 'lienket.sqlite3'}"
    schema.upgrade(url)
    with provider_at(url, directory / "secrets", mail_folder=directory / "outbox", mail_from="a@example.com") as made:
        yield made
    if cluster:
        cluster.drop(name)


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(phone_number=PHONE, phone_number_verified=True)


@pytest.fixture
def portal(provider: Provider) -> Portal:
    return provider.portal()


def asked(browser: Browser, portal: Portal, person: Person, **changes: str | None) -> Page:
    """Walk to the page where the code of the message is typed, having asked for one."""
    page = browser.get(portal.address(**{"acr_values": "loa2", **changes}))
    page = browser.submit("login-form", number=person.number, password=person.password)
    browser.get(f"/signin/{page.handle}/code/other")
    return browser.submit("other-sms-form", decision="send")


def newest_code(provider: Provider) -> str:
    with provider.app.app_context():
        channel, target, code = messages(provider.services.keyring)[-1]
    assert (channel, target) == ("sms", PHONE)
    return code


def test_password_and_sms_are_two_factors_and_the_owner_is_told(
    provider: Provider, browser: Browser, portal: Portal, person: Person
) -> None:
    page = asked(browser, portal, person)
    assert page.step == "sms"
    assert PHONE[-4:] not in page.text
    page = browser.submit("sms-form", code=newest_code(provider))
    claims = portal.claims(portal.tokens(Answer(walk(browser, page, person))))
    assert (claims["acr"], claims["amr"]) == ("loa2", ["pwd", "sms", "mfa"])
    events = provider.scalars(sa.select(AuditEvent).where(AuditEvent.citizen_id == person.id))
    assert [each.detail for each in events if each.name == "citizens:sms:accepted"] == [{"fallback": True}]
    assert "sms-used" in provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id))


def test_code_works_where_the_level_is_essential(
    provider: Provider, browser: Browser, portal: Portal, person: Person
) -> None:
    essential = json_of(id_token={"acr": {"essential": True, "values": ["loa2"]}})
    asked(browser, portal, person, acr_values=None, claims=essential)
    assert browser.submit("sms-form", code=newest_code(provider)).step == "consent"


def test_wrong_code_used_code_and_code_never_sent_are_refused(
    provider: Provider, browser: Browser, portal: Portal, person: Person
) -> None:
    asked(browser, portal, person)
    code = newest_code(provider)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert browser.submit("sms-form", code=wrong).status == 400
    assert browser.submit("sms-form", code=code).step == "consent"
    other = provider.browser()
    page = other.get(portal.address(acr_values="loa2"))
    other.submit("login-form", number=person.number, password=person.password)
    other.get(f"/signin/{page.handle}/code/sms")
    page = other.submit("sms-form", code=code)
    assert (page.step, page.status) == ("sms", 400)


def test_code_of_one_person_raises_nobody_else_on_the_same_pages(
    provider: Provider, browser: Browser, portal: Portal, person: Person
) -> None:
    """Somebody asks for a code to their own telephone, then signs in with another's password in a second tab."""
    page = asked(browser, portal, person)
    code = newest_code(provider)
    victim = provider.citizen(phone_number="+84907654321", phone_number_verified=True)
    browser.get(provider.portal().address(prompt="login"))
    browser.submit("login-form", number=victim.number, password=victim.password)
    browser.get(page.path)
    assert browser.page is not None
    if "sms-form" in browser.page.forms:
        page = browser.submit("sms-form", code=code)
        assert (page.step, page.status) == ("sms", 400)
    assert "sms" not in provider.session_of(victim).amr


def test_messages_are_limited(browser: Browser, portal: Portal, provider: Provider) -> None:
    person = provider.citizen(phone_number="+84900000001", phone_number_verified=True)
    asked(browser, portal, person)
    statuses = [browser.submit("sms-again-form", decision="send").status for _ in range(5)]
    assert statuses == [200] * 4 + [429]


@pytest.mark.parametrize("contact", [{}, {"phone_number": PHONE, "phone_number_verified": False}])
def test_nothing_is_offered_without_a_proven_telephone(
    provider: Provider, browser: Browser, portal: Portal, contact: dict[str, object]
) -> None:
    person = provider.citizen(**contact)
    page = browser.get(portal.address(acr_values="loa2"))
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert "other-sms-form" not in browser.get(f"/signin/{page.handle}/code/other").forms
    assert browser.get(f"/signin/{page.handle}/code/sms").step == "other"


def test_telephone_alone_gives_an_account_no_second_factor(
    provider: Provider, browser: Browser, portal: Portal
) -> None:
    person = provider.citizen(totp=False, phone_number=PHONE, phone_number_verified=True)
    assert portal.sign_in(browser, person, acr_values="loa2")["acr"] == "loa1"


def test_page_typed_out_of_order_leads_to_where_the_person_is(browser: Browser, portal: Portal, person: Person) -> None:
    page = browser.get(portal.address(acr_values="loa2"))
    assert browser.get(f"/signin/{page.handle}/code/sms").step == "login"
    browser.submit("login-form", number=person.number, password=person.password)
    browser.submit("totp-form", code=person.code())
    assert browser.get(f"/signin/{page.handle}/code/sms").step == "consent"


def test_telephone_is_no_second_factor_beside_a_sheet_of_codes(
    provider: Provider, browser: Browser, portal: Portal
) -> None:
    """Whoever takes over a telephone resets the password by it: it must not be the other factor besides."""
    person = provider.citizen(totp=False, phone_number=PHONE, phone_number_verified=True)
    with provider.app.app_context():
        recovery.store(person.id, recovery.new_codes(), keyring=provider.services.keyring, now=clock.now())
        db.session.commit()
    browser.get("/account/ways")
    browser.submit("space-signin-form")
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "other", page.text
    assert "other-sms-form" not in page.forms
    assert browser.get(f"/signin/{page.handle}/code/sms").step == "other"
