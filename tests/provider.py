"""A whole provider for a test, and the people around it: a citizen, a browser without scripts, a portal.

    provider_at(url, secrets)     the real application on a migrated database, with signing keys
    provider.citizen(...)         a person enrolled through a citizen document
    provider.portal(...)          a client registered through a client document, acting as its portal
    provider.browser()            what a citizen holds: cookies, one page, forms to fill in

Everything goes through HTTP as the outside sees it; rows are moved only to let time pass.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from uuid import UUID

import pyotp
import sqlalchemy as sa
from flask import Flask
from jose import jwt
from werkzeug.test import TestResponse

from idp.agencies import apply, document
from idp.app import create_app
from idp.citizens.credentials import password
from idp.citizens.documents import Row, parse
from idp.citizens.enrolment import enrol
from idp.citizens.models import Citizen, TotpCredential
from idp.citizens.numbers import Gender
from idp.citizens.registry import table
from idp.core import clock, keyring
from idp.core.database import Model, db
from idp.core.settings import Settings
from idp.keys import rotation
from idp.sso.models import SsoSession
from idp.sso.services import Services
from tests import canary, hashes
from tests.browser import Browser, Page
from tests.unit.core.provider import close

ISSUER = "https://dangnhap.example"
PASSWORD = "đường về nhà xa lắm"
_serial = count(1)
_ABOUT_A_PERSON = ("number", "full_name", "password", "totp_secret", "email", "phone_number")


@dataclass(frozen=True)
class Person:
    """One enrolled citizen and what only they know."""

    provider: "Provider"
    id: UUID
    number: str
    full_name: str
    password: str = field(default=PASSWORD, repr=False)
    totp_secret: str | None = field(default=None, repr=False)

    def code(self) -> str:
        """Return a one-time code that was not used yet, as if half a minute had passed since the last one."""
        assert self.totp_secret is not None
        with self.provider.app.app_context():
            db.session.execute(
                sa.update(TotpCredential).where(TotpCredential.citizen_id == self.id).values(last_step=None)
            )
            db.session.commit()
        return pyotp.TOTP(self.totp_secret).now()

    def set(self, **values: Any) -> None:
        """Change columns of the account, as an operator or the passing of time would."""
        with self.provider.app.app_context():
            db.session.execute(sa.update(Citizen).where(Citizen.id == self.id).values(**values))
            db.session.commit()

    def row(self) -> Citizen:
        """Return the account as it is now."""
        with self.provider.app.app_context():
            return db.session.get_one(Citizen, self.id)

    def register_says(self, answer: table.Answer, *, replaced_by: str | None = None, full_name: str = "") -> None:
        """Script the embedded register, and make its last answer so old that it will be asked."""
        birth = table.BirthDate(1991, 2, 28)
        known = table.Person("vn-pin", self.number, full_name or self.full_name, birth, Gender.FEMALE, answer)
        people = [known]
        if replaced_by is not None:
            people = [
                table.Person("vn-pin", self.number, self.full_name, birth, Gender.FEMALE, answer, replaced_by),
                table.Person("vn-pin", replaced_by, self.full_name, birth, Gender.FEMALE),
            ]
        with self.provider.app.app_context():
            table.write(people, keyring=self.provider.services.keyring)
            db.session.commit()
        long_ago = clock.now() - timedelta(days=30)
        self.set(registry_checked_at=long_ago, registry_asked_at=long_ago)


@dataclass(frozen=True)
class Answer:
    """What a portal receives at its redirect URI."""

    location: str

    @property
    def parameters(self) -> dict[str, str]:
        """Return the query, each name once."""
        pairs = parse_qsl(urlsplit(self.location).query, keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]

    def get(self, name: str) -> str | None:
        """Return one parameter, or None."""
        return self.parameters.get(name)


@dataclass(frozen=True)
class Portal:
    """A portal: its registration, and the requests it makes."""

    provider: "Provider"
    client_id: str
    document: Mapping[str, Any]
    redirect_uri: str
    secret: str = field(repr=False)
    verifier: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """Return the S256 challenge of this portal's verifier (RFC 7636, 4.2)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()

    def request(self, **changes: str | None) -> dict[str, str]:
        """Return an authorization request; a change to None drops the parameter."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "state": "state-of-the-portal",
            "nonce": "nonce-of-the-portal",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def address(self, **changes: str | None) -> str:
        """Return the authorization request as an address."""
        return "/authorize?" + urlencode(self.request(**changes), quote_via=quote)

    def redeem(self, code: str, *, authorization: str | None = "basic", **changes: str | None) -> TestResponse:
        """Send the token request; `authorization` is a header of its own, or None for none."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            **changes,
        }
        headers = {}
        if authorization is not None:
            headers["Authorization"] = self.basic() if authorization == "basic" else authorization
        response: TestResponse = self.provider.http().post(
            "/token", data={name: value for name, value in form.items() if value is not None}, headers=headers
        )
        canary.plant(self.verifier, *canary.secrets_in(response.get_json(silent=True)))
        return response

    def basic(self, secret: str | None = None) -> str:
        """Return the Authorization header of client_secret_basic (RFC 6749, 2.3.1)."""
        pair = f"{quote(self.client_id, safe='')}:{quote(secret or self.secret, safe='')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def tokens(self, answer: Answer) -> dict[str, Any]:
        """Redeem the code of `answer` and return the token response."""
        response = self.redeem(answer["code"])
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.get_json()
        return body

    def claims(self, tokens: Mapping[str, Any]) -> dict[str, Any]:
        """Return the claims of the ID token once python-jose, a second implementation, has verified it."""
        header = jwt.get_unverified_header(tokens["id_token"])
        [key] = [key for key in self.provider.jwks() if key["kid"] == header["kid"]]
        assert header["alg"] == self.document.get("id_token_signed_response_alg", "ES256")
        claims: dict[str, Any] = jwt.decode(
            tokens["id_token"],
            key,
            algorithms=["RS256", "ES256"],
            audience=self.client_id,
            issuer=self.provider.settings.issuer,
            access_token=tokens["access_token"],
            options={f"require_{name}": True for name in ("aud", "iat", "exp", "iss", "sub", "at_hash")},
        )
        return claims

    def post(self, path: str, **form: str) -> TestResponse:
        """Post a form with the client's secret."""
        headers = {"Authorization": self.basic()}
        response: TestResponse = self.provider.http().post(path, data=form, headers=headers)
        canary.plant(*canary.secrets_in(response.get_json(silent=True)))
        return response

    def refresh(self, refresh_token: str, **changes: str) -> TestResponse:
        """Send a refresh request."""
        return self.post("/token", grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def userinfo(self, access_token: str) -> TestResponse:
        """Ask UserInfo with the token in the header."""
        return self.provider.http().get("/userinfo", headers={"Authorization": f"Bearer {access_token}"})

    def sign_in(self, browser: Browser, person: Person, **changes: str | None) -> dict[str, Any]:
        """Walk a whole sign-in and return the claims of the ID token."""
        return self.claims(self.tokens(self.arrive(browser, person, **changes)))

    def arrive(self, browser: Browser, person: Person | None = None, **changes: str | None) -> Answer:
        """Walk from the authorization request back to the portal, filling in whatever page comes."""
        answer = Answer(walk(browser, browser.get(self.address(**changes)), person))
        canary.plant(answer.get("code"))
        return answer


def walk(browser: Browser, page: Page, person: Person | None = None) -> str:
    """Answer every page as `person` would, until the browser leaves for the portal; return where to."""
    for _ in range(8):
        if page.left_for is not None:
            return page.left_for
        if "login-form" in page.forms:
            assert person is not None, "nobody is there to sign in"
            page = browser.submit("login-form", number=person.number, password=person.password)
        elif "totp-form" in page.forms:
            assert person is not None, "nobody is there to type the code"
            page = browser.submit("totp-form", code=person.code())
        elif "account-form" in page.forms:
            page = browser.submit("account-form", decision="continue")
        elif "consent-form" in page.forms:
            page = browser.submit("consent-form", decision="allow")
        elif "notice-form" in page.forms:
            page = browser.submit("notice-form")
        elif "portal-answer" in page.forms:
            action, fields = browser.form("portal-answer")
            return f"{action}{'&' if '?' in action else '?'}{urlencode(fields, quote_via=quote)}"
        else:
            raise AssertionError(f"no way on from {page.path}: {page.status} {page.text}")
    raise AssertionError("going in circles")


@dataclass
class Provider:
    """The running provider."""

    app: Flask
    url: str
    settings: Settings

    @property
    def services(self) -> Services:
        """Return the services of the application."""
        services: Services = self.app.extensions["lienket"]
        return services

    def http(self) -> Any:
        """Return a bare HTTP client without cookies."""
        client = self.app.test_client(use_cookies=False)
        client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
        return _At(client, self.settings.issuer)

    def browser(self) -> Browser:
        """Return a new browser."""
        return Browser(self.app, self.settings.issuer)

    def jwks(self) -> list[dict[str, Any]]:
        """Return the published keys."""
        keys: list[dict[str, Any]] = self.http().get("/jwks").get_json()["keys"]
        return keys

    def citizen(self, *, totp: bool = True, **members: Any) -> Person:
        """Enrol a person the register knows; `members` of the citizen document, None drops one."""
        number = f"979191{next(_serial):06d}"
        secret = pyotp.random_base32() if totp else None
        whole = {
            "number": number,
            "full_name": "Nguyễn Thị Hoà",
            "birthdate": "1991-02-28",
            "gender": "female",
            "password": PASSWORD,
            "totp_secret": secret,
            "level": "loa3",
            **members,
        }
        present = {name: value for name, value in whole.items() if value is not None}
        canary.plant(*(present.get(name) for name in _ABOUT_A_PERSON))
        is_usual = present.get("password") == PASSWORD
        if is_usual:
            del present["password"]
        with self.app.app_context():
            made = parse(Row("test", present), settings=self.settings, today=clock.now().date())
            services = self.services
            result = enrol(made, settings=self.settings, keyring=services.keyring, registry=services.registry)
            if is_usual:
                stored = hashes.record_of(PASSWORD, owner=result.citizen_id, keyring=services.keyring)
                password.store(result.citizen_id, stored, now=clock.now())
                db.session.commit()
        return Person(self, result.citizen_id, present["number"], present["full_name"], totp_secret=secret)

    def portal(self, **members: Any) -> Portal:
        """Register a client; `members` of the client document, None drops one."""
        name = f"portal-{next(_serial)}"
        whole = {
            "client_id": name,
            "client_secret": f"secret of/{name}&+%".replace(" ", "~"),
            "agency": {"slug": name, "name": {"vi": f"Cơ quan {name}", "en": f"Agency {name}"}},
            "client_name": f"Cổng {name}",
            "client_name#en": f"Portal {name}",
            "client_uri": f"https://{name}.example/",
            "redirect_uris": [f"https://{name}.example/callback"],
            "post_logout_redirect_uris": [f"https://{name}.example/signed-out"],
            "scope": "openid",
            "basis": "consent",
            **members,
        }
        present = {name: value for name, value in whole.items() if value is not None}
        scopes = present["scope"].split()
        texts = {scope: {"vi": f"để dùng {scope}", "en": f"to use {scope}"} for scope in scopes if scope != "openid"}
        present.setdefault("purposes", texts)
        if present["basis"] == "legal":
            present.setdefault("legal_basis", {"vi": "Luật số 1", "en": "Law 1"})
        with self.app.app_context():
            [applied] = apply.apply([document.read(present, source=name, is_sandbox=True)], is_sandbox=True)
        self.forget_caches()
        canary.plant(present.get("client_secret"))
        return Portal(
            self, applied.client_id, present, present["redirect_uris"][0], secret=present.get("client_secret", "")
        )

    def forget_caches(self) -> None:
        """Let five seconds pass for the copies of client records."""
        clients = self.services.clients
        for store in (clients._known, clients._unknown, clients._names):
            store.clear()

    def session_of(self, person: Person) -> SsoSession:
        """Return the latest session of a person."""
        with self.app.app_context():
            newest = sa.select(SsoSession).where(SsoSession.citizen_id == person.id).order_by(SsoSession.id.desc())
            return db.session.scalars(newest.limit(1)).one()

    def let_pass(self, person: Person, **duration: float) -> None:
        """Let time pass for the newest session of a person; `duration` as for timedelta."""
        self.age(SsoSession, SsoSession.id == self.session_of(person).id, **duration)

    def age(self, model: type[Model], where: Any, **duration: float) -> None:
        """Move every time in the rows of `model` chosen by `where` back."""
        step = timedelta(**duration)
        with self.app.app_context():
            for row in db.session.scalars(sa.select(model).where(where)).all():
                for column in sa.inspect(model).columns:
                    value = getattr(row, column.key)
                    if isinstance(value, datetime):
                        setattr(row, column.key, value - step)
            db.session.commit()

    def scalars(self, statement: Any) -> list[Any]:
        """Return what a statement selects."""
        with self.app.app_context():
            return list(db.session.scalars(statement).all())

    def run(self, statement: Any) -> None:
        """Run a statement and commit."""
        with self.app.app_context():
            db.session.execute(statement)
            db.session.commit()


class _At:
    """A test client that speaks to the issuer's host."""

    def __init__(self, client: Any, origin: str) -> None:
        self._client = client
        self._origin = origin

    def open(self, path: str, **arguments: Any) -> TestResponse:
        response: TestResponse = self._client.open(path, base_url=self._origin, **arguments)
        return response

    def get(self, path: str, **arguments: Any) -> TestResponse:
        return self.open(path, method="GET", **arguments)

    def post(self, path: str, **arguments: Any) -> TestResponse:
        return self.open(path, method="POST", **arguments)


@contextmanager
def provider_at(url: str, directory: Path, **settings: Any) -> Iterator[Provider]:
    """Yield a provider on the migrated database at `url`, its keyring in `directory`."""
    keyring.create(directory)
    values = {"issuer": ISSUER, "log_level": "WARNING", "hash_workers": 2, **settings}
    chosen = Settings(database_url=url, secrets_dir=directory, **values)
    app = create_app(chosen)
    provider = Provider(app, url, chosen)
    try:
        with app.app_context():
            rotation.ensure_keys(provider.services.keyring)
        yield provider
    finally:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
        close(provider.services.hot_path)


def json_of(**members: Any) -> str:
    """Return a JSON object, for the claims parameter."""
    return json.dumps(members, separators=(",", ":"))
