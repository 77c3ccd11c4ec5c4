"""A sign-in whose register is another house, asked over HTTP: each of its answers, and its silences."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens import verification
from idp.citizens.assurance import RegistryStatus
from idp.citizens.birthdate import BirthDate, parse
from idp.citizens.registry.breaker import PATIENCE, Breaker
from idp.citizens.registry.http import HttpRegistry
from idp.cli import db as schema
from idp.core import clock
from idp.sandbox.register import Entry, Register, Says
from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, provider_at
from tests.register import Simulator, simulated

NAME, BIRTH = "Đỗ Thị Thu Hoà", BirthDate(1991, 2, 28)
_serial = count(700_001)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with simulated(Register()) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def provider(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, simulator: Simulator
) -> Iterator[Provider]:
    directory: Path = tmp_path_factory.mktemp("provider")
    cluster = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    name = cluster.create() if cluster else ""
    url = cluster.url(name) if cluster else f"sqlite:///{directory / 'lienket.sqlite3'}"
    schema.upgrade(url)
    with provider_at(url, directory / "secrets", registry="http", registry_url=simulator.url) as made:
        yield made
    if cluster:
        cluster.drop(name)


@pytest.fixture(autouse=True)
def well(provider: Provider, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with a register in good health that nobody has been disappointed by."""
    simulator.register.mood = None
    adapter = provider.services.registry
    assert isinstance(adapter, HttpRegistry)
    monkeypatch.setattr(adapter, "_breaker", Breaker())


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid name birthdate idnum")


def enrol(
    provider: Provider, simulator: Simulator, *, says: Says = Says.RECORD, name: str = NAME, birth: BirthDate = BIRTH
) -> Person:
    """Enrol somebody about whom the register says this."""
    number = f"979191{next(_serial):06d}"
    simulator.register.know(Entry(number, name, birth, says=says))
    return provider.citizen(number=number, full_name=name, birthdate=birth.iso())


def make_due(person: Person) -> None:
    """Let so much time pass that the register is asked at the next sign-in."""
    long_ago = clock.now() - timedelta(days=30)
    person.set(registry_checked_at=long_ago, registry_asked_at=long_ago)


@pytest.fixture
def person(provider: Provider, simulator: Simulator) -> Person:
    made = enrol(provider, simulator)
    assert made.row().registry_status is RegistryStatus.ACTIVE
    make_due(made)
    return made


def events(provider: Provider, person: Person) -> list[AuditEvent]:
    asked = sa.select(AuditEvent).where(
        AuditEvent.citizen_id == person.id, AuditEvent.name == "citizens:registry:asked"
    )
    return provider.scalars(asked.order_by(AuditEvent.id))


@pytest.mark.parametrize("says", [Says.RECORD, Says.TEN_ONLY])
def test_a_confirmed_person_signs_in_with_the_data_of_the_register(
    provider: Provider, portal: Portal, browser: Browser, simulator: Simulator, person: Person, says: Says
) -> None:
    simulator.register.script(person.number, says)
    asked = simulator.register.asked
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid name birthdate idnum"))
    assert simulator.register.asked == asked + 1
    claims = portal.userinfo(tokens["access_token"]).get_json()
    assert (claims["name"], claims["birthdate"], claims["identification_number"]) == (
        NAME,
        "1991-02-28",
        person.number,
    )
    [event] = events(provider, person)
    assert (event.outcome, event.detail["name"], event.detail["birth"]) == ("confirmed", "match", "match")


ENDINGS = {
    Says.NONE: ("ID-004", "differs", "unknown", "unknown"),
    Says.EMPTY: ("ID-004", "differs", "unknown", "unknown"),
    Says.SEVERAL: ("ID-004", "differs", "unknown", "unknown"),
    Says.DIFFERS: ("ID-004", "differs", "mismatch", "match"),
    Says.DECEASED: ("ID-003", "deceased", "match", "match"),
    Says.LOCKED: ("ID-003", "locked", "match", "match"),
    Says.REPLACED: ("ID-003", "replaced", "match", "match"),
}


@pytest.mark.parametrize("says", ENDINGS)
@pytest.mark.parametrize("has_session", [False, True])
def test_an_answer_that_forbids_ends_the_sign_in_and_tells_nobody_why(
    portal: Portal,
    browser: Browser,
    simulator: Simulator,
    person: Person,
    caplog: pytest.LogCaptureFixture,
    says: Says,
    has_session: bool,
) -> None:
    code, outcome, *compared = ENDINGS[says]
    if has_session:
        portal.arrive(browser, person)
        make_due(person)
    simulator.register.script(person.number, says)
    page = browser.get(portal.address())
    if not has_session:
        page = browser.submit("login-form", number=person.number, password=person.password)
    assert (page.status, page.error_code, page.left_for) == (403, code, None)
    assert portal.provider.session_of(person).ended_at is not None
    event = events(portal.provider, person)[-1]
    assert [event.outcome, event.detail["name"], event.detail["birth"]] == [outcome, *compared]
    # The event knows; page and log do not.
    for value in (person.number, NAME, "Phạm Thị Khác", "1991"):
        assert value not in page.text
        assert not any(value in str(vars(line)) for line in caplog.records)
    refused = Answer(browser.submit("cancel").left_for or "")
    assert (refused["error"], refused["state"]) == ("access_denied", "state-of-the-portal")


def test_every_refusal_of_an_identity_reads_the_same(provider: Provider, portal: Portal, simulator: Simulator) -> None:
    texts = set()
    for says in (Says.NONE, Says.EMPTY, Says.SEVERAL, Says.DIFFERS):
        person = enrol(provider, simulator)
        simulator.register.script(person.number, says)
        make_due(person)
        browser = provider.browser()
        browser.get(portal.address())
        page = browser.submit("login-form", number=person.number, password=person.password)
        texts.add(page.text.replace(page.ids["error-reference"], ""))
    assert len(texts) == 1


@pytest.mark.parametrize("says", [Says.CODE_004, Says.CODE_005, Says.MALFORMED, Says.DOWN, Says.SLOW])
@pytest.mark.parametrize("has_session", [False, True])
def test_whoever_was_matched_signs_in_while_the_register_is_silent(
    portal: Portal,
    browser: Browser,
    simulator: Simulator,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    says: Says,
    has_session: bool,
) -> None:
    if has_session:
        portal.arrive(browser, person)
        make_due(person)
    simulator.register.script(person.number, says)
    if says is Says.SLOW:
        monkeypatch.setattr(verification, "DEADLINE_SECONDS", 0.5)
    began = time.monotonic()
    assert portal.sign_in(browser, person, acr_values="loa2")["acr"] == "loa2"
    assert time.monotonic() - began < 5
    assert events(portal.provider, person)[-1].outcome == "silent"
    # It is left alone about this person for a while.
    asked = simulator.register.asked
    portal.arrive(browser, person)
    assert simulator.register.asked == asked


@pytest.mark.parametrize("says", [Says.CODE_004, Says.MALFORMED, Says.DOWN])
def test_nobody_is_matched_by_a_silence(
    provider: Provider, portal: Portal, browser: Browser, simulator: Simulator, says: Says
) -> None:
    pending = enrol(provider, simulator, says=says)
    assert pending.row().registry_status is RegistryStatus.PENDING
    browser.get(portal.address())
    page = browser.submit("login-form", number=pending.number, password=pending.password)
    assert (page.status, page.error_code) == (503, "ID-005")
    simulator.register.script(pending.number, Says.RECORD)
    make_due(pending)
    assert portal.sign_in(browser, pending)["acr"] == "loa1"


def test_a_number_that_was_replaced_is_taken_over_and_sub_stays(
    provider: Provider, portal: Portal, browser: Browser, simulator: Simulator, person: Person
) -> None:
    simulator.register.script(person.number, Says.RECORD)
    before = portal.sign_in(browser, person)["sub"]
    new = f"979191{next(_serial):06d}"
    simulator.register.script(person.number, Says.REPLACED, replaced_by=new)
    simulator.register.know(Entry(new, NAME, BIRTH))
    make_due(person)
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid idnum"))
    assert portal.claims(tokens)["sub"] == before
    assert portal.userinfo(tokens["access_token"]).get_json()["identification_number"] == new
    # From now on the register is asked about the new number.
    simulator.register.script(person.number, Says.NONE)
    make_due(person)
    assert portal.sign_in(browser, person)["sub"] == before


@pytest.mark.parametrize(("name", "birth", "claim"), [("K'Brếu", "1942", "1942"), ("Y Bhăm Niê", "1942-07", "1942")])
def test_a_name_of_one_word_and_a_year_without_a_day_come_through(
    provider: Provider, portal: Portal, browser: Browser, simulator: Simulator, name: str, birth: str, claim: str
) -> None:
    old = enrol(provider, simulator, name=name, birth=parse(birth))
    make_due(old)
    tokens = portal.tokens(portal.arrive(browser, old, scope="openid name birthdate"))
    claims = portal.userinfo(tokens["access_token"]).get_json()
    assert (claims["name"], claims["birthdate"]) == (name, claim)


def test_a_dead_register_is_known_to_be_dead_and_costs_nothing(
    provider: Provider,
    portal: Portal,
    simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = [enrol(provider, simulator) for _ in range(PATIENCE + 2)]
    monkeypatch.setattr(verification, "DEADLINE_SECONDS", 0.5)
    requests.put(simulator.control, json={"mood": "slow", "seconds": 3}, timeout=5)
    for person in people[:PATIENCE]:
        make_due(person)
        portal.sign_in(provider.browser(), person)
    assert [line for line in caplog.records if line.levelno == logging.ERROR]
    asked = requests.get(simulator.control, timeout=5).json()["asked"]
    for person in people[PATIENCE:]:
        make_due(person)
        assert portal.sign_in(provider.browser(), person)["acr"] == "loa1"
    assert requests.get(simulator.control, timeout=5).json()["asked"] == asked
