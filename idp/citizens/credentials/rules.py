"""What a new password must be, and in which words it is refused (NIST SP 800-63B-4, 3.1.1.2).

Long rather than strange: fifteen characters, or eight beside a second factor, and no rules of composition. It must not
be on the operator's list of known passwords (`blocklist`), nor made of the person's own data or the service's names,
nor of common words, in Vietnamese too, however they are typed. How guessable it is, zxcvbn estimates.

zxcvbn takes a tenth of a second to load and milliseconds to judge, growing faster than the length: it is imported at
the first judgement, outside the queue of hashes, sees a bounded part, and reads signs for letters in few ways.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from idp.citizens.birthdate import BirthDate
from idp.citizens.credentials import blocklist, hashing
from idp.core.settings import Settings

LEAST: Final = 15
LEAST_WITH_FACTOR: Final = 8
MOST: Final = hashing.MAX_LENGTH
_JUDGED: Final = 40
# What zxcvbn calls hard to guess, and very hard: a second factor stands behind the former.
_FEWEST_GUESSES: Final = 10**10
_FEWEST_WITH_FACTOR: Final = 10**8
_SHORTEST_WORD: Final = 4
_MOST_WORDS: Final = 200
_WORDS_FILE: Final = Path(__file__).with_name("vietnamese-passwords.txt")
_TELEX_MARKS: Final = {"\u0302": None, "\u0306": "w", "\u031b": "w"}
_TELEX_TONES: Final = {"\u0300": "f", "\u0301": "s", "\u0309": "r", "\u0303": "x", "\u0323": "j"}
_VNI_MARKS: Final = {"\u0302": "6", "\u0306": "8", "\u031b": "7"}
_VNI_TONES: Final = {"\u0300": "2", "\u0301": "1", "\u0309": "3", "\u0303": "4", "\u0323": "5"}
# All signs are read at once, and those that may be two letters as each.
_READINGS: Final = (("1", "i"), ("|", "i"), ("7", "t")), (("1", "l"), ("|", "l")), (("7", "l"),)


class Rule(StrEnum):
    """What a password can fail. Each has words for people: `password.weak.<rule>`."""

    SHORT = "short"
    LONG = "long"
    KNOWN = "known"
    PERSONAL = "personal"
    GUESSABLE = "guessable"


@dataclass(frozen=True, slots=True)
class Weakness:
    """Why a password is refused; `least` and `most` are the lengths that hold here, for the words."""

    rule: Rule
    least: int
    most: int = MOST

    @property
    def message(self) -> str:
        """Return the id of the words in the catalogues, which take `least` and `most`."""
        return f"password.weak.{self.rule}"


def least_length(*, has_second_factor: bool) -> int:
    """Return how many characters a password needs."""
    return LEAST_WITH_FACTOR if has_second_factor else LEAST


def judge(password: str, *, words: Iterable[str], has_second_factor: bool, settings: Settings) -> Weakness | None:
    """Return why `password` must not be set, None when it may.

    `words` are those that anybody who knows the person tries first (`words_about`), and the names of the services.
    Characters are counted after NFC. Call it with no transaction open and outside the queue of hashes.
    """
    least = least_length(has_second_factor=has_second_factor)
    if len(password) > MOST * 4:
        return Weakness(Rule.LONG, least)
    text = hashing.normal(password)
    if len(text) < least:
        return Weakness(Rule.SHORT, least)
    if len(text) > MOST:
        return Weakness(Rule.LONG, least)
    if settings.password_blocklist is not None and blocklist.holds(settings.password_blocklist, text):
        return Weakness(Rule.KNOWN, least)
    own = _own_words((settings.service_name, *words))
    folded = fold(text)
    fewest = _FEWEST_WITH_FACTOR if has_second_factor else _FEWEST_GUESSES
    # Spaces and signs between words cost an attacker nothing, and zxcvbn takes them for something to guess.
    if min(_guesses(folded, ()), _guesses(_joined(folded), ())) < fewest:
        return Weakness(Rule.GUESSABLE, least)
    rest = _without(folded, own)
    if _guesses(folded, own) < fewest or (rest != folded and _guesses(rest, ()) < fewest):
        return Weakness(Rule.PERSONAL, least)
    return None


def words_about(claims: Mapping[str, Any], birth: BirthDate | None = None) -> Iterator[str]:
    """Yield what others know of a person: name, number, birth date and contacts from the claims of a profile."""
    for name in ("name", "also_known_as", "nickname", "preferred_username"):
        if isinstance(value := claims.get(name), str):
            yield value
    for name in ("identification_number", "email"):
        if isinstance(value := claims.get(name), str):
            yield value
    if isinstance(phone := claims.get("phone_number"), str):
        yield phone
        yield phone.replace("+84", "0", 1)
    if birth is not None:
        yield from _dates(birth)


def _dates(birth: BirthDate) -> Iterator[str]:
    year = f"{birth.year:04d}"
    yield year
    if birth.month is None:
        return
    month = f"{birth.month:02d}"
    yield from (month + year, year + month)
    if birth.day is None:
        return
    day = f"{birth.day:02d}"
    for separator in ("", "/", "-", "."):
        yield separator.join((day, month, year))
        yield separator.join((str(birth.day), str(birth.month), year))
        yield separator.join((day, month, year[2:]))
        yield separator.join((year, month, day))
    yield day + month


def fold(text: str) -> str:
    """Return a text without accents and in small letters: what is left when somebody does not bother to type them."""
    decomposed = unicodedata.normalize("NFKD", text.lower().replace("đ", "d"))
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))


def _own_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return the context words as they would be typed: folded, whole without spaces and in parts."""
    found: dict[str, None] = {}
    for word in words:
        folded = fold(word)
        parts = re.split(r"[^0-9a-z]+", folded)
        # Given name and middle names, which are how people write their own name short.
        joined = ["".join(parts), *("".join(parts[start:]) for start in range(1, len(parts))), *parts]
        initials = "".join(part[0] for part in parts if part)
        for one in (folded, *joined, initials + parts[-1] if len(parts) > 1 else ""):
            if len(one) >= _SHORTEST_WORD:
                found[one] = None
    return tuple(found)[:_MOST_WORDS]


def _without(folded: str, own: tuple[str, ...]) -> str:
    """Return what is left of a password when its owner's words, and the signs between them, are taken out.

    zxcvbn thinks three words in a row hard to find whatever they are; those who know the person do not.
    """
    rest = folded
    for word in sorted(own, key=len, reverse=True):
        rest = rest.replace(word, " ")
    return folded if rest == folded else _joined(rest)


def _joined(folded: str) -> str:
    return "".join(sign for sign in folded if sign.isalnum())


def _guesses(folded: str, own: tuple[str, ...]) -> int:
    """Return about how many guesses an attacker needs who knows the words."""
    matching, scoring = _zxcvbn()
    # Not by `zxcvbn()`, which leaves one person's words in a dictionary that all threads share.
    dictionaries = {
        **{name: words for name, words in matching.RANKED_DICTIONARIES.items() if name != "user_inputs"},
        "vietnamese": _vietnamese(),
        "user_inputs": {word: rank for rank, word in enumerate(own, start=1)},
    }
    part = folded[:_JUDGED]
    found = scoring.most_guessable_match_sequence(part, matching.omnimatch(part, dictionaries))
    return int(found["guesses"])


@cache
def _zxcvbn() -> tuple[Any, Any]:
    """Return the two modules of zxcvbn that judge, made safe for what anybody types."""
    # Here, because its dictionaries take 0.1 s and 20 MB, which no other command or worker needs.
    from zxcvbn import matching, scoring  # noqa: PLC0415

    # Its own tries every combination of letters that signs can stand for: ten seconds for forty signs of anybody's
    # choice, and as many for a password that a password safe has made.
    matching.enumerate_l33t_subs = _readings
    return matching, scoring


def _readings(letters: Mapping[str, Iterable[str]]) -> Iterator[dict[str, str]]:
    """Yield the letter of each sign, in every way to read them that matters; `letters` has the signs of each letter."""
    plain = {sign: letter for letter, signs in letters.items() for sign in signs}
    first = plain | {sign: letter for sign, letter in _READINGS[0] if sign in plain}
    if first:
        yield first
    for other in _READINGS[1:]:
        changed = {sign: letter for sign, letter in other if sign in plain}
        if changed:
            yield first | changed


@cache
def _vietnamese() -> dict[str, int]:
    """Return the words of the file by rank, each without accents and as Telex and VNI keys."""
    ranks: dict[str, int] = {}
    lines = _WORDS_FILE.read_text("utf-8").splitlines()
    for line in lines:
        if line.strip() and not line.startswith("#"):
            for written in _as_typed(line.strip()):
                ranks.setdefault(written, len(ranks) + 1)
    return ranks


def _as_typed(phrase: str) -> Iterator[str]:
    syllables = phrase.split()
    yield "".join(map(fold, syllables))
    for marks, tones, barred in ((_TELEX_MARKS, _TELEX_TONES, "dd"), (_VNI_MARKS, _VNI_TONES, "d9")):
        for is_tone_last in (True, False):
            yield "".join(_keys(each, marks, tones, barred, is_tone_last=is_tone_last) for each in syllables)


def _keys(
    syllable: str, marks: Mapping[str, str | None], tones: Mapping[str, str], barred: str, *, is_tone_last: bool
) -> str:
    """Return the keys that type a syllable: marks after their letter (Telex doubles it for a hat), then the tone."""
    keys, tone = "", ""
    for letter in unicodedata.normalize("NFC", syllable.lower()):
        base, *accents = list(unicodedata.normalize("NFD", letter))
        keys += barred if base == "đ" else base
        keys += "".join(marks[accent] or base for accent in accents if accent in marks)
        tone += "".join(tones[accent] for accent in accents if accent in tones)
        if not is_tone_last:
            keys, tone = keys + tone, ""
    return keys + tone
