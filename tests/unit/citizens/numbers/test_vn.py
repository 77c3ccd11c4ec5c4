"""The Vietnamese number: vietnam.md, section 1, and acceptance checks (a) to (c) of section 7."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.citizens.numbers import Finding, Gender, NumberProblem, NumberUnreadable, scheme
from idp.citizens.numbers.vn import place, places, prefix_for_tests

STRICT = scheme("vn-pin", test_numbers=False)
LENIENT = scheme("vn-pin", test_numbers=True)

ASSIGNED = sorted(places())
TEST_PREFIXES = sorted(prefix_for_tests(code) for code in ASSIGNED)
UNASSIGNED = sorted({f"{prefix:03d}" for prefix in range(1000)} - set(ASSIGNED) - set(TEST_PREFIXES))

assigned = st.sampled_from(ASSIGNED)
rest = st.from_regex(re.compile(r"[0-9]{9}", re.ASCII), fullmatch=True)


def test_table_holds_all_codes_when_shipped() -> None:
    provinces = [code for code in ASSIGNED if code < "100"]
    assert len(ASSIGNED) == 258
    assert len(provinces) == 63
    assert (provinces[0], provinces[-1]) == ("001", "096")
    assert [code for code in ASSIGNED if code >= "100"] == [str(code) for code in range(101, 296)]
    assert sum(len(meanings) for meanings in places().values()) == 266


def test_table_has_34_units_when_merged() -> None:
    now = [place(code, on=date(2026, 1, 1)) for code in ASSIGNED if code < "100"]
    assert len([meaning for meaning in now if meaning is not None and meaning.valid_to is None]) == 34


@pytest.mark.parametrize("century_and_sex", range(10))
def test_reading_is_well_formed_when_the_code_is_assigned(century_and_sex: int) -> None:
    for code in ASSIGNED:
        reading = STRICT.read(f"{code}{century_and_sex}00123456", on=None)
        assert reading.well_formed, code
        assert reading.findings == ()
        assert reading.place_code == code
        assert not reading.test_number


@given(code=assigned, tail=rest)
def test_reading_has_no_finding_when_any_digits_follow_an_assigned_code(code: str, tail: str) -> None:
    assert STRICT.read(code + tail, on=None).findings == ()


@pytest.mark.parametrize("test_numbers", [False, True])
def test_reading_flags_the_place_when_the_code_is_unassigned(test_numbers: bool) -> None:
    assert len(UNASSIGNED) == 1000 - 2 * 258
    numbers = scheme("vn-pin", test_numbers=test_numbers)
    for prefix in UNASSIGNED:
        reading = numbers.read(f"{prefix}090000001", on=None)
        assert reading.findings == (Finding.UNASSIGNED_PLACE,), prefix
        assert not reading.well_formed
        assert reading.place_code is None
        assert reading.birth_year == 1990


@pytest.mark.parametrize("prefix", ["023", "028", "100", "296", "540", "979"])
def test_reading_is_flagged_outside_test_mode_when_no_real_number_starts_so(prefix: str) -> None:
    reading = STRICT.read(f"{prefix}090000001", on=date(2026, 1, 1))
    assert reading.findings
    assert not reading.well_formed


@pytest.mark.parametrize("code", ["024", "027"])
@pytest.mark.parametrize("on", [None, date(1990, 1, 1), date(2025, 6, 30), date(2025, 7, 1), date(2099, 1, 1)])
def test_reading_is_accepted_with_any_date_when_the_province_merged(code: str, on: date | None) -> None:
    assert STRICT.read(f"{code}090000001", on=on).findings == ()


@pytest.mark.parametrize(("prefix", "stands_for"), [("979", "079"), ("901", "001"), ("540", "240"), ("401", "101")])
def test_test_number_is_recognised_when_it_carries_a_reserved_prefix(prefix: str, stands_for: str) -> None:
    strict = STRICT.read(f"{prefix}090000001", on=None)
    assert strict.test_number
    assert strict.findings == (Finding.TEST_NUMBER,)
    assert strict.place_code == stands_for
    lenient = LENIENT.read(f"{prefix}090000001", on=None)
    assert lenient.test_number
    assert lenient.findings == ()
    assert lenient.well_formed


def test_test_prefixes_meet_no_assigned_code_when_computed() -> None:
    assert len(set(TEST_PREFIXES)) == 258
    assert not set(TEST_PREFIXES) & set(ASSIGNED)
    assert all(len(prefix) == 3 for prefix in TEST_PREFIXES)


def test_reading_gives_every_year_from_1900_to_2399_when_digits_run_through() -> None:
    readings = [STRICT.read(f"001{g}{yy:02d}000001", on=None) for g in range(10) for yy in range(100)]
    males = [reading.birth_year for reading in readings if reading.gender is Gender.MALE]
    females = [reading.birth_year for reading in readings if reading.gender is Gender.FEMALE]
    assert males == females == list(range(1900, 2400))


@pytest.mark.parametrize(("g", "year", "gender"), [(0, 1985, Gender.MALE), (1, 1985, Gender.FEMALE)])
def test_reading_gives_century_and_sex_when_born_in_the_last_century(g: int, year: int, gender: Gender) -> None:
    reading = STRICT.read(f"001{g}85000001", on=None)
    assert (reading.birth_year, reading.gender, reading.birth_date) == (year, gender, None)


def test_reading_flags_a_birth_to_come_when_the_day_is_known() -> None:
    reading = STRICT.read("001227000001", on=date(2026, 12, 31))
    assert reading.findings == (Finding.FUTURE_BIRTH,)
    assert reading.well_formed
    assert STRICT.read("001226000001", on=date(2026, 1, 1)).findings == ()


@pytest.mark.parametrize(
    "typed",
    [
        "079190000001",
        "079 190 000001",
        "079.190.000001",
        "079-190-000001",
        " 079\u00a0190\u202f000001 ",
        "079\u2013190\u2014000001",
        "079\u2212190\u2011000001",
        "\ufeff079190\u200b000001\u200e",
        "０７９１９００００００１",
        "079\t190\n000001",
    ],
)
def test_canonical_is_twelve_digits_when_typed_in_any_grouping(typed: str) -> None:
    assert STRICT.canonical(typed) == "079190000001"


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", NumberProblem.EMPTY),
        (" .-\u00a0", NumberProblem.EMPTY),
        ("07919000000", NumberProblem.LENGTH),
        ("0791900000011", NumberProblem.LENGTH),
        ("012345678", NumberProblem.LENGTH),
        ("07919000000a", NumberProblem.CHARACTERS),
        ("+79190000001", NumberProblem.CHARACTERS),
        ("079/190/000001", NumberProblem.CHARACTERS),
        ("079190000001\x00", NumberProblem.CHARACTERS),
        ("٠٧٩١٩٠٠٠٠٠٠١", NumberProblem.CHARACTERS),
        ("079 190 000001" + " " * 100, NumberProblem.LENGTH),
    ],
)
def test_canonical_says_why_when_the_text_cannot_be_a_number(typed: str, reason: NumberProblem) -> None:
    with pytest.raises(NumberUnreadable) as refusal:
        STRICT.canonical(typed)
    assert refusal.value.reason is reason


@given(
    code=assigned, tail=rest, gaps=st.lists(st.sampled_from(["", " ", ".", "-", "\u00a0"]), min_size=12, max_size=12)
)
def test_canonical_is_the_same_when_separators_stand_anywhere(code: str, tail: str, gaps: list[str]) -> None:
    typed = "".join(gap + digit for gap, digit in zip(gaps, code + tail, strict=True))
    assert STRICT.canonical(typed) == code + tail


def test_display_groups_three_three_six_when_shown() -> None:
    assert STRICT.display("079190000001") == "079 190 000001"
    assert STRICT.mask("079190000001") == "••• ••• •••001"


@pytest.mark.parametrize(
    ("code", "before", "after", "change"),
    [
        ("015", "Yên Bái", "Lào Cai", date(2025, 7, 1)),
        ("024", "Bắc Giang", "Bắc Ninh", date(2025, 7, 1)),
        ("044", "Quảng Bình", "Quảng Trị", date(2025, 7, 1)),
        ("046", "Thừa Thiên Huế", "Huế", date(2025, 1, 1)),
        ("052", "Bình Định", "Gia Lai", date(2025, 7, 1)),
        ("080", "Long An", "Tây Ninh", date(2025, 7, 1)),
        ("082", "Tiền Giang", "Đồng Tháp", date(2025, 7, 1)),
        ("091", "Kiên Giang", "An Giang", date(2025, 7, 1)),
    ],
)
def test_place_has_the_name_of_its_day_when_a_code_changed_meaning(
    code: str, before: str, after: str, change: date
) -> None:
    old, new = place(code, on=date.fromordinal(change.toordinal() - 1)), place(code, on=change)
    assert old is not None
    assert new is not None
    assert (old.name_vi, new.name_vi) == (before, after)
    assert old.valid_to == date.fromordinal(change.toordinal() - 1)


def test_place_keeps_its_last_name_when_the_province_ended() -> None:
    ended = place("002", on=date(2026, 1, 1))
    assert ended is not None
    assert (ended.name_vi, ended.valid_to) == ("Hà Giang", date(2025, 6, 30))


def test_place_has_its_first_name_when_the_day_is_before_the_table() -> None:
    first = place("024", on=date(1960, 1, 1))
    assert first is not None
    assert first.name_vi == "Bắc Giang"


@pytest.mark.parametrize("code", ["023", "028", "100", "296", "979", ""])
def test_place_is_none_when_the_code_was_never_assigned(code: str) -> None:
    assert place(code, on=date(2026, 1, 1)) is None
