"""What every number scheme promises, whatever the country: the contract of `NumberScheme`."""

from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.citizens.numbers import (
    Finding,
    Gender,
    NumberProblem,
    NumberScheme,
    NumberUnreadable,
    PivotField,
    UnknownScheme,
    scheme,
)

TODAY = date(2026, 3, 1)


@dataclass(frozen=True)
class Sample:
    """One number as typed, and what it must read as."""

    scheme: str
    typed: str
    canonical: str
    gender: Gender | None = None
    born: date | None = None
    birth_year: int | None = None
    wrong: str | None = None
    wrong_finding: Finding = Finding.WRONG_CHECK_DIGIT


SAMPLES = (
    Sample(
        "vn-pin",
        "079 190 000001",
        "079190000001",
        Gender.FEMALE,
        birth_year=1990,
        wrong="100190000001",
        wrong_finding=Finding.UNASSIGNED_PLACE,
    ),
    Sample("stdnum:fr.nir", "2 95 10 99 126 111 93", "295109912611193", wrong="295109912611199"),
    Sample("stdnum:ee.ik", "36805280109", "36805280109", Gender.MALE, date(1968, 5, 28), wrong="36805280108"),
    Sample(
        "stdnum:it.codicefiscale",
        "RCC MNL 83S18 D969H",
        "RCCMNL83S18D969H",
        Gender.MALE,
        date(1983, 11, 18),
        wrong="RCCMNL83S18D969A",
    ),
    Sample(
        "stdnum:se.personnummer",
        "880320-0016",
        "19880320-0016",
        Gender.MALE,
        date(1988, 3, 20),
        wrong="19880320-0018",
    ),
    Sample("stdnum:fi.hetu", "131052-308T", "131052-308T", wrong="131052-308U"),
    Sample(
        "stdnum:no.fodselsnummer", "151086 95088", "15108695088", Gender.FEMALE, date(1986, 10, 15), wrong="15108695077"
    ),
    Sample("stdnum:dk.cpr", "211062-5629", "2110625629", born=date(1862, 10, 21)),
    Sample("stdnum:lt.asmens", "33309240064", "33309240064", born=date(1933, 9, 24), wrong="33309240164"),
    Sample("stdnum:be.nn", "85.07.30 033 28", "85073003328", Gender.MALE, date(1985, 7, 30), wrong="85073003327"),
    Sample("stdnum:pl.pesel", "44051401359", "44051401359", Gender.MALE, date(1944, 5, 14), wrong="44051401358"),
    Sample(
        "stdnum:my.nric",
        "770305-02-1234",
        "770305021234",
        born=date(1977, 3, 5),
        wrong="770305171234",
        wrong_finding=Finding.IMPOSSIBLE_PART,
    ),
    Sample("stdnum:es.dni", "54362315-K", "54362315K", wrong="54362315Z"),
    Sample("stdnum:in_.aadhaar", "2341 2341 2346", "234123412346", wrong="234123412347"),
)

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.scheme)


def scheme_of(sample: Sample) -> NumberScheme:
    return scheme(sample.scheme, test_numbers=False)


@each_sample
def test_canonical_is_one_form_when_typed_with_separators(sample: Sample) -> None:
    numbers = scheme_of(sample)
    assert numbers.canonical(sample.typed) == sample.canonical
    assert numbers.canonical(f"\u00a0{sample.typed}\t ") == sample.canonical
    assert numbers.canonical(sample.canonical) == sample.canonical


@each_sample
def test_canonical_is_one_form_when_typed_with_wide_signs(sample: Sample) -> None:
    wide = "".join(chr(ord(sign) + 0xFEE0) if sign.isalnum() else sign for sign in sample.canonical)
    assert wide != sample.canonical
    assert scheme_of(sample).canonical(wide) == sample.canonical


@each_sample
def test_reading_says_sex_and_birth_when_the_number_tells(sample: Sample) -> None:
    reading = scheme_of(sample).read(sample.canonical, on=TODAY)
    assert reading.scheme == sample.scheme
    assert reading.number == sample.canonical
    assert reading.well_formed
    assert reading.findings == ()
    assert reading.gender is sample.gender
    assert reading.birth_date == sample.born
    assert reading.birth_year == (sample.born.year if sample.born else sample.birth_year)


@pytest.mark.parametrize("sample", [one for one in SAMPLES if one.wrong], ids=lambda one: one.scheme)
def test_reading_warns_and_does_not_refuse_when_the_number_is_wrong(sample: Sample) -> None:
    assert sample.wrong is not None
    reading = scheme_of(sample).read(sample.wrong, on=TODAY)
    assert reading.findings == (sample.wrong_finding,)
    assert not reading.well_formed


@each_sample
def test_reading_agrees_with_the_scheme_when_asked_for_a_checksum(sample: Sample) -> None:
    numbers = scheme_of(sample)
    without = {"vn-pin", "stdnum:my.nric", "stdnum:dk.cpr"}
    assert numbers.has_checksum is (sample.scheme not in without)
    assert numbers.read(sample.canonical, on=None).has_checksum is numbers.has_checksum


@each_sample
def test_display_reads_back_when_typed_as_shown(sample: Sample) -> None:
    numbers = scheme_of(sample)
    assert numbers.canonical(numbers.display(sample.canonical)) == sample.canonical


@each_sample
def test_mask_shows_only_the_last_three_signs_when_masking(sample: Sample) -> None:
    masked = scheme_of(sample).mask(sample.canonical)
    shown = [sign for sign in masked if sign.isalnum()]
    assert "".join(shown) == "".join(sign for sign in sample.canonical if sign.isalnum())[-3:]
    assert masked.count("•") == sum(sign.isalnum() for sign in sample.canonical) - 3


@each_sample
def test_reading_prints_no_personal_data_when_logged(sample: Sample) -> None:
    printed = repr(scheme_of(sample).read(sample.canonical, on=TODAY))
    assert sample.canonical not in printed
    assert "birth" not in printed
    assert "gender" not in printed


@each_sample
def test_scheme_declares_its_pivot_when_asked(sample: Sample) -> None:
    numbers = scheme_of(sample)
    assert numbers.name == sample.scheme
    assert numbers.number_required
    assert set(numbers.pivot_fields) == {PivotField.NUMBER, PivotField.FULL_NAME, PivotField.BIRTHDATE}


@each_sample
@pytest.mark.parametrize("text", ["", "   ", "\u00a0\u200b"])
def test_canonical_says_empty_when_nothing_is_typed(sample: Sample, text: str) -> None:
    with pytest.raises(NumberUnreadable) as refusal:
        scheme_of(sample).canonical(text)
    assert refusal.value.reason is NumberProblem.EMPTY


@each_sample
@pytest.mark.parametrize("text", ["1", "1" * 40, "1" * 100_000])
def test_canonical_refuses_when_the_length_is_impossible(sample: Sample, text: str) -> None:
    with pytest.raises(NumberUnreadable) as refusal:
        scheme_of(sample).canonical(text)
    assert refusal.value.reason in {NumberProblem.LENGTH, NumberProblem.CHARACTERS}


@each_sample
@given(text=st.text())
def test_canonical_answers_or_refuses_when_anything_is_typed(sample: Sample, text: str) -> None:
    numbers = scheme_of(sample)
    try:
        canonical = numbers.canonical(text)
    except NumberUnreadable:
        return
    assert numbers.canonical(canonical) == canonical
    numbers.read(canonical, on=TODAY)


@each_sample
def test_refusal_does_not_repeat_the_text_when_printed(sample: Sample) -> None:
    with pytest.raises(NumberUnreadable) as refusal:
        scheme_of(sample).canonical(f"{sample.canonical}?{sample.canonical}")
    assert sample.canonical not in repr(refusal.value) + str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@each_sample
@given(data=st.data())
def test_reading_never_fails_when_one_sign_is_mistyped(sample: Sample, data: st.DataObject) -> None:
    numbers = scheme_of(sample)
    place = data.draw(st.integers(0, len(sample.canonical) - 1))
    typed = sample.canonical[:place] + data.draw(st.sampled_from("0123456789AZ+-")) + sample.canonical[place + 1 :]
    try:
        reading = numbers.read(typed, on=TODAY)
    except NumberUnreadable:
        return
    assert numbers.canonical(numbers.display(reading.number)) == reading.number


@pytest.mark.parametrize(
    "name",
    [
        "vn",
        "",
        ".",
        "..",
        "stdnum:",
        "stdnum:xx.nope",
        "stdnum:ee",
        "stdnum:../etc",
        "stdnum:ee.ik.validate",
        "stdnum:util",
        "idp.citizens.numbers.nothing",
        "no_such_package.scheme",
    ],
)
def test_scheme_is_unknown_when_nothing_has_the_name(name: str) -> None:
    with pytest.raises(UnknownScheme):
        scheme(name, test_numbers=False)


def test_scheme_of_another_package_is_used_when_named_by_its_factory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "lk_elsewhere_numbers.py").write_text(
        "from idp.citizens.numbers import scheme\n"
        "def elsewhere(*, test_numbers):\n"
        "    return scheme('vn-pin' if test_numbers else 'stdnum:ee.ik', test_numbers=test_numbers)\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    assert scheme("lk_elsewhere_numbers.elsewhere", test_numbers=False).canonical("36805280109") == "36805280109"
    assert scheme("lk_elsewhere_numbers.elsewhere", test_numbers=True).name == "vn-pin"
