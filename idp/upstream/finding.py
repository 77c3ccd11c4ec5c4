"""One thing that looking a provider over brought to light, and what to do about it."""

import json
from dataclasses import dataclass
from enum import StrEnum

_LONGEST_QUOTE = 200


class Verdict(StrEnum):
    """WRONG is what refuses sign-ins or must not be; a NOTE may be meant so."""

    RIGHT = "right"
    NOTE = "note"
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, and whom to tell what."""

    verdict: Verdict
    words: str
    advice: str | None = None


def right(words: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Verdict.RIGHT, words)


def note(words: str, advice: str | None = None) -> Finding:
    """Return something to know."""
    return Finding(Verdict.NOTE, words, advice)


def wrong(words: str, advice: str) -> Finding:
    """Return what has to be put right, and how."""
    return Finding(Verdict.WRONG, words, advice)


def quoted(value: object) -> str:
    """Return what the other side wrote, for a terminal: ASCII without control characters, and not endless."""
    # A title bar or a whole screen can be written by whoever gets an escape character printed.
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")[:_LONGEST_QUOTE]
