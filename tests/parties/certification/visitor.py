"""A citizen's browser that stops where the relying party begins, and how an authorization request ended there."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

from tests.parties.walker import Walker

_REDIRECTS = {301, 302, 303}


@dataclass
class Visitor(Walker):
    """A citizen whose browser stops where the relying party begins."""

    issuer: str = ""
    left_for: str | None = None

    def open(self, address: str, *, method: str = "GET", form: dict[str, str] | None = None) -> requests.Response:
        """Open an address and follow redirects while they stay with the provider."""
        self.left_for = None
        for _ in range(15):
            answer = self.send(method, address, form)
            if answer.status_code not in _REDIRECTS:
                return answer
            method, address, form = "GET", urljoin(address, answer.headers["Location"]), None
            if not address.startswith(f"{self.issuer}/"):
                self.left_for = address
                return answer
        raise AssertionError(f"too many redirects: {self.trail[-15:]}")

    def arrive(self) -> "Arrived":
        """Answer page after page; return what the relying party gets, or the page where it ends."""
        for _ in range(10):
            if self.left_for is not None:
                return Arrived("query", self.left_for, query_of(self.left_for))
            if self.answer.headers["Content-Type"].startswith("text/html"):
                form = self.page.forms.get("portal-answer")
                if form is not None:
                    return Arrived("form", form.action, form.fields)
                if self._answer_form():
                    continue
            return Arrived("page", self.answer.url, {}, self.answer.status_code, self.answer.text)
        raise AssertionError(f"going in circles: {self.trail}")


@dataclass(frozen=True)
class Arrived:
    """How an authorization request ended: at the relying party by `query` or `form`, or on a `page`."""

    by: str
    address: str
    parameters: dict[str, str]
    status: int = 303
    html: str = ""

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]

    @property
    def error(self) -> str | None:
        """Return the error, or None."""
        return self.parameters.get("error")


def query_of(address: str) -> dict[str, str]:
    """Return the query of an address; each name must be there once."""
    pairs = parse_qsl(urlsplit(address).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), address
    return dict(pairs)
