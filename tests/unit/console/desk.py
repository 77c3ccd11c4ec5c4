"""A member of staff with a passkey and a browser."""

from dataclasses import dataclass, field

from idp.core.database import db
from idp.staff import members
from idp.staff.rights import Role
from tests.authenticator import Authenticator, options_on
from tests.browser import Browser, Page
from tests.provider import Person, Provider


@dataclass
class Worker:
    """A citizen with a passkey, who may be staff."""

    provider: Provider
    person: Person
    key: Authenticator
    browser: Browser = field(repr=False)

    def open(self, path: str = "/console") -> Page:
        """Open a page of the console, with the passkey where it is asked for."""
        page = self.browser.get(path)
        if "console-signin-form" in page.forms:
            page = self.browser.submit("console-signin-form")
            page = self.browser.submit("passkey-form", passkey=self.key.get(options_on(page)))
        return page

    def submit(self, form: str, **typed: str) -> Page:
        """Send a form of the page with what was typed."""
        return self.browser.submit(form, **typed)

    def join(self, role: Role) -> None:
        """Make them staff without a mail."""
        with self.provider.app.app_context():
            members.join(self.person.id, role, by=None)
            db.session.commit()

    def leave(self) -> None:
        """End their work, as an owner elsewhere would."""
        with self.provider.app.app_context():
            found = members.on_duty(self.person.id)
            assert found is not None
            members.end(found.id)
            db.session.commit()


def with_key(provider: Provider, **members_: object) -> Worker:
    """Return a citizen who has made a passkey in their own space."""
    person, browser, key = provider.citizen(**members_), provider.browser(), Authenticator()
    browser.get("/account/passkeys")
    browser.submit("space-signin-form")
    page = browser.submit("login-form", number=person.number, password=person.password)
    if "totp-form" in page.forms:
        browser.submit("totp-form", code=person.code())
    page = browser.get("/account/passkeys/add")
    page = browser.submit("passkey-form", passkey=key.create(options_on(page)), label="bàn")
    assert page.path.endswith("done=added"), page.text
    browser.forget()
    return Worker(provider, person, key, browser)


def hire(provider: Provider, role: Role, **members_: object) -> Worker:
    """Return a new member of staff."""
    worker = with_key(provider, **members_)
    worker.join(role)
    return worker
