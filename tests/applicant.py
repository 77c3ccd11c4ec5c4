"""Somebody who makes an account, on the pages of a provider under test: what they are, and the steps they take."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyotp
import sqlalchemy as sa

from idp.citizens.birthdate import BirthDate
from idp.citizens.lookup import find_number
from idp.citizens.models import Citizen
from idp.citizens.numbers import VN_PIN
from idp.citizens.registry import table
from idp.core.database import db
from idp.notify.models import OwedNotice, facts_place
from tests.browser import Browser, Page
from tests.provider import PASSWORD, Portal, Provider

_serial = count(1)
BIRTH = BirthDate(1991, 2, 28)
NAME = "Trần Thị Hoà Bình"


def new_number() -> str:
    """Return a number that nobody has, of a woman born in 1991."""
    return f"979191{600_000 + next(_serial):06d}"


@dataclass
class Applicant:
    """One applicant in a browser of their own, at home in a network of their own."""

    provider: Provider
    number: str = field(default_factory=new_number)
    full_name: str = NAME
    birth: tuple[str, str, str] = ("28", "2", "1991")
    contact: str = ""
    password: str = PASSWORD
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        """Open the browser."""
        mine = next(_serial)
        self.browser = self.provider.browser()
        self.from_network(f"10.{mine >> 16 & 255}.{mine >> 8 & 255}.{mine & 255}")
        self.contact = self.contact or f"nguoi.{mine}@thu.example"

    def from_network(self, address: str) -> "Applicant":
        """Come from this address from now on."""
        self.browser._client.environ_base["REMOTE_ADDR"] = address
        return self

    @property
    def page(self) -> Page:
        """Return the page shown now."""
        assert self.browser.page is not None
        return self.browser.page

    def known(
        self,
        answer: table.Answer = table.Answer.MATCH,
        *,
        full_name: str | None = None,
        birth: BirthDate = BIRTH,
        number: str | None = None,
        replaced_by: str | None = None,
    ) -> "Applicant":
        """Let the embedded register know a person of this number."""
        person = table.Person(
            VN_PIN, number or self.number, full_name or self.full_name, birth, None, answer, replaced_by
        )
        with self.provider.app.app_context():
            table.write([person], keyring=self.provider.services.keyring)
        return self

    # --- steps

    def arrive(self, portal: Portal, **changes: str | None) -> Page:
        """Follow the link on the sign-in page of a portal."""
        page = self.browser.get(portal.address(**changes))
        [link] = [link for link in page.links if link.endswith("/enrol")]
        return self.browser.get(link)

    def declare(self, **typed: str) -> Page:
        """Say who they are, and look again where asked to."""
        day, month, year = self.birth
        details = {"number": self.number, "full_name": self.full_name, "day": day, "month": month, "year": year}
        page = self.browser.submit("person-form", **(details | typed))
        return self.browser.submit("person-form") if "look-again" in page.ids else page

    def ask_for_code(self) -> Page:
        """Name a contact."""
        return self.browser.submit("contact-form", contact=self.contact)

    def prove(self) -> Page:
        """Name a contact, and type the code that came."""
        self.ask_for_code()
        return self.browser.submit("contact-code-form", code=code_sent(self.provider))

    def choose_password(self, password: str | None = None, **typed: str) -> Page:
        """Choose a password."""
        chosen = password or self.password
        return self.browser.submit("password-form", **({"password": chosen, "repeated": chosen} | typed))

    def choose(self, factor: str) -> Page:
        """Choose a second factor."""
        return self.browser.submit(f"factor-form-{factor}", factor=factor)

    def secret(self) -> str:
        """Return the secret on the page of the app."""
        return self.page.ids["app-secret"].replace(" ", "")

    def confirm_app(self) -> Page:
        """Type the first code of the app."""
        return self.browser.submit("app-form", code=pyotp.TOTP(self.secret()).now())

    def until_codes(self, portal: Portal, *, factor: str = "later") -> Page:
        """Walk until the last page."""
        self.arrive(portal)
        self.declare()
        self.prove()
        self.choose_password()
        page = self.choose(factor)
        return self.confirm_app() if factor == "app" else page

    def finish(self) -> Page:
        """Say that the codes are kept."""
        return self.browser.submit("codes-form")

    def account(self) -> Citizen | None:
        """Return the account with this number."""
        return account_of(self.provider, self.number)


def account_of(provider: Provider, number: str) -> Citizen | None:
    """Return the account with a number, or None."""
    with provider.app.app_context():
        found = find_number(VN_PIN, number, keyring=provider.services.keyring)
        return None if found is None else db.session.get_one(Citizen, found.citizen_id)


def code_sent(provider: Provider) -> str:
    """Return the code in the message that is owed since last."""
    facts = newest(provider, "code-enrol")
    return str(facts["code"])


def newest(provider: Provider, kind: str) -> Mapping[str, Any]:
    """Return the facts of the newest message of a kind."""
    with provider.app.app_context():
        row = db.session.scalars(
            sa.select(OwedNotice).where(OwedNotice.kind == kind).order_by(OwedNotice.id.desc()).limit(1)
        ).one()
        facts: dict[str, Any] = json.loads(provider.services.keyring.unseal(row.facts, facts_place(row.id)))
        return facts
