"""A scripted provider, a portal that uses it, and a citizen's browser between them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from clients.agency_login import AgencyLogin
from tests.unit.clients.scripted_provider import ScriptedProvider


class Browser:
    """Walk between the portal (Flask test client, keeps cookies) and the provider (real HTTP)."""

    def __init__(self, app: Flask) -> None:
        self.portal: FlaskClient = app.test_client()

    def begin(self, path: str = "/signin") -> str:
        """Open a page of the portal that leads to the provider, and return the authorization request."""
        response = self.portal.get(path)
        assert response.status_code == 303, response.text
        return response.location

    def answer_of(self, authorization_request: str) -> str:
        """Let the provider answer, and return the callback with its query."""
        response = requests.get(authorization_request, allow_redirects=False, timeout=5)
        parts = urlsplit(response.headers["Location"])
        return f"{parts.path}?{parts.query}"

    def sign_in(self, path: str = "/signin") -> TestResponse:
        """Do a whole sign-in and return the portal's answer to the callback."""
        return self.portal.get(self.answer_of(self.begin(path)))

    def sub(self) -> str:
        """Return the sub the portal knows, or nothing."""
        return self.portal.get("/").text


def make_app(provider: ScriptedProvider, **settings: Any) -> Flask:
    """Make a portal of one open page and two guarded ones."""
    app = Flask("portal")
    app.secret_key = "key-of-the-test"
    ordinary: dict[str, Any] = {
        "issuer": provider.issuer,
        "client_id": "portal",
        "client_secret": "secret-of-the-test",
        "redirect_uri": "http://127.0.0.1/signin/callback",
        "post_logout_redirect_uri": "http://127.0.0.1/signed-out",
        "timeout": 1.0,
    }
    login = AgencyLogin(app, **(ordinary | settings))
    app.extensions["login"] = login
    app.add_url_rule("/", "home", lambda: login.person.sub if login.person else "")
    app.add_url_rule("/page", "page", login.login_required()(lambda: "page"), methods=["GET", "POST"])
    app.add_url_rule("/strong", "strong", login.login_required(level="loa2")(lambda: "strong"))
    return app


@pytest.fixture(scope="session")
def running_provider() -> Iterator[ScriptedProvider]:
    provider = ScriptedProvider()
    yield provider
    provider.stop()


@pytest.fixture
def provider(running_provider: ScriptedProvider) -> ScriptedProvider:
    running_provider.reset()
    return running_provider


@pytest.fixture
def app(provider: ScriptedProvider) -> Flask:
    return make_app(provider)


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)
