"""Recovery codes: each counts once, whoever sends it, however it is written, and never more than its sheet."""

import re
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.citizens.credentials import recovery, throttle
from idp.citizens.credentials.recovery import Outcome
from idp.citizens.models import RecoveryCode, RecoverySheet
from idp.core import clock
from idp.core.database import db
from idp.core.keyring import Purpose
from idp.notify.models import OwedNotice
from tests.unit.citizens.conftest import Clock
from tests.unit.citizens.place import OTHER_NUMBER, PASSWORD, Place, race

ROUNDS = 25


@pytest.fixture
def citizen_id(place: Place) -> UUID:
    return place.enrol(password=PASSWORD).citizen_id


@pytest.fixture
def codes(place: Place, citizen_id: UUID) -> tuple[str, ...]:
    return given(place, citizen_id)


def given(place: Place, citizen_id: UUID) -> tuple[str, ...]:
    made = recovery.new_codes()
    recovery.store(citizen_id, made, keyring=place.keyring, now=clock.now())
    db.session.commit()
    return made


def check(place: Place, citizen_id: UUID, code: str) -> Outcome:
    return recovery.spend(citizen_id, code, keyring=place.keyring).outcome


def events(event: Event) -> int:
    return db.session.scalar(sa.select(sa.func.count()).where(AuditEvent.name == event.value)) or 0


def owed() -> list[str]:
    return list(db.session.scalars(sa.select(OwedNotice.kind).order_by(OwedNotice.created_at, OwedNotice.id)))


# --- how they are written -----------------------------------------------------------------------------------------


def test_ten_codes_of_eighty_bits_are_made() -> None:
    made = [code for _ in range(50) for code in recovery.new_codes()]
    assert len(recovery.new_codes()) == 10
    assert len(set(made)) == 500
    signs = set("".join(made)) - {"-"}
    assert all(re.fullmatch(r"(?:[0-9A-Z]{3}-){5}[0-9A-Z]{3}", code) for code in made)
    assert len(signs) ** 18 >= 2**80
    # Letters that handwriting confuses, and those that Telex, switched on, makes into others.
    assert not signs & set("OQDILSZBGU" + "AEYW")


@pytest.mark.parametrize(
    "typed",
    [
        "C1H-040-52V-800-16F-JX1",
        "c1h04052v80016fjx1",
        " C1H 040 52V 800 16F JX1 ",
        "C1H.040.52V.800.16F.JX1",
        "C1H\u2013040\u201352V\u2013800\u201316F\u2013JX1",
        "\uff23\uff11\uff28\uff10\uff14\uff10 52V 800 16F JX1",
        "ClH-O4o-szU-BQD-IGF-JXi",
    ],
)
def test_a_code_is_read_however_it_is_written(typed: str) -> None:
    assert recovery.canonical(typed) == "C1H04052V80016FJX1"


@pytest.mark.parametrize(
    "typed", ["", "C1H", "C1H-040-52V-800-16F-JX11", "C1H-040-52V-800-16F-JXA", "é" * 18, "1" * 9999]
)
def test_what_is_no_code_is_read_as_none(typed: str) -> None:
    assert recovery.canonical(typed) == ""


def test_no_code_is_in_the_database(codes: tuple[str, ...], database_url: str) -> None:
    rows = db.session.scalars(sa.select(RecoveryCode.digest)).all()
    assert len(rows) == 10
    plain = {recovery.canonical(code).encode() for code in codes}
    assert all(len(row) == 32 and not any(code in row for code in plain) for row in rows)


# --- that they count once -----------------------------------------------------------------------------------------


def test_each_code_is_accepted_once_and_says_how_many_are_left(
    place: Place, citizen_id: UUID, codes: tuple[str, ...]
) -> None:
    assert recovery.left(citizen_id) == 10
    for number, code in enumerate(codes, start=1):
        result = recovery.spend(citizen_id, code, keyring=place.keyring)
        assert (result.outcome, result.left) == (Outcome.ACCEPTED, 10 - number)
        again = recovery.spend(citizen_id, code, keyring=place.keyring)
        assert (again.outcome, again.is_spent) == (Outcome.REFUSED, True)
    assert recovery.left(citizen_id) == 0
    assert events(Event.RECOVERY_CODE_ACCEPTED) == events(Event.RECOVERY_CODE_REFUSED) == 10
    assert owed() == ["recovery-codes-made"] + ["recovery-code-used"] * 10


def test_a_code_is_nobody_elses(place: Place, citizen_id: UUID, codes: tuple[str, ...]) -> None:
    other = place.enrol(number=OTHER_NUMBER, password=PASSWORD).citizen_id
    given(place, other)
    assert check(place, other, codes[0]) is Outcome.REFUSED
    assert check(place, citizen_id, codes[0]) is Outcome.ACCEPTED


def test_a_row_moved_to_another_account_opens_nothing(place: Place, citizen_id: UUID, codes: tuple[str, ...]) -> None:
    other = place.enrol(number=OTHER_NUMBER, password=PASSWORD).citizen_id
    given(place, other)
    db.session.execute(sa.update(RecoveryCode).values(citizen_id=other))
    db.session.commit()
    assert check(place, other, codes[0]) is Outcome.REFUSED


def test_a_new_sheet_ends_the_old_one(place: Place, citizen_id: UUID, codes: tuple[str, ...]) -> None:
    assert check(place, citizen_id, codes[0]) is Outcome.ACCEPTED
    newer = given(place, citizen_id)
    assert recovery.left(citizen_id) == 10
    assert {check(place, citizen_id, code) for code in codes[:5]} == {Outcome.REFUSED}
    assert check(place, citizen_id, newer[0]) is Outcome.ACCEPTED


def test_removed_codes_open_nothing(place: Place, citizen_id: UUID, codes: tuple[str, ...]) -> None:
    assert recovery.remove(citizen_id, keyring=place.keyring)
    assert not recovery.remove(citizen_id, keyring=place.keyring)
    db.session.commit()
    assert recovery.left(citizen_id) == 0
    assert check(place, citizen_id, codes[0]) is Outcome.REFUSED
    assert owed() == ["recovery-codes-made", "recovery-codes-removed"]


def test_a_sheet_outlives_a_new_pepper(place: Place, citizen_id: UUID, codes: tuple[str, ...]) -> None:
    rotated = place.with_new_key(Purpose.PEPPER)
    assert check(rotated, citizen_id, codes[0]) is Outcome.ACCEPTED
    assert check(rotated, citizen_id, given(rotated, citizen_id)[0]) is Outcome.ACCEPTED


def test_nothing_is_accepted_when_the_citizen_has_no_sheet(place: Place, citizen_id: UUID) -> None:
    assert recovery.left(citizen_id) == 0
    assert check(place, citizen_id, recovery.new_codes()[0]) is Outcome.REFUSED
    assert check(place, citizen_id, "") is Outcome.REFUSED


def send(place: Place, sent: list[tuple[str, str]]) -> list[str]:
    return [recovery.spend(UUID(citizen), code, keyring=place.keyring).outcome.value for citizen, code in sent]


def test_one_process_wins_when_five_send_the_same_codes(
    place: Place, database_url: str, secrets_directory: Path
) -> None:
    citizens = [place.enrol(number=f"9791910001{number:02}").citizen_id for number in range(ROUNDS)]
    sent = [(str(citizen_id), given(place, citizen_id)[0]) for citizen_id in citizens]
    for outcomes in zip(*race(send, database_url, secrets_directory, processes=5, sent=sent), strict=True):
        assert sorted(outcomes) == ["accepted"] + ["refused"] * 4
    assert {recovery.left(citizen_id) for citizen_id in citizens} == {9}
    assert events(Event.RECOVERY_CODE_ACCEPTED) == ROUNDS


def test_one_set_remains_whole_when_five_processes_make_new_ones(
    place: Place, citizen_id: UUID, database_url: str, secrets_directory: Path
) -> None:
    made = race(make, database_url, secrets_directory, processes=5, citizen=str(citizen_id))
    assert recovery.left(citizen_id) == 10
    accepted = [check(place, citizen_id, codes[0]) for codes in made]
    assert accepted.count(Outcome.ACCEPTED) == 1


def make(place: Place, citizen: str) -> list[str]:
    return list(given(place, UUID(citizen)))


# --- guessing -----------------------------------------------------------------------------------------------------

WRONG = "000-000-000-000-000-000"


def test_ten_guesses_are_judged_when_twenty_are_sent_at_once(
    place: Place, citizen_id: UUID, codes: tuple[str, ...], database_url: str, secrets_directory: Path
) -> None:
    answers = race(send, database_url, secrets_directory, processes=5, threads=4, sent=[(str(citizen_id), WRONG)])
    assert sorted(each for [each] in answers) == ["refused"] * 10 + ["throttled"] * 10


def test_series_ends_after_ten_failures_and_opens_after_ten_minutes(
    place: Place, citizen_id: UUID, codes: tuple[str, ...], stopped_clock: Clock
) -> None:
    assert {check(place, citizen_id, WRONG) for _ in range(10)} == {Outcome.REFUSED}
    closed = recovery.spend(citizen_id, codes[0], keyring=place.keyring)
    assert (closed.outcome, closed.retry_after) == (Outcome.THROTTLED, 600)
    stopped_clock.pass_(minutes=10)
    assert check(place, citizen_id, codes[0]) is Outcome.ACCEPTED
    assert db.session.scalars(sa.select(RecoverySheet.failures)).all() == [0]


def test_hundred_failures_disable_the_sheet_until_a_new_one_is_made(
    place: Place, citizen_id: UUID, codes: tuple[str, ...], stopped_clock: Clock
) -> None:
    for _ in range(throttle.DISABLED_AT // 10):
        assert {check(place, citizen_id, WRONG) for _ in range(10)} == {Outcome.REFUSED}
        stopped_clock.pass_(minutes=10)
    assert recovery.left(citizen_id) == 0
    assert check(place, citizen_id, codes[0]) is Outcome.REFUSED
    assert owed() == ["recovery-codes-made", "recovery-codes-disabled"]
    assert events(Event.CREDENTIAL_DISABLED) == 1
    assert check(place, citizen_id, given(place, citizen_id)[0]) is Outcome.ACCEPTED
