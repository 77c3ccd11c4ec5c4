"""A citizen in their own space, in a real browser: looks, signs another device out, takes a consent back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.journeys import citizen
from tests.journeys.conftest import DESKTOP
from tests.journeys.stage import House

pytestmark = pytest.mark.browser


def test_citizen_looks_signs_out_elsewhere_takes_back_and_downloads(
    house: House, profile: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    person = house.somebody()
    computer = profile(viewport=DESKTOP, locale="en-GB").new_page()
    computer.goto(f"{house.issuer}/")
    computer.click("#home-space")
    computer.click("#space-signin")
    citizen.log_in(computer, person)
    computer.wait_for_selector("#space-history")
    # Without scripts, on a phone.
    phone = profile(java_script_enabled=False).new_page()
    citizen.sign_in_at_etax(phone, house, person)
    phone.goto(f"{house.issuer}/?lang=en")
    phone.click("#home-space")
    assert person.full_name in phone.inner_text("main")
    assert person.number not in phone.content()
    phone.click("#space-number-show")
    assert phone.inner_text("#space-number").replace(" ", "") == person.number
    phone.click("#space-back")

    phone.click("#space-history")
    assert "By law:" in phone.inner_text("main")
    phone.click("#space-back")

    phone.click("#space-sessions")
    assert phone.locator("[id^=session-end-]").count() == 1
    phone.click("#sessions-end-others")
    phone.wait_for_selector("#sessions-ended")
    assert phone.locator("[id^=session-end-]").count() == 0
    computer.goto(f"{house.issuer}/account")
    assert computer.locator("#space-signin").count() == 1

    phone.goto(house.library)
    phone.click("#signin")
    phone.click("#consent-allow")
    phone.goto(f"{house.issuer}/account")
    phone.click("#space-agencies")
    phone.click("#agency-law-1")
    assert phone.locator("#agency-by-law").count() == 1
    phone.click("#space-back")
    phone.click("#agency-consent-1")
    phone.click("#agency-withdraw-all")
    phone.wait_for_selector("#agencies-withdrawn")
    phone.goto(f"{house.library}/signin")
    phone.wait_for_selector("#consent-allow")

    phone.goto(f"{house.issuer}/account/data")
    with phone.expect_download() as started:
        phone.click("#data-file")
    path = tmp_path / "data.json"
    started.value.save_as(path)
    found = json.loads(path.read_text("utf-8"))
    assert found["numbers"][0]["number"] == person.number
    phone.goto(f"{house.issuer}/account")
    phone.click("#space-signout")
    phone.click("#logout-confirm")
    phone.goto(f"{house.issuer}/account")
    assert phone.locator("#space-signin").count() == 1
