"""Keys change while people sign in: nobody is turned away, old keys end with nothing left, and can then be retired."""

import multiprocessing
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.citizens import person_key
from idp.citizens.models import Citizen, CitizenNumber, RegistryPerson, number_place
from idp.citizens.registry import table as register
from idp.core import key_files, keyring
from idp.core.database import db
from idp.core.keyring import Keyring, Purpose
from idp.notify import notices
from idp.ops import housekeeping, sealed
from idp.ops.reseal import reseal
from idp.sso.models import Interaction
from tests.browser import Browser
from tests.provider import PASSWORD, Person, Portal, Provider, provider_at

ROTATED = (Purpose.DATA, Purpose.SIGNING, Purpose.NUMBER_INDEX, Purpose.PEPPER, Purpose.FORM, Purpose.TOKEN)


@pytest.fixture
def whole(migrated_database_url: str, tmp_path: Path) -> Iterator[Provider]:
    """Yield a whole provider on a database of its own."""
    with provider_at(migrated_database_url, tmp_path / "secrets") as made:
        yield made


def needed(provider: Provider, purpose: Purpose, key_id: str = "k1") -> dict[str, int]:
    """Return where stored values that will not go by themselves still need a key."""
    with provider.app.app_context():
        places = sealed.needed()[purpose].get(key_id, {})
    return {place: count for place, count in places.items() if not sealed.expires(place)}


def _sign_in(url: str, secrets: Path, portal: dict[str, Any], people: list[tuple[UUID, str]], pipe: Connection) -> None:
    """Sign people in again and again; begin anew with the keyring as it is when told to, and say how it went."""
    done, failures = 0, []
    with ExitStack() as running:
        provider = running.enter_context(provider_at(url, secrets, hash_workers=1))
        pipe.send("ready")
        while True:
            for person_id, number in people:
                try:
                    one = Portal(
                        provider, portal["client_id"], portal, portal["redirect_uris"][0], portal["client_secret"]
                    )
                    person = Person(provider, person_id, number, "Nguyễn Thị Hoà")
                    browser = Browser(provider.app, provider.settings.issuer)
                    for who in (person, None):
                        tokens = one.tokens(one.arrive(browser, who, scope="openid name"))
                        assert one.userinfo(tokens["access_token"]).get_json()["name"] == "Nguyễn Thị Hoà"
                    done += 1
                except Exception as failure:  # whatever it is: the parent judges
                    failures.append(f"{type(failure).__name__}: {failure}")
            if pipe.poll():
                order = pipe.recv()
                if order == "restart":
                    running.pop_all().close()
                    provider = running.enter_context(provider_at(url, secrets, hash_workers=1))
                pipe.send((order, done, failures))
                if order == "stop":
                    return


class Workers:
    """Two processes that sign people in."""

    def __init__(self, provider: Provider) -> None:
        portal = provider.portal(scope="openid name")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._pipes, self._processes = [], []
        for _ in range(2):
            people = [(one.id, one.number) for one in (provider.citizen(totp=False, level="loa1") for _ in range(2))]
            here, there = context.Pipe()
            arguments = (provider.url, provider.settings.secrets_dir, dict(portal.document), people, there)
            process = context.Process(target=_sign_in, args=arguments)
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)
        for pipe in self._pipes:
            assert pipe.poll(60)
            assert pipe.recv() == "ready"

    def tell(self, order: str) -> int:
        """Give an order to one after the other, while the other goes on; return how many sign-ins there were."""
        total = 0
        for pipe in self._pipes:
            pipe.send(order)
            assert pipe.poll(120)
            _, done, failures = pipe.recv()
            assert failures == []
            total += done
        return total

    def end(self) -> None:
        """End both, whatever they do."""
        for process in self._processes:
            process.join(0.1)
            if process.is_alive():
                process.kill()
                process.join()


@pytest.mark.slow
def test_keys_rotate_while_people_sign_in_and_nobody_is_turned_away(whole: Provider) -> None:
    directory = whole.settings.secrets_dir
    workers = Workers(whole)
    try:
        for purpose in ROTATED:
            key_files.prepare(directory, purpose)
        workers.tell("restart")
        for purpose in ROTATED:
            key_files.promote(directory, purpose, "k2")
        # In between one writes with the new keys and the other with the old ones.
        workers.tell("restart")
        assert needed(whole, Purpose.DATA)
        assert needed(whole, Purpose.NUMBER_INDEX)
        ring = keyring.load(directory, is_production=True)
        with whole.app.app_context():
            changed = {bite.place for bite in reseal(ring, bite=2)}
            assert {"citizen.data_key", "citizen_number.number_index", "signing_key.private"} <= changed
            assert list(reseal(ring)) == []
        assert workers.tell("look") >= 4
        total = workers.tell("stop")
    finally:
        workers.end()
    assert total > 4
    for purpose in (Purpose.DATA, Purpose.SIGNING, Purpose.NUMBER_INDEX, Purpose.PEPPER):
        assert needed(whole, purpose) == {}, purpose
        assert needed(whole, purpose, "k2"), purpose
        key_files.retire(directory, purpose, "k1")
    # A provider that knows the new keys alone serves everybody.
    portal = whole.portal(scope="openid name")
    with provider_at(whole.url, directory) as after:
        assert after.services.keyring.key_ids(Purpose.DATA) == ("k2",)
        [person] = whole.scalars(sa.select(Citizen.id).order_by(Citizen.id).limit(1))
        [sealed_number] = whole.scalars(sa.select(CitizenNumber).where(CitizenNumber.citizen_id == person))
        with after.app.app_context():
            key = person_key.read(person, keyring=after.services.keyring)
            number = key.unseal(sealed_number.number, number_place(sealed_number.id))
        one = Portal(after, portal.client_id, portal.document, portal.redirect_uri, portal.secret)
        tokens = one.tokens(
            one.arrive(after.browser(), Person(after, person, number, "", PASSWORD), scope="openid name")
        )
        assert one.userinfo(tokens["access_token"]).get_json()["name"] == "Nguyễn Thị Hoà"


def rotated(provider: Provider, *purposes: Purpose) -> Keyring:
    """Return the keyring with a new writing key for each purpose."""
    directory = provider.settings.secrets_dir
    for purpose in purposes:
        key_files.promote(directory, purpose, key_files.prepare(directory, purpose))
    return keyring.load(directory, is_production=True)


def test_what_changed_meanwhile_is_not_undone(whole: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    person = whole.citizen(totp=False)
    ring = rotated(whole, Purpose.DATA)
    before = sealed.slices

    def slow_slices(chosen: sa.Table, *columns: Any, **more: Any) -> Iterator[Any]:
        for rows in before(chosen, *columns, **more):
            if chosen.name == "citizen":
                # Between the look and the write somebody erases the person.
                db.session.execute(sa.update(Citizen).where(Citizen.id == person.id).values(data_key="", profile=""))
                db.session.commit()
            yield rows

    monkeypatch.setattr(sealed, "slices", slow_slices)
    with whole.app.app_context():
        assert "citizen.data_key" not in {bite.place for bite in reseal(ring)}
    row = person.row()
    assert (row.data_key, row.profile) == ("", "")


def test_interrupted_run_goes_on_where_it_was(whole: Provider) -> None:
    people = [whole.citizen(totp=False) for _ in range(3)]
    ring = rotated(whole, Purpose.DATA)
    with whole.app.app_context():
        run = reseal(ring, bite=1)
        assert next(run).count == 1
        run.close()
        assert needed(whole, Purpose.DATA)["citizen.data_key"] == len(people) - 1
        counts = [bite.count for bite in reseal(ring, bite=2) if bite.place == "citizen.data_key"]
    assert sum(counts) == len(people) - 1
    events = whole.scalars(sa.select(AuditEvent.detail).where(AuditEvent.name == Event.SECRETS_RESEALED))
    assert sum(event["values"] for event in events if event["column"] == "citizen.data_key") == len(people)


def test_notices_and_register_are_made_anew_and_requests_go_by_themselves(whole: Provider) -> None:
    person, portal = whole.citizen(totp=False), whole.portal()
    whole.browser().get(portal.address())
    with whole.app.app_context():
        notices.owe(person.id, notices.Notice.NEW_AGENCY, keyring=whole.services.keyring, agency={"vi": "Cơ quan"})
        db.session.commit()
    ring = rotated(whole, Purpose.DATA, Purpose.NUMBER_INDEX)
    with whole.app.app_context():
        # The same person in the register, written anew before the old record was.
        known = register.Person("vn-pin", person.number, "Nguyễn Thị Hoà", register.BirthDate(1991, 2, 28))
        register.write([known], keyring=ring)
        changed = {bite.place for bite in reseal(ring)}
        assert "notice.facts" in changed
        assert db.session.scalar(sa.select(sa.func.count()).select_from(RegistryPerson)) == 1
        db.session.rollback()
    assert needed(whole, Purpose.DATA) == {}
    assert needed(whole, Purpose.NUMBER_INDEX) == {}
    whole.age(Interaction, sa.true(), days=3)
    with whole.app.app_context():
        housekeeping.delete_expired()
        assert sealed.needed()[Purpose.DATA].get("k1", {}) == {}


def test_every_column_that_says_it_is_sealed_is_counted() -> None:
    counted = {(table.name, column.name) for table, column in sealed.sealed_columns()}
    said = {
        (table.name, column.name)
        for table in db.metadata.tables.values()
        for column in table.columns
        if (column.doc or "").startswith("Sealed")
    }
    assert said
    assert said <= counted


def test_the_register_answers_under_the_new_index(whole: Provider) -> None:
    person = whole.citizen(totp=False)
    ring = rotated(whole, Purpose.NUMBER_INDEX)
    with whole.app.app_context():
        assert list(reseal(ring))
        key_files.retire(whole.settings.secrets_dir, Purpose.NUMBER_INDEX, "k1")
        alone = keyring.load(whole.settings.secrets_dir, is_production=True)
        found = register.TableRegistry(alone)._find("vn-pin", person.number)
    assert found is not None
    assert found.full_name == person.full_name
