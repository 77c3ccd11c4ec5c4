"""The way into the own space, as a citizen walks it."""

from tests.browser import Browser, Page
from tests.provider import Person


def enter(browser: Browser, person: Person, path: str = "/account") -> Page:
    """Open a page of the own space, signing in where it asks for that."""
    page = browser.get(path)
    if "space-signin-form" not in page.forms:
        return page
    page = browser.submit("space-signin-form")
    if "login-form" in page.forms:
        page = browser.submit("login-form", number=person.number, password=person.password)
    if "totp-form" in page.forms:
        page = browser.submit("totp-form", code=person.code())
    assert page.path == path, f"{page.path}: {page.text}"
    return page
