"""Names of people: what may be stored, when two spellings are one name, and in which order lists stand.

Owns cleaning, the two comparison keys and the sort key. A name is one field here: splitting it into family and
given name is unreliable in Vietnam and is left to the register that knows the parts.
"""

import re
import unicodedata
from enum import Enum
from typing import Final

MAX_LENGTH: Final = 100
"""Longest stored name, in characters after NFC."""

_APOSTROPHES: Final = "'\u2019\u02bc"
_OTHER_SIGNS: Final = f" -.{_APOSTROPHES}"
_MAX_MARKS_ON_A_LETTER: Final = 2

# Old files write the Icelandic eth where Vietnamese has d with stroke; both capitals look the same in print.
_ETH_TO_D: Final = str.maketrans("\u00d0\u00f0", "\u0110\u0111")
_ONE_APOSTROPHE: Final = str.maketrans(dict.fromkeys(_APOSTROPHES, "'"))
_NO_APOSTROPHE: Final = str.maketrans(dict.fromkeys(_APOSTROPHES))

# Two school rules put the tone of oa, oe and uy on either vowel. After q, the u belongs to the consonant and
# only one place is right; inside a closed syllable (hoàn, thuyền) there is only one place too.
# fmt: off
_TONE_PLACES: Final = {
    "òa": "oà", "óa": "oá", "ỏa": "oả", "õa": "oã", "ọa": "oạ",
    "òe": "oè", "óe": "oé", "ỏe": "oẻ", "õe": "oẽ", "ọe": "oẹ",
    "ùy": "uỳ", "úy": "uý", "ủy": "uỷ", "ũy": "uỹ", "ụy": "uỵ",
}
# fmt: on
_MOVABLE_TONE: Final = re.compile(rf"(?<!q)(?:{'|'.join(_TONE_PLACES)})(?![^\W_]|[\u0300-\u036f])")

# Digits and small letters only: they stand in this order under every collation of every database we serve.
_SORT_SIGNS: Final = "23456789abcdefghijklmnopqrstuvwxyz"
_SORT_ORDER: Final = dict(zip("aăâbcdđeêfghijklmnoôơpqrstuưvwxyz", _SORT_SIGNS, strict=False))
_SORT_LAST: Final = _SORT_SIGNS[-1]
_SORT_END: Final = "0"
_SORT_SPACE: Final = "1"
_TONE_ORDER: Final = {"\u0300": "3", "\u0309": "4", "\u0303": "5", "\u0301": "6", "\u0323": "7"}
_NO_TONE: Final = "2"


class NameProblem(Enum):
    """Say why a text is not stored as a name."""

    EMPTY = "empty"
    LENGTH = "length"
    CHARACTERS = "characters"


class NameRefused(ValueError):
    """Carry why a text is no name, without repeating the text."""

    def __init__(self, reason: NameProblem) -> None:
        super().__init__(reason.value)
        self.reason = reason


class NameMatch(Enum):
    """Say how near two spellings are.

    EXACT is one name; FOLD is one name once tones, accents, đ and case are dropped; DIFFERENT is neither.
    """

    EXACT = "exact"
    FOLD = "fold"
    DIFFERENT = "different"


def clean(text: str, *, vietnamese: bool = True) -> str:
    """Return `text` as it is stored: NFC, single spaces, and for Vietnamese names Đ in place of the eth.

    A name is 1 to 100 characters: Latin letters with their marks, space, hyphen, dot and the apostrophes U+0027,
    U+2019 and U+02BC, with at least one letter. One word is a name. Raises NameRefused.
    """
    if len(text) > 4 * MAX_LENGTH:
        raise NameRefused(NameProblem.LENGTH)
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise NameRefused(NameProblem.EMPTY)
    if len(name) > MAX_LENGTH:
        raise NameRefused(NameProblem.LENGTH)
    if not _is_written_in_latin(name):
        raise NameRefused(NameProblem.CHARACTERS)
    return repair_d(name) if vietnamese else name


def repair_d(text: str) -> str:
    """Replace the eth (U+00D0, U+00F0) of old files by the Vietnamese Đ and đ (U+0110, U+0111)."""
    return text.translate(_ETH_TO_D)


def name_exact(name: str) -> str:
    """Return the key under which two spellings are the same name.

    Case, spacing, composition, the kind of apostrophe, the eth and the place of the tone in oa, oe and uy do
    not count. Tones, accents and y against i do.
    """
    folded = unicodedata.normalize("NFC", repair_d(unicodedata.normalize("NFC", name)).casefold())
    spaced = " ".join(folded.translate(_ONE_APOSTROPHE).split())
    return _MOVABLE_TONE.sub(lambda found: _TONE_PLACES[found.group()], spaced)


def name_fold(name: str) -> str:
    """Return the key of the national convention: capitals without accents, spaces or signs.

    Many given names fall together here. Use it only beside a number and a birth date; never search people or
    join accounts by it.
    """
    plain = repair_d(unicodedata.normalize("NFC", name)).translate(_NO_APOSTROPHE)
    plain = plain.replace("đ", "d").replace("Đ", "D")
    return "".join(sign for sign in unicodedata.normalize("NFD", plain) if sign.isalnum()).upper()


def same_name(one: str, other: str) -> NameMatch:
    """Tell how near two spellings are; two names without a letter are DIFFERENT."""
    fold = name_fold(one)
    if not fold or fold != name_fold(other):
        return NameMatch.DIFFERENT
    return NameMatch.EXACT if name_exact(one) == name_exact(other) else NameMatch.FOLD


def sort_key(full_name: str) -> str:
    """Return a key whose plain order is that of Vietnamese lists: given name, then family, then middle.

    Letters stand a ă â b c d đ e ê … o ô ơ … u ư …, tones none, huyền, hỏi, ngã, sắc, nặng. The last word is
    taken as given name and the first as family name: good enough to order a list, for nothing else. The key
    holds only digits and small letters, so any database collation orders it alike.
    """
    words = name_exact(full_name).replace("-", " ").split()
    given, family, middle = words[-1:], words[:-1][:1], words[1:-1]
    return "".join(_sort_part(part) for part in (given, family, middle))


def _sort_part(words: list[str]) -> str:
    weighed = [_weigh(word) for word in words]
    letters = _SORT_SPACE.join(letters for letters, _ in weighed)
    return letters + _SORT_END + "".join(tone for _, tone in weighed) + _SORT_END


def _weigh(word: str) -> tuple[str, str]:
    letters: list[str] = []
    tone = _NO_TONE
    for sign in word:
        marks = unicodedata.normalize("NFD", sign)
        tone = next((_TONE_ORDER[mark] for mark in marks if mark in _TONE_ORDER), tone)
        letter = unicodedata.normalize("NFC", "".join(mark for mark in marks if mark not in _TONE_ORDER))
        if letter.isalpha():
            letters.append(_SORT_ORDER.get(letter) or _SORT_ORDER.get(marks[0], _SORT_LAST))
    return "".join(letters), tone


def _is_written_in_latin(name: str) -> bool:
    marks_allowed = 0
    has_letter = False
    for sign in name:
        described = unicodedata.name(sign, "")
        if sign in _OTHER_SIGNS:
            marks_allowed = 0
        elif unicodedata.category(sign) == "Mn" and described.startswith("COMBINING"):
            # A heap of marks on one letter hides the text around it on every page that shows the name.
            if not marks_allowed:
                return False
            marks_allowed -= 1
        elif sign.isalpha() and described.startswith("LATIN"):
            has_letter = True
            marks_allowed = _MAX_MARKS_ON_A_LETTER
        else:
            return False
    return has_letter
