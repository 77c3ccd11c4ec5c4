"""Nothing that identifies a person or opens a door reaches a log, a page it does not belong on, or an address."""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.browser import Browser
from tests.provider import Answer, Provider, provider_at, walk


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """Yield what the provider's own handler writes at DEBUG, and put logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    # The formatter in use is the one under test.
    handler.setFormatter(next(each.formatter for each in handlers if type(each) is logging.StreamHandler))
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.mark.holds("OIDCC-16-4")
def test_a_whole_login_leaves_nothing_secret_in_the_log(capsys: pytest.CaptureFixture[str], provider: Provider) -> None:
    with (
        provider_at(provider.url, provider.settings.secrets_dir, log_level="DEBUG") as loud,
        everything_logged() as log,
    ):
        person = loud.citizen(email="canary-mail@example.com", full_name="Hoàng Thị Canary", nickname="canarynick")
        portal = loud.portal(scope="openid email name idnum")
        browser = loud.browser()
        secrets = {person.number, person.full_name, person.password, "canary-mail@example.com", "canarynick"}
        wrong = "canary-wrong-password"
        request = {"state": "canary-state-1", "nonce": "canary-nonce-1", "login_hint": person.number}
        page = browser.get(portal.address(scope="openid email name idnum", acr_values="loa2", **request))
        browser.submit("login-form", number=person.number, password=wrong)
        browser.submit("login-form", number="979 191 000 000", password=wrong)
        code_typed = person.code()
        browser.submit("login-form", number=person.number, password=person.password)
        browser.submit("totp-form", code="canaryotp")
        browser.submit("totp-form", code=code_typed)
        assert browser.page is not None
        answer = Answer(walk(browser, browser.page, person))
        refused = portal.redeem("canary-code", code_verifier="v" * 43)
        assert refused.status_code == 400
        tokens = portal.tokens(answer)
        portal.redeem(answer["code"])
        portal.userinfo("canary-token")
        portal.userinfo(tokens["access_token"])
        portal.redeem("x", authorization=portal.basic("canary-secret"))
        loud.http().get("/authorize", query_string={"client_id": "canary-client", "state": "canary-state-2"})
        loud.http().get(portal.address(claims='{"canary', login_hint="canary-hint", state="canary-state-3"))
        loud.http().post("/token", data=b"canary=%ff", content_type="application/x-www-form-urlencoded")
        loud.http().get("/signin/canary-handle/login")
        browser.get("/logout", query_string={"id_token_hint": tokens["id_token"], "state": "canary-state-4"})
        browser.submit("logout-form")
        secrets |= {
            wrong, code_typed, answer["code"], tokens["access_token"], tokens["id_token"], portal.secret,
            portal.verifier, portal.challenge, page.handle, tokens["id_token"].split(".")[1], "canary",
            "Canary", person.totp_secret or "", person.id.hex, str(person.id),
        }  # fmt: skip
        secrets |= {cookie.split(";")[0].partition("=")[2] for cookie in set_by(browser)} - {""}
        # The line of each request goes to standard error by hand, past the logging module.
        text = log.getvalue() + capsys.readouterr().err
    assert len(text.splitlines()) > 15, "nothing was logged at all"
    assert '"message": "request"' in text
    found = {secret[:6] + "..." for secret in secrets if secret in text}
    assert not found
    assert not re.search(r"\b979 ?191 ?\d{3} ?\d{3}\b", text)


def set_by(browser: Browser) -> list[str]:
    return [cookie for response in browser.seen for cookie in response.headers.getlist("Set-Cookie")]


def test_a_defect_is_logged_without_its_words(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    portal = provider.portal()

    def fail(_client_id: str) -> None:
        raise RuntimeError("canary in an exception")

    monkeypatch.setattr(provider.services.clients, "find", fail)
    with everything_logged() as log:
        page = provider.browser().get(portal.address(state="canary-state"))
        machine = portal.redeem("canary-code")
    assert (page.status, page.error_code) == (500, "OP-001")
    assert "canary" not in page.text
    assert (machine.status_code, machine.get_json()["error"]) == (500, "server_error")
    assert "RuntimeError" in log.getvalue()
    assert "canary" not in log.getvalue()
    # The page's reference leads to the line.
    assert page.ids["error-reference"] in log.getvalue()


@pytest.mark.holds("RFC9700-4.3-1")
def test_no_address_of_ours_carries_a_secret(provider: Provider, browser: Browser) -> None:
    portal, person = provider.portal(scope="openid email"), provider.citizen(email="hoa@example.com")
    portal.arrive(browser, person, scope="openid email", acr_values="loa2")
    browser.get("/logout")
    browser.submit("logout-form")
    ours = [response.request.url for response in browser.seen] + [
        location for response in browser.seen if (location := response.headers.get("Location", "")).startswith("/")
    ]
    secrets = [cookie.split(";")[0].partition("=")[2] for cookie in set_by(browser)]
    for address in ours:
        assert person.number not in address
        assert person.password not in address
        assert not [secret for secret in secrets if secret and secret in address]


def test_the_password_is_on_no_page(provider: Provider, browser: Browser) -> None:
    portal, person = provider.portal(), provider.citizen()
    browser.get(portal.address())
    for typed in ("canary-password", person.password):
        assert typed not in browser.submit("login-form", number="979191000000", password=typed).html
