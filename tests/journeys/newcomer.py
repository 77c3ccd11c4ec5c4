"""What somebody without an account does in a browser, in the words of the pages' documented ids."""

from itertools import count

from playwright.sync_api import Page

from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import VN_PIN, Gender, scheme
from idp.citizens.registry import table
from tests.journeys.stage import House

PASSWORD = "bánh cuốn chín giờ sáng"
SHORT_PASSWORD = "kẹo lạc 73"
_serial = count(1)


def somebody(answer: table.Answer = table.Answer.MATCH) -> table.Person:
    """Return a person about whom the register answers so."""
    number = f"979094{700_000 + next(_serial):06d}"
    return table.Person(VN_PIN, number, "Lê Minh Khôi", BirthDate(1994, 6, 18), Gender.MALE, answer)


def declare(page: Page, person: table.Person, *, full_name: str | None = None) -> None:
    """Say who one is."""
    page.fill("#number", scheme(VN_PIN, test_numbers=True).display(person.number))
    page.fill("#full_name", full_name or person.full_name)
    page.fill("#day", str(person.birth.day))
    page.fill("#month", str(person.birth.month))
    page.fill("#year", str(person.birth.year))
    page.click("#person-submit")


def prove(page: Page, house: House, person: table.Person) -> None:
    """Say who one is, and prove a mail address."""
    declare(page, person)
    page.fill("#contact", f"khoi.{person.number[-6:]}@thu.example")
    page.click("#contact-submit")
    page.fill("#code", house.code_mailed())
    page.click("#contact-code-submit")


def choose_password(page: Page, password: str = PASSWORD) -> None:
    """Choose a password."""
    page.fill("#password", password)
    page.fill("#repeated", password)
    page.click("#password-submit")
