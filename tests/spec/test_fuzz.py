"""Everything that reads bytes before somebody has signed in, under whatever Hypothesis thinks of, for a bounded time.

Whatever comes: no 5xx, JSON for programs and a page with a reference for people, the security headers, nothing of the
input, an answer in good time, and no request of ours to an address that somebody sent.
"""

import base64
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from idp.core.limits import RateLimit
from tests.browser import Browser
from tests.keyed import ASSERTION_TYPE, KeyedPortal, keyed
from tests.provider import Person, Provider, provider_at

FORM = "application/x-www-form-urlencoded"
CIBA, DEVICE = "urn:openid:params:grant-type:ciba", "urn:ietf:params:oauth:grant-type:device_code"
MTLS = {
    "mtls_origin": "https://mtls.dangnhap.example",
    "client_certificate_header": "ClientCertificate",
    "client_verify_header": "ClientVerified",
    "proxy_addresses": "10.20.0.5",
    "proxy_hops": 1,
}
# In every value that is made up here; whatever comes back must not hold it.
MARK = "zq7Xmark"
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SECONDS = 1.0
EXAMPLES = 120
CPU_SECONDS = 2.0
FORMS = ("/par", "/token", "/introspect", "/revoke", "/device_authorization", "/bc-authorize")
PAGES = ("/authorize", "/logout", "/logout/confirm", "/device", "/approvals", "/approvals/signin")

PARAMETERS = (
    "acr_values", "auth_req_id", "binding_message", "claims", "claims_locales", "client_assertion",
    "client_assertion_type", "client_id", "client_notification_token", "client_secret", "code", "code_challenge",
    "code_challenge_method", "code_verifier", "csrf", "device_code", "display", "dpop_jkt", "grant_type",
    "id_token_hint", "lang", "login_hint", "login_hint_token", "max_age", "nonce", "post_logout_redirect_uri",
    "prompt", "redirect_uri", "refresh_token", "registration", "request", "request_uri", "requested_expiry",
    "resource", "response_mode", "response_type", "scope", "state", "token", "token_type_hint", "ui_locales",
    "user_code",
)  # fmt: skip


def text_of(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def seeds(canary: str) -> list[str]:
    """Return values that have broken somebody's parser before."""
    header = {"alg": "none", "jku": canary, "x5u": canary, "kid": MARK}
    return [
        "\0", "\r\nX-Injected: 1", "\t", "%00", "%", "\\", '"', "<script>alert(1)</script>", "' OR 1=1 --", "{{7*7}}",
        "${jndi:ldap://x}", "../../etc/passwd", "\ud7ff", "\u202e", "é" * 400, "x" * 600, "9" * 5_000, "-1",
        "NaN", "1e999", "null", "[]", "{}", '{"id_token":{"acr":{"values":[null,{},"loa2"]}}}',
        '{"userinfo":{"sub":{"value":"\\u0000"}}}',
        '{"id_token":{"sub":{"value":"\\ud800"}}}', "[" * 3_000, '{"a":' * 500, f"{text_of(header)}.{text_of({})}.",
        f"{text_of(header)}.{text_of({'sub': MARK, 'iss': MARK})}.AAAA", "a.b.c", "..", "." * 300,
        "a" * 20_000 + ".b.c",
        "k1.AAAA.AAAA", "k1.." + "A" * 43, "k\0.AA.AA", "k9." + "A" * 27 + "." + "A" * 43, f"{canary}/x", f"{canary}",
        "urn:ietf:params:oauth:request_uri:", "urn:ietf:params:oauth:request_uri:\0", "BCDF-GHJK", "loa1 loa9", "query",
        "form_post.jwt", "code id_token", "none login", ASSERTION_TYPE, CIBA, DEVICE, "refresh_token",
        "authorization_code", "password", "0" * 43, "openid offline_access", "xx-\0-yy",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def canary() -> Iterator[tuple[str, socket.socket]]:
    """Yield an address on loopback, where the sandbox may go, and the socket that would know of a visit."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", listening


@pytest.fixture(scope="module")
def whole(provider: Provider) -> Iterator[Provider]:
    """Yield the provider with everything switched on, certificates from a proxy included."""
    with provider_at(provider.url, provider.settings.secrets_dir, **MTLS) as made:
        yield made


@pytest.fixture(scope="module")
def portal(whole: Provider) -> KeyedPortal:
    return keyed(whole, scope="openid name", grant_types=["authorization_code", CIBA, DEVICE])


@pytest.fixture(scope="module")
def person(whole: Provider) -> Person:
    return whole.citizen(totp=False)


@pytest.fixture(scope="module")
def visitor(portal: KeyedPortal, whole: Provider, person: Person) -> Browser:
    """Return a browser that is signed in, and must stay so."""
    browser = whole.browser()
    portal.arrive(browser, person)
    return browser


@pytest.fixture(autouse=True)
def _nobody_was_called(canary: tuple[str, socket.socket]) -> Iterator[None]:
    yield
    with pytest.raises(BlockingIOError):
        canary[1].accept()


def check(response: TestResponse, *, is_program: bool, portal: KeyedPortal) -> None:
    """Check what every answer to bad input has in common."""
    assert response.status_code < 500, response.text
    for name, value in HEADERS.items():
        assert response.headers[name] == value
    assert "Content-Security-Policy" in response.headers
    assert "Strict-Transport-Security" in response.headers
    assert "X-Injected" not in response.headers
    assert "Access-Control-Allow-Origin" not in response.headers
    location = response.headers.get("Location")
    if location is not None:
        assert response.status_code == 303
        path = urlsplit(location).path
        is_ours = location.startswith("/") and path.startswith(("/signin/", "/logout", "/approvals", "/device"))
        assert is_ours or location.startswith((f"{portal.redirect_uri}?", "https://dangnhap.example/signin/"))
        return
    if is_program:
        assert response.mimetype == "application/json" or not response.data
        assert MARK not in response.text
        if response.status_code >= 400:
            assert DESCRIPTION.fullmatch(response.get_json()["error_description"])
            assert response.get_json()["error"].isascii()
    else:
        assert response.mimetype == "text/html"
        assert "<script>alert" not in response.text
        if response.status_code >= 400 and "error-summary" not in response.text:
            assert 'id="error-code"' in response.text
            assert 'id="error-reference"' in response.text


VALUES = st.one_of(
    st.integers(0, 70), st.integers(0, 70), st.text(max_size=30).map(lambda text: MARK + text), st.just(MARK)
)
PAIRS = st.lists(st.tuples(st.sampled_from((*PARAMETERS, MARK, "", "x[]")), VALUES), max_size=5)
PRINTED = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


def encoded(base: Mapping[str, str], extra: list[tuple[str, int | str]], nasty: list[str], *, doubles: bool) -> str:
    """Return a form in which `extra` take the place of what is in `base`, or stand beside it when it `doubles`."""
    filled = [(name, nasty[value % len(nasty)] if isinstance(value, int) else value) for name, value in extra]
    kept = [pair for pair in base.items() if doubles or pair[0] not in dict(filled)]
    return urlencode([*kept, *filled], errors="surrogatepass")


def bounded(function: Any) -> Any:
    """Run a fuzzer for SECONDS at most, and look at the time of each answer."""
    return settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))(function)


def base_of(path: str, portal: KeyedPortal) -> dict[str, str]:
    """Return a form that is in order, so that what is wrong with the fuzzed one is reached."""
    authentication = portal.authentication()
    return {
        "/par": {**authentication, **portal.request()},
        "/token": {**authentication, "grant_type": "authorization_code", "code": "x", "redirect_uri": "https://x.example/"},
        "/introspect": {**authentication, "token": "x"},
        "/revoke": {**authentication, "token": "x"},
        "/device_authorization": {**authentication, "scope": "openid"},
        "/bc-authorize": {**authentication, "scope": "openid", "binding_message": "7391", "login_hint": "979191000000"},
        "/authorize": portal.request(),
        "/logout": {"client_id": portal.client_id, "state": "x"},
        "/device": {"user_code": "BCDF-GHJK"},
    }.get(path, {"csrf": "x", "token": "x"})  # fmt: skip


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.holds("RFC6749-10.14-1", "B25")
def test_no_form_makes_an_endpoint_for_programs_fail(
    whole: Provider, portal: KeyedPortal, canary: tuple[str, socket.socket], path: str
) -> None:
    until, nasty = time.monotonic() + SECONDS, seeds(canary[0])

    @bounded
    @given(
        extra=PAIRS, doubles=st.booleans(), authorization=st.none() | PRINTED, proof=st.none() | PRINTED, cookie=PRINTED
    )
    def fuzz(
        extra: list[tuple[str, int | str]], doubles: bool, authorization: str | None, proof: str | None, cookie: str
    ) -> None:
        if time.monotonic() > until:
            return
        given_headers = {"Authorization": authorization, "DPoP": proof, "Cookie": f"__Host-sid={cookie}"}
        headers = {name: value for name, value in given_headers.items() if value is not None}
        started = time.thread_time()
        response = whole.http().post(
            path, data=encoded(base_of(path, portal), extra, nasty, doubles=doubles), content_type=FORM, headers=headers
        )
        assert time.thread_time() - started < CPU_SECONDS
        check(response, is_program=True, portal=portal)

    fuzz()
    whole.run(sa.delete(RateLimit))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.holds("B1", "RFC9700-4.11-1")
def test_no_request_makes_a_page_fail(
    whole: Provider, portal: KeyedPortal, visitor: Browser, canary: tuple[str, socket.socket], path: str, method: str
) -> None:
    until, nasty, kept = time.monotonic() + SECONDS, seeds(canary[0]), visitor.cookies()

    @bounded
    @given(extra=PAIRS, doubles=st.booleans(), stranger=st.booleans())
    def fuzz(extra: list[tuple[str, int | str]], doubles: bool, stranger: bool) -> None:
        if time.monotonic() > until:
            return
        text = encoded(base_of(path, portal), extra, nasty, doubles=doubles)
        sent: dict[str, Any] = {"query_string": text} if method == "GET" else {"data": text, "content_type": FORM}
        browser = whole.browser() if stranger else visitor
        started = time.thread_time()
        response = browser.send(method, path, **sent)
        assert time.thread_time() - started < CPU_SECONDS
        check(response, is_program=False, portal=portal)
        visitor.put(kept)
        visitor.seen.clear()

    fuzz()
    whole.run(sa.delete(RateLimit))
    assert portal.arrive(visitor, prompt="none").get("code"), "bad input has signed somebody out"


MEMBERS = (
    "redirect_uris", "client_name", "client_name#vi", "client_name#", "scope", "jwks", "grant_types", "response_types",
    "contacts", "policy_uri", "token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "default_max_age",
    "subject_type", "id_token_signed_response_alg", "id_token_encrypted_response_alg", "resources", "exceptions",
    "resource_identifiers", "purposes", "basis", "profile", "agency", "client_id", "client_secret", "legal_basis",
    "tls_client_auth_subject_dn", "tls_client_auth_san_ip", "backchannel_logout_uri", "frontchannel_logout_uri",
    "post_logout_redirect_uris", "software_statement", "default_acr_values", "request_uris", "initiate_login_uri",
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20).map(lambda text: MARK + text),
    st.sampled_from([
        "\0", "\ud800", "openid", "https://[v1.x;y]/cb", "https://[::1]x/cb", "https://a.example/cb", "javascript:1",
        "https://a.example/%0d%0aX:1", "https://a.example;b/", "urn:x:y", "CN=\\00", "RS256", "none", "2099-01-01",
        "x" * 3_000,
    ]),
)  # fmt: skip
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@pytest.mark.holds("RFC7591-3.2.2-1")
def test_no_metadata_make_the_registration_fail(whole: Provider, portal: KeyedPortal) -> None:
    until = time.monotonic() + 2 * SECONDS

    @bounded
    @given(
        members=st.dictionaries(st.sampled_from(MEMBERS), TREES, max_size=4), broken=st.none() | st.binary(max_size=40)
    )
    def fuzz(members: dict[str, Any], broken: bytes | None) -> None:
        if time.monotonic() > until:
            return
        whole.run(sa.delete(RateLimit))
        body = json.dumps({"redirect_uris": ["https://a.example/cb"], **members}).encode() if broken is None else broken
        started = time.thread_time()
        response = whole.http().post("/register", data=body, content_type="application/json")
        assert time.thread_time() - started < CPU_SECONDS
        assert response.status_code < 500, response.text
        if response.status_code != 201:
            check(response, is_program=True, portal=portal)

    fuzz()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "name", ["%00", "a%00b", "%ff", "%ed%a0%80", "x" * 3_000, "a%2fb", "..", "%0d%0aX-Injected:1", "%20"]
)
def test_no_name_of_a_client_makes_its_configuration_endpoint_fail(
    whole: Provider, portal: KeyedPortal, method: str, name: str
) -> None:
    whole.run(sa.delete(RateLimit))
    sent: dict[str, Any] = {"data": b"{}", "content_type": "application/json"} if method == "PUT" else {}
    response = whole.http().open(f"/register/{name}", method=method, headers={"Authorization": "Bearer x"}, **sent)
    check(response, is_program=True, portal=portal)
    assert response.status_code in (401, 404, 405)


def test_no_header_makes_a_resource_or_a_client_authentication_fail(whole: Provider, portal: KeyedPortal) -> None:
    """UserInfo by any header, and a certificate of any bytes from the one hop that may pass one."""
    until = time.monotonic() + 2 * SECONDS

    @bounded
    @given(
        authorization=PRINTED | PRINTED.map("Bearer {}".format) | PRINTED.map("DPoP {}".format),
        proof=st.none() | PRINTED,
        certificate=PRINTED
        | st.binary(max_size=60).map(lambda raw: f":{base64.b64encode(raw).decode()}:")
        | st.binary(max_size=60).map(lambda raw: quote(f"-----BEGIN CERTIFICATE-----\n{raw!r}\n")),
    )
    def fuzz(authorization: str, proof: str | None, certificate: str) -> None:
        if time.monotonic() > until:
            return
        headers = {"Authorization": authorization} | ({} if proof is None else {"DPoP": proof})
        for method in ("GET", "POST"):
            response = whole.http().open("/userinfo", method=method, headers=headers)
            check(response, is_program=True, portal=portal)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"].startswith(("Bearer ", "DPoP "))
        shown = {"ClientCertificate": certificate, "ClientVerified": "SUCCESS"}
        response = whole.app.test_client().post(
            "/token",
            base_url=MTLS["mtls_origin"],
            data={"client_id": portal.client_id, "grant_type": "authorization_code", "code": "x"},
            headers=shown,
            environ_base={"REMOTE_ADDR": MTLS["proxy_addresses"]},
        )
        check(response, is_program=True, portal=portal)
        assert response.status_code in (401, 429)

    fuzz()
    whole.run(sa.delete(RateLimit))


@pytest.mark.parametrize("path", [*FORMS, "/logout", "/device", "/authorize"])
@pytest.mark.holds("RFC6749-3.1-2")
def test_a_query_beside_a_form_is_refused(whole: Provider, portal: KeyedPortal, path: str) -> None:
    response = whole.http().post(f"{path}?scope={MARK}", data=base_of(path, portal))
    check(response, is_program=path in FORMS, portal=portal)
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for path in FORMS for name in ("scope", "client_id", "client_assertion", "token", "code")],
)
def test_a_parameter_that_comes_twice_is_refused(whole: Provider, portal: KeyedPortal, path: str, name: str) -> None:
    """RFC 6749, 3.2: also when both are the same, and also one that means nothing here."""
    base = base_of(path, portal)
    once = {name: MARK, **base}
    response = whole.http().post(path, data=f"{urlencode(once)}&{name}={quote(once[name])}", content_type=FORM)
    check(response, is_program=True, portal=portal)
    assert response.status_code in (400, 401)
    assert response.get_json()["error"] in ("invalid_request", "invalid_client")
