"""Requests from other devices, raced by real processes: one answer, one token, however many try."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from idp.core.ids import digest
from idp.core.limits import RateLimit
from idp.oidc.decoupled.models import DecoupledRequest
from idp.oidc.models import AccessToken, AuthorizationCode
from tests.browser import Browser, Page
from tests.provider import Person, Portal, Provider
from tests.racers import Hit, Racers, Shot, racers_at

PROCESSES = 6
ROUNDS = 3
FORM = "application/x-www-form-urlencoded"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CIBA = "urn:openid:params:grant-type:ciba"


@pytest.fixture(scope="module")
def racers(provider: Provider) -> Iterator[Racers]:
    with racers_at(provider, processes=PROCESSES) as team:
        yield team


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(grant_types=["authorization_code", DEVICE, CIBA])


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def ask(portal: Portal) -> dict[str, Any]:
    response = portal.provider.http().post(
        "/device_authorization", data={"scope": "openid"}, headers={"Authorization": portal.basic()}
    )
    device: dict[str, Any] = response.get_json()
    return device


def type_code(provider: Provider, browser: Browser, device: dict[str, Any]) -> Page:
    """Type the code of a device, more often than one person may."""
    provider.run(sa.delete(RateLimit))
    browser.get("/device")
    return browser.submit("device-form", user_code=device["user_code"])


def confirmed(provider: Provider, browser: Browser, device: dict[str, Any]) -> str:
    """Bring a signed-in browser to the point where only the end is missing; return its address."""
    page = type_code(provider, browser, device)
    action, fields = browser.form("confirm-form", decision="continue")
    browser.send("POST", action, data=fields)
    return f"/signin/{page.handle}"


def poll(portal: Portal, device: dict[str, Any]) -> Shot:
    form = {"grant_type": DEVICE, "device_code": device["device_code"]}
    arguments = {
        "data": urlencode(form).encode(),
        "content_type": FORM,
        "headers": {"Authorization": portal.basic()},
    }
    return Shot("POST", "/token", arguments, {})


def errors_of(hits: list[Hit]) -> list[str]:
    return sorted(json.loads(hit.text).get("error", "") for hit in hits)


def request_of(provider: Provider, device: dict[str, Any]) -> DecoupledRequest:
    key = digest(device["device_code"])
    [row] = provider.scalars(sa.select(DecoupledRequest).where(DecoupledRequest.digest == key))
    return row


def codes_of(provider: Provider, person: Person) -> int:
    return len(provider.scalars(sa.select(AuthorizationCode.digest).where(AuthorizationCode.citizen_id == person.id)))


def test_many_tabs_that_approve_write_one_code(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.sign_in(browser, person)
    before = codes_of(provider, person)
    for number in range(1, ROUNDS + 1):
        device = ask(portal)
        addresses = [confirmed(provider, browser, device) for _ in range(PROCESSES)]
        hits = racers.race(*[Shot("GET", address, {}, browser.cookies()) for address in addresses])
        # One did it, and the others say that it is done.
        assert sorted(hit.status for hit in hits) == [200] + [400] * (PROCESSES - 1)
        assert all("ID-101" in hit.text for hit in hits if hit.status == 400)
        assert codes_of(provider, person) == before + number


def test_double_clicks_on_one_tab_all_see_that_it_is_done(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.sign_in(browser, person)
    before = codes_of(provider, person)
    address = confirmed(provider, browser, ask(portal))
    hits = racers.race(Shot("GET", address, {}, browser.cookies()))
    assert [hit.status for hit in hits] == [200] * PROCESSES
    assert codes_of(provider, person) == before + 1


def test_yes_and_no_at_once_have_one_winner(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.sign_in(browser, person)
    for _ in range(ROUNDS):
        device = ask(portal)
        yes = confirmed(provider, browser, device)
        other = provider.browser()
        type_code(provider, other, device)
        action, fields = other.form("confirm-form", decision="deny")
        other.send("POST", action, data=fields)
        refuse = Shot("GET", action.removesuffix("/confirm"), {}, other.cookies())
        racers.race(Shot("GET", yes, {}, browser.cookies()), *[refuse] * (PROCESSES - 1))
        row = request_of(provider, device)
        assert (row.approved_at is None) != (row.denied_at is None)
        answer = racers.race(*[poll(portal, device)], *[Shot("GET", "/jwks", {}, {})] * (PROCESSES - 1))[0]
        assert answer.status == (200 if row.approved_at is not None else 400)


def test_polling_while_approving_is_pending_or_the_token(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.sign_in(browser, person)
    for _ in range(ROUNDS):
        device = ask(portal)
        address = confirmed(provider, browser, device)
        shots = [Shot("GET", address, {}, browser.cookies()), poll(portal, device)]
        hits = racers.race(*shots, *[Shot("GET", "/jwks", {}, {})] * (PROCESSES - 2))
        assert hits[0].status == 200
        if hits[1].status != 200:
            assert errors_of([hits[1]]) == ["authorization_pending"]
            [late] = racers.race(poll(portal, device), *[Shot("GET", "/jwks", {}, {})] * (PROCESSES - 1))[:1]
            assert late.status == 200


def test_many_polls_of_one_approval_buy_at_most_one_token(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.sign_in(browser, person)
    for _ in range(ROUNDS):
        device = ask(portal)
        browser.get(confirmed(provider, browser, device))
        hits = racers.race(poll(portal, device))
        assert sorted(hit.status for hit in hits) == [200] + [400] * (PROCESSES - 1)
        assert errors_of([hit for hit in hits if hit.status == 400]) == ["invalid_grant"] * (PROCESSES - 1)
        [token] = [json.loads(hit.text)["access_token"] for hit in hits if hit.status == 200]
        rows = provider.scalars(sa.select(AccessToken).where(AccessToken.digest == digest(token)))
        # The others were replays (RFC 6749, 10.5).
        assert [row.revoked_at is not None for row in rows] == [True]


def test_of_polls_at_once_one_is_in_time(provider: Provider, racers: Racers, portal: Portal) -> None:
    device = ask(portal)
    hits = racers.race(poll(portal, device))
    assert errors_of(hits) == ["authorization_pending"] + ["slow_down"] * (PROCESSES - 1)
    # Every slow_down added its five seconds.
    assert request_of(provider, device).seconds_between_polls == 4 + 5 * (PROCESSES - 1)


def test_requests_at_once_for_one_citizen_are_counted_one_after_the_other(
    provider: Provider, racers: Racers, portal: Portal, person: Person
) -> None:
    form = {"scope": "openid", "binding_message": "7391", "login_hint": person.number}
    arguments = {
        "data": urlencode(form).encode(),
        "content_type": FORM,
        "headers": {"Authorization": portal.basic()},
    }
    hits = racers.race(Shot("POST", "/bc-authorize", arguments, {}))
    assert [hit.status for hit in hits] == [200] * PROCESSES
    shown = provider.scalars(sa.select(DecoupledRequest.digest).where(DecoupledRequest.citizen_id == person.id))
    assert len(shown) == 3
