"""Accounts from documents: all or nothing, again and again, never more than the register confirms."""

from typing import Any

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens import claims
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.birthdate import parse
from idp.citizens.credentials import means_of
from idp.citizens.documents import DocumentsRefused, Row
from idp.citizens.enrolment import EnrolmentResult, import_documents
from idp.citizens.lookup import current_number, find_number
from idp.citizens.models import Citizen, CitizenNumber, CitizenState, RegistryPerson
from idp.citizens.numbers import VN_PIN
from idp.citizens.registry.table import Answer, Person, write
from idp.core.database import Model, db
from idp.core.keyring import Purpose
from idp.core.levels import Method
from idp.core.settings import Profile as RunProfile
from tests.unit.citizens.place import NEW_NUMBER, NUMBER, OTHER_NUMBER, PASSWORD, SECRET, Place, document


def everything(place: Place, *documents: dict[str, Any]) -> tuple[EnrolmentResult, ...]:
    rows = [Row(f"row {number}", members) for number, members in enumerate(documents, start=1)]
    return import_documents(rows, settings=place.settings, keyring=place.keyring, registry=place.registry)


def profile(place: Place, result: EnrolmentResult) -> claims.Profile:
    citizen = db.session.get_one(Citizen, result.citizen_id, populate_existing=True)
    return claims.profile_of(citizen, place.keyring)


def count(table: type[Model]) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def events(name: str) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(AuditEvent).where(AuditEvent.name == name)) or 0


@pytest.mark.parametrize(
    ("level", "proofing"),
    [(None, Proofing.MATCHED), ("loa1", Proofing.MATCHED), ("LoA2", Proofing.BOUND), ("eidas3", Proofing.BOUND)],
)
def test_identity_is_proven_as_the_document_says_when_the_register_matches(
    place: Place, level: str | None, proofing: Proofing
) -> None:
    result = place.enrol(level=level)
    assert (result.is_new, result.proofing, result.registry_status) == (True, proofing, RegistryStatus.ACTIVE)
    assert db.session.get_one(Citizen, result.citizen_id).state is CitizenState.ACTIVE


@pytest.mark.parametrize(
    ("outcome", "status", "proofing"),
    [
        ("deceased", RegistryStatus.DECEASED, Proofing.BOUND),
        ("locked", RegistryStatus.LOCKED, Proofing.BOUND),
        ("not_found", RegistryStatus.NOT_FOUND, Proofing.CONSISTENT),
        ("mismatch", RegistryStatus.MISMATCH, Proofing.CONSISTENT),
        ("silent", RegistryStatus.PENDING, Proofing.CONSISTENT),
    ],
)
def test_account_gets_no_more_than_the_register_says(
    place: Place, outcome: str, status: RegistryStatus, proofing: Proofing
) -> None:
    result = place.enrol(level="loa2", register={"outcome": outcome})
    assert (result.registry_status, result.proofing) == (status, proofing)


def test_number_and_person_that_disagree_are_only_well_formed_when_the_register_is_silent(place: Place) -> None:
    result = place.enrol(birthdate="1990-02-28", register={"outcome": "silent"})
    assert result.proofing is Proofing.WELL_FORMED


def test_spelling_of_the_register_wins_when_accents_differ(place: Place) -> None:
    result = place.enrol(
        full_name="Nguyen Thi Hoa",
        family_name="Nguyen",
        given_name="Hoa",
        birthdate="1991-02-28",
        register={"full_name": "Nguyễn Thị Hoà", "birthdate": "1991"},
    )
    known = profile(place, result)
    assert (known.full_name, known.claims["birthdate"]) == ("Nguyễn Thị Hoà", "1991")
    assert "given_name" not in known.claims
    assert result.outcome.value == "rectified"


def test_everything_given_is_a_claim(place: Place) -> None:
    result = place.enrol(
        email="hoa@thu.example",
        email_verified=True,
        phone_number="030 123 4567",
        locale="vi-VN",
        zoneinfo="Asia/Ho_Chi_Minh",
    )
    known = dict(profile(place, result).claims)
    assert isinstance(known.pop("updated_at"), int)
    assert known == {
        "name": "Nguyễn Thị Hoà",
        "birthdate": "1991-02-28",
        "gender": "female",
        "email": "hoa@thu.example",
        "email_verified": True,
        "phone_number": "+84301234567",
        "locale": "vi-VN",
        "zoneinfo": "Asia/Ho_Chi_Minh",
        "identification_number": NUMBER,
        "identification_number_scheme": VN_PIN,
    }
    assert db.session.get_one(Citizen, result.citizen_id).locale == "vi-VN"


def test_credentials_are_usable_when_the_document_has_them(place: Place) -> None:
    assert means_of(place.enrol().citizen_id) == frozenset()
    assert means_of(place.enrol(password=PASSWORD).citizen_id) == {Method.PASSWORD}
    both = {Method.PASSWORD, Method.ONE_TIME_CODE}
    assert means_of(place.enrol(totp_secret=SECRET).citizen_id) == both


def test_second_import_changes_nothing_when_the_document_is_the_same(place: Place) -> None:
    first = place.enrol(level="loa2", email="hoa@thu.example")
    before = profile(place, first)
    second = place.enrol(level="loa2", email="hoa@thu.example")
    assert (second.citizen_id, second.is_new) == (first.citizen_id, False)
    assert profile(place, second) == before
    assert (count(Citizen), count(CitizenNumber), count(RegistryPerson)) == (1, 1, 1)
    assert (events("citizens:citizen:enrolled"), events("citizens:citizen:updated")) == (1, 0)


def test_second_import_updates_when_the_document_changed(place: Place) -> None:
    first = place.enrol(level="loa2", email="hoa@thu.example", nickname="Hoà")
    second = place.enrol(email="moi@thu.example")
    known = profile(place, second).claims
    assert second.citizen_id == first.citizen_id
    assert known["email"] == "moi@thu.example"
    assert "nickname" not in known
    # A document that says no level takes none away.
    assert second.proofing is Proofing.BOUND
    assert events("citizens:citizen:updated") == 1


def test_level_goes_down_when_a_document_says_so(place: Place) -> None:
    place.enrol(level="loa2")
    assert place.enrol(level="loa1").proofing is Proofing.MATCHED


def test_account_keeps_what_was_proven_when_the_register_is_silent_at_the_next_import(place: Place) -> None:
    place.enrol(level="loa2", full_name="Nguyen Thi Hoa", register={"full_name": "Nguyễn Thị Hoà"})
    again = place.enrol(level="loa2", full_name="Nguyen Thi Hoa", register={"outcome": "silent"})
    assert (again.proofing, again.registry_status) == (Proofing.BOUND, RegistryStatus.ACTIVE)
    assert profile(place, again).full_name == "Nguyễn Thị Hoà"


def test_level_is_not_raised_by_a_file_alone_when_the_register_is_silent(place: Place) -> None:
    place.enrol(level="loa1")
    again = place.enrol(level="loa2", register={"outcome": "silent"})
    assert again.proofing is Proofing.MATCHED


def test_other_name_proves_nothing_when_the_register_is_silent(place: Place) -> None:
    place.enrol(level="loa2")
    again = place.enrol(level="loa2", full_name="Trần Thị Lan", register={"outcome": "silent"})
    assert (again.proofing, again.registry_status) == (Proofing.CONSISTENT, RegistryStatus.PENDING)


def test_new_number_is_current_when_the_register_replaced_it(place: Place) -> None:
    script = {"outcome": "replaced", "replaced_by": "979 191 000 003"}
    first = place.enrol(register=script)
    assert (first.outcome.value, first.registry_status) == ("replaced", RegistryStatus.ACTIVE)
    current, former = current_number(first.citizen_id), find_number(VN_PIN, NUMBER, keyring=place.keyring)
    assert current is not None
    assert former is not None
    assert (former.citizen_id, former.replaced_by_id) == (first.citizen_id, current.id)
    assert former.valid_to is not None
    assert profile(place, first).number == NEW_NUMBER
    again = place.enrol(register=script)
    assert (again.citizen_id, again.registry_status) == (first.citizen_id, RegistryStatus.ACTIVE)
    assert profile(place, again).number == NEW_NUMBER
    assert (count(CitizenNumber), events("citizens:number:replaced")) == (2, 1)


def test_new_number_is_refused_when_somebody_else_has_it(place: Place) -> None:
    place.enrol(number=NEW_NUMBER, full_name="Trần Văn Minh", gender=None)
    result = place.enrol(register={"outcome": "replaced", "replaced_by": NEW_NUMBER})
    assert result.registry_status is RegistryStatus.REPLACED
    assert profile(place, result).number == NUMBER


def test_nobody_is_imported_when_one_row_is_wrong(place: Place) -> None:
    with pytest.raises(DocumentsRefused, match=r"row 2: birthdate: must be a date"):
        everything(place, document(), document(number=OTHER_NUMBER, birthdate="1991-02-30"))
    assert (count(Citizen), count(RegistryPerson), count(AuditEvent)) == (0, 0, 0)


def test_nobody_is_imported_when_the_database_fails_half_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from idp.citizens import enrolment

    whole = enrolment._write
    monkeypatch.setattr(
        enrolment, "_write", lambda each, **given: whole(each, **given) if each.document.number == NUMBER else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        everything(place, document(), document(number=OTHER_NUMBER))
    assert (count(Citizen), count(CitizenNumber), count(AuditEvent)) == (0, 0, 0)


def test_everybody_is_imported_when_all_rows_are_right(place: Place) -> None:
    results = everything(place, document(), document(number=OTHER_NUMBER))
    assert [result.is_new for result in results] == [True, True]


def test_citizen_is_found_when_the_index_key_was_rotated(place: Place) -> None:
    first = place.enrol()
    rotated = place.with_new_key(Purpose.NUMBER_INDEX)
    again = rotated.enrol()
    assert again.citizen_id == first.citizen_id
    assert db.session.scalars(sa.select(CitizenNumber.index_key_id)).all() == ["k2"]


def test_production_import_enrols_by_the_register(place: Place) -> None:
    number = "079191000001"
    settings = place.settings.model_copy(update={"profile": RunProfile.PRODUCTION})
    production = Place(settings, place.keyring, place.registry, place.hot_path)
    write([Person(VN_PIN, number, "Nguyễn Thị Hoà", parse("1991-02-28"), answer=Answer.MATCH)], keyring=place.keyring)
    result = production.enrol(number=number)
    assert (result.proofing, result.registry_status) == (Proofing.MATCHED, RegistryStatus.ACTIVE)
    assert count(RegistryPerson) == 1
