"""Bad input at every endpoint: an error of the specification or a page, never a 500, never a lost session."""

import base64
import re
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.browser import Browser
from tests.provider import Person, Portal, Provider, json_of

DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
MACHINES = ("/token", "/userinfo", "/introspect", "/jwks", "/.well-known/openid-configuration")
PAGES = (
    "/",
    "/authorize",
    "/logout",
    "/logout/confirm",
    "/signin/x",
    "/signin/x/login",
    "/signin/x/cancel",
    "/nowhere",
)
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid email")


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def visitor(provider: Provider, portal: Portal, person: Person) -> Browser:
    """Return a browser that is signed in, and must stay so."""
    browser = provider.browser()
    portal.arrive(browser, person)
    return browser


def is_well_shaped(response: TestResponse, path: str) -> None:
    """Check what every answer to bad input has in common."""
    assert response.status_code < 500, response.text
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" in response.headers
    location = response.headers.get("Location")
    if location is not None:
        assert response.status_code == 303
        parts = urlsplit(location)
        if parts.netloc:
            told = dict(parse_qsl(parts.query, keep_blank_values=True))
            assert "code" in told or "error" in told
            assert DESCRIPTION.fullmatch(told.get("error_description", "ok"))
        return
    if path in MACHINES and response.status_code >= 400:
        body = response.get_json()
        assert isinstance(body["error"], str)
        assert DESCRIPTION.fullmatch(body["error_description"])
        assert response.headers["Cache-Control"] == "no-store"
    elif response.status_code >= 400:
        assert response.mimetype == "text/html"
        if "error-summary" not in response.text:
            assert 'id="error-code"' in response.text
            assert 'id="error-reference"' in response.text


def is_still_signed_in(portal: Portal, visitor: Browser) -> None:
    assert portal.arrive(visitor, prompt="none").get("code")


QUERIES = [
    "%",
    "%zz",
    "a=%ff",
    "client_id=%00",
    "client_id=%ff",
    "client_id=%c0%80",
    "client_id=%ed%a0%80",
    "client_id=a%0d%0aSet-Cookie:x",
    "client_id[]=x&client_id[a]=y",
    "&&&&",
    "=",
    "=x",
    "a;b=c",
    "&".join(f"p{number}=1" for number in range(150)),
    "state=" + "x" * 9_000,
    "é=é",
    "\\",
    "<script>alert(1)</script>",
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", ["/authorize", "/logout", "/token", "/userinfo", "/", "/jwks"])
@pytest.mark.holds("RFC6749-10.14-1")
def test_a_malformed_query_is_refused_in_form(visitor: Browser, portal: Portal, query: str, path: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        response = visitor.send(method, path, query_string=query)
        if method != "HEAD":
            is_well_shaped(response, path)
        assert response.status_code < 500
        assert "<script" not in response.text
        assert "Set-Cookie:x" not in str(response.headers)
    is_still_signed_in(portal, visitor)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.holds("RFC6749-4.1.2.1-3")
def test_malformed_parameters_beside_a_good_request_are_refused_in_form(
    visitor: Browser, portal: Portal, query: str
) -> None:
    good = urlencode(portal.request(prompt="none"))
    is_well_shaped(visitor.send("GET", f"/authorize?{good}&{query}"), "/authorize")
    posted = visitor.send("POST", "/authorize", data=f"{good}&{query}".encode(), content_type=FORM)
    is_well_shaped(posted, "/authorize")
    token = urlencode({"grant_type": "authorization_code", "code": "x", "redirect_uri": portal.redirect_uri})
    answer = portal.provider.http().post(
        "/token", data=f"{token}&{query}".encode(), content_type=FORM, headers={"Authorization": portal.basic()}
    )
    is_well_shaped(answer, "/token")
    assert answer.status_code in (400, 413)


BODIES: list[tuple[Any, str | None]] = [
    (b"\xff\xfe\x00", FORM),
    (b"a=\x00", FORM),
    (b"client_id=\xc3\xa9", FORM),
    (b"x" * 70_000, FORM),
    (b"&".join(b"p%d=1" % number for number in range(150)), FORM),
    (b'{"grant_type":"authorization_code"}', "application/json"),
    (b"grant_type=authorization_code", "text/plain"),
    (b"grant_type=authorization_code", None),
    (b"grant_type=authorization_code", "application/x-www-form-urlencoded; charset=utf-16"),
    (b"grant_type=authorization_code", "\xff/\xff"),
    (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--", "multipart/form-data; boundary=x"),
    (b"--broken", "multipart/form-data"),
    (b"--broken", "multipart/form-data; boundary=" + "x" * 500),
    (b"", FORM),
    (b"<a/>", "application/xml"),
]


@pytest.mark.parametrize(("body", "content_type"), BODIES)
@pytest.mark.parametrize("path", ["/token", "/authorize", "/logout", "/logout/confirm", "/userinfo", "/introspect"])
def test_an_odd_body_is_refused_in_form(
    visitor: Browser, portal: Portal, path: str, body: bytes, content_type: str | None
) -> None:
    kept = visitor.cookies()
    response = visitor.send("POST", path, data=body, content_type=content_type)
    is_well_shaped(response, path)
    assert visitor.cookies() == kept
    is_still_signed_in(portal, visitor)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "BREW"])
@pytest.mark.parametrize("path", [*MACHINES, *PAGES, "/authorize?client_id=x"])
def test_any_method_is_answered_in_form(visitor: Browser, portal: Portal, method: str, path: str) -> None:
    response = visitor.send(method, path)
    if method == "HEAD" or (method == "OPTIONS" and response.status_code == 200):
        assert response.status_code < 500
        assert response.get_data() == b""
    else:
        is_well_shaped(response, path)
    if response.status_code == 405:
        assert response.headers["Allow"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "dangnhap.example:444"},
        {"Host": ""},
        {"Host": "\xff"},
        {"Host": "a b"},
        {"Cookie": "x" * 20_000},
        {"Cookie": "=;=;;; =\xff; __Host-sid=\xff"},
        {"Cookie": "__Host-sid=a; __Host-sid=b"},
        {"Accept-Language": "x" * 10_000},
        {"Accept": "application/x-unheard-of"},
        {"Content-Length": "-1"},
        {"Content-Length": "soon"},
        {"If-None-Match": "\xff"},
        {"X-Forwarded-For": "\xff, 1", "X-Forwarded-Proto": "gopher"},
        {"Range": "bytes=0-1"},
    ],
)
@pytest.mark.parametrize("path", ["/authorize", "/jwks", "/token", "/", "/userinfo"])
def test_odd_headers_are_answered_in_form(provider: Provider, path: str, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        response = provider.http().open(path, method=method, headers=headers)
        is_well_shaped(response, path)
        assert "evil.example" not in response.text + str(response.headers)


@pytest.mark.parametrize("lang", ["xx", "%ff", "vi%00", "<script>", "x" * 3000])
def test_an_unknown_language_is_ignored(provider: Provider, lang: str) -> None:
    response = provider.http().get("/", query_string=f"lang={lang}")
    assert response.status_code == 200
    assert '<html lang="vi"' in response.text


# --- anything at all

WORDS = st.sampled_from(
    [
        "code", "openid", "openid email", "none", "login", "S256", "plain", "x", "", "0", "-1", "loa2", "{}", "[]",
        json_of(id_token={"acr": {"essential": True}}), "https://evil.example/", "a" * 600, "\0", "\ud7ff", "é", "%",
    ]
)  # fmt: skip
TEXTS = st.one_of(WORDS, st.text(max_size=40))
NAMES = st.one_of(
    st.sampled_from(
        [
            "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "prompt", "max_age", "claims",
            "acr_values", "id_token_hint", "login_hint", "ui_locales", "display", "code_challenge", "request",
            "code_challenge_method", "response_mode", "request_uri", "grant_type", "code", "code_verifier",
            "client_secret", "client_assertion", "client_assertion_type", "refresh_token",
        ]
    ),
    st.text(max_size=10),
)  # fmt: skip
PAIRS = st.lists(st.tuples(NAMES, TEXTS), max_size=6)
SECONDS = 3.0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_request_to_authorize_makes_the_provider_fail(
    provider: Provider, portal: Portal, visitor: Browser, method: str
) -> None:
    until = time.monotonic() + SECONDS
    kept = visitor.cookies()

    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(extra=PAIRS, dropped=st.sets(st.sampled_from(sorted(portal.request())), max_size=2))
    def fuzz(extra: list[tuple[str, str]], dropped: set[str]) -> None:
        if time.monotonic() > until:
            return
        base = [(name, value) for name, value in portal.request().items() if name not in dropped]
        changed = [pair for pair in base if pair[0] not in dict(extra)] + extra
        encoded = urlencode(changed, errors="surrogatepass")
        sent = {"query_string": encoded} if method == "GET" else {"data": encoded.encode(), "content_type": FORM}
        response = visitor.send(method, "/authorize", **sent)
        is_well_shaped(response, "/authorize")
        location = response.headers.get("Location", "/")
        assert location.startswith(("/signin/", portal.redirect_uri + "?")) or location == "/"
        visitor.put(kept)

    fuzz()
    is_still_signed_in(portal, visitor)


def test_no_request_to_token_makes_the_provider_fail(provider: Provider, portal: Portal, visitor: Browser) -> None:
    until = time.monotonic() + SECONDS
    code = portal.arrive(visitor)["code"]
    http = provider.http()
    base = {"grant_type": "authorization_code", "code": "x", "redirect_uri": portal.redirect_uri}

    @settings(max_examples=200, suppress_health_check=list(HealthCheck))
    @given(
        extra=PAIRS,
        authorization=st.one_of(
            st.none(),
            st.just(portal.basic()),
            st.text(
                alphabet=st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60
            ),
            st.binary(max_size=30).map(lambda raw: "Basic " + base64.b64encode(raw).decode()),
        ),
    )
    def fuzz(extra: list[tuple[str, str]], authorization: str | None) -> None:
        if time.monotonic() > until:
            return
        pairs = [pair for pair in base.items() if pair[0] not in dict(extra)] + extra
        response = http.post(
            "/token",
            data=urlencode(pairs, errors="surrogatepass").encode(),
            content_type=FORM,
            headers={} if authorization is None else {"Authorization": authorization},
        )
        is_well_shaped(response, "/token")
        assert response.status_code in (400, 401, 413, 429)

    fuzz()
    assert portal.redeem(code).status_code == 200


def test_no_text_typed_into_the_forms_makes_the_provider_fail(
    provider: Provider, portal: Portal, person: Person
) -> None:
    until = time.monotonic() + SECONDS
    browser = provider.browser()
    page = browser.get(portal.address(acr_values="loa2"))
    page = browser.submit("login-form", number=person.number, password=person.password)
    action, fields = browser.form("totp-form")
    person.code()

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(typed=st.text(max_size=12).filter(lambda text: not text.strip().isdigit()))
    def fuzz(typed: str) -> None:
        if time.monotonic() > until:
            return
        is_well_shaped(
            browser.send(
                "POST",
                action,
                data=urlencode({**fields, "code": typed}, errors="surrogatepass").encode(),
                content_type=FORM,
            ),
            action,
        )

    fuzz()
    assert browser.get(page.path).step == "code"
