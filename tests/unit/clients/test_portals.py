"""The two sample portals and their registrations."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from flask import Flask

from clients.portals import Options, etax, library, read_registration
from idp.agencies import document
from tests.unit.clients.conftest import Browser
from tests.unit.clients.scripted_provider import SUB, ScriptedProvider

PORTALS = {"etax": etax, "library": library}
ROOT = Path(__file__).parents[3]


def make_portal(name: str, provider: ScriptedProvider) -> Flask:
    registration = read_registration(name)
    app: Flask = PORTALS[name].create_app(
        Options(
            issuer=provider.issuer,
            public_url=registration["client_uri"].rstrip("/"),
            client_secret=registration["client_secret"],
            cookie_key="key-of-the-test",
            registration=registration,
        )
    )
    return app


def has_id(page: str, name: str) -> bool:
    return f'id="{name}"' in page


@pytest.mark.parametrize("name", PORTALS)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_portal_shows_who_the_citizen_is_for_it(name: str, language: str, provider: ScriptedProvider) -> None:
    browser = Browser(make_portal(name, provider))
    before = browser.portal.get(f"/?lang={language}").text
    assert has_id(before, "signin")
    assert not has_id(before, "signout")
    assert browser.portal.get(browser.answer_of(browser.begin())).status_code == 303
    page = browser.portal.get("/").text
    assert f'<html lang="{language}">' in page
    assert f'id="sub">{SUB}<' in page
    assert f'id="acr">{read_registration(name)["default_acr_values"][0]}<' in page
    assert has_id(page, "signout")
    assert has_id(page, "step-up")
    assert has_id(page, "signin") is False


def test_etax_shows_name_and_number_and_asks_for_them(provider: ScriptedProvider) -> None:
    browser = Browser(make_portal("etax", provider))
    browser.sign_in()
    page = browser.portal.get("/account").text
    assert 'id="person-name">Trần Thị Bưởi<' in page
    assert 'id="person-number">979190000001<' in page
    assert provider.authorization_requests[-1]["scope"] == "openid name idnum"
    assert provider.authorization_requests[-1]["acr_values"] == "loa2"


def test_etax_says_so_when_the_higher_level_is_not_reached(provider: ScriptedProvider) -> None:
    browser = Browser(make_portal("etax", provider))
    browser.sign_in()
    provider.acr = "loa2"
    assert 'data-code="unmet-level"' in browser.sign_in("/return").text
    assert has_id(browser.portal.get("/").text, "signout")


def test_library_raises_the_level_for_loans(provider: ScriptedProvider) -> None:
    browser = Browser(make_portal("library", provider))
    browser.sign_in()
    assert browser.sign_in("/loans").location == "/loans"
    assert 'id="acr">loa2<' in browser.portal.get("/loans").text
    assert provider.authorization_requests[0]["scope"] == "openid"


def test_names_from_the_provider_are_escaped(provider: ScriptedProvider) -> None:
    provider.userinfo_answer = lambda answer: {**answer, "name": "<b>x</b>"}
    browser = Browser(make_portal("etax", provider))
    browser.sign_in()
    assert "&lt;b&gt;" in browser.portal.get("/").text


@pytest.mark.parametrize("name", PORTALS)
def test_every_page_has_security_headers_and_allows_the_way_to_the_provider(
    name: str, provider: ScriptedProvider
) -> None:
    portal = make_portal(name, provider).test_client()
    for path in ("/", "/healthz", "/signin/callback?state=unknown"):
        headers = portal.get(path).headers
        assert f"form-action 'self' {provider.issuer};" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_portals_on_one_host_do_not_share_a_cookie(provider: ScriptedProvider) -> None:
    names = {make_portal(name, provider).config["SESSION_COOKIE_NAME"] for name in PORTALS}
    assert names == {"etax-session", "library-session"}


def test_redirect_uris_are_the_registered_ones(provider: ScriptedProvider) -> None:
    for name in PORTALS:
        registration = read_registration(name)
        browser = Browser(make_portal(name, provider))
        browser.sign_in()
        assert provider.authorization_requests[-1]["redirect_uri"] in registration["redirect_uris"]
        location = browser.portal.post("/signout").location
        assert any(
            quote(uri, safe="") in location or uri in location for uri in registration["post_logout_redirect_uris"]
        )


def texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [text for part in value.values() for text in texts(part)]


@pytest.mark.parametrize("name", PORTALS)
def test_registration_names_agency_and_purposes_in_three_languages(name: str) -> None:
    registration = read_registration(name)
    assert set(registration["purposes"]) == set(registration["scope"].split())
    multilingual = [registration["agency"]["name"], *registration["purposes"].values()]
    if registration["basis"] == "legal":
        multilingual.append(registration["legal_basis"])
    for wording in multilingual:
        assert set(wording) == {"vi", "en", "fr"}
        assert all(text.strip() for text in texts(wording))
    assert all(registration[f"client_name#{language}"] for language in ("vi", "en", "fr"))
    assert registration["require_pkce"] is True


def test_registrations_are_what_the_provider_accepts() -> None:
    folder = ROOT / "clients" / "registrations"
    for file in ("etax.json", "library.json", "mod_auth_openidc/apache-portal.json"):
        members = json.loads((folder / file).read_text(encoding="utf-8").replace("@PORT@", "8003"))
        assert document.read(members, source=file, is_sandbox=True).client_id == members["client_id"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("name", PORTALS)
def test_command_starts_before_the_provider_and_ends_on_interrupt(name: str) -> None:
    port = free_port()
    command = [sys.executable, "-m", f"clients.portals.{name}", "--port", str(port), "--issuer", "http://127.0.0.1:9"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as portal:
        try:
            assert portal.stdout is not None
            assert portal.stdout.readline() == f"{name}: http://127.0.0.1:{port}\n"
            assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).text == "ok\n"
            busy = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
            assert busy.returncode == 1
            assert f"{name}: port {port} is in use" in busy.stderr
            assert "Traceback" not in busy.stderr
            requests.get(f"http://127.0.0.1:{port}/signin/callback?code=secret-code&state=x", timeout=5)
        finally:
            began = time.monotonic()
            portal.send_signal(signal.SIGINT)
            portal.wait(10)
        assert portal.stderr is not None
        log = portal.stderr.read()
        assert "GET /signin/callback 400" in log
        assert "secret-code" not in log
        assert portal.returncode == 0
        assert time.monotonic() - began < 5


def test_sample_secret_is_refused_for_a_provider_elsewhere() -> None:
    command = [sys.executable, "-m", "clients.portals.etax", "--issuer", "https://login.example"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETAX_")}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert answer.returncode == 2
    assert "ETAX_CLIENT_SECRET" in answer.stderr
