"""A worker whose own clock is slow: PostgreSQL judges every expiry, so a citizen notices nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest

from idp.citizens.registry.table import Answer as Says
from idp.core import clock
from tests.browser import Browser
from tests.provider import Answer, Provider, provider_at

SLOW = timedelta(minutes=11)


@pytest.fixture
def provider(migrated_postgres_url: str, tmp_path: Path) -> Iterator[Provider]:
    with provider_at(migrated_postgres_url, tmp_path / "secrets") as made:
        yield made


@pytest.fixture
def browser(provider: Provider) -> Browser:
    return provider.browser()


def make_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    right = clock.now
    monkeypatch.setattr(clock, "now", lambda: right() - SLOW)


def test_a_sign_in_reaches_loa2_when_the_clock_is_slow(
    provider: Provider, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, portal = provider.citizen(), provider.portal()
    make_slow(monkeypatch)
    browser.get(portal.address(acr_values="loa2"))
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == "code"
    # One-time codes follow the worker's clock alone; the app of somebody whose phone is right would not agree.
    page = browser.submit("totp-form", code=pyotp.TOTP(person.totp_secret or "").at(clock.now()))
    assert page.step == "consent"
    page = browser.submit("consent-form", decision="allow")
    assert portal.redeem(Answer(page.left_for or "")["code"]).status_code == 200
    assert portal.arrive(browser, prompt="none", acr_values="loa2").get("code")


def test_a_silent_register_is_asked_once_when_the_clock_is_slow(
    provider: Provider, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, portal = provider.citizen(), provider.portal()
    portal.arrive(browser, person)
    person.register_says(Says.SILENT)
    make_slow(monkeypatch)
    # `Browser.get` fails when it is sent in circles.
    assert browser.get(portal.address()).left_for is not None
    assert portal.arrive(browser, prompt="none").get("code")
