"""Client assertions raced by real processes: spent by the same statement as what the client came for (RFC 7523, 3)."""

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.browser import Browser
from tests.keyed import KeyedPortal, keyed
from tests.provider import Person, Provider
from tests.racers import Hit, Racers, Shot, racers_at

PROCESSES = 8
# With seven losers each, as many as a client may be refused in a minute.
ROUNDS = 2


@pytest.fixture(scope="module")
def racers(provider: Provider) -> Iterator[Racers]:
    with racers_at(provider, processes=PROCESSES) as team:
        yield team


@pytest.fixture
def portal(provider: Provider) -> KeyedPortal:
    return keyed(provider)


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


def post(path: str, form: dict[str, str]) -> Shot:
    body = urlencode(form).encode()
    return Shot("POST", path, {"data": body, "content_type": "application/x-www-form-urlencoded"}, {})


def redeem(portal: KeyedPortal, code: str, assertion: dict[str, str]) -> Shot:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": portal.redirect_uri}
    return post("/token", {**form, "code_verifier": portal.verifier, **assertion})


def statuses(hits: list[Hit]) -> list[int]:
    return sorted(hit.status for hit in hits)


@pytest.mark.holds("F4")
def test_one_assertion_pushes_one_request(racers: Racers, portal: KeyedPortal) -> None:
    for _ in range(ROUNDS):
        hits = racers.race(post("/par", {**portal.request(), **portal.authentication()}))
        assert statuses(hits) == [201] + [401] * (PROCESSES - 1)


@pytest.mark.holds("F4")
def test_one_assertion_redeems_one_code_and_is_no_replay_of_it(
    racers: Racers, portal: KeyedPortal, browser: Browser, person: Person
) -> None:
    for _ in range(ROUNDS):
        hits = racers.race(redeem(portal, portal.arrive(browser, person)["code"], portal.authentication()))
        assert statuses(hits) == [200] + [401] * (PROCESSES - 1)
        [token] = [json.loads(hit.text)["access_token"] for hit in hits if hit.status == 200]
        # The others never reached the code, so nothing was replayed and the token lives.
        assert portal.userinfo(token).status_code == 200


@pytest.mark.holds("F4")
def test_one_assertion_redeems_one_of_two_codes(
    racers: Racers, portal: KeyedPortal, browser: Browser, person: Person
) -> None:
    for _ in range(ROUNDS):
        codes = [portal.arrive(browser, person)["code"] for _ in range(2)]
        assertion = portal.authentication()
        hits = racers.race(*(redeem(portal, codes[number % 2], assertion) for number in range(PROCESSES)))
        assert statuses(hits) == [200] + [401] * (PROCESSES - 1)
        # The code that lost was not touched.
        left = [portal.redeem(code).status_code for code in codes]
        assert sorted(left) == [200, 400]


@pytest.mark.holds("F4", "B24")
def test_many_assertions_redeem_one_code_once(
    racers: Racers, portal: KeyedPortal, browser: Browser, person: Person
) -> None:
    for _ in range(ROUNDS):
        code = portal.arrive(browser, person)["code"]
        hits = racers.race(*(redeem(portal, code, portal.authentication()) for _ in range(PROCESSES)))
        assert statuses(hits) == [200] + [400] * (PROCESSES - 1)


@pytest.mark.holds("F4")
def test_an_assertion_is_spent_by_a_request_that_fails(portal: KeyedPortal, browser: Browser, person: Person) -> None:
    code = portal.arrive(browser, person)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": portal.redirect_uri}
    assertion = portal.authentication()
    malformed = portal.provider.http().post("/token", data={**form, **assertion, "code_verifier": "short"})
    assert malformed.status_code == 400
    again = portal.provider.http().post("/token", data={**form, **assertion, "code_verifier": portal.verifier})
    assert (again.status_code, again.get_json()["error"]) == (401, "invalid_client")
    assert portal.redeem(code).status_code == 200
