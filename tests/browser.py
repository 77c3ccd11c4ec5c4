"""A browser without scripts: cookies, one page at a time, forms filled in and sent as they stand on the page."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.test import TestResponse

from tests import canary

_LONGEST_CHAIN = 10


@dataclass
class Form:
    """A form of a page: where it goes, its fields with their values, and the values of its buttons."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, list[str]] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str | None, Form]] = []
        self.ids: dict[str, str] = {}
        self.links: list[str] = []
        self.words: list[str] = []
        self._open: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids[values["id"]] = ""
            self._open.append((tag, values["id"]))
        if tag == "a":
            self.links.append(values.get("href", ""))
        if tag == "form":
            self.forms.append((values.get("id"), Form(values["action"], values.get("method", "get"))))
        is_left_empty = values.get("type") == "checkbox" and "checked" not in values
        if tag == "input" and "name" in values and not is_left_empty:
            self.forms[-1][1].fields[values["name"]] = values.get("value", "")
        if tag == "button" and "name" in values:
            self.forms[-1][1].buttons.setdefault(values["name"], []).append(values.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index][0] == tag:
                del self._open[index]
                break

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._open:
            self.ids[self._open[-1][1]] += data.strip()


class Page:
    """What the browser shows after following redirects. `left_for` is set once a redirect left the provider."""

    def __init__(self, response: TestResponse, path: str, left_for: str | None = None) -> None:
        self.response = response
        self.path = path
        self.left_for = left_for
        self.status = response.status_code
        self.html = "" if left_for else response.get_data(as_text=True)
        reader = _Reader()
        reader.feed(self.html)
        self.ids = reader.ids
        self.links = reader.links
        self.text = " ".join(" ".join(reader.words).split())
        self.forms = {name or form.action.rpartition("/")[2]: form for name, form in reader.forms}

    @property
    def step(self) -> str:
        """Return the last part of the path."""
        return self.path.partition("?")[0].rpartition("/")[2]

    @property
    def handle(self) -> str:
        """Return the handle of the interaction this page belongs to."""
        return self.path.split("/")[2].partition("?")[0]

    @property
    def error_code(self) -> str | None:
        """Return the code of an error page."""
        return self.ids.get("error-code")


class Browser:
    """One browser with its cookies."""

    def __init__(self, app: Flask, origin: str) -> None:
        self._client = app.test_client()
        self._client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
        self.origin = origin
        self.page: Page | None = None
        self.seen: list[TestResponse] = []

    # --- going somewhere

    def get(self, path: str, **arguments: Any) -> Page:
        """Open an address and follow redirects while they stay with the provider."""
        return self._follow("GET", path, **arguments)

    def post(self, path: str, form: dict[str, str], **arguments: Any) -> Page:
        """Post a form from a page of the provider and follow redirects."""
        return self._follow("POST", path, data=form, **arguments)

    def send(self, method: str, path: str, **arguments: Any) -> TestResponse:
        """Send one request with the cookies and follow nothing."""
        response = self._client.open(path, method=method, base_url=self.origin, **arguments)
        self.seen.append(response)
        for cookie in response.headers.getlist("Set-Cookie"):
            canary.plant(cookie.partition(";")[0].partition("=")[2])
        return response

    def form(self, name: str, **typed: str) -> tuple[str, dict[str, str]]:
        """Return action and fields of a form on the page, filled in."""
        assert self.page is not None
        form = self.page.forms[name]
        return form.action, {**form.fields, **typed}

    def submit(self, name: str, **typed: str) -> Page:
        """Fill in a form of the page and send it."""
        action, fields = self.form(name, **typed)
        return self.post(action, fields)

    def cancel(self) -> Page:
        """Press the way back to the portal."""
        return self.submit("cancel")

    def _follow(self, method: str, path: str, **arguments: Any) -> Page:
        for _ in range(_LONGEST_CHAIN):
            response = self.send(method, path, **arguments)
            # A page that goes on by itself at once, or a redirect.
            _, _, onward = response.headers.get("Refresh", "").partition("0; url=")
            location = onward or response.headers.get("Location")
            if location is None:
                self.page = Page(response, path)
                return self.page
            parts = urlsplit(location)
            if parts.netloc and f"{parts.scheme}://{parts.netloc}" != self.origin:
                self.page = Page(response, path, left_for=location)
                return self.page
            assert response.status_code == (200 if onward else 303)
            method, path, arguments = "GET", parts.path + (f"?{parts.query}" if parts.query else ""), {}
        raise AssertionError("too many redirects")

    # --- cookies

    def cookies(self) -> dict[str, str]:
        """Return the cookies by name."""
        return {cookie.key: cookie.value for cookie in self._client._cookies.values()}

    def forget(self, *prefixes: str) -> None:
        """Lose the cookies whose name starts so, __Host- left aside; all of them without a name."""
        for name in list(self.cookies()):
            if not prefixes or name.removeprefix("__Host-").startswith(prefixes):
                self._client.delete_cookie(name, domain=self._domain)

    def put(self, cookies: dict[str, str]) -> None:
        """Hold exactly these cookies, as a browser did at an earlier moment."""
        self.forget()
        for name, value in cookies.items():
            self._client.set_cookie(name, value, domain=self._domain)

    @property
    def _domain(self) -> str:
        return urlsplit(self.origin).hostname or ""
