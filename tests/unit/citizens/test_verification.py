"""Re-checks: silence changes nothing that was proven, an answer always does."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens import assurance, claims, subjects
from idp.citizens.assurance import Proofing
from idp.citizens.birthdate import parse
from idp.citizens.models import Citizen
from idp.citizens.numbers import VN_PIN
from idp.citizens.registry import (
    Malformed,
    NotAuthorised,
    Outcome,
    PopulationRegistry,
    RegistryAnswer,
    RegistryFailure,
    RegistryQuery,
    Timeout,
    Unavailable,
)
from idp.citizens.registry.table import Answer, Person, write
from idp.citizens.verification import RecheckOutcome, is_due, recheck
from idp.core.database import db
from idp.core.levels import Level, Method
from idp.core.settings import Settings
from tests.unit.citizens.conftest import Clock
from tests.unit.citizens.place import NEW_NUMBER, NUMBER, Place

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOTH = frozenset({Method.PASSWORD, Method.ONE_TIME_CODE})


class Scripted:
    """A register that fails, or gives an answer the table cannot give."""

    def __init__(self, says: RegistryFailure | Outcome) -> None:
        self._says = says

    def check(self, query: RegistryQuery, *, deadline: float) -> RegistryAnswer:
        if isinstance(self._says, RegistryFailure):
            raise self._says
        return RegistryAnswer(self._says, {}, "test", NOW, "trace", replaced_by="không phải số")


@pytest.fixture
def citizen_id(place: Place) -> UUID:
    return place.enrol(level="loa2").citizen_id


def ask(place: Place, citizen_id: UUID, register: PopulationRegistry | None = None) -> RecheckOutcome:
    return recheck(citizen_id, settings=place.settings, keyring=place.keyring, registry=register or place.registry)


def person(place: Place, answer: Answer, **changes: object) -> None:
    """Let the register answer so about the citizen from now on."""
    members = {"full_name": "Nguyễn Thị Hoà", "birth": parse("1991-02-28"), **changes}
    write([Person(VN_PIN, NUMBER, answer=answer, **members)], keyring=place.keyring)  # type: ignore[arg-type]


def level(citizen_id: UUID) -> Level:
    citizen = db.session.get_one(Citizen, citizen_id, populate_existing=True)
    return assurance.reachable(citizen.proofing, citizen.registry_status, BOTH)


def profile(place: Place, citizen_id: UUID) -> claims.Profile:
    citizen = db.session.get_one(Citizen, citizen_id, populate_existing=True)
    return claims.profile_of(citizen, place.keyring)


def test_account_is_confirmed_when_the_register_still_matches(
    place: Place, citizen_id: UUID, stopped_clock: Clock
) -> None:
    stopped_clock.pass_(days=1)
    assert ask(place, citizen_id) is RecheckOutcome.CONFIRMED
    citizen = db.session.get_one(Citizen, citizen_id, populate_existing=True)
    assert citizen.registry_checked_at == citizen.registry_asked_at == stopped_clock.now()


@pytest.mark.parametrize("silence", [Timeout(), Unavailable(), Malformed(), NotAuthorised(), Outcome.BAD_REQUEST])
def test_level_is_kept_when_the_register_does_not_answer(
    place: Place, citizen_id: UUID, stopped_clock: Clock, silence: RegistryFailure | Outcome
) -> None:
    checked = db.session.get_one(Citizen, citizen_id).registry_checked_at
    stopped_clock.pass_(days=1)
    assert ask(place, citizen_id, Scripted(silence)) is RecheckOutcome.SILENT
    citizen = db.session.get_one(Citizen, citizen_id, populate_existing=True)
    assert level(citizen_id) is Level.LOA2
    assert (citizen.registry_checked_at, citizen.registry_asked_at) == (checked, stopped_clock.now())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer.DECEASED, RecheckOutcome.DECEASED),
        (Answer.LOCKED, RecheckOutcome.LOCKED),
        (Answer.NOT_FOUND, RecheckOutcome.DIFFERS),
        (Answer.MISMATCH, RecheckOutcome.DIFFERS),
    ],
)
def test_level_is_taken_until_the_register_confirms_again(
    place: Place, citizen_id: UUID, answer: Answer, outcome: RecheckOutcome
) -> None:
    person(place, answer)
    assert ask(place, citizen_id) is outcome
    assert level(citizen_id) is Level.NONE
    assert ask(place, citizen_id, Scripted(Timeout())) is RecheckOutcome.SILENT
    assert level(citizen_id) is Level.NONE
    person(place, Answer.MATCH)
    assert ask(place, citizen_id) is RecheckOutcome.CONFIRMED
    assert level(citizen_id) is Level.LOA2


@pytest.mark.parametrize("answer", [Outcome.AMBIGUOUS, Outcome.NAME_VARIANT, Outcome.NEAR])
def test_level_is_taken_when_an_officer_has_to_look(place: Place, citizen_id: UUID, answer: Outcome) -> None:
    assert ask(place, citizen_id, Scripted(answer)) is RecheckOutcome.DIFFERS
    assert level(citizen_id) is Level.NONE


def test_name_follows_the_register_when_its_spelling_changed(place: Place, citizen_id: UUID) -> None:
    person(place, Answer.MATCH, full_name="Nguyễn Thị Hoá")
    assert ask(place, citizen_id) is RecheckOutcome.RECTIFIED
    assert profile(place, citizen_id).full_name == "Nguyễn Thị Hoá"
    assert ask(place, citizen_id) is RecheckOutcome.CONFIRMED


def test_subject_stays_when_the_number_is_replaced(place: Place, citizen_id: UUID) -> None:
    before = subjects.subject(citizen_id, "thue.example", keyring=place.keyring)
    person(place, Answer.REPLACED, replaced_by=NEW_NUMBER)
    write([Person(VN_PIN, NEW_NUMBER, "Nguyễn Thị Hoà", parse("1991-02-28"))], keyring=place.keyring)
    assert ask(place, citizen_id) is RecheckOutcome.REPLACED
    assert level(citizen_id) is Level.LOA2
    assert profile(place, citizen_id).number == NEW_NUMBER
    assert subjects.subject(citizen_id, "thue.example", keyring=place.keyring) == before
    assert ask(place, citizen_id) is RecheckOutcome.CONFIRMED


def test_level_is_taken_when_the_new_number_is_none(place: Place, citizen_id: UUID) -> None:
    assert ask(place, citizen_id, Scripted(Outcome.REPLACED)) is RecheckOutcome.REPLACED
    assert level(citizen_id) is Level.NONE
    assert profile(place, citizen_id).number == NUMBER


def test_pending_account_is_matched_when_the_register_speaks_again(place: Place) -> None:
    citizen_id = place.enrol(level="loa2", register={"outcome": "silent"}).citizen_id
    assert ask(place, citizen_id) is RecheckOutcome.SILENT
    assert level(citizen_id) is Level.NONE
    person(place, Answer.MATCH)
    assert ask(place, citizen_id) is RecheckOutcome.CONFIRMED
    # Whether an officer saw the person, the register cannot tell.
    assert db.session.get_one(Citizen, citizen_id).proofing is Proofing.MATCHED


def test_recheck_is_recorded_with_codes_only(place: Place, citizen_id: UUID) -> None:
    person(place, Answer.DECEASED)
    ask(place, citizen_id)
    event = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.name == "citizens:registry:asked")).one()
    assert (event.citizen_id, event.outcome, event.detail) == (
        citizen_id,
        "deceased",
        {"was": "active", "is": "deceased", "name": "match", "birth": "match"},
    )


@pytest.mark.parametrize(
    ("held", "compared"),
    [
        ({"full_name": "Nguyễn Thị Hoài"}, {"name": "mismatch", "birth": "match"}),
        ({"birth": parse("1991-03-28")}, {"name": "match", "birth": "mismatch"}),
        ({"full_name": "NGUYEN THI HOA", "birth": parse("1992")}, {"name": "fold", "birth": "mismatch"}),
    ],
)
def test_the_event_says_which_field_differed(
    place: Place, citizen_id: UUID, caplog: pytest.LogCaptureFixture, held: dict[str, object], compared: dict[str, str]
) -> None:
    person(place, Answer.MATCH, **held)
    ask(place, citizen_id)
    event = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.name == "citizens:registry:asked")).one()
    assert event.detail == {"was": "active", "is": "mismatch", **compared}
    assert not caplog.records


def test_register_is_asked_outside_any_transaction(place: Place, citizen_id: UUID) -> None:
    class Watching:
        def check(self, query: RegistryQuery, *, deadline: float) -> RegistryAnswer:
            assert not db.session().in_transaction()
            raise Timeout

    assert ask(place, citizen_id, Watching()) is RecheckOutcome.SILENT


def test_answer_is_thrown_away_when_the_person_was_corrected_meanwhile(place: Place, citizen_id: UUID) -> None:
    class Correcting:
        def __init__(self) -> None:
            self.names: list[str] = []

        def check(self, query: RegistryQuery, *, deadline: float) -> RegistryAnswer:
            self.names.append(query.full_name)
            if len(self.names) == 1:
                place.enrol(level="loa2", full_name="Trần Thị Lan")
                return RegistryAnswer(Outcome.NOT_FOUND, {}, "test", NOW, "trace")
            return place.registry.check(query, deadline=deadline)

    register = Correcting()
    assert ask(place, citizen_id, register) is RecheckOutcome.CONFIRMED
    assert register.names == ["Nguyễn Thị Hoà", "Trần Thị Lan"]


def test_unknown_citizen_is_an_error(place: Place) -> None:
    with pytest.raises(LookupError):
        ask(place, UUID(int=1))


@pytest.mark.parametrize(
    ("checked", "asked", "due"),
    [
        (None, None, True),
        (0, 0, False),
        (86_399, 86_399, False),
        (86_400, 86_400, True),
        (90_000, 299, False),
        (90_000, 300, True),
        (None, 299, False),
        (None, 300, True),
        (10, 10, False),
    ],
)
def test_recheck_is_due_when_the_answer_is_old_and_the_silence_is_over(
    checked: int | None, asked: int | None, due: bool
) -> None:
    def ago(seconds: int | None) -> datetime | None:
        return None if seconds is None else NOW - timedelta(seconds=seconds)

    settings = Settings(registry_recheck=86_400, registry_retry=300)
    assert is_due(ago(checked), ago(asked), settings=settings, now=NOW) is due
