"""An officer at the counter and a citizen in front of it, each with a browser."""

from dataclasses import dataclass, field
from itertools import count
from urllib.parse import quote
from uuid import UUID

from idp.citizens import officers
from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import Gender
from idp.citizens.registry import table
from idp.core.database import db
from tests.authenticator import Authenticator, options_on
from tests.browser import Browser, Page
from tests.provider import Person, Portal, Provider

COUNTER = "phuong-1"
NEW_PASSWORD = "chín con trâu qua sông"
_serial = count(1)


@dataclass
class Clerk:
    """An officer: a citizen with a passkey, and the browser on the desk."""

    provider: Provider
    person: Person
    key: Authenticator
    browser: Browser = field(repr=False)

    def sign_in(self, path: str = "/counter") -> Page:
        """Open a page of the desk with the passkey."""
        page = self.browser.get(path)
        if "counter-signin-form" in page.forms:
            page = self.browser.submit("counter-signin-form")
            page = self.browser.submit("passkey-form", passkey=self.key.get(options_on(page)))
        return page

    def see(self, person: Person, shown: str, /, **changes: str) -> Page:
        """Type what is on a person's card and the code on their screen."""
        self.sign_in("/counter/card")
        typed = {
            "number": person.number, "full_name": person.full_name, "day": "28", "month": "2", "year": "1991",
            "document": "id-card", "face": "yes", "code": shown,
        }  # fmt: skip
        return self.submit("card-form", **{**typed, **changes})

    def allow(self, act: str) -> Page:
        """Choose what the person in front of the desk may do."""
        return self.submit("visit-form", act=act)

    def submit(self, form: str, **typed: str) -> Page:
        """Send a form of the desk with what was ticked, and nothing of what was not."""
        action, fields = self.browser.form(form)
        kept = {"csrf": fields["csrf"]}
        return self.browser.post(action, {**kept, **{name: value for name, value in typed.items() if value}})


def hire(provider: Provider, *, services: tuple[str, ...] = ()) -> Clerk:
    """Return a new officer of the counter, with a passkey made in their own space."""
    person, browser, key = provider.citizen(), provider.browser(), Authenticator()
    page = browser.get("/account/passkeys")
    page = browser.submit("space-signin-form")
    page = browser.submit("login-form", number=person.number, password=person.password)
    browser.submit("totp-form", code=person.code())
    page = browser.get("/account/passkeys/add")
    page = browser.submit("passkey-form", passkey=key.create(options_on(page)), label="bàn")
    assert page.path.endswith("done=added"), page.text
    with provider.app.app_context():
        officers.keep_counter(COUNTER, names={"vi": "Phường Một", "en": "Ward One"}, services=services)
        officers.add(person.id, COUNTER, valid_to=None)
        db.session.commit()
    browser.forget()
    return Clerk(provider, person, key, browser)


def serves(provider: Provider, *portals: Portal) -> None:
    """Put services on the counter's list, and nothing else."""
    with provider.app.app_context():
        officers.keep_counter(COUNTER, names={"vi": "Phường Một"}, services=[each.client_id for each in portals])
        db.session.commit()


def show_code(browser: Browser, portal: Portal) -> str:
    """Open a portal's sign-in page, say that one is at a counter, and return the code shown."""
    page = browser.get(portal.address())
    assert page.step == "login", page.text
    browser.get(f"/signin/{page.handle}/counter")
    return browser.submit("at-counter-form").ids["at-counter-code"]


def stranger(provider: Provider) -> Person:
    """Return somebody the register knows and we do not."""
    number = f"979191{next(_serial) + 700_000:06d}"
    person = Person(provider, UUID(int=0), number, "Lê Văn Mới", password=NEW_PASSWORD)
    with provider.app.app_context():
        known = table.Person("vn-pin", number, person.full_name, BirthDate(1991, 2, 28), Gender.FEMALE)
        table.write([known], keyring=provider.services.keyring)
        db.session.commit()
    return person


def path_of(page: Page, end: str = "") -> str:
    """Return a page of the interaction that `page` belongs to."""
    return f"/signin/{quote(page.handle)}{end}"
