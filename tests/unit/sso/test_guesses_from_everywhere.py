"""An attacker with a number and many addresses may cost a person the password, and never the way in."""

import pytest
import sqlalchemy as sa

from idp.citizens.credentials import hashing, password
from idp.notify.models import OwedNotice
from tests.authenticator import Authenticator
from tests.browser import Browser
from tests.provider import Person, Provider
from tests.spec.test_webauthn import HARDWARE, claims, give, use

GUESSES = 200


@pytest.fixture
def person(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Return a citizen whose password costs next to nothing to check: two hundred guesses are made."""
    monkeypatch.setattr(hashing, "PARAMETERS", hashing.Parameters(memory_kib=64, passes=1))
    return provider.citizen()


def guess(provider: Provider, person: Person, times: int) -> None:
    """Guess as often as that, each time from another network."""
    services = provider.services
    with provider.app.app_context():
        for number in range(times):
            address = f"198.51.{number // 100}.{number % 100}"
            password.verify(
                person.number,
                "đoán mò",
                address=address,
                settings=services.settings,
                keyring=services.keyring,
                hot_path=services.hot_path,
            )


def owed(provider: Provider, person: Person) -> int:
    mine = sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id)
    return provider.scalars(mine).count("password-disabled")


def test_the_person_at_home_keeps_a_counter_of_their_own(provider: Provider, browser: Browser, person: Person) -> None:
    guess(provider, person, 99)
    page = browser.get(provider.portal().address())
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert "login-form" not in page.forms
    # And what was guessed so far is forgotten with it.
    guess(provider, person, 99)
    assert owed(provider, person) == 0


def test_two_hundred_guesses_take_the_password_and_never_the_passkey(
    provider: Provider, browser: Browser, person: Person
) -> None:
    key, portal = give(person, Authenticator()), provider.portal()
    guess(provider, person, GUESSES)
    browser.get(portal.address())
    refused = browser.submit("login-form", number=person.number, password=person.password)
    assert "login-form" in refused.forms
    # Told once, and let in by what cannot be guessed.
    assert owed(provider, person) == 1
    use(browser, key)
    assert claims(portal, browser) == ("loa3", HARDWARE)
    # A new password, however it is come by, is usable at once: the counter starts anew.
    services = provider.services
    with provider.app.app_context():
        password.set_password(person.id, "mật khẩu mới tinh", settings=services.settings, keyring=services.keyring)
    other = provider.browser()
    other.get(portal.address())
    page = other.submit("login-form", number=person.number, password="mật khẩu mới tinh")
    assert "login-form" not in page.forms
