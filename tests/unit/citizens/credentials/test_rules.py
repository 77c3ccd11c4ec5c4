"""What a new password must be: long rather than strange, unknown to attackers, and not about its owner."""

import time
from pathlib import Path

import pytest

from idp.citizens.birthdate import BirthDate
from idp.citizens.credentials import blocklist, rules
from idp.citizens.credentials.rules import Rule, judge, words_about
from idp.core.i18n import LANGUAGES, translation
from idp.core.settings import Settings

CLAIMS = {
    "name": "Nguyễn Thị Hoà",
    "identification_number": "979191000001",
    "email": "hoanguyen91@thu.example",
    "phone_number": "+84912345678",
}
# Every sign that can stand for a letter.
SIGNS = "4@8({[<3690&#!1/|$5+7%2"
WORDS = (*words_about(CLAIMS, BirthDate(1991, 2, 28)), "Cục Thuế Hà Nội")


def rule(password: str, *, factor: bool = True, settings: Settings | None = None) -> Rule | None:
    found = judge(password, words=WORDS, has_second_factor=factor, settings=settings or Settings())
    return None if found is None else found.rule


@pytest.mark.parametrize(
    "password",
    ["đường về nhà xa lắm", "tre xanh ru nắng bốn mùa", "correct horse battery staple", "    dua hau tron  ca phe den",
     "cau vong sau con mua 🌈", "ă" + "xin cho hoa nở trên đồi" + "ợ"],
)  # fmt: skip
def test_long_phrase_is_good_without_capitals_digits_or_signs(password: str) -> None:
    assert rule(password, factor=False) is None


def test_length_is_counted_in_characters_after_composition() -> None:
    assert rule("kLw9#vQ", factor=True) is Rule.SHORT
    assert rule("kLw9#vQp2", factor=True) is None
    assert rule("kLw9#vQp2", factor=False) is Rule.SHORT
    # Seven letters, each with marks of its own.
    assert rule("\u1eb7\u1ed9\u1ee3\u1eef\u1ec7\u1ef1\u1eb5", factor=True) is Rule.SHORT
    assert (
        rule("a\u0323\u0306o\u0323\u0302o\u031b\u0323u\u031b\u0303e\u0323\u0302u\u031b\u0323a\u0306\u0303")
        is Rule.SHORT
    )
    assert rule("z" + "kLw9#vQp" * 16) is Rule.LONG
    assert rule("x" * 100_000) is Rule.LONG


@pytest.mark.parametrize(
    "password",
    ["matkhau12345678", "Mật Khẩu 123456789", "maatjkhaaur12345", "ma65tkha63u12345", "ma6t5kha6u312345",
     "maajtkhaaru12345",     "anhyeuem123456789", "123456789012345",
     "qwertyuiopasdfgh", "aaaaaaaaaaaaaaaa", "password12345678", "iloveyou iloveyou", "asdfghjkl;asdfghjkl;"],
)  # fmt: skip
def test_what_everybody_tries_is_refused(password: str) -> None:
    assert rule(password, factor=False) is Rule.GUESSABLE


@pytest.mark.parametrize(
    "password",
    ["Nguyễn Thị Hoà 1991", "nguyenthihoa28021991", "hoanguyen91@thu.example", "979191000001-979191",
     "0912345678 0912345678",     "cucthuehanoi-hanoi", "LienKet-LienKet-2026", "Hoà Nguyễn 28/02/1991"],
)  # fmt: skip
def test_what_others_know_of_the_person_is_refused(password: str) -> None:
    assert rule(password, factor=False) in (Rule.PERSONAL, Rule.GUESSABLE)


def test_own_name_is_no_harm_in_a_phrase_that_is_good_without_it() -> None:
    assert rule("Nguyễn Thị Hoà thích bơi ngược dòng khuya", factor=False) is None


def test_password_on_the_operators_list_is_refused(tmp_path: Path) -> None:
    settings = Settings(password_blocklist=tmp_path / "list")
    blocklist.build([b"tre xanh ru n\xe1\xba\xafng b\xe1\xbb\x91n m\xc3\xb9a\n"], tmp_path / "list")
    assert rule("tre xanh ru nắng bốn mùa", settings=settings) is Rule.KNOWN
    assert rule("Tre Xanh Ru Nắng Bốn Mùa", settings=settings) is Rule.KNOWN
    assert rule("đường về nhà xa lắm", settings=settings) is None


def test_list_that_cannot_be_read_lets_nothing_through(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"nothing of ours")
    with pytest.raises(blocklist.BlocklistRefused):
        rule("đường về nhà xa lắm", settings=Settings(password_blocklist=tmp_path / "list"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_has_words(language: str) -> None:
    for each in Rule:
        text = translation(language).gettext(rules.Weakness(each, 15).message)
        assert not text.startswith("password.")
        assert text % {"least": 15, "most": 128}


def test_nobodys_words_stay_behind() -> None:
    from zxcvbn import matching

    rule("nguyenthihoa28021991")
    assert "nguyenthihoa" not in matching.RANKED_DICTIONARIES.get("user_inputs", {})


def test_judging_takes_no_longer_for_what_is_made_to_take_long() -> None:
    rule("warm up the dictionaries")
    begun = time.process_time()
    for password in ("a4@" * 42, "1qaz2wsx" * 16, "ab" * 64, "28021991" * 16, SIGNS * 2, SIGNS[:20] * 2):
        rule(password)
    assert time.process_time() - begun < 2


def test_signs_that_stand_for_letters_are_read() -> None:
    for password in ("p@$$w0rd12345678", "i1oveyou1loveyou", "m@tkh4u12345678", "7inkerbe112345678"):
        assert rule(password, factor=False) is Rule.GUESSABLE, password
