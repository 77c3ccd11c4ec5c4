"""Making an account in a real browser: from a portal, through every page, back into the portal."""

from collections.abc import Callable

import pyotp
import pytest
from playwright.sync_api import BrowserContext, Page

from idp.citizens.registry import table
from tests.journeys import newcomer
from tests.journeys.stage import House
from tests.journeys.test_pages import LANGUAGES, LOCALES, Eyes

pytestmark = pytest.mark.browser


def test_newcomer_goes_from_the_portal_through_the_enrolment_back_into_the_portal(
    house: House, profile: Callable[..., BrowserContext]
) -> None:
    person = newcomer.somebody()
    house.register_knows(person)
    page = profile(java_script_enabled=False).new_page()
    page.goto(house.library)
    page.click("#signin")
    page.click("#login-enrol")
    newcomer.prove(page, house, person)
    newcomer.choose_password(page)
    page.click("#factor-app")
    secret = (page.text_content("#app-secret") or "").replace(" ", "")
    page.fill("#code", pyotp.TOTP(secret).now())
    page.click("#app-submit")
    assert page.locator("#recovery-codes li").count() == 10
    page.click("#codes-submit")
    page.click("#consent-allow")
    page.wait_for_selector("#sub")
    sub = page.inner_text("#sub")
    # The account signs in by itself elsewhere, as the same person.
    other = profile(java_script_enabled=False).new_page()
    other.goto(house.library)
    other.click("#signin")
    other.fill("#number", person.number)
    other.fill("#password", newcomer.PASSWORD)
    other.click("#login-submit")
    other.wait_for_selector("#sub")
    assert other.inner_text("#sub") == sub


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_an_enrolment_is_for_everyone(
    house: House, profile: Callable[..., BrowserContext], language: str
) -> None:
    person, silent = newcomer.somebody(), newcomer.somebody(table.Answer.SILENT)
    house.register_knows(person, silent)
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    eyes = Eyes(page, language)
    _begin(page, house, language)
    eyes.look("enrol-person")
    page.click("#person-submit")
    eyes.look("enrol-person-empty")
    newcomer.declare(page, person, full_name="Lê Văn Khác")
    eyes.look("enrol-person-refused")
    newcomer.declare(page, person)
    page.click("#enrol-back")
    page.fill("#day", "")
    page.fill("#full_name", "le minh khoi")
    page.click("#person-submit")
    eyes.look("enrol-person-look-again")
    page.click("#person-submit")
    eyes.look("enrol-contact")
    page.click("#contact-submit")
    eyes.look("enrol-contact-empty")
    page.fill("#contact", f"khoi.{language}@thu.example")
    page.click("#contact-submit")
    eyes.look("enrol-contact-code")
    page.click("#contact-code-submit")
    eyes.look("enrol-contact-code-empty")
    page.fill("#code", house.code_mailed())
    page.click("#contact-code-submit")
    eyes.look("enrol-password")
    newcomer.choose_password(page, "leminhkhoi")
    eyes.look("enrol-password-weak")
    newcomer.choose_password(page)
    eyes.look("enrol-second-factor")
    page.click("#factor-app")
    eyes.look("enrol-app")
    page.fill("#code", "000000")
    page.click("#app-submit")
    eyes.look("enrol-app-wrong")
    page.click("#enrol-back")
    page.click("#factor-later")
    eyes.look("enrol-codes")
    page.click("#codes-submit")
    page.click("#consent-allow")
    page.goto(f"{house.issuer}/account")
    eyes.look("space-just-enrolled")
    page.context.clear_cookies()
    _begin(page, house, language)
    newcomer.prove(page, house, person)
    eyes.look("enrol-known")
    page.click("#signin-cancel")
    _begin(page, house, language)
    newcomer.declare(page, silent)
    eyes.look("enrol-contact-silent")
    page.fill("#contact", f"khoi.cho.{language}@thu.example")
    page.click("#contact-submit")
    page.fill("#code", house.code_mailed())
    page.click("#contact-code-submit")
    eyes.look("enrol-waiting")
    assert eyes.faults == []
    assert len(eyes.seen) == 18


def _begin(page: Page, house: House, language: str) -> None:
    page.goto(f"{house.issuer}/?lang={language}")
    page.goto(house.library)
    page.click("#signin")
    page.click("#login-enrol")
