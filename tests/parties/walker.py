"""A citizen with a browser that runs no scripts, over real HTTP: cookies, redirects, forms as they stand."""

import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests

from idp.citizens.credentials import totp
from idp.sandbox.persona import Persona
from tests.browser import Page

_LONGEST_CHAIN = 15
_REDIRECTS = {301, 302, 303, 307, 308}
# The forms of the provider, by the words an agreeing citizen answers with; the first two are filled in by the person.
_FORMS: dict[str, dict[str, str]] = {
    "login-form": {},
    "totp-form": {},
    "account-form": {"decision": "continue"},
    "confirm-form": {"decision": "continue"},
    "consent-form": {"decision": "allow"},
    "notice-form": {},
    "logout-form": {},
    "portal-answer": {},
}


@dataclass
class Walker:
    """One citizen, one browser. `trail` holds every address that was asked for, with its method."""

    person: Persona
    http: requests.Session = field(default_factory=requests.Session)
    trail: list[tuple[str, str]] = field(default_factory=list)
    answer: requests.Response = field(init=False)
    seen: set[str] = field(default_factory=set)

    def send(self, method: str, address: str, form: dict[str, str] | None = None) -> requests.Response:
        """Send one request with the cookies and follow nothing."""
        self.trail.append((method, address))
        headers = {"Accept-Language": "en", "Accept": "text/html"}
        self.answer = self.http.request(method, address, data=form, headers=headers, allow_redirects=False, timeout=20)
        return self.answer

    def open(self, address: str, *, method: str = "GET", form: dict[str, str] | None = None) -> requests.Response:
        """Open an address and follow redirects, to whatever site they lead."""
        for _ in range(_LONGEST_CHAIN):
            answer = self.send(method, address, form)
            if answer.status_code not in _REDIRECTS:
                return answer
            method, address, form = "GET", urljoin(address, answer.headers["Location"]), None
        raise AssertionError(f"too many redirects: {self.trail[-_LONGEST_CHAIN:]}")

    @property
    def page(self) -> Page:
        """Return the page the browser shows."""
        return Page(_Shown(self.answer), self.answer.url)  # type: ignore[arg-type]

    def submit(self, name: str, **typed: str) -> requests.Response:
        """Fill in a form of the page and send it."""
        form = self.page.forms[name]
        action = urljoin(self.answer.url, form.action)
        fields = {**form.fields, **typed}
        if form.method.lower() == "post":
            return self.open(action, method="POST", form=fields)
        return self.open(f"{action}?{urlencode(fields)}")

    def walk(self, address: str) -> dict[str, Any]:
        """Open an address, answer every page as this citizen would, and return the portal's JSON with its status."""
        self.open(address)
        return self.finish()

    def finish(self) -> dict[str, Any]:
        """Go on from the page the browser shows, as `walk` does."""
        for _ in range(10):
            if self.answer.headers["Content-Type"].startswith("application/json"):
                return json.loads(self.answer.text) | {"status": self.answer.status_code}
            self.answer_page()
        raise AssertionError(f"going in circles: {self.trail}")

    def answer_page(self) -> None:
        """Do on the page what it asks for, and note its form in `seen`."""
        if not self._answer_form():
            raise AssertionError(f"no way on from {self.answer.url}: {self.answer.status_code} {self.page.text}")

    def answer_pages(self) -> None:
        """Answer page after page until one asks for nothing."""
        for _ in range(10):
            if not self._answer_form():
                return
        raise AssertionError(f"going in circles: {self.trail}")

    def _answer_form(self) -> bool:
        forms = self.page.forms
        for name, typed in _FORMS.items():
            if name in forms:
                self.seen.add(name)
                told = (
                    {"number": self.person.number, "password": self.person.password} if name == "login-form" else typed
                )
                self.submit(name, **({"code": self.code()} if name == "totp-form" else told))
                return True
        return False

    def code(self) -> str:
        """Return the one-time code of the citizen's app, not in its last moment."""
        assert self.person.totp_secret is not None
        if (left := 30 - time.time() % 30) < 2:
            time.sleep(left)
        return totp.current_code(self.person.totp_secret)

    def went_to(self, path: str) -> list[str]:
        """Return the addresses of the trail with this path."""
        return [address for _, address in self.trail if urlsplit(address).path == path]


class _Shown:
    """An answer of `requests` with the two names by which a page reads it."""

    def __init__(self, answer: requests.Response) -> None:
        self.status_code = answer.status_code
        self._text = answer.text

    def get_data(self, *, as_text: bool) -> str:
        assert as_text
        return self._text
