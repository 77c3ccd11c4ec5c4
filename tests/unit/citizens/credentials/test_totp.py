"""One-time codes: each counts once, whoever sends it and however many at the same moment."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pyotp
import pytest
import sqlalchemy as sa

from idp.citizens.credentials import means_of, totp
from idp.citizens.credentials.totp import Outcome
from idp.citizens.models import TotpCredential
from idp.core import clock
from idp.core.database import db
from idp.core.levels import Method
from idp.notify.models import OwedNotice
from tests.unit.citizens.conftest import Clock
from tests.unit.citizens.place import PASSWORD, SECRET, Place, race

# RFC 6238, appendix B has eight digits for SHA-1; these are the last six of them.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def code_at(seconds: float = 0, *, secret: str = SECRET) -> str:
    return pyotp.TOTP(secret).at(clock.now() + timedelta(seconds=seconds))


def wrong_code() -> str:
    right = {code_at(seconds) for seconds in (-60, -30, 0, 30, 60)}
    return next(code for code in map("{:06d}".format, range(10)) if code not in right)


@pytest.fixture
def citizen_id(place: Place) -> UUID:
    return place.enrol(password=PASSWORD, totp_secret=SECRET).citizen_id


def check(place: Place, citizen_id: UUID, code: str) -> Outcome:
    return totp.verify(citizen_id, code, keyring=place.keyring).outcome


@pytest.mark.parametrize("form", ["{0}", "{1} {2}", " {1} {2} "])
def test_code_is_accepted_when_typed_with_spaces(
    place: Place, citizen_id: UUID, stopped_clock: Clock, form: str
) -> None:
    code = code_at()
    assert check(place, citizen_id, form.format(code, code[:3], code[3:])) is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-60, "refused"), (-30, "accepted"), (30, "accepted"), (60, "refused")]
)
def test_code_is_judged_when_clocks_differ(
    place: Place, citizen_id: UUID, stopped_clock: Clock, seconds: int, expected: str
) -> None:
    assert check(place, citizen_id, code_at(seconds)).value == expected


def test_code_is_refused_when_used_before(place: Place, citizen_id: UUID, stopped_clock: Clock) -> None:
    code = code_at()
    assert [check(place, citizen_id, code) for _ in range(2)] == [Outcome.ACCEPTED, Outcome.REFUSED]
    assert totp.verify(citizen_id, code, keyring=place.keyring).is_spent
    assert not totp.verify(citizen_id, wrong_code(), keyring=place.keyring).is_spent


def test_earlier_code_is_refused_when_a_later_one_was_used(
    place: Place, citizen_id: UUID, stopped_clock: Clock
) -> None:
    assert check(place, citizen_id, code_at(30)) is Outcome.ACCEPTED
    assert check(place, citizen_id, code_at(0)) is Outcome.REFUSED


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "x" * 10_000, "\x00" * 6])
def test_text_is_refused_when_it_is_no_code(place: Place, citizen_id: UUID, typed: str) -> None:
    assert check(place, citizen_id, typed) is Outcome.REFUSED


def test_any_authenticator_will_do_when_there_are_several(place: Place, citizen_id: UUID, stopped_clock: Clock) -> None:
    totp.add(citizen_id, RFC_SECRET, label="card", keyring=place.keyring, now=clock.now())
    db.session.commit()
    assert check(place, citizen_id, code_at(secret=RFC_SECRET)) is Outcome.ACCEPTED
    assert check(place, citizen_id, code_at(secret=SECRET)) is Outcome.ACCEPTED


def send(place: Place, citizen: str, code: str) -> str:
    return totp.verify(UUID(citizen), code, keyring=place.keyring).outcome.value


def test_one_process_wins_when_eight_send_the_same_code(
    place: Place, citizen_id: UUID, database_url: str, secrets_directory: Path
) -> None:
    # The next step's code: it stays valid for at least thirty seconds.
    answers = race(send, database_url, secrets_directory, processes=8, citizen=str(citizen_id), code=code_at(30))
    assert sorted(answers) == ["accepted"] + ["refused"] * 7


def test_ten_guesses_are_judged_when_twenty_are_sent_at_once(
    place: Place, citizen_id: UUID, database_url: str, secrets_directory: Path
) -> None:
    answers = race(
        send, database_url, secrets_directory, processes=5, threads=4, citizen=str(citizen_id), code=wrong_code()
    )
    assert sorted(answers) == ["refused"] * 10 + ["throttled"] * 10


def test_series_ends_after_ten_failures_and_opens_after_ten_minutes(
    place: Place, citizen_id: UUID, stopped_clock: Clock
) -> None:
    assert {check(place, citizen_id, wrong_code()) for _ in range(10)} == {Outcome.REFUSED}
    closed = totp.verify(citizen_id, code_at(), keyring=place.keyring)
    assert (closed.outcome, closed.retry_after) == (Outcome.THROTTLED, 600)
    stopped_clock.pass_(minutes=10)
    assert check(place, citizen_id, code_at()) is Outcome.ACCEPTED


def test_hundred_failures_disable_the_authenticator(place: Place, citizen_id: UUID, stopped_clock: Clock) -> None:
    for _ in range(10):
        assert {check(place, citizen_id, wrong_code()) for _ in range(10)} == {Outcome.REFUSED}
        stopped_clock.pass_(minutes=10)
    assert means_of(citizen_id) == {Method.PASSWORD}
    assert check(place, citizen_id, code_at()) is Outcome.REFUSED
    owed = db.session.scalars(sa.select(OwedNotice)).all()
    assert [(notice.citizen_id, notice.kind) for notice in owed] == [(citizen_id, "codes-disabled")]


def test_success_forgets_failures(place: Place, citizen_id: UUID, stopped_clock: Clock) -> None:
    for _ in range(3):
        assert {check(place, citizen_id, wrong_code()) for _ in range(9)} == {Outcome.REFUSED}
        stopped_clock.pass_(seconds=30)
        assert check(place, citizen_id, code_at()) is Outcome.ACCEPTED
    assert db.session.scalars(sa.select(TotpCredential.failures)).all() == [0]


def test_code_is_not_usable_again_when_the_same_secret_is_imported_again(
    place: Place, citizen_id: UUID, stopped_clock: Clock
) -> None:
    code = code_at()
    assert check(place, citizen_id, code) is Outcome.ACCEPTED
    assert place.enrol(password=PASSWORD, totp_secret=SECRET).citizen_id == citizen_id
    assert check(place, citizen_id, code) is Outcome.REFUSED


def test_old_secret_ends_when_a_new_one_is_imported(place: Place, citizen_id: UUID, stopped_clock: Clock) -> None:
    place.enrol(password=PASSWORD, totp_secret=RFC_SECRET)
    assert check(place, citizen_id, code_at(secret=SECRET)) is Outcome.REFUSED
    assert check(place, citizen_id, code_at(secret=RFC_SECRET)) is Outcome.ACCEPTED


def test_nothing_is_accepted_when_the_citizen_has_no_authenticator(place: Place) -> None:
    citizen_id = place.enrol(password=PASSWORD).citizen_id
    assert check(place, citizen_id, code_at()) is Outcome.REFUSED


def test_secret_is_sealed_in_the_table(place: Place, citizen_id: UUID) -> None:
    assert SECRET not in db.session.scalars(sa.select(TotpCredential.secret)).one()


@pytest.mark.parametrize("text", ["JBSW Y3DP ehpk 3pxp", "JBSWY3DPEHPK3PXP===="])
def test_secret_is_read_when_written_for_people(text: str) -> None:
    assert totp.canonical_secret(text) == "JBSWY3DPEHPK3PXP"


@pytest.mark.parametrize("text", ["", "JBSWY3DP", "JBSWY3DPEHPK3PX1", "JBSWY3DPEHPK3PXPA"])
def test_secret_is_refused_when_it_is_none(text: str) -> None:
    with pytest.raises(totp.SecretRefused):
        totp.canonical_secret(text)


def test_authenticator_app_can_read_the_address() -> None:
    uri = totp.provisioning_uri(SECRET, account="Nguyễn Thị Hoà", issuer="LienKet")
    read = pyotp.parse_uri(uri)
    assert (read.secret, read.issuer, read.name) == (SECRET, "LienKet", "Nguyễn Thị Hoà")


def test_terminal_shows_a_square_of_half_blocks() -> None:
    lines = totp.terminal_qr("otpauth://totp/x?secret=" + SECRET).splitlines()
    assert len({len(line) for line in lines if line}) == 1
    assert set("".join(lines)) <= set("█▀▄ \xa0")


def test_current_code_is_the_one_an_app_shows(stopped_clock: Clock) -> None:
    assert totp.current_code(SECRET) == code_at()
