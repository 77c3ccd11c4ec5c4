"""The embedded register, and the choice of an adapter."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from idp.citizens.birthdate import parse
from idp.citizens.models import RegistryPerson
from idp.citizens.registry import Outcome, PopulationRegistry, UnknownRegistry, registry
from idp.citizens.registry import table as embedded
from idp.core.database import db
from idp.core.keyring import Purpose
from idp.core.settings import Settings
from tests.unit.citizens.place import Place
from tests.unit.citizens.registry.contract import ALIVE, PEOPLE, RegistryContract, query


class TestTable(RegistryContract):
    """The port's suite on the table."""

    @pytest.fixture
    def register(self, place: Place) -> PopulationRegistry:
        embedded.write(PEOPLE, keyring=place.keyring)
        return place.registry


def test_record_is_replaced_when_written_again(place: Place) -> None:
    embedded.write([ALIVE], keyring=place.keyring)
    embedded.write([replace(ALIVE, birth=parse("1991-03-01"))], keyring=place.keyring)
    assert place.registry.check(query(ALIVE), deadline=5).outcome is Outcome.NEAR
    assert db.session.scalar(sa.select(sa.func.count()).select_from(RegistryPerson)) == 1


def test_newer_record_counts_when_the_index_key_was_rotated(place: Place) -> None:
    embedded.write([ALIVE], keyring=place.keyring)
    rotated = place.with_new_key(Purpose.NUMBER_INDEX)
    assert rotated.registry.check(query(ALIVE), deadline=5).outcome is Outcome.MATCH
    embedded.write([replace(ALIVE, answer=embedded.Answer.LOCKED)], keyring=rotated.keyring)
    assert rotated.registry.check(query(ALIVE), deadline=5).outcome is Outcome.LOCKED


def test_record_is_sealed(place: Place) -> None:
    embedded.write([ALIVE], keyring=place.keyring)
    stored = str(db.session.execute(sa.text("SELECT * FROM registry_person")).all())
    db.session.commit()
    for secret in (ALIVE.number, ALIVE.full_name, "Hoà", "1991"):
        assert secret not in stored


def test_adapter_is_found_by_dotted_name(place: Place) -> None:
    made = registry(Settings(registry="idp.citizens.registry.table.registry"), keyring=place.keyring)
    assert isinstance(made, embedded.TableRegistry)


@pytest.mark.parametrize("name", ["", "tabel", "os.nowhere", "nowhere.at.all"])
def test_adapter_is_refused_when_nobody_has_the_name(place: Place, name: str) -> None:
    with pytest.raises(UnknownRegistry):
        registry(Settings(registry=name), keyring=place.keyring)
