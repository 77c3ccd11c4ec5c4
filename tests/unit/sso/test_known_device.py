"""A browser a citizen has not signed in with before is worth a notice; one they have is not, and the cookie is mute."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from idp.core.ids import new_id
from idp.core.keyring import Key, Keyring, Purpose
from idp.notify.models import OwedNotice, facts_place
from idp.sso.known_device import MOST_CITIZENS
from tests.browser import Browser
from tests.provider import Person, Portal, Provider
from tests.racers import Racers, Shot, racers_at

COOKIE = "__Host-known"
PHONE = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36"
)


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@thu.example", email_verified=True)


@pytest.fixture
def portal(provider: Provider) -> Portal:
    return provider.portal()


def owed(provider: Provider, person: Person, kind: str = "new-device") -> list[dict[str, Any]]:
    """Return the facts of the notices of a kind that a person is owed."""
    mine = sa.select(OwedNotice).where(OwedNotice.citizen_id == person.id, OwedNotice.kind == kind)
    keyring = provider.services.keyring
    rows = provider.scalars(mine.order_by(OwedNotice.id))
    return [json.loads(keyring.unseal(row.facts, facts_place(row.id))) for row in rows]


def test_a_notice_is_owed_when_the_browser_is_new_and_no_other_when_it_is_known(
    provider: Provider, browser: Browser, person: Person, portal: Portal
) -> None:
    portal.sign_in(browser, person)
    [facts] = owed(provider, person)
    assert facts["agency"]["vi"] == f"Cổng {portal.client_id}"
    assert facts["agency"]["en"] == f"Portal {portal.client_id}"
    portal.sign_in(browser, person, prompt="login")
    browser.put({name: value for name, value in browser.cookies().items() if name == COOKIE})
    portal.sign_in(browser, person, prompt="login")
    assert len(owed(provider, person)) == 1
    portal.sign_in(provider.browser(), person)
    assert len(owed(provider, person)) == 2


def test_a_warm_login_owes_nothing(provider: Provider, browser: Browser, person: Person, portal: Portal) -> None:
    portal.sign_in(browser, person)
    before = provider.scalars(sa.select(sa.func.count()).select_from(OwedNotice))
    portal.tokens(portal.arrive(browser))
    assert provider.scalars(sa.select(sa.func.count()).select_from(OwedNotice)) == before


def test_each_is_known_by_themselves_when_a_telephone_is_shared(
    provider: Provider, browser: Browser, portal: Portal
) -> None:
    people = [provider.citizen() for _ in range(2)]
    for person in (*people, *people):
        portal.sign_in(browser, person, prompt="login")
    assert [len(owed(provider, person)) for person in people] == [1, 1]


def test_the_one_who_was_away_for_longest_is_forgotten_when_too_many_share(
    provider: Provider, browser: Browser, portal: Portal
) -> None:
    people = [provider.citizen(totp=False, level="loa1") for _ in range(MOST_CITIZENS + 1)]
    for person in people:
        portal.sign_in(browser, person, prompt="login")
    assert len(browser.cookies()[COOKIE].split(".")) == MOST_CITIZENS + 2
    portal.sign_in(browser, people[-1], prompt="login")
    portal.sign_in(browser, people[0], prompt="login")
    assert [len(owed(provider, person)) for person in (people[-1], people[0])] == [1, 2]


def test_the_cookie_says_nothing_about_anybody(provider: Provider, person: Person, portal: Portal) -> None:
    values = []
    for _ in range(2):
        browser = provider.browser()
        portal.sign_in(browser, person)
        values.append(browser.cookies()[COOKIE])
    for value in values:
        assert person.number not in value
        assert person.id.hex not in value
        assert str(person.id) not in value
    # The same person leaves nothing in common on two browsers, nor does anybody learn a device from the database.
    assert not set(values[0].split(".")[1:]) & set(values[1].split(".")[1:])


@pytest.mark.parametrize(
    "planted",
    ["", "v1", "v1.", "v2.x", "x" * 4_000, "v1." + "a" * 22 + ".short", "v1." + "a" * 22 + "." + "b" * 22, "v1.đ.đ"],
)
def test_nobody_is_known_by_a_cookie_that_is_not_ours(
    provider: Provider, browser: Browser, person: Person, portal: Portal, planted: str
) -> None:
    browser.put({COOKIE: planted})
    portal.sign_in(browser, person)
    assert len(owed(provider, person)) == 1


def test_nobody_is_known_by_another_browsers_mark(
    provider: Provider, browser: Browser, person: Person, portal: Portal
) -> None:
    portal.sign_in(browser, person)
    _, name, mark = browser.cookies()[COOKIE].split(".")
    other = provider.browser()
    other.put({COOKIE: f"v1.{name[::-1]}.{mark}"})
    portal.sign_in(other, person)
    assert len(owed(provider, person)) == 2


def test_a_known_browser_stays_known_when_the_key_is_rotated(
    provider: Provider, browser: Browser, person: Person, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal.sign_in(browser, person)
    keyring = provider.services.keyring
    keys = {purpose: tuple(keyring.key(purpose, name) for name in keyring.key_ids(purpose)) for purpose in Purpose}
    keys[Purpose.FORM] = (Key("next", bytes(range(32))), *keys[Purpose.FORM])
    rotated = Keyring(keys)
    monkeypatch.setattr(keyring, "_keys", rotated._keys)
    browser.put({name: value for name, value in browser.cookies().items() if name == COOKIE})
    portal.sign_in(browser, person, prompt="login")
    portal.sign_in(browser, person, prompt="login")
    assert len(owed(provider, person)) == 1


def test_the_notice_names_the_device_in_words(provider: Provider, person: Person, portal: Portal) -> None:
    browser = provider.browser()
    page = browser.get(portal.address())
    path, form = page.path.removesuffix("/login"), page.forms["login-form"]
    fields = form.fields | {"number": person.number, "password": person.password}
    browser.send("POST", f"{path}/login", data=fields, headers={"User-Agent": PHONE})
    assert [facts["device"] for facts in owed(provider, person)] == ["Chrome, Android"]


def test_one_notice_is_owed_for_an_agency_however_many_of_its_services_are_used(
    provider: Provider, browser: Browser, person: Person
) -> None:
    agency = {"slug": f"so-y-te-{new_id().hex[:8]}", "name": {"vi": "Sở Y tế"}}
    first, second, other = provider.portal(agency=agency), provider.portal(agency=agency), provider.portal()
    for portal in (first, second, other, first):
        portal.sign_in(browser, person)
    names = [facts["agency"]["vi"] for facts in owed(provider, person, "new-agency")]
    assert names == [f"Cổng {first.client_id}", f"Cổng {other.client_id}"]


@pytest.fixture
def racers(provider: Provider) -> Iterator[Racers]:
    with racers_at(provider, processes=2) as made:
        yield made


def test_one_notice_is_owed_when_the_button_was_clicked_twice(
    provider: Provider, browser: Browser, person: Person, portal: Portal, racers: Racers
) -> None:
    page = browser.get(portal.address())
    fields = page.forms["login-form"].fields | {"number": person.number, "password": person.password}
    hits = racers.race(Shot("POST", page.path, {"data": fields}, browser.cookies()))
    assert [hit.status for hit in hits] == [303, 303]
    # Whichever answer the browser keeps, it knows the citizen from now on.
    assert all(COOKIE in hit.cookies for hit in hits)
    assert len(owed(provider, person)) == 1
