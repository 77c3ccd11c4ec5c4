"""RFC 8705: clients that come with a TLS certificate, behind a proxy that passes it from one trusted hop."""

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from idp.core.limits import RateLimit
from idp.core.settings import Settings, SettingsRefused, load
from idp.keys import certificate
from tests.browser import Browser
from tests.certificates import issued
from tests.proofs import ProofKey
from tests.provider import Person, Portal, Provider, provider_at

ORIGIN = "https://mtls.dangnhap.example"
PROXY = "10.20.0.5"
HEADER = "ClientCertificate"
SETTINGS = {
    "mtls_origin": ORIGIN,
    "client_certificate_header": HEADER,
    "client_verify_header": "ClientVerified",
    "proxy_addresses": f"{PROXY}, 127.0.0.1",
    "proxy_hops": 1,
}
AUTHORITY_KEY = ECKey.generate_key("P-256")
AUTHORITY = issued(AUTHORITY_KEY, "Root of the agencies", is_authority=True)
KEY = ECKey.generate_key("P-256", {"kid": "tls"})
OTHER_KEY = ECKey.generate_key("P-256", {"kid": "other"})
OF_ETAX = issued(KEY, "etax", alternatives=[x509.DNSName("etax.example")], by=(AUTHORITY, AUTHORITY_KEY))
OF_OTHER = issued(OTHER_KEY, "other", by=(AUTHORITY, AUTHORITY_KEY))
SELF_SIGNED = issued(KEY, "anything at all")
OTHER_SELF_SIGNED = issued(OTHER_KEY, "anything at all")


@pytest.fixture(scope="module")
def tls(provider: Provider) -> Iterator[Provider]:
    """Yield the provider as it runs where a proxy ends TLS."""
    with provider_at(provider.url, provider.settings.secrets_dir, **SETTINGS) as made:
        yield made


@pytest.fixture(autouse=True)
def _patience(tls: Provider) -> None:
    """Let a minute pass: clients that do not exist are counted together."""
    tls.run(sa.delete(RateLimit))


@pytest.fixture(scope="module")
def person(tls: Provider) -> Person:
    return tls.citizen()


@pytest.fixture
def browser(tls: Provider) -> Browser:
    return tls.browser()


@pytest.fixture(scope="module")
def named(tls: Provider) -> Portal:
    """Return a portal known by the name in its certificate, with tokens bound to that."""
    return tls.portal(
        token_endpoint_auth_method="tls_client_auth",
        client_secret=None,
        tls_client_auth_subject_dn="CN=etax",
        tls_client_certificate_bound_access_tokens=True,
    )


@pytest.fixture(scope="module")
def self_signed(tls: Provider) -> Portal:
    return tls.portal(
        token_endpoint_auth_method="self_signed_tls_client_auth",
        client_secret=None,
        jwks={"keys": [KEY.as_dict(private=False)]},
        tls_client_certificate_bound_access_tokens=True,
    )


@pytest.fixture(scope="module")
def secret(tls: Provider) -> Portal:
    """Return a portal that proves itself by a secret and binds its tokens to whatever certificate it comes with."""
    return tls.portal(tls_client_certificate_bound_access_tokens=True)


def escaped(shown: x509.Certificate) -> str:
    return quote(shown.public_bytes(Encoding.PEM).decode(), safe="")


def passed(shown: x509.Certificate | None, verdict: str | None = None) -> dict[str, str]:
    """Return the headers of the proxy; by default it trusts what the authority issued."""
    if shown is None:
        return {HEADER: "", "ClientVerified": "NONE"}
    judged = "SUCCESS" if shown.issuer == AUTHORITY.subject else "FAILED:self-signed certificate"
    return {HEADER: escaped(shown), "ClientVerified": verdict or judged}


def send(
    tls: Provider,
    method: str,
    path: str,
    headers: dict[str, str],
    *,
    origin: str = ORIGIN,
    hop: str = PROXY,
    **more: Any,
) -> TestResponse:
    response: TestResponse = tls.app.test_client().open(
        path, method=method, base_url=origin, headers=headers, environ_base={"REMOTE_ADDR": hop}, **more
    )
    return response


def redeem(portal: Portal, code: str, headers: dict[str, str], **more: Any) -> TestResponse:
    form: dict[str, str] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": portal.redirect_uri,
        "code_verifier": portal.verifier,
        "client_id": portal.client_id,
    }
    form |= more.pop("form", {})
    return send(portal.provider, "POST", "/token", headers, data=form, **more)


def userinfo(tls: Provider, token: str, headers: dict[str, str], **more: Any) -> TestResponse:
    return send(tls, "GET", "/userinfo", {"Authorization": f"Bearer {token}", **headers}, **more)


def said(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["error"]


# --- client authentication


@pytest.mark.holds("F9", "RFC8705-2-1", "RFC8705-2.1-1", "RFC8705-3-1", "RFC8705-3.1-1")
def test_a_client_known_by_its_name_gets_tokens_bound_to_its_certificate(
    tls: Provider, named: Portal, browser: Browser, person: Person
) -> None:
    answer = redeem(named, named.arrive(browser, person)["code"], passed(OF_ETAX))
    assert answer.status_code == 200, answer.text
    tokens = answer.get_json()
    assert tokens["token_type"] == "Bearer"
    assert userinfo(tls, tokens["access_token"], passed(OF_ETAX)).status_code == 200
    told = send(
        tls,
        "POST",
        "/introspect",
        passed(OF_ETAX),
        data={"token": tokens["access_token"], "client_id": named.client_id},
    ).get_json()
    assert told["cnf"] == {"x5t#S256": certificate.thumbprint(OF_ETAX.public_bytes(Encoding.DER))}


@pytest.mark.holds("RFC8705-2.2-1", "RFC8705-2.2.2-1")
def test_a_self_signed_certificate_is_enough_when_its_key_is_registered(
    self_signed: Portal, browser: Browser, person: Person
) -> None:
    code = self_signed.arrive(browser, person)["code"]
    assert redeem(self_signed, code, passed(SELF_SIGNED)).status_code == 200
    # Another certificate over the same key is the same client's.
    code = self_signed.arrive(browser)["code"]
    assert redeem(self_signed, code, passed(OF_ETAX)).status_code == 200


def test_the_form_of_rfc_9440_is_read_too(named: Portal, browser: Browser, person: Person) -> None:
    sequence = f":{base64.b64encode(OF_ETAX.public_bytes(Encoding.DER)).decode()}:"
    code = named.arrive(browser, person)["code"]
    assert redeem(named, code, {**passed(OF_ETAX), HEADER: sequence}).status_code == 200


@pytest.mark.holds("RFC8705-2.1.2-1")
@pytest.mark.parametrize(("dns", "status"), [("etax.example", 400), ("other.example", 401)])
def test_an_alternative_name_may_be_registered_instead(tls: Provider, dns: str, status: int) -> None:
    portal = tls.portal(token_endpoint_auth_method="tls_client_auth", client_secret=None, tls_client_auth_san_dns=dns)
    assert redeem(portal, "code", passed(OF_ETAX)).status_code == status


@pytest.mark.holds("F9", "RFC8705-2-1", "RFC8705-2.1-1", "RFC8705-2.2-1")
def test_another_certificate_or_none_is_invalid_client(named: Portal, self_signed: Portal) -> None:
    refused = [
        redeem(named, "code", passed(None)),
        redeem(named, "code", {}),
        redeem(named, "code", passed(OF_OTHER)),
        redeem(named, "code", passed(SELF_SIGNED)),
        # The right name, by nobody the proxy trusts.
        redeem(named, "code", passed(issued(OTHER_KEY, "etax"))),
        redeem(named, "code", passed(OF_ETAX, "FAILED:certificate has expired")),
        redeem(named, "code", passed(OF_ETAX, "success")),
        redeem(named, "code", {HEADER: escaped(OF_ETAX)}),
        redeem(named, "code", {HEADER: f"{escaped(OF_ETAX)},{escaped(OF_ETAX)}", "ClientVerified": "SUCCESS"}),
        redeem(named, "code", {HEADER: "x", "ClientVerified": "SUCCESS"}),
        redeem(self_signed, "code", passed(OTHER_SELF_SIGNED)),
        redeem(self_signed, "code", passed(OF_OTHER)),
        redeem(self_signed, "code", passed(None)),
        # Whose certificate it is, the client says; without that it is nobody's.
        redeem(named, "code", passed(OF_ETAX), form={"client_id": ""}),
        redeem(named, "code", passed(OF_ETAX), form={"client_id": "nobody"}),
        redeem(named, "code", passed(OF_ETAX), form={"client_id": self_signed.client_id, "code": ""}),
    ]
    for number, answer in enumerate(refused[:-1]):
        assert said(answer) == (401, "invalid_client"), (number, answer.text)
    # The last one: its key is registered there.
    assert said(refused[-1])[0] == 400


def test_a_certificate_stands_in_for_no_other_method(tls: Provider, named: Portal, secret: Portal) -> None:
    assert said(redeem(secret, "code", passed(OF_ETAX))) == (401, "invalid_client")
    other = tls.portal(token_endpoint_auth_method="client_secret_post", jwks={"keys": [KEY.as_dict(private=False)]})
    assert said(redeem(other, "code", passed(SELF_SIGNED))) == (401, "invalid_client")
    basic = {"Authorization": named.basic("x")}
    assert said(redeem(named, "code", {**passed(OF_ETAX), **basic})) == (401, "invalid_client")


@pytest.mark.holds("RFC8705-2-2", "F9", "RFC9700-4.13-1")
@pytest.mark.parametrize("hop", ["10.20.0.6", "203.0.113.9", "::1", ""])
def test_the_header_from_anybody_but_the_proxy_is_nothing(
    named: Portal, self_signed: Portal, browser: Browser, person: Person, hop: str
) -> None:
    forwarded = {"X-Forwarded-For": PROXY}
    for portal, shown in ((named, OF_ETAX), (self_signed, SELF_SIGNED)):
        assert said(redeem(portal, "code", {**passed(shown), **forwarded}, hop=hop)) == (401, "invalid_client")
    token = redeem(named, named.arrive(browser, person)["code"], passed(OF_ETAX)).get_json()["access_token"]
    assert said(userinfo(named.provider, token, {**passed(OF_ETAX), **forwarded}, hop=hop)) == (401, "invalid_token")


@pytest.mark.holds("RFC8705-2-2")
def test_the_header_at_the_address_of_browsers_is_nothing(named: Portal, self_signed: Portal) -> None:
    for portal, shown in ((named, OF_ETAX), (self_signed, SELF_SIGNED)):
        refused = redeem(portal, "code", passed(shown), origin=portal.provider.settings.issuer)
        assert said(refused) == (401, "invalid_client")


@pytest.mark.holds("RFC8705-2-2")
def test_the_header_is_nothing_where_mutual_tls_is_not_set_up(provider: Provider, named: Portal) -> None:
    form = {"grant_type": "authorization_code", "code": "x", "client_id": named.client_id}
    for environ in ({"REMOTE_ADDR": PROXY}, {"REMOTE_ADDR": "127.0.0.1"}):
        answer = provider.http().post("/token", data=form, headers=passed(OF_ETAX), environ_base=environ)
        assert said(answer) == (401, "invalid_client")
    elsewhere = provider.app.test_client().post("/token", data=form, base_url=ORIGIN, headers=passed(OF_ETAX))
    assert said(elsewhere) == (400, "invalid_request")


# --- bound tokens


@pytest.mark.holds("F9", "RFC8705-3-1", "RFC8705-3.4-1", "RFC8705-7.1-1", "RFC9700-2.2.1-1")
def test_a_bound_token_needs_the_same_certificate(
    tls: Provider, secret: Portal, browser: Browser, person: Person
) -> None:
    basic = {"Authorization": secret.basic()}
    code = secret.arrive(browser, person)["code"]
    assert said(redeem(secret, code, {**passed(None), **basic})) == (400, "invalid_request")
    answer = redeem(secret, code, {**passed(SELF_SIGNED), **basic})
    assert answer.status_code == 200, answer.text
    token = answer.get_json()["access_token"]
    assert userinfo(tls, token, passed(SELF_SIGNED)).status_code == 200
    # The same key under another certificate is another certificate.
    for shown in (None, OTHER_SELF_SIGNED, OF_ETAX, issued(KEY, "anything at all")):
        refused = userinfo(tls, token, passed(shown))
        assert said(refused) == (401, "invalid_token")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    assert said(userinfo(tls, token, passed(SELF_SIGNED), origin=tls.settings.issuer)) == (401, "invalid_token")
    proof = ProofKey().proof("GET", f"{ORIGIN}/userinfo", access_token=token)
    headers = {**passed(SELF_SIGNED), "Authorization": f"DPoP {token}", "DPoP": proof}
    assert said(send(tls, "GET", "/userinfo", headers)) == (401, "invalid_token")


@pytest.mark.holds("RFC8705-3.2-1")
def test_introspection_tells_the_certificate(tls: Provider, named: Portal, browser: Browser, person: Person) -> None:
    code = named.arrive(browser, person)["code"]
    token = redeem(named, code, passed(OF_ETAX)).get_json()["access_token"]
    form = {"token": token, "client_id": named.client_id}
    told = send(tls, "POST", "/introspect", passed(OF_ETAX), data=form).get_json()
    expected = certificate.thumbprint(OF_ETAX.public_bytes(Encoding.DER))
    assert (told["active"], told["cnf"]) == (True, {"x5t#S256": expected})


@pytest.mark.holds("RFC8705-4-1", "F10")
def test_a_refresh_token_needs_its_clients_certificate(tls: Provider, browser: Browser, person: Person) -> None:
    lasting = tls.portal(
        token_endpoint_auth_method="tls_client_auth",
        client_secret=None,
        tls_client_auth_subject_dn="CN=etax",
        tls_client_certificate_bound_access_tokens=True,
        scope="openid offline_access",
        grant_types=["authorization_code", "refresh_token"],
    )
    code = lasting.arrive(browser, person, scope="openid offline_access")["code"]
    token = redeem(lasting, code, passed(OF_ETAX)).get_json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": lasting.client_id}
    for shown in (None, SELF_SIGNED):
        assert said(send(tls, "POST", "/token", passed(shown), data=form)) == (401, "invalid_client")
    renewed = send(tls, "POST", "/token", passed(OF_ETAX), data=form)
    assert renewed.status_code == 200, renewed.text
    access = renewed.get_json()["access_token"]
    assert userinfo(tls, access, passed(OF_ETAX)).status_code == 200
    assert said(userinfo(tls, access, passed(None))) == (401, "invalid_token")


def test_a_proof_made_for_the_other_address_names_that(tls: Provider, browser: Browser, person: Person) -> None:
    portal, key = tls.portal(), ProofKey()
    basic = {"Authorization": portal.basic()}
    code = portal.arrive(browser, person)["code"]
    asked = redeem(portal, code, {**basic, "DPoP": key.proof("POST", f"{ORIGIN}/token")})
    nonce = asked.headers["DPoP-Nonce"]
    wrong = key.proof("POST", f"{tls.settings.issuer}/token", nonce=nonce)
    assert said(redeem(portal, code, {**basic, "DPoP": wrong})) == (400, "invalid_dpop_proof")
    right = key.proof("POST", f"{ORIGIN}/token", nonce=nonce)
    assert redeem(portal, code, {**basic, "DPoP": right}).status_code == 200


# --- what is published, what is refused


@pytest.mark.holds("F9", "RFC8705-3.3-1", "RFC8705-5-1")
def test_the_addresses_for_certificates_are_published_and_answer(provider: Provider, tls: Provider) -> None:
    published = tls.http().get("/.well-known/openid-configuration").get_json()
    aliases = published["mtls_endpoint_aliases"]
    assert {"token_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint"} <= set(aliases)
    assert "pushed_authorization_request_endpoint" in aliases
    assert not {"authorization_endpoint", "end_session_endpoint"} & set(aliases)
    for name, address in aliases.items():
        path = published[name].removeprefix(tls.settings.issuer)
        assert address == ORIGIN + path
        answer = send(tls, "POST", path, {}, data={"x": "y"})
        assert answer.status_code in (400, 401), (name, answer.text)
        assert answer.mimetype == "application/json"
    assert published["tls_client_certificate_bound_access_tokens"] is True
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(published["token_endpoint_auth_methods_supported"])
    without = provider.http().get("/.well-known/openid-configuration").get_json()
    assert without["tls_client_certificate_bound_access_tokens"] is False
    assert "mtls_endpoint_aliases" not in without
    assert not [name for name in without["token_endpoint_auth_methods_supported"] if "tls" in name]


@pytest.mark.parametrize("path", ["/authorize", "/signin/x", "/logout", "/", "/static/x"])
def test_there_are_no_pages_at_the_address_for_certificates(tls: Provider, path: str) -> None:
    assert send(tls, "GET", path, {}).status_code == 400


@pytest.mark.parametrize(
    ("change", "named_setting"),
    [
        ({"mtls_origin": "http://mtls.example"}, "MTLS_ORIGIN"),
        ({"mtls_origin": "https://mtls.example/"}, "MTLS_ORIGIN"),
        ({"mtls_origin": "https://dangnhap.example"}, "MTLS_ORIGIN"),
        ({"proxy_hops": "0"}, "MTLS_ORIGIN"),
        ({"proxy_addresses": ""}, "MTLS_ORIGIN"),
        ({"client_certificate_header": ""}, "MTLS_ORIGIN"),
        ({"mtls_origin": ""}, "CLIENT_CERTIFICATE_HEADER"),
        ({"proxy_addresses": "everywhere"}, "PROXY_ADDRESSES"),
        ({"proxy_addresses": "10.0.0.1/8"}, "PROXY_ADDRESSES"),
        ({"client_certificate_header": "Two Words"}, "CLIENT_CERTIFICATE_HEADER"),
    ],
)
def test_settings_that_would_believe_anybody_stop_the_start(change: dict[str, str], named_setting: str) -> None:
    whole = {"issuer": "https://dangnhap.example", **{name: str(value) for name, value in SETTINGS.items()}, **change}
    with pytest.raises(SettingsRefused, match=f"IDP_{named_setting}: "):
        load({f"IDP_{name.upper()}": value for name, value in whole.items()})


def test_the_settings_are_good_together() -> None:
    settings = Settings(issuer="https://dangnhap.example", **SETTINGS)  # type: ignore[arg-type]
    assert settings.mtls_host == "mtls.dangnhap.example"
    assert [str(network) for network in settings.proxy_networks] == [f"{PROXY}/32", "127.0.0.1/32"]


# --- a real handshake


@contextmanager
def terminated(tls: Provider, directory: Path) -> Iterator[tuple[int, Path]]:
    """Yield the port of a small proxy that ends TLS before the provider, and the file of its authority."""
    inner = make_server("127.0.0.1", 0, tls.app, threaded=True)
    own_key = ECKey.generate_key("P-256")
    own = issued(
        own_key, "proxy", alternatives=[x509.IPAddress(ip_address("127.0.0.1"))], by=(AUTHORITY, AUTHORITY_KEY)
    )
    files = {"authority.pem": AUTHORITY.public_bytes(Encoding.PEM), "own.pem": pair(own, own_key)}
    for name, content in files.items():
        (directory / name).write_bytes(content)

    class Forward(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            der = self.connection.getpeercert(binary_form=True)  # type: ignore[attr-defined]
            # Written, never passed on: what the client itself says in these headers is dropped.
            headers = {name: value for name, value in self.headers.items() if name != HEADER}
            headers |= {HEADER: "", "ClientVerified": "NONE"}
            if der:
                headers |= {HEADER: quote(ssl.DER_cert_to_PEM_cert(der), safe=""), "ClientVerified": "SUCCESS"}
            connection = HTTPConnection("127.0.0.1", inner.server_port, timeout=20)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name in ("Content-Type", "WWW-Authenticate", "DPoP-Nonce"):
                if value := answer.headers.get(name):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST  # noqa: N815 (the name the standard library calls)

        def log_message(self, *_: object) -> None:
            pass

    outer = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "own.pem")
    context.load_verify_locations(directory / "authority.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    outer.socket = context.wrap_socket(outer.socket, server_side=True)
    servers = (inner, outer)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield outer.server_port, directory / "authority.pem"
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join(10)


def pair(shown: x509.Certificate, key: ECKey) -> bytes:
    return shown.public_bytes(Encoding.PEM) + key.as_pem(private=True)


@pytest.mark.holds("F9", "RFC8705-2.1-1", "RFC8705-3-1")
def test_a_real_handshake_proves_the_client(
    tls: Provider, named: Portal, browser: Browser, person: Person, tmp_path: Path
) -> None:
    (tmp_path / "etax.pem").write_bytes(pair(OF_ETAX, KEY))
    (tmp_path / "other.pem").write_bytes(pair(OF_OTHER, OTHER_KEY))
    code = named.arrive(browser, person)["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": named.redirect_uri,
        "code_verifier": named.verifier,
        "client_id": named.client_id,
    }
    with terminated(tls, tmp_path) as (port, authority):
        root, host = f"https://127.0.0.1:{port}", {"Host": "mtls.dangnhap.example"}

        def ask(method: str, path: str, shown: str | None, **more: Any) -> requests.Response:
            headers = {**host, **more.pop("headers", {})}
            cert = str(tmp_path / shown) if shown else None
            return requests.request(
                method, root + path, headers=headers, cert=cert, verify=str(authority), timeout=20, **more
            )

        forged = {HEADER: escaped(OF_ETAX), "ClientVerified": "SUCCESS"}
        assert ask("POST", "/token", None, data=form, headers=forged).status_code == 401
        assert ask("POST", "/token", "other.pem", data=form).status_code == 401
        answer = ask("POST", "/token", "etax.pem", data=form)
        assert answer.status_code == 200, answer.text
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert ask("GET", "/userinfo", "etax.pem", headers=bearer).status_code == 200
        assert ask("GET", "/userinfo", "other.pem", headers=bearer).status_code == 401
        assert ask("GET", "/userinfo", None, headers={**bearer, **forged}).status_code == 401
