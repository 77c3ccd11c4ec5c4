"""A person's own key: it alone opens what is kept about them, old values stay readable, and erasing is for good."""

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm.exc import StaleDataError

from idp.audit.models import AuditEvent
from idp.citizens import person_key
from idp.citizens.claims import profile_of
from idp.citizens.credentials import totp
from idp.citizens.lookup import current_number, find_number
from idp.citizens.models import Citizen, CitizenNumber, TotpCredential, number_place, profile_place
from idp.core.database import db
from idp.core.keyring import Keyring, Place, Purpose, SealBroken, is_under_own_key
from idp.core.settings import Settings
from idp.ops.reseal import reseal
from tests.unit.citizens.place import NUMBER, SECRET
from tests.unit.citizens.place import Place as Stand


@pytest.fixture
def person(place: Stand) -> UUID:
    return place.enrol(totp_secret=SECRET, level="loa3").citizen_id


def citizen(person: UUID) -> Citizen:
    return db.session.get_one(Citizen, person, populate_existing=True)


def every_value(person: UUID) -> list[tuple[Place, str]]:
    """Return every sealed value about a person, and where it lies."""
    return [
        (Place(table.name, column.name, row.id.hex), row.value)
        for table, column, owner in person_key.sealed()
        for row in db.session.execute(
            sa.select(table.c.id, column.label("value")).where(owner == person, column.is_not(None))
        )
    ]


def without_own_keys(place: Stand) -> Keyring:
    """Return the keyring as a worker has it beside which older ones still run."""
    ring = place.keyring
    keys = {each: tuple(ring.key(each, key_id) for key_id in ring.key_ids(each)) for each in Purpose}
    return Keyring(keys, gives_own_keys=False)


def test_everything_about_a_person_is_under_their_own_key(person: UUID) -> None:
    for table, column, owner in person_key.sealed():
        values = db.session.scalars(sa.select(column).where(owner == person, column.is_not(None))).all()
        assert all(is_under_own_key(value) for value in values), table


def test_value_opens_with_its_persons_key_at_its_place_alone(place: Stand, person: UUID) -> None:
    other = place.enrol(number="979191000002").citizen_id
    sealed = citizen(person).profile
    with pytest.raises(SealBroken):
        place.keyring.unseal(sealed, profile_place(person))
    with pytest.raises(SealBroken):
        person_key.of(citizen(other), place.keyring).unseal(sealed, profile_place(person))
    with pytest.raises(SealBroken):
        person_key.of(citizen(person), place.keyring).unseal(sealed, profile_place(other))
    # Somebody else's wrapped key does not unwrap in this row.
    moved = person_key.PersonKey(person, citizen(other).data_key, place.keyring)
    with pytest.raises(SealBroken):
        moved.unseal(sealed, profile_place(person))
    assert SECRET not in repr(person_key.of(citizen(person), place.keyring))


def test_person_from_before_there_were_keys_is_read_and_brought_under_one(place: Stand) -> None:
    old = Stand(place.settings, without_own_keys(place), place.registry, place.hot_path)
    person = old.enrol(totp_secret=SECRET, level="loa3").citizen_id
    assert citizen(person).data_key is None
    assert citizen(person).profile.startswith("v1.")
    # A worker of this release reads it, and what it seals next goes under a key.
    assert profile_of(citizen(person), place.keyring).number == NUMBER
    assert totp.verify(person, totp.current_code(SECRET), keyring=place.keyring).outcome is totp.Outcome.ACCEPTED
    place.enrol(full_name="Nguyễn Thị Hòa", email="hoa@thu.example")
    assert is_under_own_key(citizen(person).profile)
    assert profile_of(citizen(person), place.keyring).claims["email"] == "hoa@thu.example"
    number = current_number(person)
    assert number is not None
    assert number.number.startswith("v1.")
    db.session.rollback()
    assert {bite.place for bite in reseal(place.keyring)} >= {"citizen_number.number", "totp_credential.secret"}
    number = current_number(person)
    assert number is not None
    assert person_key.read(person, keyring=place.keyring).unseal(number.number, number_place(number.id)) == NUMBER
    assert list(reseal(place.keyring)) == []


def test_worker_that_may_not_give_keys_still_uses_them(place: Stand, person: UUID) -> None:
    old = Stand(place.settings, without_own_keys(place), place.registry, place.hot_path)
    old.enrol(email="hoa@thu.example")
    assert is_under_own_key(citizen(person).profile)
    assert profile_of(citizen(person), place.keyring).claims["email"] == "hoa@thu.example"


def test_nothing_about_a_person_opens_once_the_key_is_destroyed_and_the_events_stay(place: Stand, person: UUID) -> None:
    copies = every_value(person)
    wrapped = citizen(person).data_key
    events = db.session.scalars(sa.select(AuditEvent.id).order_by(AuditEvent.id)).all()
    assert len(copies) == 3
    person_key.destroy(person)
    db.session.commit()
    assert db.session.scalars(sa.select(AuditEvent.id).order_by(AuditEvent.id)).all() == events
    assert events
    key = person_key.read(person, keyring=place.keyring)
    for where, sealed in copies:
        for opener in (key, place.keyring):
            with pytest.raises(SealBroken):
                opener.unseal(sealed, where)
    assert all(not sealed for _, sealed in every_value(person))
    assert wrapped not in [value for row in db.session.execute(sa.select(Citizen.__table__)) for value in row]
    with pytest.raises(SealBroken):
        profile_of(citizen(person), place.keyring)


def test_values_from_before_the_key_do_not_open_either(place: Stand) -> None:
    old = Stand(place.settings, without_own_keys(place), place.registry, place.hot_path)
    person = old.enrol().citizen_id
    copy = citizen(person).profile
    person_key.destroy(person)
    db.session.commit()
    with pytest.raises(SealBroken):
        person_key.read(person, keyring=place.keyring).unseal(copy, profile_place(person))
    assert list(reseal(place.keyring)) == []
    assert citizen(person).profile == ""


def test_nobody_writes_an_erased_person_back(place: Stand, person: UUID) -> None:
    loaded = citizen(person)
    loaded_version = loaded.version
    db.session.commit()
    with db.engine.begin() as elsewhere:
        elsewhere.execute(sa.update(Citizen.__table__).values(data_key="", profile="", version=loaded_version + 1))
    loaded.profile = "v2.anything"
    with pytest.raises(StaleDataError):
        db.session.commit()
    db.session.rollback()
    with pytest.raises(SealBroken):
        person_key.ensure(person, keyring=place.keyring).seal("x", Place("citizen", "profile", person.hex))


def test_erased_persons_key_is_never_given_again(place: Stand, person: UUID) -> None:
    person_key.destroy(person)
    db.session.commit()
    with pytest.raises(SealBroken):
        person_key.ensure(person, keyring=place.keyring).seal("x", profile_place(person))


def test_setting_off_gives_nobody_a_key(place: Stand) -> None:
    assert Settings().person_keys
    ring = without_own_keys(place)
    assert person_key.new(UUID(int=1), ring) is None


def test_number_is_found_while_its_value_is_under_the_persons_key(place: Stand, person: UUID) -> None:
    found: Any = find_number("vn-pin", NUMBER, keyring=place.keyring)
    assert found.citizen_id == person
    assert db.session.scalar(sa.select(sa.func.count()).select_from(CitizenNumber)) == 1
    assert db.session.scalar(sa.select(sa.func.count()).select_from(TotpCredential)) == 1
