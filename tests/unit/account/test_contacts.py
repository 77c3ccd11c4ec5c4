"""Contact data in the own space: an address is the account's once a code came back, and its going is told to it."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.claims import profile_of
from idp.citizens.models import ContactProof, CredentialThrottle
from idp.core import clock
from idp.notify.models import OwedNotice
from tests.browser import Browser, Page
from tests.codes import code_to
from tests.provider import Person, Provider, provider_at
from tests.unit.account.entering import enter

PATH = "/account/contacts"
_serial = count(1)


@pytest.fixture(scope="module")
def reachable(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Yield the provider with a way for mails and text messages to leave."""
    folder = tmp_path_factory.mktemp("mail")
    with provider_at(
        provider.url, provider.settings.secrets_dir, mail_folder=folder, mail_from="x@lienket.example"
    ) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _forget_throttles(provider: Provider) -> None:
    provider.run(sa.delete(CredentialThrottle))


@pytest.fixture
def browser(reachable: Provider) -> Browser:
    return reachable.browser()


@pytest.fixture
def person(reachable: Provider) -> Person:
    return reachable.citizen()


@pytest.fixture
def mail() -> str:
    return f"moi{next(_serial)}@thu.example"


def claims(person: Person) -> dict[str, Any]:
    row = person.row()
    return dict(profile_of(row, person.provider.services.keyring).claims)


def add(browser: Browser, reachable: Provider, address: str, *, kind: str = "mail", stored: str = "") -> Page:
    browser.get(f"{PATH}/{kind}")
    page = browser.submit("contact-form", contact=address)
    assert page.path == f"{PATH}/{kind}/code"
    return browser.submit("code-form", code=code_to(reachable, stored or address))


def told(provider: Provider, person: Person) -> list[tuple[str, bool]]:
    """Return kind of each notice about contacts, and whether it goes to a former address."""
    mine = (OwedNotice.citizen_id == person.id, OwedNotice.kind.like("contact-%"))
    rows = provider.scalars(sa.select(OwedNotice).where(*mine))
    return sorted((row.kind, row.recipient is not None) for row in rows)


def test_address_is_kept_once_its_code_came_back(
    reachable: Provider, browser: Browser, person: Person, mail: str
) -> None:
    page = enter(browser, person, PATH)
    assert {"contact-mail-none", "contact-phone-none"} <= set(page.ids)
    browser.get(f"{PATH}/mail")
    page = browser.submit("contact-form", contact=f" {mail} ")
    assert page.path == f"{PATH}/mail/code"
    assert mail in page.ids["contact-sent"]
    assert "email" not in claims(person)
    wrong = f"{(int(code_to(reachable, mail)) + 1) % 1_000_000:06d}"
    assert (browser.submit("code-form", code=wrong).status, "email" in claims(person)) == (400, False)
    page = browser.submit("code-form", code=code_to(reachable, mail))
    assert page.path == f"{PATH}?done=mail-kept"
    assert mail in page.ids["contact-mail-address"]
    assert (claims(person)["email"], claims(person)["email_verified"]) == (mail, True)
    assert told(reachable, person) == [("contact-added", False)]


def test_agency_sees_what_was_proven(reachable: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    add(browser, reachable, "0912 000 321", kind="phone", stored="+84912000321")
    portal = reachable.portal(scope="openid phone")
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid phone"))
    released = portal.userinfo(tokens["access_token"]).get_json()
    assert (released["phone_number"], released["phone_number_verified"]) == ("+84912000321", True)


def test_same_number_may_serve_a_family(reachable: Provider, browser: Browser, person: Person) -> None:
    enter(browser, person, PATH)
    add(browser, reachable, "0912000322", kind="phone", stored="+84912000322")
    daughter, other = reachable.citizen(), reachable.browser()
    enter(other, daughter, PATH)
    assert add(other, reachable, "+84 912 000 322", kind="phone", stored="+84912000322").path.endswith("phone-kept")


def test_change_ends_other_sessions_and_is_told_to_the_old_address(
    reachable: Provider, browser: Browser, mail: str
) -> None:
    person = reachable.citizen(email="cu@thu.example", email_verified=True)
    elsewhere = reachable.browser()
    enter(elsewhere, person)
    enter(browser, person, PATH)
    add(browser, reachable, mail)
    assert claims(person)["email"] == mail
    assert told(reachable, person) == [("contact-changed", False), ("contact-changed", True)]
    assert "space-signin-form" in elsewhere.get("/account").forms
    assert browser.get(PATH).status == 200
    names = sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id, AuditEvent.name.like("%:contact:%"))
    assert reachable.scalars(names) == ["citizens:contact:changed"]


def test_adding_ends_nothing(reachable: Provider, browser: Browser, person: Person, mail: str) -> None:
    elsewhere = reachable.browser()
    enter(elsewhere, person)
    enter(browser, person, PATH)
    add(browser, reachable, mail)
    assert "space-signout" in elsewhere.get("/account").ids


def test_unproven_address_is_replaced_without_a_word_to_it(reachable: Provider, browser: Browser, mail: str) -> None:
    person = reachable.citizen(email="la@thu.example")
    assert "contact-mail-change" in enter(browser, person, PATH).ids
    add(browser, reachable, mail)
    assert told(reachable, person) == [("contact-added", False)]


def test_removal_is_told_to_what_is_left_and_to_what_went(reachable: Provider, browser: Browser) -> None:
    person = reachable.citizen(
        email="con@thu.example", email_verified=True, phone_number="+84912000323", phone_number_verified=True
    )
    enter(browser, person, PATH)
    browser.submit("contacts-notices-form")
    assert person.row().notices_by_sms
    page = browser.get(f"{PATH}/phone/remove")
    assert "0912 000 323" in page.ids["contact-address"]
    page = browser.submit("contact-remove-form")
    assert page.path == f"{PATH}?done=phone-removed"
    assert "phone_number" not in claims(person)
    assert "phone_number_verified" not in claims(person)
    assert claims(person)["email_verified"] is True
    assert not person.row().notices_by_sms
    assert told(reachable, person) == [("contact-removed", False), ("contact-removed", True)]
    assert browser.get(f"{PATH}/phone/remove").path == PATH


def test_choice_of_text_messages_needs_a_proven_number(reachable: Provider, browser: Browser) -> None:
    person = reachable.citizen(email="con@thu.example", email_verified=True, phone_number="+84912000324")
    page = enter(browser, person, PATH)
    assert "contacts-notices-form" not in page.forms
    browser.get(f"{PATH}/mail")
    with_phone = reachable.citizen(phone_number="+84912000325", phone_number_verified=True)
    other = reachable.browser()
    enter(other, with_phone, PATH)
    assert other.submit("contacts-notices-form").path == f"{PATH}?done=by-sms"
    assert other.submit("contacts-notices-form").path == f"{PATH}?done=by-mail"
    assert not with_phone.row().notices_by_sms


@pytest.mark.parametrize("path", [f"{PATH}/mail/code", f"{PATH}/phone/code"])
def test_page_of_the_code_leads_back_when_none_was_sent(browser: Browser, person: Person, path: str) -> None:
    enter(browser, person, PATH)
    assert browser.get(path).path == path.removesuffix("/code")


def test_code_of_one_kind_is_not_asked_on_the_page_of_the_other(browser: Browser, person: Person, mail: str) -> None:
    enter(browser, person, PATH)
    browser.get(f"{PATH}/mail")
    browser.submit("contact-form", contact=mail)
    assert browser.get(f"{PATH}/phone/code").path == f"{PATH}/phone"


def test_second_half_of_a_double_click_says_what_is_kept(
    reachable: Provider, browser: Browser, person: Person, mail: str
) -> None:
    enter(browser, person, PATH)
    browser.get(f"{PATH}/mail")
    browser.submit("contact-form", contact=mail)
    action, fields = browser.form("code-form", code=code_to(reachable, mail))
    assert browser.post(action, fields).path == f"{PATH}?done=mail-kept"
    page = browser.post(action, fields)
    assert page.path == f"{PATH}?done=late"
    assert mail in page.ids["contact-mail-address"]
    assert told(reachable, person) == [("contact-added", False)]


def test_code_of_another_session_proves_nothing(
    reachable: Provider, browser: Browser, person: Person, mail: str
) -> None:
    thief, theirs = reachable.citizen(), reachable.browser()
    enter(theirs, thief, PATH)
    theirs.get(f"{PATH}/mail")
    theirs.submit("contact-form", contact=mail)
    stolen = code_to(reachable, mail)
    enter(browser, person, PATH)
    browser.get(f"{PATH}/mail")
    browser.submit("contact-form", contact=f"x{mail}")
    if stolen != code_to(reachable, f"x{mail}"):
        assert browser.submit("code-form", code=stolen).status == 400
    assert "email" not in claims(person)


def test_code_that_is_over_leads_to_the_list(reachable: Provider, browser: Browser, person: Person, mail: str) -> None:
    enter(browser, person, PATH)
    browser.get(f"{PATH}/mail")
    browser.submit("contact-form", contact=mail)
    reachable.run(sa.update(ContactProof).values(expires_at=clock.now()))
    assert browser.submit("code-form", code=code_to(reachable, mail)).path == f"{PATH}?done=late"
    assert "email" not in claims(person)


def test_messages_and_guesses_are_slowed_down(reachable: Provider, browser: Browser, person: Person, mail: str) -> None:
    enter(browser, person, PATH)
    browser.get(f"{PATH}/mail")
    browser.submit("contact-form", contact=mail)
    for _ in range(4):
        page = browser.submit("code-again-form", decision="again")
        assert (page.status, page.path) == (200, f"{PATH}/mail/code")
    page = browser.submit("code-again-form", decision="again")
    assert (page.status, "error-summary" in page.ids) == (429, True)
    assert int(page.response.headers["Retry-After"]) > 0
    wrong = f"{(int(code_to(reachable, mail)) + 1) % 1_000_000:06d}"
    assert [browser.submit("code-form", code=wrong).status for _ in range(11)] == [400] * 10 + [429]
    assert browser.submit("code-form", code=code_to(reachable, mail)).status == 429
    assert "email" not in claims(person)


@pytest.mark.parametrize(("kind", "typed"), [("mail", "hoa"), ("mail", ""), ("phone", "123"), ("phone", "")])
def test_what_is_no_address_is_said_beside_the_field(browser: Browser, person: Person, kind: str, typed: str) -> None:
    enter(browser, person, PATH)
    browser.get(f"{PATH}/{kind}")
    page = browser.submit("contact-form", contact=typed)
    assert (page.status, "contact-error" in page.ids) == (400, True)


def test_page_asks_for_a_fresh_sign_in(reachable: Provider, browser: Browser) -> None:
    person = reachable.citizen(totp=False)
    enter(browser, person, PATH)
    reachable.let_pass(person, minutes=11)
    for path in (PATH, f"{PATH}/mail", f"{PATH}/mail/code", f"{PATH}/mail/remove", "/account/password"):
        assert "space-signin-form" in browser.get(path).forms


def test_nothing_is_offered_where_no_message_leaves(provider: Provider) -> None:
    person, browser = provider.citizen(email="con@thu.example"), provider.browser()
    page = enter(browser, person, PATH)
    assert "contact-mail-change" not in page.ids
    assert browser.get(f"{PATH}/mail").path == PATH
