"""Passkeys in a real browser: made, used with and without a password, asked for anew at loa3, lost and removed.

The issuer is at localhost, because an address without a name has no passkeys. Chromium's virtual authenticator stands
for a phone or a security key, and for the finger on it.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page

from idp.sandbox.persona import Persona
from tests.journeys import citizen, newcomer
from tests.journeys.stage import House
from tests.journeys.test_pages import LANGUAGES, LOCALES, Eyes

pytestmark = pytest.mark.browser


class Key:
    """An authenticator plugged into one tab."""

    def __init__(self, page: Page, *, is_synced: bool = False) -> None:
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        self._cdp.send("WebAuthn.enable")
        options: dict[str, Any] = {
            "protocol": "ctap2",
            "ctap2Version": "ctap2_1",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
            "defaultBackupEligibility": is_synced,
            "defaultBackupState": is_synced,
        }
        self._id = self._cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def rest(self, *, touched: bool = False) -> None:
        """Let the finger off, so that the browser's own offers on the sign-in page are not answered; or put it back."""
        self._cdp.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": self._id, "enabled": touched})

    def verify(self, *, is_right: bool) -> None:
        """Let the next fingers be right or wrong ones."""
        self._cdp.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": is_right})

    def lose(self) -> None:
        """Lose it."""
        self._cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self._id})


def make_passkey(page: Page, house: House, person: Persona, *, label: str = "Điện thoại") -> None:
    """Go to the own space and make a passkey."""
    page.goto(f"{house.issuer}/account/passkeys")
    page.click("#space-signin")
    citizen.log_in(page, person)
    citizen.enter_code(page, person)
    page.click("#passkeys-add")
    page.wait_for_selector("#passkey-form", state="visible")
    assert not page.is_visible("#passkey-instead")
    assert not page.locator("[data-note]:visible").count()
    page.fill("#label", label)
    page.click("#passkey-submit")
    page.wait_for_selector("#passkeys-done")
    assert page.inner_text("#passkey-1") == label


def sign_out(page: Page, house: House) -> None:
    """Sign out of everything."""
    page.goto(f"{house.issuer}/logout")
    page.click("#logout-confirm")
    page.context.clear_cookies()


@pytest.fixture
def page(profile: Callable[..., BrowserContext]) -> Page:
    """Return a tab that notes what the browser complains of."""
    return profile().new_page()


def complaints_of(page: Page) -> list[str]:
    """Return where the console's errors will appear."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def test_student_makes_a_passkey_and_signs_in_without_a_password(named_house: House, page: Page) -> None:
    house, person = named_house, named_house.somebody()
    complaints = complaints_of(page)
    key = Key(page)
    make_passkey(page, house, person)
    sign_out(page, house)
    key.rest()
    page.goto(house.etax)
    page.click("#signin")
    page.wait_for_selector("#passkey-submit", state="visible")
    page.check("#shared")
    key.rest(touched=True)
    page.click("#passkey-submit")
    page.click("#notice-continue")
    page.wait_for_selector("#person-name")
    assert page.inner_text("#person-name") == person.full_name
    # The one box of the page counted, although it stands in the form of the password.
    page.goto(f"{house.issuer}/account")
    page.wait_for_selector("#space-shared")
    assert [each for each in complaints if "favicon" not in each] == []


def test_browser_offers_the_passkey_where_the_number_is_typed(named_house: House, page: Page) -> None:
    house, person = named_house, named_house.somebody()
    Key(page, is_synced=True)
    make_passkey(page, house, person)
    sign_out(page, house)
    page.goto(house.library)
    # Conditional mediation: the virtual finger takes the offer, without any click.
    page.click("#signin")
    page.wait_for_selector("#consent-allow")
    assert person.full_name in page.inner_text("main")


def test_passkey_is_the_second_factor_after_the_password(named_house: House, page: Page) -> None:
    house, person = named_house, named_house.somebody()
    key = Key(page, is_synced=True)
    make_passkey(page, house, person)
    sign_out(page, house)
    key.rest()
    page.goto(house.etax)
    page.click("#signin")
    citizen.log_in(page, person)
    page.wait_for_selector("#passkey-submit", state="visible")
    assert page.is_visible("#code")
    key.rest(touched=True)
    page.click("#passkey-submit")
    page.click("#notice-continue")
    page.wait_for_selector("#person-name")


def test_tax_return_is_signed_at_loa3_and_asks_each_time(named_house: House, page: Page) -> None:
    house, person = named_house, named_house.somebody()
    Key(page)
    make_passkey(page, house, person)
    page.goto(house.etax)
    page.click("#signin")
    page.click("#notice-continue")
    page.wait_for_selector("#person-name")
    page.goto(f"{house.etax}/return")
    page.wait_for_selector("#passkey-submit", state="visible")
    assert page.url.endswith("/code")
    page.click("#passkey-submit")
    page.wait_for_selector("#acr")
    assert page.inner_text("#acr") == "loa3"
    # The next agency that asks for loa3 sees the key again.
    page.goto(citizen.request(house, house.client("land", scope="openid")["client_id"], acr_values="loa3"))
    page.wait_for_selector("#passkey-submit", state="visible")


def test_wrong_finger_is_told_and_may_try_again(named_house: House, page: Page) -> None:
    house, person = named_house, named_house.somebody()
    key = Key(page)
    make_passkey(page, house, person)
    page.goto(citizen.request(house, house.client("court", scope="openid")["client_id"], acr_values="loa3"))
    page.wait_for_selector("#passkey-submit", state="visible")
    key.verify(is_right=False)
    page.click("#passkey-submit")
    page.wait_for_selector("#passkey-cancelled", state="visible")
    key.verify(is_right=True)
    page.click("#passkey-submit")
    page.wait_for_selector("#consent-allow")


def test_device_that_has_a_passkey_makes_no_second_one(named_house: House, page: Page) -> None:
    house, person = named_house, named_house.somebody()
    Key(page)
    make_passkey(page, house, person)
    page.goto(f"{house.issuer}/account/passkeys/add")
    page.click("#passkey-submit")
    page.wait_for_selector("#passkey-known", state="visible")
    assert not page.is_visible("#passkey-cancelled")


def test_woman_who_lost_her_key_removes_it(named_house: House, page: Page) -> None:
    house, person = named_house, named_house.somebody()
    key = Key(page)
    make_passkey(page, house, person, label="Khoá trên chìa khoá nhà")
    sign_out(page, house)
    key.lose()
    # The code of this half minute opened the page where the key was made.
    time.sleep(31 - time.time() % 30)
    page.goto(f"{house.issuer}/account/passkeys")
    page.click("#space-signin")
    citizen.log_in(page, person)
    citizen.enter_code(page, person)
    page.click("#passkey-remove-1")
    assert "Khoá trên chìa khoá nhà" in page.inner_text("h1")
    page.click("#passkey-remove-submit")
    page.wait_for_selector("#passkeys-none")
    # loa3 is out of reach again, and the agency learns how far it came.
    page.goto(f"{house.etax}/return")
    page.click("#notice-continue")
    page.wait_for_url(f"{house.etax}/**")
    assert not page.is_visible("#acr")


def test_page_says_what_to_do_without_scripts(named_house: House, profile: Callable[..., BrowserContext]) -> None:
    house, person = named_house, named_house.somebody()
    page = profile(java_script_enabled=False).new_page()
    page.goto(f"{house.issuer}/account/passkeys")
    page.click("#space-signin")
    assert not page.is_visible("#passkey-form")
    citizen.log_in(page, person)
    citizen.enter_code(page, person)
    page.click("#passkeys-add")
    assert page.is_visible("#passkey-instead")
    assert not page.is_visible("#passkey-form")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_with_passkeys_is_for_everyone(
    named_house: House, profile: Callable[..., BrowserContext], language: str
) -> None:
    house, person = named_house, named_house.somebody()
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    key, eyes = Key(page), Eyes(page, language)
    page.goto(f"{house.issuer}/account/passkeys?lang={language}")
    page.click("#space-signin")
    page.wait_for_selector("#passkey-submit", state="visible")
    eyes.look("login-passkey")
    citizen.log_in(page, person)
    citizen.enter_code(page, person)
    eyes.look("passkeys-none")
    page.click("#passkeys-add")
    eyes.look("passkey-add")
    key.verify(is_right=False)
    page.click("#passkey-submit")
    page.wait_for_selector("#passkey-cancelled", state="visible")
    eyes.look("passkey-add-cancelled")
    key.verify(is_right=True)
    page.click("#passkey-submit")
    page.wait_for_selector("#passkeys-done")
    eyes.look("passkeys")
    page.click("#passkey-name-1")
    page.fill("#label", "")
    page.click("#passkey-name-submit")
    eyes.look("passkey-name")
    page.goto(f"{house.issuer}/account/passkeys")
    page.click("#passkey-remove-1")
    eyes.look("passkey-remove")
    page.goto(citizen.request(house, house.client("mine", scope="openid")["client_id"], acr_values="loa3"))
    page.wait_for_selector("#passkey-submit", state="visible")
    eyes.look("code-passkey-settle")
    page.context.clear_cookies(name="sid")
    key.rest()
    page.goto(citizen.request(house, "mine", acr_values="loa3"))
    citizen.log_in(page, person)
    page.wait_for_selector("#passkey-submit", state="visible")
    eyes.look("code-passkey")
    assert eyes.faults == []
    assert len(eyes.seen) == 9


@pytest.mark.parametrize("language", LANGUAGES)
def test_newcomer_makes_a_passkey_on_the_way_and_comes_back_to_the_portal(
    named_house: House, profile: Callable[..., BrowserContext], language: str
) -> None:
    house, person = named_house, newcomer.somebody()
    house.register_knows(person)
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    eyes = Eyes(page, language)
    Key(page)
    page.goto(f"{house.issuer}/?lang={language}")
    page.goto(house.library)
    page.click("#signin")
    # From here on: the portal has no icon, and the browser says so.
    complaints = complaints_of(page)
    page.click("#login-enrol")
    newcomer.prove(page, house, person)
    newcomer.choose_password(page, newcomer.SHORT_PASSWORD)
    assert page.locator("#factor-later").count() == 0
    eyes.look("enrol-second-factor-needed")
    page.click("#factor-passkey")
    eyes.look("enrol-passkey")
    page.click("#passkey-submit")
    page.click("#codes-submit")
    page.wait_for_selector("#consent-allow")
    assert complaints == []
    page.click("#consent-allow")
    page.wait_for_selector("#sub")
    assert eyes.faults == []
