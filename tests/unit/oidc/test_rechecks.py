"""The register's word reaches those who are signed in, not only those who sign in."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from idp.citizens.assurance import RegistryStatus
from idp.citizens.models import Citizen
from idp.citizens.registry import RegistryQuery, Unavailable
from idp.citizens.registry.table import Answer as Says
from idp.core import clock
from idp.notify.models import OwedNotice
from idp.oidc.rechecks import Rechecks
from idp.sso.models import LogoutDelivery, SsoSession
from tests.browser import Browser
from tests.listener import listening, register
from tests.provider import Person, Provider
from tests.unit.account.test_lock import lasting
from tests.unit.account.test_sessions import is_in

STOPS = [Says.DECEASED, Says.LOCKED, Says.REPLACED]


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def walk_of(provider: Provider) -> Rechecks:
    """Return the walk of a worker that has just begun, at the first row."""
    made = Rechecks(provider.services, provider.app.app_context)
    made._after = type(made._after)(int=0)
    return made


def walked(provider: Provider) -> int:
    return walk_of(provider).run_due(threading.Event())


def kinds(provider: Provider, person: Person) -> list[str]:
    return provider.scalars(sa.select(OwedNotice.kind).where(OwedNotice.citizen_id == person.id))


@pytest.mark.parametrize("says", STOPS)
def test_a_word_that_stops_the_account_ends_everything_open(
    provider: Provider, browser: Browser, person: Person, says: Says
) -> None:
    with listening() as listener:
        portal = provider.portal(**lasting(provider))
        register(portal, backchannel_logout_uri=f"{listener.url}/logout")
        tokens = portal.tokens(portal.arrive(browser, person, scope="openid offline_access"))
        person.register_says(says)
        walked(provider)
    assert not is_in(browser)
    assert portal.refresh(tokens["refresh_token"]).status_code == 400
    assert len(provider.scalars(sa.select(LogoutDelivery.id).where(LogoutDelivery.citizen_id == person.id))) == 1
    assert kinds(provider, person).count("account-stopped") == 1
    # Told once, however often the register says it.
    person.register_says(says)
    walked(provider)
    assert kinds(provider, person).count("account-stopped") == 1


def test_lasting_access_alone_is_reason_to_ask(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(**lasting(provider))
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid offline_access"))
    provider.run(sa.delete(SsoSession).where(SsoSession.citizen_id == person.id))
    person.register_says(Says.DECEASED)
    walked(provider)
    assert portal.refresh(tokens["refresh_token"]).status_code == 400


def test_nobody_is_asked_about_who_is_not_signed_in_or_was_asked_about_lately(
    provider: Provider, browser: Browser, person: Person
) -> None:
    provider.portal().arrive(browser, person)
    stranger = provider.citizen()
    stranger.register_says(Says.DECEASED)
    before = person.row().registry_checked_at
    walked(provider)
    assert person.row().registry_checked_at == before
    assert stranger.row().registry_status is RegistryStatus.ACTIVE
    assert is_in(browser)


def test_a_word_that_changes_nothing_ends_nothing(provider: Provider, browser: Browser, person: Person) -> None:
    provider.portal().arrive(browser, person)
    person.register_says(Says.MATCH)
    assert walked(provider) >= 1
    assert person.row().registry_checked_at > clock.now() - timedelta(minutes=1)
    assert is_in(browser)
    assert "account-stopped" not in kinds(provider, person)
    assert "level-changed" not in kinds(provider, person)


def test_a_word_that_takes_the_level_is_told(provider: Provider, browser: Browser, person: Person) -> None:
    provider.portal().arrive(browser, person)
    person.register_says(Says.NOT_FOUND)
    walked(provider)
    assert kinds(provider, person).count("level-changed") == 1


def test_a_sign_in_that_finds_the_word_ends_the_others_and_is_told_why(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal, other = provider.portal(), provider.browser()
    portal.arrive(other, person)
    person.register_says(Says.DECEASED)
    page = browser.get(portal.address())
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.error_code == "ID-003"
    assert not is_in(other)
    assert not is_in(browser)
    # Also where no page may be shown.
    silent = provider.citizen()
    third = provider.browser()
    portal.arrive(third, silent)
    silent.register_says(Says.LOCKED)
    assert portal.arrive(third, prompt="none")["error"] == "access_denied"
    live = sa.select(SsoSession.id).where(SsoSession.citizen_id == silent.id, SsoSession.ended_at.is_(None))
    assert provider.scalars(live) == []


class Silent:
    """A register that does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    def check(self, query: RegistryQuery, *, deadline: float) -> Any:
        self.asked += 1
        raise Unavailable("rests")


def test_a_silent_register_is_asked_once_and_left_alone(
    provider: Provider, browser: Browser, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = provider.portal()
    portal.arrive(browser, person)
    other = provider.citizen()
    portal.arrive(provider.browser(), other)
    for each in (person, other):
        each.register_says(Says.DECEASED)
    silent = Silent()
    walk = walk_of(provider)
    monkeypatch.setattr(walk, "_provider", replace(provider.services, registry=silent))
    assert walk.run_due(threading.Event()) == 1
    # The worker rests, and so does the question about this citizen.
    assert walk.run_due(threading.Event()) == 0
    assert silent.asked == 1
    assert is_in(browser)


def test_two_workers_never_ask_about_one_citizen_at_once(provider: Provider, browser: Browser, person: Person) -> None:
    provider.portal().arrive(browser, person)
    person.register_says(Says.MATCH)
    walks = [walk_of(provider) for _ in range(4)]

    def take(walk: Rechecks) -> bool:
        with provider.app.app_context():
            return walk._take(person.id)

    with ThreadPoolExecutor(4) as crew:
        assert sorted(crew.map(take, walks)) == [False, False, False, True]
    provider.run(
        sa.update(Citizen).where(Citizen.id == person.id).values(registry_asked_at=clock.now() - timedelta(hours=1))
    )
    # Whoever took it was killed: after a while it is anybody's again.
    assert take(walks[0])
