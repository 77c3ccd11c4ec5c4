"""User codes: made of letters that are not mistaken for each other, read however people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.core import user_codes


def test_new_codes_are_eight_letters_of_the_alphabet_and_differ() -> None:
    codes = {user_codes.new_user_code() for _ in range(200)}
    assert len(codes) == 200
    assert all(len(code) == 8 and set(code) <= set(user_codes.ALPHABET) for code in codes)


def test_alphabet_spells_no_words_and_is_that_of_the_specification() -> None:
    assert set("BCDFGHJKLMNPQRSTVWXZ") == set(user_codes.ALPHABET)
    assert set("AEIOUY").isdisjoint(user_codes.ALPHABET)


@pytest.mark.parametrize(
    "typed",
    [
        "WDJB-MJHT",
        "wdjb-mjht",
        " wdjb mjht ",
        "W.D.J.B-M.J.H.T",
        "WDJB\u2013MJHT",
        "\uff37\uff24\uff2a\uff22\uff2d\uff2a\uff28\uff34",
        "ưdjb-mjht",
        "WDJ8-MJHT",
    ],
)
def test_code_is_read_as_it_was_meant(typed: str) -> None:
    assert user_codes.read(typed) == "WDJBMJHT"


def test_letters_that_a_vietnamese_keyboard_joins_are_two_again() -> None:
    assert user_codes.read("Đbcf-ghj") == "DDBCFGHJ"
    assert user_codes.read("Đbcf-ghjk") == "DBCFGHJK"


@pytest.mark.parametrize("typed", ["", "WDJB", "WDJB-MJHTT", "AEIO-UAEI", "W" * 41, "漢字漢字漢字漢字"])
def test_what_cannot_be_a_code_is_none(typed: str) -> None:
    assert user_codes.read(typed) is None


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_code_or_nothing(typed: str) -> None:
    code = user_codes.read(typed)
    assert code is None or (len(code) == 8 and set(code) <= set(user_codes.ALPHABET))
