"""A forgotten password: back to the agency's page with a new one, in order, once, and telling nobody anything."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens import contact_proofs
from idp.citizens.assurance import RegistryStatus
from idp.citizens.claims import profile_of
from idp.citizens.contact_proofs import Channel, Purpose
from idp.citizens.credentials import recovery
from idp.citizens.models import (
    CitizenState,
    CredentialThrottle,
    PasswordCredential,
    TotpCredential,
)
from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.notify.models import OwedNotice
from idp.sso.models import PasswordReset
from tests.authenticator import Authenticator
from tests.browser import Browser, Page
from tests.codes import code_to
from tests.provider import Person, Portal, Provider, provider_at, walk
from tests.unit.account.entering import enter

NEW = "mưa rào trên mái ngói cũ"
PAGES = ("", "/code", "/factor", "/password")
_serial = count(1)


@pytest.fixture(scope="module")
def reachable(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Yield the provider with a way for mails and text messages to leave."""
    folder = tmp_path_factory.mktemp("mail")
    with provider_at(
        provider.url, provider.settings.secrets_dir, mail_folder=folder, mail_from="x@lienket.example"
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def portal(reachable: Provider) -> Portal:
    return reachable.portal()


@pytest.fixture(autouse=True)
def _forget_throttles(provider: Provider) -> None:
    provider.run(sa.delete(CredentialThrottle))


@pytest.fixture
def browser(reachable: Provider) -> Browser:
    return reachable.browser()


@pytest.fixture
def mail() -> str:
    return f"quen{next(_serial)}@thu.example"


@pytest.fixture
def person(reachable: Provider, mail: str) -> Person:
    """Return somebody with a password alone and a proven mail address."""
    return reachable.citizen(totp=False, email=mail, email_verified=True)


def open_pages(browser: Browser, portal: Portal, number: str) -> Page:
    """Walk to the page of the code, as somebody who types `number`."""
    page = browser.get(portal.address())
    assert browser.get(f"/signin/{page.handle}/forgotten").step == "forgotten"
    page = browser.submit("forgotten-form", number=number)
    assert page.step == "code", page.text
    return page


def prove(browser: Browser, portal: Portal, person: Person, mail: str) -> Page:
    open_pages(browser, portal, person.number)
    return browser.submit("code-form", code=code_to(person.provider, mail))


def test_whole_way_leads_back_to_the_agency(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    elsewhere = reachable.browser()
    enter(elsewhere, person)
    assert "login-forgotten" in browser.get(portal.address()).ids
    page = prove(browser, portal, person, mail)
    assert page.step == "password"
    page = browser.submit("password-form", password=NEW, again=NEW)
    # Nobody is signed in by it.
    assert (page.step, "login-reset" in page.ids) == ("login", True)
    assert "sid" not in {name.removeprefix("__Host-") for name in browser.cookies()}
    assert "space-signin-form" in elsewhere.get("/account").forms
    assert browser.get(f"/signin/{page.handle}/login?done=reset").step == "login"
    assert browser.submit("login-form", number=person.number, password=person.password).status == 400
    page = browser.submit("login-form", number=person.number, password=NEW)
    assert walk(browser, page, person).startswith(portal.redirect_uri)
    owed = sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id).order_by(OwedNotice.id)
    assert "password-changed" in reachable.scalars(owed)
    names = reachable.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id))
    assert {"citizens:password:reset", "citizens:proof:accepted", "sso:session:ended"} <= set(names)


def test_second_factor_is_asked_too(reachable: Provider, portal: Portal, browser: Browser, mail: str) -> None:
    person = reachable.citizen(email=mail, email_verified=True)
    page = prove(browser, portal, person, mail)
    assert page.step == "factor"
    path = page.path.removesuffix("/factor")
    assert browser.get(f"{path}/password").step == "factor"
    assert browser.post(f"{path}/password", browser.form("code-form", password=NEW, again=NEW)[1]).step == "factor"
    assert browser.submit("code-form", code="000000").status == 400
    assert browser.submit("code-form", code=person.code()).step == "password"
    # Eight characters are enough beside it.
    assert browser.submit("password-form", password="kLw9#vQp2x", again="kLw9#vQp2x").step == "login"


def test_authenticator_that_is_disabled_is_still_asked_for(
    reachable: Provider, portal: Portal, browser: Browser, mail: str
) -> None:
    person = reachable.citizen(email=mail, email_verified=True)
    reachable.run(
        sa.update(TotpCredential).where(TotpCredential.citizen_id == person.id).values(disabled_at=clock.now())
    )
    page = prove(browser, portal, person, mail)
    assert (page.step, "forgotten-counter" in page.ids) == ("factor", True)
    assert "forgotten-use-passkey" not in page.ids
    assert browser.get(page.path.replace("factor", "password")).step == "factor"


def test_passkey_holder_is_told_to_use_it(reachable: Provider, portal: Portal, mail: str) -> None:
    person = reachable.citizen(totp=False, email=mail, email_verified=True, level="loa1")
    owner, browser = reachable.browser(), reachable.browser()
    enter(owner, person, "/account/passkeys")
    page = owner.get("/account/passkeys/add")
    asked = re.search(r'data-options="([^"]*)"', page.html)
    assert asked is not None
    owner.submit("passkey-form", passkey=Authenticator().create(asked.group(1).replace("&#34;", '"')))
    page = prove(browser, portal, person, mail)
    assert (page.step, "forgotten-use-passkey" in page.ids) == ("factor", True)


def test_recovery_code_stands_in_for_a_lost_phone(
    reachable: Provider, portal: Portal, browser: Browser, mail: str
) -> None:
    person = reachable.citizen(email=mail, email_verified=True)
    sheet = recovery.new_codes()
    with reachable.app.app_context():
        recovery.store(person.id, sheet, keyring=reachable.services.keyring, now=clock.now())
        db.session.commit()
    assert prove(browser, portal, person, mail).step == "factor"
    for wrong in ("", "CFH", recovery.new_codes()[0]):
        page = browser.submit("recovery-form", recovery=wrong)
        assert (page.status, "recovery-error" in page.ids) == (400, True)
    form = browser.form("recovery-form", recovery=sheet[0].lower().replace("-", " "))
    assert [browser.post(*form).step for _ in range(2)] == ["password", "password"]
    assert browser.submit("password-form", password=NEW, again=NEW).step == "login"


@pytest.mark.parametrize("case", ["unknown", "unreadable", "unproven", "none", "disabled", "locked", "deceased"])
def test_page_is_the_same_whatever_the_number(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, case: str
) -> None:
    open_pages(browser, portal, person.number)
    with_account = browser.page
    number = {"unknown": "979191999999", "unreadable": "abc"}.get(case)
    if number is None:
        contact = {"none": {}, "unproven": {"email": "la@thu.example"}}.get(
            case, {"email": "la@thu.example", "email_verified": True}
        )
        other = reachable.citizen(totp=False, **contact)
        other.set(
            **{
                "disabled": {"state": CitizenState.DISABLED},
                "locked": {"registry_status": RegistryStatus.LOCKED},
                "deceased": {"registry_status": RegistryStatus.DECEASED},
            }.get(case, {"state": CitizenState.ACTIVE})
        )
        number = other.number
    asker = reachable.browser()
    page = open_pages(asker, portal, number)
    assert with_account is not None
    assert (page.status, page.text) == (with_account.status, with_account.text)
    [newest] = reachable.scalars(
        sa.select(OwedNotice).order_by(OwedNotice.created_at.desc(), OwedNotice.id.desc()).limit(1)
    )
    assert (newest.state, newest.outcome) == ("not sent", "nobody")
    wrong = asker.submit("code-form", code="123456")
    right = browser.submit("code-form", code=f"{(int(code_to(reachable, _address(person))) + 1) % 1_000_000:06d}")
    assert (wrong.status, wrong.text) == (right.status, right.text) == (400, right.text)


def _address(person: Person) -> str:
    row = person.row()
    return str(profile_of(row, person.provider.services.keyring).claims["email"])


@pytest.mark.parametrize("typed", PAGES)
def test_page_typed_out_of_order_leads_to_where_the_person_is(
    portal: Portal, browser: Browser, person: Person, mail: str, typed: str
) -> None:
    page = browser.get(portal.address())
    path = f"/signin/{page.handle}/forgotten"
    assert browser.get(path + typed).step == "forgotten"
    browser.get(path)
    browser.submit("forgotten-form", number=person.number)
    assert browser.get(path + typed).step == ((typed.lstrip("/") and "code") or "forgotten")
    browser.get(f"{path}/code")
    browser.submit("code-form", code=code_to(person.provider, mail))
    assert browser.get(path + typed).step == ((typed.lstrip("/") and "password") or "forgotten")
    browser.get(f"{path}/password")
    browser.submit("password-form", password=NEW, again=NEW)
    assert browser.get(path + typed).step == ((typed.lstrip("/") and "login") or "forgotten")


def test_pages_close_when_the_dispatcher_asks_for_something_else(
    portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    page = prove(browser, portal, person, mail)
    action, fields = browser.form("password-form", password=NEW, again=NEW)
    browser.get(f"/signin/{page.handle}/login")
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "consent"
    for typed in PAGES:
        assert browser.get(f"/signin/{page.handle}/forgotten{typed}").step == "consent"
    assert browser.post(action, fields).step == "consent"
    other = person.provider.browser()
    enter(other, person)


def test_code_for_ones_own_number_is_nothing_for_another(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    """The thief proves their own address, then puts the victim's number under the same pages."""
    thief = reachable.citizen(totp=False, email=f"trom-{mail}", email_verified=True)
    page = open_pages(browser, portal, thief.number)
    code_form = browser.form("code-form", code=code_to(reachable, f"trom-{mail}"))
    browser.get(page.path.removesuffix("/code"))
    browser.submit("forgotten-form", number=person.number)
    assert browser.post(*code_form).status == 400
    # The other way round: proven, then another number.
    browser.get(page.path.removesuffix("/code"))
    browser.submit("forgotten-form", number=thief.number)
    assert browser.submit("code-form", code=code_to(reachable, f"trom-{mail}")).step == "password"
    password_form = browser.form("password-form", password=NEW, again=NEW)
    browser.get(page.path.removesuffix("/code"))
    browser.submit("forgotten-form", number=person.number)
    assert browser.post(*password_form).step == "code"
    enter(reachable.browser(), person)


def test_reset_of_one_browser_is_not_anothers(reachable: Provider, portal: Portal, person: Person, mail: str) -> None:
    mine, theirs = reachable.browser(), reachable.browser()
    page = prove(mine, portal, person, mail)
    assert theirs.get(page.path).error_code == "ID-001"


def test_right_password_is_judged_by_the_rules_and_the_agency_names(
    portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    prove(browser, portal, person, mail)
    for bad in ("ngắn", "matkhau123456789", f"{portal.document['agency']['name']['vi']} 2026"):
        page = browser.submit("password-form", password=bad, again=bad)
        assert (page.status, "password-error" in page.ids) == (400, True)
    assert browser.submit("password-form", password=NEW, again="x").status == 400


def test_disabled_password_is_enabled(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    mine = PasswordCredential.citizen_id == person.id
    reachable.run(sa.update(PasswordCredential).where(mine).values(disabled_at=clock.now(), failures=100))
    prove(browser, portal, person, mail)
    browser.submit("password-form", password=NEW, again=NEW)
    page = browser.submit("login-form", number=person.number, password=NEW)
    assert page.step == "consent"


def test_account_that_is_locked_half_way_is_not_reset(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    prove(browser, portal, person, mail)
    person.set(state=CitizenState.DISABLED)
    browser.submit("password-form", password=NEW, again=NEW)
    [row] = reachable.scalars(sa.select(PasswordCredential).where(PasswordCredential.citizen_id == person.id))
    names = reachable.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id))
    assert "citizens:password:reset" not in names
    assert row.hash


def test_messages_are_bounded_by_number_whatever_the_browser(
    reachable: Provider, portal: Portal, person: Person
) -> None:
    statuses = []
    for _ in range(12):
        asker = reachable.browser()
        page = asker.get(portal.address())
        asker.get(f"/signin/{page.handle}/forgotten")
        statuses.append(asker.submit("forgotten-form", number=person.number).status)
    assert (statuses.count(200), set(statuses)) == (5, {200, 429})


def test_guesses_are_bounded(reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str) -> None:
    open_pages(browser, portal, person.number)
    right = code_to(reachable, mail)
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    assert [browser.submit("code-form", code=wrong).status for _ in range(11)] == [400] * 10 + [429]
    assert browser.submit("code-form", code=right).status == 429


def test_text_message_is_sent_where_it_is_asked_for(
    reachable: Provider, portal: Portal, browser: Browser, mail: str
) -> None:
    serial = next(_serial)
    person = reachable.citizen(
        totp=False, email=mail, email_verified=True, phone_number=f"+8491300{serial:04d}", phone_number_verified=True
    )
    open_pages(browser, portal, person.number)
    before = code_to(reachable, mail)
    assert browser.submit("code-again-form", decision="sms").step == "code"
    code = code_to(reachable, f"+8491300{serial:04d}")
    if code != before:
        assert browser.submit("code-form", code=before).status == 400
    assert browser.submit("code-form", code=code).step == "password"


def test_double_click_on_every_page_is_harmless(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    open_pages(browser, portal, person.number)
    form = browser.form("code-form", code=code_to(reachable, mail))
    assert [browser.post(*form).step for _ in range(2)] == ["password", "password"]
    form = browser.form("password-form", password=NEW, again=NEW)
    pages = [browser.post(*form) for _ in range(2)]
    assert [(page.step, "login-reset" in page.ids) for page in pages] == [("login", True)] * 2
    names = reachable.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id))
    assert names.count("citizens:password:reset") == 1


@pytest.mark.parametrize("form_name", ["code-form", "password-form"])
def test_one_of_many_posts_at_once_counts(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str, form_name: str
) -> None:
    open_pages(browser, portal, person.number)
    action, fields = browser.form("code-form", code=code_to(reachable, mail))
    if form_name == "password-form":
        browser.post(action, fields)
        action, fields = browser.form("password-form", password=NEW, again=NEW)
    cookies, gate = browser.cookies(), threading.Barrier(4)

    def post() -> int:
        one = reachable.browser()
        one.put(cookies)
        gate.wait(30)
        return one.send("POST", action, data=fields).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = [each.result() for each in [pool.submit(post) for _ in range(4)]]
    assert set(statuses) <= {303, 400, 503}
    assert 303 in statuses
    names = reachable.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id))
    event = "citizens:proof:accepted" if form_name == "code-form" else "citizens:password:reset"
    assert names.count(event) == 1


def test_reset_is_over_after_half_an_hour(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    page = prove(browser, portal, person, mail)
    reachable.run(sa.update(PasswordReset).values(expires_at=clock.now()))
    assert browser.submit("password-form", password=NEW, again=NEW).step == "forgotten"
    assert browser.get(page.path).step == "forgotten"


def test_nothing_of_the_person_is_on_the_pages_or_in_addresses(
    portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    page = prove(browser, portal, person, mail)
    browser.submit("password-form", password=NEW, again=NEW)
    for response in browser.seen:
        text = response.get_data(as_text=True) + response.headers.get("Location", "") + response.request.path
        for secret in (person.number, mail, mail.partition("@")[0], person.full_name, NEW):
            assert secret not in text
    assert page.step == "password"


def test_messages_and_guesses_elsewhere_do_not_show_whose_address_it_is(
    reachable: Provider, portal: Portal, person: Person, mail: str
) -> None:
    """Somebody who uses up the messages and tries of an address must not find out here which number has it."""
    keyring = reachable.services.keyring
    with reachable.app.app_context():
        asked = {"language": "vi", "address": "192.0.2.7", "keyring": keyring}
        for place in (new_id() for _ in range(5)):
            contact_proofs.begin(place, Purpose.ENROL, Channel.MAIL, mail, **asked)
            for _ in range(10):
                contact_proofs.check(place, Purpose.ENROL, "no code", keyring=keyring)
        sent = contact_proofs.begin(new_id(), Purpose.ENROL, Channel.MAIL, mail, **asked)
        assert isinstance(sent, contact_proofs.Throttled)
    seen = []
    for number in (person.number, "979191999998"):
        browser = reachable.browser()
        open_pages(browser, portal, number)
        seen.append([browser.submit("code-form", code="000000").status for _ in range(3)])
    assert seen[0] == seen[1] == [400, 400, 400]


def test_reset_under_way_ends_when_the_owner_changes_the_way_it_came(
    reachable: Provider, portal: Portal, browser: Browser, person: Person, mail: str
) -> None:
    """The mailbox was taken over, and its owner replaces it in the account while the thief chooses a password."""
    assert prove(browser, portal, person, mail).step == "password"
    owner = reachable.browser()
    enter(owner, person, "/account/contacts")
    owner.get("/account/contacts/mail")
    owner.submit("contact-form", contact=f"neu.{mail}")
    assert owner.submit("code-form", code=code_to(reachable, f"neu.{mail}")).path.endswith("mail-kept")
    assert browser.submit("password-form", password=NEW, again=NEW).step == "forgotten"
    other = reachable.browser()
    other.get(portal.address())
    assert other.submit("login-form", number=person.number, password=person.password).step == "consent"
