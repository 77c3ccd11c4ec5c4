"""Fixtures for the journeys: one house for each test worker, one Chromium, a fresh browser profile for each test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from tests.journeys import stage
from tests.provider_fixtures import provider
from tests.services import left_out

__all__ = ["provider"]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


def _click_and_read(target: Page | Locator, *arguments: Any, **options: Any) -> None:
    """Click, and return when the page that the click led to is there whole.

    Playwright returns once the new address is known. What counts or reads at once, as tests do, would meet half a page.
    """
    _CLICKS[type(target)](target, *arguments, **options)
    page = target if isinstance(target, Page) else target.page
    if not page.is_closed():
        page.wait_for_load_state("domcontentloaded")
        # Coming back from an identity provider there is a page that goes on by itself.
        page.locator("#onward").wait_for(state="detached")
        page.wait_for_load_state("domcontentloaded")


_CLICKS: dict[type, Callable[..., None]] = {Page: Page.click, Locator: Locator.click}


@pytest.fixture(scope="session", autouse=True)
def _patient_clicks() -> Iterator[None]:
    """Let every click of a journey wait for the page it opens."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in _CLICKS:
            patch.setattr(kind, "click", _click_and_read)
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Yield Debian's Chromium."""
    executable = shutil.which("chromium")
    if executable is None:
        left_out("there is no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@pytest.fixture
def profile(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Yield the act that opens a fresh browser profile: a Vietnamese phone unless told otherwise."""
    opened: list[BrowserContext] = []

    def open_profile(**options: Any) -> BrowserContext:
        context = chromium.new_context(**({"viewport": PHONE, "locale": "vi-VN"} | options))
        context.set_default_timeout(15_000)
        opened.append(context)
        return context

    yield open_profile
    for context in opened:
        context.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage.House]:
    """Yield a whole house on SQLite, as a small commune would run it."""
    directory = tmp_path_factory.mktemp("house")
    with stage.house(directory, database_url=f"sqlite:///{directory / 'lienket.sqlite3'}") as opened:
        yield opened


@pytest.fixture(scope="session")
def named_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage.House]:
    """Yield a house whose issuer has a name: an address without one has no passkeys."""
    directory = tmp_path_factory.mktemp("named-house")
    url = f"sqlite:///{directory / 'lienket.sqlite3'}"
    with stage.house(directory, database_url=url, host="localhost") as opened:
        yield opened


@pytest.fixture
def large_house(tmp_path: Path, postgres_url: str, valkey_url: str, valkey: redis.Redis) -> Iterator[stage.House]:
    """Yield a whole house on PostgreSQL and Valkey with two workers, as a country would run it."""
    assert valkey.ping()
    with stage.house(tmp_path, database_url=postgres_url, valkey_url=valkey_url, workers=2) as opened:
        yield opened


@pytest.fixture(params=["house", "large_house"], ids=["sqlite", "postgresql-valkey-2-workers"])
def any_house(request: pytest.FixtureRequest) -> stage.House:
    """Return the smallest house and the largest."""
    house: stage.House = request.getfixturevalue(request.param)
    return house
