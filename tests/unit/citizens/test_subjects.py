"""Pairwise subjects: one for each sector, for ever."""

from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from idp.citizens import subjects
from idp.citizens.models import PairwiseSubject
from idp.citizens.verification import recheck
from idp.core.database import db
from idp.core.keyring import Purpose
from tests.unit.citizens.place import NEW_NUMBER, OTHER_NUMBER, Place, race


def test_subject_differs_by_sector_and_citizen_and_stays(place: Place) -> None:
    one = place.enrol().citizen_id
    other = place.enrol(number=OTHER_NUMBER).citizen_id
    made = {
        (citizen, sector): subjects.subject(citizen, sector, keyring=place.keyring)
        for citizen in (one, other)
        for sector in ("thue.example", "thuvien.example")
    }
    assert len(set(made.values())) == 4
    assert all(len(sub) == 43 for sub in made.values())
    assert all(subjects.subject(*key, keyring=place.keyring) == sub for key, sub in made.items())


def test_subject_stays_when_key_and_number_change(place: Place) -> None:
    citizen_id = place.enrol().citizen_id
    before = subjects.subject(citizen_id, "thue.example", keyring=place.keyring)
    place.enrol(register={"outcome": "replaced", "replaced_by": NEW_NUMBER})
    recheck(citizen_id, settings=place.settings, keyring=place.keyring, registry=place.registry)
    rotated = place.with_new_key(Purpose.SUBJECT)
    assert subjects.subject(citizen_id, "thue.example", keyring=rotated.keyring) == before
    assert subjects.derive(citizen_id, "thue.example", keyring=rotated.keyring) != before


def test_sector_and_citizen_do_not_run_together(place: Place) -> None:
    citizen = UUID(bytes=b"x" * 16)
    made = {subjects.derive(citizen, sector, keyring=place.keyring) for sector in ("a", "ax", "axx", "ă")}
    assert len(made) == 4


def name(place: Place, citizen: str) -> str:
    return subjects.subject(UUID(citizen), "thue.example", keyring=place.keyring)


def test_one_subject_is_given_when_eight_processes_ask_first(
    place: Place, database_url: str, secrets_directory: Path
) -> None:
    citizen_id = place.enrol().citizen_id
    answers = race(name, database_url, secrets_directory, processes=4, threads=2, citizen=str(citizen_id))
    assert len(answers) == 8
    assert set(answers) == set(db.session.scalars(sa.select(PairwiseSubject.sub)))
