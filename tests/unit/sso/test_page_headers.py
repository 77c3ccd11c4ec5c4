"""What every page carries: security headers, a form-action for this transaction alone, cookies nobody else can read."""

import re

import pytest

from tests.browser import Browser, Page
from tests.provider import Person, Portal, Provider, provider_at, walk


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(
        redirect_uris=["https://cong.example:8443/cb?x=1"],
        post_logout_redirect_uris=["https://ra.example:9443/out"],
        sector_identifier="cong.example",
    )


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def directives(page: Page) -> dict[str, str]:
    policy = page.response.headers["Content-Security-Policy"]
    return {name: value for name, _, value in (part.strip().partition(" ") for part in policy.split(";"))}


def is_guarded(page: Page, origin: str | None) -> None:
    headers = page.response.headers
    policy = directives(page)
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert policy["form-action"] == ("'self'" if origin is None else f"'self' {origin}")
    has_passkeys = "passkey-form" in page.forms
    assert policy.get("script-src") == ("'self'" if has_passkeys else None)
    assert "unsafe" not in str(policy)
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Strict-Transport-Security"].startswith("max-age=63072000")
    assert "Cookie" in headers["Vary"]
    assert "Server" not in headers
    assert re.findall(r"<script[^>]*>", page.html) == (
        re.findall(r'<script src="/static/passkey\.[0-9a-f]{12}\.js" defer>', page.html) if has_passkeys else []
    )
    assert " style=" not in page.html
    assert " onclick" not in page.html


@pytest.mark.holds("OIDCC-3.1.2.3-2", "RFC6749-10.13-1", "RFC9700-4.2-1", "RFC9700-4.16-1")
def test_every_page_of_a_login_is_guarded(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    origin = "https://cong.example:8443"
    seen = []
    for page in (
        browser.get(portal.address(acr_values="loa2", prompt="select_account")),
        browser.submit("login-form", number=person.number, password="sai mật khẩu rồi"),
        browser.submit("login-form", number=person.number, password=person.password),
        browser.submit("totp-form", code="000000"),
        browser.submit("totp-form", code=person.code()),
    ):
        is_guarded(page, origin)
        seen.append(page.step)
    assert seen == ["login", "login", "code", "code", "consent"]
    walk(browser, page, person)
    is_guarded(browser.get(portal.address(prompt="select_account")), origin)
    is_guarded(browser.get("/"), None)
    is_guarded(browser.get("/nowhere"), None)
    is_guarded(browser.get("/authorize"), None)
    is_guarded(browser.get("/signin/x"), None)


def test_the_page_that_signs_out_may_lead_to_the_portal_alone(portal: Portal, browser: Browser, person: Person) -> None:
    hint = portal.tokens(portal.arrive(browser, person))["id_token"]
    is_guarded(browser.get("/logout"), None)
    registered = portal.document["post_logout_redirect_uris"][0]
    page = browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": registered})
    is_guarded(page, "https://ra.example:9443")
    is_guarded(browser.get("/logout"), None)
    is_guarded(browser.submit("logout-form"), None)


def test_an_error_page_forgets_the_transaction(portal: Portal, browser: Browser) -> None:
    browser.get(portal.address())
    action, fields = browser.form("login-form")
    is_guarded(browser.post(action, {**fields, "csrf": "x"}), None)


@pytest.mark.parametrize("path", ["/token", "/userinfo", "/jwks", "/.well-known/openid-configuration"])
def test_answers_to_programs_are_guarded_too(provider: Provider, path: str) -> None:
    headers = provider.http().get(path).headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Strict-Transport-Security"].startswith("max-age=63072000")


@pytest.mark.parametrize("path", ["/jwks", "/.well-known/openid-configuration", "stylesheet"])
def test_what_is_published_may_be_read_from_everywhere(provider: Provider, browser: Browser, path: str) -> None:
    if path == "stylesheet":
        path = next(link for link in re.findall(r'href="([^"]+)"', browser.get("/").html) if ".css" in link)
    with provider.http().get(path) as response:
        assert response.status_code == 200
        assert response.headers.getlist("Cross-Origin-Resource-Policy") == ["cross-origin"]
        assert "public" in response.headers["Cache-Control"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def cookies_set(browser: Browser) -> list[str]:
    return [cookie for response in browser.seen for cookie in response.headers.getlist("Set-Cookie")]


def test_cookies_belong_to_this_host_over_https_alone(portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person, acr_values="loa2")
    browser.get("/?lang=en")
    found = cookies_set(browser)
    assert any(cookie.startswith("__Host-sid=") for cookie in found)
    assert any(cookie.startswith("__Host-flow-") for cookie in found)
    for cookie in found:
        attributes = {part.strip().partition("=")[0].lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "path", "samesite"} <= attributes
        assert "domain" not in attributes
        assert "SameSite=Lax" in cookie
        assert "Path=/" in cookie
    # The session ends with the browser, the flow with its interaction.
    assert all("max-age" not in cookie.lower() for cookie in found if cookie.startswith("__Host-sid="))
    assert all("Max-Age=600" in cookie for cookie in found if cookie.startswith("__Host-flow-"))


def test_no_cookie_is_set_before_there_is_something_to_remember(portal: Portal, browser: Browser) -> None:
    for path in ("/", "/logout", "/authorize", "/jwks", portal.address(prompt="none"), portal.address(scope="x")):
        browser.get(path)
    assert cookies_set(browser) == []


def test_cookies_have_plain_names_on_loopback(provider: Provider) -> None:
    # The same database would hold sealed keys of another keyring, so this provider borrows that one.
    with provider_at(provider.url, provider.settings.secrets_dir, issuer="http://127.0.0.1:8123") as plain:
        browser, portal, person = plain.browser(), plain.portal(), plain.citizen()
        portal.sign_in(browser, person)
        assert set(browser.cookies()) == {"sid", "known", f"flow-{_flow(browser)}"}
        assert all("Secure" not in cookie for cookie in cookies_set(browser))
        assert all("HttpOnly" in cookie for cookie in cookies_set(browser))


def _flow(browser: Browser) -> str:
    return next(name for name in browser.cookies() if name.startswith("flow-")).removeprefix("flow-")


def test_the_operator_chooses_the_language_of_whoever_chose_none(provider: Provider) -> None:
    with provider_at(provider.url, provider.settings.secrets_dir, default_language="fr") as french:
        assert b'<html lang="fr"' in french.http().get("/").data
        assert b'<html lang="en"' in french.http().get("/?lang=en").data
