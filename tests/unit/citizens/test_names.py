"""Names: vietnam.md, section 4, acceptance check (d) and the dirty variants of section 7, point 5."""

import random
import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.citizens.names import (
    NameMatch,
    NameProblem,
    NameRefused,
    clean,
    name_exact,
    name_fold,
    repair_d,
    same_name,
    sort_key,
)
from idp.sandbox.personas import demo_personas, personas

PEOPLE = [one.full_name for one in (*demo_personas(), *personas(7, 300))]

latin = st.text(st.sampled_from("aăâbcdđeêghiklmnoôơpqrstuưvxyAĐÔƠƯÝ '-.áàảãạếềểễệóòỏõọúùủũụ"), min_size=1, max_size=60)


def without_accents(name: str) -> str:
    plain = unicodedata.normalize("NFD", name.replace("đ", "d").replace("Đ", "D"))
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


SAME: dict[str, Callable[[str], str]] = {
    "NFD": lambda name: unicodedata.normalize("NFD", name),
    "eth for D with stroke": lambda name: name.replace("Đ", "\u00d0").replace("đ", "\u00f0"),
    "all upper": str.upper,
    "all lower": str.lower,
    "double space": lambda name: "  ".join(name.split(" ")) + " ",
    "no-break space": lambda name: name.replace(" ", "\u00a0"),
    "curly apostrophe": lambda name: name.replace("'", "\u2019"),
    "letter apostrophe": lambda name: name.replace("'", "\u02bc"),
}


@pytest.mark.parametrize("variant", SAME)
def test_name_is_exactly_the_same_when_only_the_writing_differs(variant: str) -> None:
    written = {name: SAME[variant](name) for name in PEOPLE}
    assert any(name != other for name, other in written.items())
    for name, other in written.items():
        assert same_name(other, name) is NameMatch.EXACT, name
        assert same_name(name, other) is NameMatch.EXACT, name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Trần Thị Hòa", "Trần Thị Hoà"),
        ("Hoà Bình", "HÒA BÌNH"),
        ("Lê Thuỷ", "Lê Thủy"),
        ("Nguyễn Hoé", "Nguyễn Hóe"),
        ("Võ Khoẻ", "Võ Khỏe"),
        ("Nguyễn Thuỵ", "Nguyễn Thụy"),
        ("Đặng Văn Đức", "\u00d0ặng Văn \u00d0ức"),
    ],
)
def test_name_is_exactly_the_same_when_the_tone_stands_on_the_other_vowel(one: str, other: str) -> None:
    assert one != other
    assert same_name(one, other) is NameMatch.EXACT


@pytest.mark.parametrize("name", ["Quý", "Quỳnh", "Hoàn", "Hoàng", "Thuyền", "Toán", "Loan", "Thúy-Anh"])
def test_tone_stays_when_it_has_only_one_place(name: str) -> None:
    expected = {"Thúy-Anh": "thuý-anh"}.get(name, name.lower())
    assert name_exact(name) == expected


def test_tone_stays_when_u_belongs_to_q() -> None:
    assert name_exact("Qúy") == "qúy"


def test_name_matches_only_folded_when_accents_are_missing() -> None:
    accented = [name for name in PEOPLE if not name.isascii()]
    assert len(accented) > 250
    for name in accented:
        assert same_name(without_accents(name), name) is NameMatch.FOLD, name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nguyễn Thị Lý", "Nguyễn Thị Lí"),
        ("Mỹ Linh", "Mĩ Linh"),
        ("Nguyễn Văn An", "Nguyễn An"),
        ("Nguyễn Văn An", "An Văn Nguyễn"),
        ("Nguyễn Văn An", "An Nguyễn Văn"),
        ("Nguyễn Văn An", "Trần Văn An"),
        ("", ""),
        ("'", "-"),
    ],
)
def test_names_differ_when_they_are_spelt_for_another(one: str, other: str) -> None:
    assert same_name(one, other) is NameMatch.DIFFERENT
    assert same_name(other, one) is NameMatch.DIFFERENT


def test_names_differ_when_the_middle_is_missing_or_the_order_turned() -> None:
    long_names = [name.split() for name in PEOPLE if len({name_fold(word) for word in name.split()}) > 2]
    assert len(long_names) > 200
    for first, *middle, last in long_names:
        name = " ".join((first, *middle, last))
        assert same_name(f"{first} {last}", name) is NameMatch.DIFFERENT, name
        assert same_name(" ".join((last, *middle, first)), name) is NameMatch.DIFFERENT, name


def test_names_match_only_folded_when_tones_differ() -> None:
    assert same_name("Nguyễn Thị Tiên", "Nguyễn Thị Tiến") is NameMatch.FOLD


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Đặng Thị Thuỷ", "DANGTHITHUY"),
        ("\u00d0ặng", "DANG"),
        ("H' Linh Byă", "HLINHBYA"),
        ("H\u02bc Linh Byă", "HLINHBYA"),
        ("K'Brếu", "KBREU"),
        ("Nguyễn-Phúc Ưng", "NGUYENPHUCUNG"),
    ],
)
def test_fold_follows_the_national_convention_when_folding(name: str, folded: str) -> None:
    assert name_fold(name) == folded
    assert name_fold(unicodedata.normalize("NFD", name)) == folded


def test_clean_keeps_the_name_when_it_is_latin() -> None:
    for name in [*PEOPLE, "An", "O'Neil", "Anne-Marie", "J. Müller", "Øystein Łukasz", "H\u02bcLinh"]:
        assert clean(name) == name
        assert clean(f"  {unicodedata.normalize('NFD', name)} ") == name


def test_clean_repairs_the_eth_only_for_vietnamese_names() -> None:
    assert clean("\u00d0ỗ Văn Ðoàn") == "Đỗ Văn Đoàn"
    assert clean("Ðóra Sigurðardóttir", vietnamese=False) == "Ðóra Sigurðardóttir"
    assert repair_d("ð") == "đ"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", NameProblem.EMPTY),
        (" \u00a0\t", NameProblem.EMPTY),
        ("a" * 101, NameProblem.LENGTH),
        ("a" * 100_000, NameProblem.LENGTH),
        ("Nguyễn Văn 2", NameProblem.CHARACTERS),
        ("Nguyễn_Văn", NameProblem.CHARACTERS),
        ("<b>An</b>", NameProblem.CHARACTERS),
        ("Иван", NameProblem.CHARACTERS),
        ("阮文安", NameProblem.CHARACTERS),
        ("An\x00", NameProblem.CHARACTERS),
        ("An\u202e", NameProblem.CHARACTERS),
        ("An\u200b", NameProblem.CHARACTERS),
        ("-", NameProblem.CHARACTERS),
        ("\u0301An", NameProblem.CHARACTERS),
        ("A\u0335\u0336\u0337\u0338n", NameProblem.CHARACTERS),
        ("An, Bình", NameProblem.CHARACTERS),
    ],
)
def test_clean_says_why_when_the_text_is_no_name(text: str, reason: NameProblem) -> None:
    with pytest.raises(NameRefused) as refusal:
        clean(text)
    assert refusal.value.reason is reason


def test_clean_takes_a_hundred_letters_when_typed_decomposed() -> None:
    assert clean(unicodedata.normalize("NFD", "ế" * 100)) == "ế" * 100


@given(name=latin)
def test_keys_are_stable_when_applied_to_their_own_result(name: str) -> None:
    assert name_exact(name_exact(name)) == name_exact(name)
    assert name_fold(name_fold(name)) == name_fold(name)


@given(text=st.text(max_size=200))
def test_clean_answers_or_refuses_when_anything_is_typed(text: str) -> None:
    try:
        name = clean(text)
    except NameRefused:
        return
    assert clean(name) == name
    assert same_name(name, text) is NameMatch.EXACT


@given(one=latin, other=latin)
def test_names_that_match_exactly_also_match_folded_when_compared(one: str, other: str) -> None:
    if name_exact(one) == name_exact(other):
        assert name_fold(one) == name_fold(other)


ORDERED = [
    "Nguyễn Văn An",
    "Trần An",
    "Lê Ân",
    "Nguyễn Ba",
    "Đỗ Dũng",
    "Phan Đào",
    "Y Krang Êban",
    "Lê Hoa",
    "Lê Hòa",
    "Lê Hỏa",
    "Lê Hõa",
    "Lê Hóa",
    "Lê Họa",
    "K'Brếu",
    "Nguyễn Lan",
    "Nguyễn Thị Lan",
    "Nguyễn Văn Lan",
    "Ngô Oanh",
    "Đỗ Ông",
    "Đỗ Ơn",
    "Vũ Uyên",
    "Lê Ưng",
    "Lê Ý",
]


def test_list_stands_in_vietnamese_order_when_sorted_by_key() -> None:
    shuffled = random.Random(1).sample(ORDERED, len(ORDERED))
    assert sorted(shuffled, key=sort_key) == ORDERED


def test_sort_key_is_the_same_when_one_name_is_written_in_two_ways() -> None:
    assert sort_key("Lê Thị HOÀ") == sort_key("Lê  Thị Hòa")


def test_tones_count_only_after_all_letters_when_middles_have_several_words() -> None:
    assert sort_key("Lê Tú Anh An") < sort_key("Lê Tu Bình An")


def test_sort_key_holds_only_digits_and_small_letters_when_stored() -> None:
    for name in [*PEOPLE, "Müller Jörg", "Øystein"]:
        assert re.fullmatch("[0-9a-z]+", sort_key(name))
        assert len(sort_key(name)) <= 2 * len(name) + 6
