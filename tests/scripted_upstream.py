"""An identity provider on loopback that says whatever a test wants it to, honest unless told otherwise.

It signs with python-jose, the second implementation, and knows nothing of our code. Its sign-in page is the test
itself: `Visit` reads the request our pages sent the browser with, and brings an answer back.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwt

from idp.audit.models import AuditEvent
from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import Gender
from idp.citizens.registry import table
from idp.core.database import db
from idp.upstream import apply
from idp.upstream.document import read
from idp.upstream.models import ProviderState
from tests.browser import Browser, Page
from tests.provider import Portal, Provider

_serial = count(1)
CLIENT_ID = "lienket"
SECRET = "a secret of the two"


@dataclass(frozen=True)
class Reply:
    """One HTTP answer. `drip` sends the body a byte at a time, with this pause."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    drip: float = 0


def reply(document: Any, **more: Any) -> Reply:
    """Return a JSON answer."""
    return Reply(json.dumps(document).encode(), **more)


class Key:
    """A signing key of the provider."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        self.public_pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def jwk(self) -> dict[str, str]:
        """Return the public half."""
        numbers = self._key.public_key().public_numbers()
        x, y = (base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode() for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid, "use": "sig", "alg": "ES256"}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Return `claims` signed."""
        token: str = jwt.encode(dict(claims), self.pem, algorithm="ES256", headers={"kid": self.kid, **header})
        return token


class ScriptedProvider:
    """The provider: `answers` replaces what stands at a path, `asked` keeps what was asked."""

    def __init__(self) -> None:
        self.key = Key("first")
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, Callable[[dict[str, str]], Reply]] = {}
        self.id_token: dict[str, Any] = {}
        self.signed: Callable[[Mapping[str, Any]], str] | None = None
        self.claims: dict[str, Any] = {}
        self.date: str | None = None
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                self._answer(dict(parse_qsl(body, keep_blank_values=True)))

            def _answer(self, form: dict[str, str]) -> None:
                path = urlsplit(self.path).path
                scripted.asked.append((path, form))
                scripted.headers.append(dict(self.headers))
                made = scripted.answers.get(path, scripted._defaults.get(path, lambda _: Reply(b"", 404)))(form)
                self.send_response(made.status)
                for name, value in made.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(made.body)))
                self.end_headers()
                try:
                    if not made.drip:
                        self.wfile.write(made.body)
                    for byte in made.body if made.drip else b"":
                        self.wfile.write(bytes([byte]))
                        time.sleep(made.drip)
                except OSError:
                    """Whoever asked has had enough."""

            def date_time_string(self, timestamp: float | None = None) -> str:
                return scripted.date or super().date_time_string(timestamp)

            def log_message(self, *_: Any) -> None:
                """Keep the test run quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._defaults: dict[str, Callable[[dict[str, str]], Reply]] = {
            "/.well-known/openid-configuration": lambda _: reply(self.metadata()),
            "/jwks": lambda _: reply({"keys": [self.key.jwk()]}),
            "/token": self._token,
            "/userinfo": lambda _: reply(self.claims),
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def metadata(self) -> dict[str, Any]:
        """Return what it publishes."""
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "end_session_endpoint")
        paths = {name: f"{self.issuer}/{name.removesuffix('_endpoint')}" for name in names}
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **paths}

    def times(self, path: str) -> int:
        """Return how often `path` was asked."""
        return sum(asked == path for asked, _ in self.asked)

    def _token(self, _: dict[str, str]) -> Reply:
        token = (self.signed or self.key.sign)(self.id_token)
        return reply({"access_token": "access", "token_type": "Bearer", "expires_in": 60, "id_token": token})


@dataclass
class Federated:
    """A provider as one of ours knows it: record and script."""

    provider: Provider
    script: ScriptedProvider
    slug: str

    def disable(self) -> None:
        """Close it, as `idp upstream disable` does."""
        with self.provider.app.app_context():
            apply.set_state(self.slug, ProviderState.DISABLED)
        self.provider.services.providers.forget()

    def leave(self, browser: Browser, portal: Portal, **changes: str | None) -> "Visit":
        """Walk from the portal to the provider's sign-in page."""
        page = browser.get(portal.address(**changes))
        return self.choose(browser, page)

    def choose(self, browser: Browser, page: Page) -> "Visit":
        """Press the provider's button."""
        assert f"upstream-form-{self.slug}" in page.forms, page.text
        left = browser.submit(f"upstream-form-{self.slug}").left_for
        assert left is not None, browser.page and browser.page.text
        return Visit(self, browser, left)

    def events(self, reason: str | None = None) -> list[AuditEvent]:
        """Return the refusals at this provider's door, with this reason or any."""
        named = self.provider.scalars(sa.select(AuditEvent).where(AuditEvent.name == "upstream:login:refused"))
        mine = [event for event in named if (event.detail or {}).get("provider") == self.slug]
        return [event for event in mine if reason in (None, event.detail["reason"])]


@dataclass
class Visit:
    """A browser at the provider's sign-in page."""

    federated: Federated
    browser: Browser
    address: str

    @property
    def request(self) -> dict[str, str]:
        """Return the authorization request."""
        return dict(parse_qsl(urlsplit(self.address).query))

    def sign_in(self, somebody: "Somebody", *, acr: str | None = "sub", **changes: Any) -> None:
        """Let the provider know whom its token will name; a change to None drops a claim."""
        script, now = self.federated.script, int(time.time())
        whole = {
            "iss": script.issuer, "sub": somebody.subject, "aud": CLIENT_ID, "iat": now, "exp": now + 60,
            "auth_time": now, "nonce": self.request["nonce"], "acr": acr, "amr": ["pwd", "otp", "fpt"], **changes,
        }  # fmt: skip
        script.id_token = {name: value for name, value in whole.items() if value is not None}
        script.claims = {"sub": somebody.subject, **somebody.claims}

    def back(self, **changes: str | None) -> Page:
        """Bring the provider's answer back; a change to None drops a parameter."""
        parameters = {"code": "code", "state": self.request["state"], **changes}
        present = {name: value for name, value in parameters.items() if value is not None}
        return self.browser.get(f"/upstream/{self.federated.slug}/callback?{urlencode(present)}")


@dataclass(frozen=True)
class Somebody:
    """A person as a provider knows them."""

    number: str
    subject: str
    full_name: str = "Trần Văn Đức"
    birth: str = "1991-02-28"

    @property
    def claims(self) -> dict[str, str]:
        """Return what UserInfo says."""
        return {"identification_number": self.number, "name": self.full_name, "birthdate": self.birth, "gender": "male"}


def somebody(provider: Provider, answer: table.Answer | None = table.Answer.MATCH) -> Somebody:
    """Return a person without an account, whom the register answers about so; None: whom it does not know."""
    serial = next(_serial)
    person = Somebody(f"979091{900000 + serial:06d}", f"subject-{serial}")
    if answer is not None:
        known = table.Person("vn-pin", person.number, person.full_name, BirthDate(1991, 2, 28), Gender.MALE, answer)
        with provider.app.app_context():
            table.write([known], keyring=provider.services.keyring)
            db.session.commit()
    return person


def federate(provider: Provider, script: ScriptedProvider, **members: Any) -> Federated:
    """Register the scripted provider; `members` of the provider document, None drops one."""
    slug = members.pop("slug", f"provider-{next(_serial)}")
    whole = {
        "slug": slug,
        "issuer": script.issuer,
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "openid profile",
        "levels": {"low": "loa1", "sub": "loa2", "high": "loa3"},
        "ceiling": "loa3",
        "amr": ["pwd", "otp", "fpt"],
        "name": {"vi": f"Nhà cung cấp {slug}", "en": f"Provider {slug}"},
        **members,
    }
    present = {name: value for name, value in whole.items() if value is not None}
    with provider.app.app_context():
        apply.apply(read(present, source=slug, is_sandbox=True), keyring=provider.services.keyring)
    provider.services.providers.forget()
    return Federated(provider, script, slug)
