"""What every register adapter must do. A test class of an adapter inherits `RegistryContract`.

The adapter's `register` fixture returns an adapter that knows the people of `PEOPLE`, and nobody else.
"""

from dataclasses import replace

import pytest

from idp.citizens.birthdate import parse
from idp.citizens.numbers import VN_PIN
from idp.citizens.registry import (
    Attribute,
    FieldMatch,
    Outcome,
    PopulationRegistry,
    Reason,
    RegistryFailure,
    RegistryQuery,
    Timeout,
)
from idp.citizens.registry.table import Answer, Person

ALIVE = Person(VN_PIN, "979191000001", "Nguyễn Thị Hoà", parse("1991-02-28"))
OLD = Person(VN_PIN, "979045000002", "Trần Văn Đức", parse("1945"))
DECEASED = Person(VN_PIN, "979045000003", "Lê Văn Nam", parse("1945-01-02"), answer=Answer.DECEASED)
LOCKED = Person(VN_PIN, "979091000004", "Phạm Văn Bình", parse("1991-05-05"), answer=Answer.LOCKED)
MOVED = Person(
    VN_PIN, "979091000005", "Võ Văn Tài", parse("1991-06-06"), answer=Answer.REPLACED, replaced_by="979091000006"
)
SILENT = Person(VN_PIN, "979091000007", "Bùi Văn Lâm", parse("1991-07-07"), answer=Answer.SILENT)
PEOPLE = (ALIVE, OLD, DECEASED, LOCKED, MOVED, SILENT)

EVERYTHING = frozenset(Attribute)


def query(person: Person, **changes: object) -> RegistryQuery:
    """Return the question about `person` as they write themselves."""
    plain = RegistryQuery(
        scheme=person.scheme,
        number=person.number,
        full_name=person.full_name,
        birth=person.birth,
        gender=None,
        reason=Reason.SIGN_IN,
        request_id="test",
        want=EVERYTHING,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class RegistryContract:
    """The suite; run by each adapter's test module."""

    @pytest.fixture
    def register(self) -> PopulationRegistry:
        raise NotImplementedError

    @pytest.mark.parametrize("spelled", ["Nguyễn Thị Hoà", "NGUYỄN THỊ HÒA", "nguyễn  thị hoà"])
    def test_person_matches_when_the_name_is_the_same(self, register: PopulationRegistry, spelled: str) -> None:
        answer = register.check(query(ALIVE, full_name=spelled), deadline=5)
        assert (answer.outcome, answer.fields["name"]) == (Outcome.MATCH, FieldMatch.MATCH)

    @pytest.mark.parametrize("spelled", ["Nguyen Thi Hoa", "NGUYEN THI HOA"])
    def test_spelling_is_rectified_when_only_accents_differ(self, register: PopulationRegistry, spelled: str) -> None:
        answer = register.check(query(ALIVE, full_name=spelled), deadline=5)
        assert (answer.outcome, answer.fields["name"]) == (Outcome.MATCH_RECTIFIED, FieldMatch.FOLD)
        assert answer.attributes[Attribute.FULL_NAME] == "Nguyễn Thị Hoà"

    def test_birth_date_is_rectified_when_the_register_knows_the_year_only(self, register: PopulationRegistry) -> None:
        answer = register.check(query(OLD, birth=parse("1945-09-02")), deadline=5)
        assert (answer.outcome, answer.fields["birth"]) == (Outcome.MATCH_RECTIFIED, FieldMatch.FOLD)
        assert answer.attributes[Attribute.BIRTHDATE] == "1945"

    @pytest.mark.parametrize(
        "changes",
        [
            {"full_name": "Nguyễn Hoà"},
            {"full_name": "Hoà Nguyễn Thị"},
            {"birth": parse("1991-02-27")},
            {"birth": parse("1992")},
        ],
    )
    def test_nothing_is_told_when_name_or_birth_date_differ(
        self, register: PopulationRegistry, changes: dict[str, object]
    ) -> None:
        answer = register.check(query(ALIVE, **changes), deadline=5)
        assert answer.outcome in (Outcome.NEAR, Outcome.NOT_FOUND)
        assert not answer.attributes

    @pytest.mark.parametrize("person", [DECEASED, LOCKED, MOVED])
    def test_fate_is_not_told_when_the_person_is_not_known_by_name(
        self, register: PopulationRegistry, person: Person
    ) -> None:
        answer = register.check(query(person, full_name="Ai Đó"), deadline=5)
        assert answer.outcome in (Outcome.NEAR, Outcome.NOT_FOUND)
        assert answer.replaced_by is None

    @pytest.mark.parametrize(
        ("person", "outcome"),
        [(DECEASED, Outcome.DECEASED), (LOCKED, Outcome.LOCKED), (MOVED, Outcome.REPLACED)],
    )
    def test_fate_is_told_when_the_person_is_known(
        self, register: PopulationRegistry, person: Person, outcome: Outcome
    ) -> None:
        answer = register.check(query(person), deadline=5)
        assert (answer.outcome, answer.replaced_by) == (outcome, person.replaced_by)

    def test_number_is_not_found_when_nobody_has_it(self, register: PopulationRegistry) -> None:
        assert register.check(query(ALIVE, number="979091999999"), deadline=5).outcome is Outcome.NOT_FOUND

    def test_number_is_not_found_when_it_is_of_another_scheme(self, register: PopulationRegistry) -> None:
        assert register.check(query(ALIVE, scheme="stdnum:fi.hetu"), deadline=5).outcome is Outcome.NOT_FOUND

    def test_silence_is_an_exception_of_the_port(self, register: PopulationRegistry) -> None:
        with pytest.raises(Timeout) as silence:
            register.check(query(SILENT), deadline=0.01)
        assert isinstance(silence.value, RegistryFailure)

    def test_only_what_was_wanted_is_told(self, register: PopulationRegistry) -> None:
        assert not register.check(query(ALIVE, want=frozenset()), deadline=5).attributes
        asked = register.check(query(ALIVE, want=frozenset({Attribute.BIRTHDATE})), deadline=5).attributes
        assert asked == {Attribute.BIRTHDATE: "1991-02-28"}

    def test_asking_twice_changes_nothing(self, register: PopulationRegistry) -> None:
        first, second = (register.check(query(ALIVE), deadline=5) for _ in range(2))
        assert (first.outcome, first.attributes) == (second.outcome, second.attributes)
        assert first.trace_id != second.trace_id
