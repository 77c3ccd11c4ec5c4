"""Codes that prove an address: each counts once, in one place, for one purpose, and guessing is bounded everywhere."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens import contact_proofs
from idp.citizens.contact_forms import ContactRefused
from idp.citizens.contact_proofs import Begun, Channel, Checked, Outcome, Purpose, Throttled
from idp.citizens.models import ContactProof, CredentialThrottle
from idp.core.database import db
from idp.core.ids import new_id
from idp.notify.models import OwedNotice
from tests.codes import messages
from tests.unit.citizens.conftest import Clock
from tests.unit.citizens.place import Place, race

MAIL = "hoa@thu.example"
HERE = UUID(int=7)


def begin(place: Place, bound_to: UUID = HERE, purpose: Purpose = Purpose.ENROL, **changes: Any) -> Begun | Throttled:
    asked = {"channel": Channel.MAIL, "target": MAIL, "language": "vi", "address": "192.0.2.7", **changes}
    return contact_proofs.begin(bound_to, purpose, keyring=place.keyring, **asked)


def check(place: Place, code: str, bound_to: UUID = HERE, purpose: Purpose = Purpose.ENROL) -> Checked:
    return contact_proofs.check(bound_to, purpose, code, keyring=place.keyring)


def codes(place: Place) -> list[str]:
    return [code for _, _, code in messages(place.keyring)]


def other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


@pytest.fixture(autouse=True)
def _everything_on_one_clock(stopped_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_proofs, "database_now", stopped_clock.now)


@pytest.mark.parametrize("form", ["{0}", "{1} {2}", "{1}-{2} "])
def test_code_proves_the_address_once(place: Place, form: str) -> None:
    assert begin(place, channel=Channel.SMS, target="0912 345 678") == Begun(10)
    [(channel, address, code)] = messages(place.keyring)
    assert (channel, address, len(code)) == ("sms", "+84912345678", 6)
    typed = form.format(code, code[:3], code[3:])
    assert check(place, typed) == Checked(Outcome.ACCEPTED, Channel.SMS, "+84912345678")
    assert check(place, typed).outcome is Outcome.LATE


def test_second_half_of_a_double_click_leaves_the_code_that_is_on_its_way(place: Place, stopped_clock: Clock) -> None:
    assert begin(place) == begin(place) == Begun(10)
    [code] = codes(place)
    stopped_clock.pass_(seconds=3)
    begin(place, target="khac@thu.example")
    begin(place)
    # Asked for again, or for another address, there is a new one; the last counts.
    assert len(codes(place)) == 3
    assert check(place, code).outcome is Outcome.REFUSED
    assert check(place, codes(place)[-1]).outcome is Outcome.ACCEPTED


def test_code_is_worth_nothing_elsewhere_or_for_another_purpose(place: Place) -> None:
    begin(place)
    [code] = codes(place)
    assert check(place, code, bound_to=UUID(int=8)).outcome is Outcome.LATE
    assert check(place, code, purpose=Purpose.RESET).outcome is Outcome.LATE
    begin(place, bound_to=UUID(int=8))
    assert check(place, code, bound_to=UUID(int=8)).outcome is Outcome.REFUSED
    assert check(place, code).outcome is Outcome.ACCEPTED


def test_new_code_replaces_the_old_one(place: Place) -> None:
    begin(place)
    begin(place, target="khac@thu.example")
    first, second = codes(place)
    if first != second:
        assert check(place, first).outcome is Outcome.REFUSED
    assert check(place, second).target == "khac@thu.example"


def test_code_is_over_after_ten_minutes(place: Place, stopped_clock: Clock) -> None:
    begin(place)
    [code] = codes(place)
    stopped_clock.pass_(minutes=10, seconds=1)
    assert check(place, code).outcome is Outcome.LATE


def test_tries_are_counted_over_new_codes_of_one_place(place: Place, stopped_clock: Clock) -> None:
    begin(place)
    for number in range(10):
        if number == 5:
            begin(place)
        assert check(place, other(codes(place)[-1])).outcome is Outcome.REFUSED
    right = codes(place)[-1]
    throttled = check(place, right)
    assert (throttled.outcome, throttled.target) == (Outcome.THROTTLED, None)
    assert 0 < (throttled.retry_after or 0) <= 600
    stopped_clock.pass_(minutes=10, seconds=1)
    begin(place)
    assert check(place, codes(place)[-1]).outcome is Outcome.ACCEPTED


def test_tries_are_counted_over_all_places_of_one_address(place: Place, stopped_clock: Clock) -> None:
    judged = 0
    for number in range(8):
        stopped_clock.pass_(minutes=11)
        begin(place, bound_to=UUID(int=number))
        wrong = other(codes(place)[-1])
        judged += sum(check(place, wrong, bound_to=UUID(int=number)).outcome is Outcome.REFUSED for _ in range(10))
    assert judged == 50
    begin(place, target="khac@thu.example")
    assert check(place, codes(place)[-1]).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("most", "changing"),
    [(5, "target"), (5, "bound_to"), (50, "target bound_to")],
    ids=["one place", "one address", "one network"],
)
def test_messages_are_bounded(place: Place, stopped_clock: Clock, most: int, changing: str) -> None:
    def send(number: int) -> Begun | Throttled:
        values = {"target": f"h{number}@thu.example", "bound_to": UUID(int=number)}
        return begin(place, **{name: value for name, value in values.items() if name in changing.split()})

    assert {send(number) for number in range(most)} == {Begun(10)}
    refused = send(most)
    assert isinstance(refused, Throttled)
    assert 0 < refused.retry_after <= 600
    assert len(codes(place)) == most
    stopped_clock.pass_(minutes=10, seconds=1)
    assert send(most) == Begun(10)


def test_nobody_gets_the_same_rows_and_no_code_is_right(place: Place) -> None:
    for number in range(5):
        assert contact_proofs.begin_for_nobody(
            HERE,
            Purpose.RESET,
            Channel.MAIL,
            language="vi",
            address=f"192.0.2.{number}",
            keyring=place.keyring,
            counted_as="stand-in",
        ) == Begun(10)
    assert codes(place) == []
    rows = db.session.scalars(sa.select(OwedNotice)).all()
    assert {(row.state, row.outcome, row.recipient, row.facts) for row in rows} == {("not sent", "nobody", None, "")}
    codes_tried = [f"{number:06d}" for number in range(11)]
    tried = [
        contact_proofs.check(HERE, Purpose.RESET, code, keyring=place.keyring, counted_as="stand-in").outcome
        for code in codes_tried
    ]
    assert tried == [Outcome.REFUSED] * 10 + [Outcome.THROTTLED]
    again = contact_proofs.begin_for_nobody(
        UUID(int=9),
        Purpose.RESET,
        Channel.MAIL,
        language="vi",
        address="192.0.2.9",
        keyring=place.keyring,
        counted_as="stand-in",
    )
    assert isinstance(again, Throttled)


def test_rows_hold_neither_address_nor_code(place: Place) -> None:
    begin(place, agency={"vi": "Cục Thuế"})
    [code] = codes(place)
    stored = ""
    for model in (ContactProof, OwedNotice, CredentialThrottle, AuditEvent):
        for row in db.session.scalars(sa.select(model)):
            stored += repr({column.name: getattr(row, column.name) for column in model.__table__.columns})
    assert "thu.example" not in stored
    assert "Thuế" not in stored
    [proof] = db.session.scalars(sa.select(ContactProof))
    assert code.encode() not in proof.code_digest


def test_every_step_is_on_record(place: Place) -> None:
    citizen_id = new_id()
    begin(place, citizen_id=citizen_id)
    [code] = codes(place)
    check(place, other(code))
    check(place, code)
    chosen = sa.select(AuditEvent).where(AuditEvent.citizen_id == citizen_id).order_by(AuditEvent.id)
    assert [(event.name, event.detail) for event in db.session.scalars(chosen)] == [
        (f"citizens:proof:{step}", {"purpose": "enrol", "channel": "mail"}) for step in ("sent", "refused", "accepted")
    ]


def test_nothing_happens_for_an_address_that_is_none(place: Place) -> None:
    with pytest.raises(ContactRefused):
        begin(place, target="hoa")
    assert db.session.scalars(sa.select(CredentialThrottle)).all() == []


def _check(place: Place, code: str) -> str:
    return check(place, code).outcome.value


def test_one_of_many_wins_when_the_same_code_comes_at_once(
    place: Place, database_url: str, secrets_directory: Path
) -> None:
    begin(place)
    [code] = codes(place)
    db.session.remove()
    ends = race(_check, database_url, secrets_directory, processes=2, threads=3, code=code)
    assert ends.count("accepted") == 1
    assert set(ends) <= {"accepted", "late"}


def test_guesses_at_once_are_no_more_than_guesses_in_a_row(
    place: Place, database_url: str, secrets_directory: Path
) -> None:
    begin(place)
    [code] = codes(place)
    db.session.remove()
    ends = race(_check, database_url, secrets_directory, processes=2, threads=8, code=other(code))
    assert (ends.count("refused"), ends.count("throttled")) == (10, 6)


def test_what_follows_a_plus_makes_no_other_mailbox(place: Place) -> None:
    for number in range(5):
        asked = begin(place, bound_to=UUID(int=20 + number), target=f"an+{number}@thu.example")
        assert asked == Begun(10)
    assert isinstance(begin(place, bound_to=UUID(int=30), target="an@thu.example"), Throttled)


def test_sessions_of_one_person_are_one_place(place: Place) -> None:
    def send(number: int, citizen_id: UUID) -> Begun | Throttled:
        here, target = UUID(int=40 + number), f"an{number}@thu.example"
        return begin(place, bound_to=here, purpose=Purpose.CHANGE, target=target, citizen_id=citizen_id)

    assert [send(number, UUID(int=1)) for number in range(5)] == [Begun(10)] * 5
    assert isinstance(send(5, UUID(int=1)), Throttled)
    assert send(6, UUID(int=2)) == Begun(10)
