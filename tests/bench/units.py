"""The units that are measured: what each asks, and what counts as a right answer."""

import base64
import itertools
import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from tests.bench.fapi import FapiPortal, load_key
from tests.bench.federated import Federated
from tests.bench.load import Answer, Spent, Unit, Wrong, run
from tests.bench.pages import csrf_of, path_of
from tests.bench.seed import (
    FAPI_CLIENT,
    FAPI_OFFLINE_CLIENT,
    OFFLINE_SCOPE,
    REDIRECT_URI,
    REFRESH_CLIENT,
    SCOPE,
    Site,
    client_id,
)

# RFC 7636, appendix B.
_VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
_MINT_SECONDS = 15.0
_TOKENS = 500


@dataclass(slots=True)
class Requests:
    """The requests of one running site, as bytes, and the things in stock that they are made of.

    `codes` are spent once; `tokens`, of the ES256 client, are used in turn; `forms` are login pages not yet sent.
    """

    site: Site
    port: int
    codes: deque[str] = field(default_factory=deque)
    tokens: list[str] = field(default_factory=list)
    forms: deque[tuple[str, str, str]] = field(default_factory=deque)
    refresh_tokens: deque[str] = field(default_factory=deque)
    fapi: FapiPortal = field(init=False)
    fapi_offline: FapiPortal = field(init=False)
    federated: Federated = field(init=False)
    _turn: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.fapi = self._fapi_portal(FAPI_CLIENT, SCOPE)
        self.fapi_offline = self._fapi_portal(FAPI_OFFLINE_CLIENT, OFFLINE_SCOPE)
        self.federated = Federated(self)

    def _fapi_portal(self, client: str, scope: str) -> FapiPortal:
        return FapiPortal(
            port=self.port,
            issuer=self.site.environment["IDP_ISSUER"],
            client_id=client,
            redirect_uri=REDIRECT_URI,
            scope=scope,
            paths={name: f"/{name}" for name in ("authorize", "par", "token", "userinfo")},
            cookies=self.site.cookies,
            key=load_key(self.site.key),
        )

    # --- units ---

    def sso(self, algorithm: str) -> Unit:
        """Sign in with a live session: authorize, token, UserInfo."""
        code = self._code_of((yield self._authorize(client_id(algorithm), self._cookie())))
        token = self._token_of((yield self._redeem(client_id(algorithm), code)))
        self._check_person((yield self._get("/userinfo", f"Authorization: Bearer {token}\r\n")))
        # Introspection answers only for tokens of the client that asks.
        if algorithm == "ES256" and len(self.tokens) < _TOKENS:
            self.tokens.append(token)

    def authorize(self, algorithm: str) -> Unit:
        """Ask for a code with a live session, and keep it."""
        self.codes.append(self._code_of((yield self._authorize(client_id(algorithm), self._cookie()))))

    def token(self, algorithm: str) -> Unit:
        """Redeem a code issued before the clock started."""
        if not self.codes:
            raise Spent
        self._token_of((yield self._redeem(client_id(algorithm), self.codes.popleft())))

    def userinfo(self) -> Unit:
        """Read the claims behind a token."""
        self._check_person((yield self._get("/userinfo", f"Authorization: Bearer {self._any_token()}\r\n")))

    def introspect(self) -> Unit:
        """Ask whether a token is good (RFC 7662)."""
        answer = yield self._post("/introspect", {"token": self._any_token()}, self._basic(client_id("ES256")))
        if json.loads(answer.expect(200).body)["active"] is not True:
            raise Wrong("the token is not active")

    def refresh(self) -> Unit:
        """Refresh: each connection hands on the token that the last one was answered with."""
        if not self.refresh_tokens:
            raise Spent
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh_tokens.popleft()}
        self._keep_refresh_token((yield self._post("/token", form, self._basic(REFRESH_CLIENT))))

    def discovery(self) -> Unit:
        """Read the provider's metadata."""
        answer = yield self._get("/.well-known/openid-configuration")
        if b'"token_endpoint"' not in answer.expect(200).body:
            raise Wrong("not the metadata")

    def jwks(self) -> Unit:
        """Read the public keys."""
        if b'"keys"' not in (yield self._get("/jwks")).expect(200).body:
            raise Wrong("not a key set")

    def password(self) -> Unit:
        """Send number and password on a login page opened before the clock started."""
        if not self.forms:
            raise Spent
        path, cookie, csrf = self.forms.popleft()
        answer = yield self._send_password(path, cookie, csrf)
        if "sid=" not in answer.expect(303).cookies():
            raise Wrong("no session was opened")

    def wrong_password(self, statuses: Counter[int]) -> Unit:
        """Send a wrong password for a number that nobody has, from an address that sent none before."""
        turn = next(self._turn)
        path, cookie, csrf = self.forms[turn % len(self.forms)]
        form = {"csrf": csrf, "number": f"979191{turn % 1_000_000:06d}", "password": f"wrong password {turn}"}
        sender = f"X-Forwarded-For: 10.{turn >> 16 & 255}.{turn >> 8 & 255}.{turn & 255}\r\n"
        answer = yield self._post(path, form, f"Cookie: {cookie}\r\n{sender}")
        statuses[answer.status] += 1

    def signin(self) -> Unit:
        """Sign in from nothing: authorize, three pages, the post of number and password, the code."""
        opened = (yield self._authorize(client_id("ES256"), "")).expect(303)
        cookie = opened.cookies()
        path = path_of(opened)
        form = (yield self._get(f"{path}/login", f"Cookie: {cookie}\r\n")).expect(200)
        answer = (yield self._send_password(f"{path}/login", cookie, csrf_of(form))).expect(303)
        cookie = f"{cookie}; {answer.cookies()}"
        self._code_of((yield self._get(path, f"Cookie: {cookie}\r\n")))

    def _open_form(self) -> Unit:
        opened = (yield self._authorize(client_id("ES256"), "")).expect(303)
        path, cookie = f"{path_of(opened)}/login", opened.cookies()
        form = (yield self._get(path, f"Cookie: {cookie}\r\n")).expect(200)
        self.forms.append((path, cookie, csrf_of(form)))

    def open_grant(self) -> Unit:
        """Sign in with a live session and keep the refresh token."""
        code = self._code_of((yield self._authorize(REFRESH_CLIENT, self._cookie(), scope=OFFLINE_SCOPE)))
        self._keep_refresh_token((yield self._redeem(REFRESH_CLIENT, code)))

    # --- stock ---

    def stock(self, kind: str, amount: int) -> None:
        """Have about `amount` codes ("ES256", "RS256", "FAPI" for their client), login pages ("forms"), browsers at the
        identity provider ("returns") or refresh tokens ready.

        Codes of an earlier unit are thrown away: they belong to another client, or are about to expire.
        """
        stocks = (self.codes, self.fapi.codes, self.forms, self.refresh_tokens, self.fapi_offline.refresh_tokens)
        for left in (*stocks, self.federated.returns):
            left.clear()
        make: Callable[[], Unit] = {
            "forms": self._open_form,
            "returns": self.federated.leave,
            "refresh": self.open_grant,
            "FAPI": self.fapi.code,
            "FAPI refresh": self.fapi_offline.login,
        }.get(kind, lambda: self.authorize(kind))
        run(make, port=self.port, connections=8, seconds=_MINT_SECONDS, most=amount)

    # --- requests ---

    def next_number(self) -> str:
        """Return the number of one citizen after the other."""
        return self.site.people[next(self._turn) % len(self.site.people)][0]

    def _cookie(self) -> str:
        return self.site.cookies[next(self._turn) % len(self.site.cookies)]

    def _any_token(self) -> str:
        if not self.tokens:
            raise Spent
        return self.tokens[next(self._turn) % len(self.tokens)]

    def _authorize(self, client: str, cookie: str, **more: str) -> bytes:
        turn = next(self._turn)
        query = urlencode(
            {
                "response_type": "code",
                "client_id": client,
                "redirect_uri": REDIRECT_URI,
                "scope": SCOPE,
                "state": f"state-{turn}",
                "nonce": f"nonce-{turn}",
                "code_challenge": _CHALLENGE,
                "code_challenge_method": "S256",
                **more,
            },
            quote_via=quote,
        )
        return self._get(f"/authorize?{query}", f"Cookie: {cookie}\r\n" if cookie else "")

    def _redeem(self, client: str, code: str) -> bytes:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        return self._post("/token", form | {"code_verifier": _VERIFIER}, self._basic(client))

    def _send_password(self, path: str, cookie: str, csrf: str) -> bytes:
        number, password = self.site.people[next(self._turn) % len(self.site.people)]
        return self._post(path, {"csrf": csrf, "number": number, "password": password}, f"Cookie: {cookie}\r\n")

    def _basic(self, client: str) -> str:
        pair = f"{client}:{self.site.secrets[client]}"
        return f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"

    def _get(self, path: str, headers: str = "") -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{headers}\r\n".encode()

    def _post(self, path: str, form: dict[str, str], headers: str) -> bytes:
        body = urlencode(form)
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{headers}"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    # --- what is right ---

    def _code_of(self, answer: Answer) -> str:
        location = answer.expect(303).header("location")
        code = parse_qs(urlsplit(location).query).get("code")
        if not location.startswith(REDIRECT_URI) or not code:
            raise Wrong(f"no code but {location[:120]}")
        return code[0]

    def _token_of(self, answer: Answer) -> str:
        document = json.loads(answer.expect(200).body)
        if document["id_token"].count(".") != 2:
            raise Wrong("no ID token")
        return str(document["access_token"])

    def _keep_refresh_token(self, answer: Answer) -> None:
        document = json.loads(answer.expect(200).body)
        if document["id_token"].count(".") != 2:
            raise Wrong("no ID token")
        self.refresh_tokens.append(document["refresh_token"])

    def _check_person(self, answer: Answer) -> None:
        if not {"sub", "name", "birthdate"} <= json.loads(answer.expect(200).body).keys():
            raise Wrong("claims are missing")


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table: its name, how to make a unit, and what must be in stock before the clock starts."""

    name: str
    make: Callable[[Requests], Unit]
    stock: str = ""
    connections: tuple[int, ...] = (1, 8)


UNITS = (
    Measured("sso ES256", lambda r: r.sso("ES256")),
    Measured("sso RS256", lambda r: r.sso("RS256")),
    Measured("authorize", lambda r: r.authorize("ES256")),
    Measured("token ES256", lambda r: r.token("ES256"), stock="ES256"),
    Measured("token RS256", lambda r: r.token("RS256"), stock="RS256"),
    Measured("userinfo", lambda r: r.userinfo()),
    Measured("introspect", lambda r: r.introspect()),
    Measured("refresh", lambda r: r.refresh(), stock="refresh"),
    Measured("fapi ES256", lambda r: r.fapi.login()),
    Measured("par", lambda r: r.fapi.push()),
    Measured("token DPoP", lambda r: r.fapi.token(), stock="FAPI"),
    Measured("userinfo DPoP", lambda r: r.fapi.userinfo()),
    Measured("refresh DPoP", lambda r: r.fapi_offline.refresh(), stock="FAPI refresh"),
    Measured("discovery", lambda r: r.discovery()),
    Measured("jwks", lambda r: r.jwks()),
    Measured("password", lambda r: r.password(), stock="forms"),
    Measured("sign-in", lambda r: r.signin()),
    Measured("federated", lambda r: r.federated.login()),
    Measured("return", lambda r: r.federated.come_back(), stock="returns"),
)
