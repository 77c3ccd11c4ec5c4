"""What a citizen does in a browser, in the words of the pages' documented ids."""

import time
from urllib.parse import urlencode

from playwright.sync_api import Error, Page

from idp.citizens.credentials import totp
from idp.citizens.numbers import VN_PIN, scheme
from idp.sandbox.persona import Persona
from tests import canary
from tests.journeys.stage import House

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B


def back(page: Page) -> None:
    """Press the browser's back button, as soon as the page's process is the one in the window.

    Chromium may hand a page that has loaded to another process, and for a moment refuses to tell its history.
    """
    for attempt in range(20):
        try:
            page.go_back()
        except Error as error:
            if "Not attached to an active page" not in error.message or attempt == 19:
                raise
            page.wait_for_timeout(100)
        else:
            return


def typed(person: Persona) -> str:
    """Return the number as printed on the card, in groups."""
    return scheme(VN_PIN, test_numbers=True).display(person.number)


def fill_login(page: Page, person: Persona, *, number: str | None = None, password: str | None = None) -> None:
    """Type number and password without sending them."""
    canary.plant(person.number, person.full_name, person.password, person.totp_secret, number, password)
    page.fill("#number", number or typed(person))
    page.fill("#password", password or person.password)


def log_in(page: Page, person: Persona) -> None:
    """Send number and password."""
    fill_login(page, person)
    page.click("#login-submit")


def code_of(person: Persona) -> str:
    """Return the code the person's app shows, grouped as apps show it."""
    assert person.totp_secret is not None
    # Not in the last moment of a step: the code must still be good when it arrives.
    if (left := 30 - time.time() % 30) < 2:
        time.sleep(left)
    code = totp.current_code(person.totp_secret)
    return f"{code[:3]} {code[3:]}"


def enter_code(page: Page, person: Persona) -> None:
    """Send the one-time code."""
    page.fill("#code", code_of(person))
    page.click("#totp-submit")


def sign_in_at_etax(page: Page, house: House, person: Persona) -> None:
    """Go from e-tax through every page for the first time, back to e-tax."""
    page.goto(house.etax)
    page.click("#signin")
    log_in(page, person)
    enter_code(page, person)
    page.click("#notice-continue")
    page.wait_for_selector("#person-name")


def request(house: House, client: str, /, **parameters: str) -> str:
    """Return the address of an authorization request of a client of the doorstep."""
    values = {
        "client_id": client,
        "redirect_uri": f"{house.doorstep.url}/callback",
        "response_type": "code",
        "scope": "openid",
        "state": "of the doorstep",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | parameters
    return f"{house.issuer}/authorize?{urlencode({name: value for name, value in values.items() if value})}"
