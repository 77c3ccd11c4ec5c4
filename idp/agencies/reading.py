"""Reading a client document member by member, gathering every problem instead of stopping at the first."""

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

LANGUAGES = ("vi", "en", "fr")
# Whatever else is missing, this one is there: the first language of the service.
REQUIRED_LANGUAGE = "vi"
# Members that may be written once a language, as NAME#LANGUAGE (RFC 7591, 2.2).
LOCALISED = frozenset({"client_name", "policy_uri", "tos_uri"})
# Characters that reorder or hide text: an agency's words stand on the page where a citizen agrees.
_DECEIVING = frozenset(
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u2060\ufeff\u202a\u202b\u202c\u202d\u202e"
)
_ISOLATES = frozenset("\u2066\u2067\u2068\u2069")


class DocumentRefused(Exception):
    """One or more documents cannot be applied; `problems` holds one line each: source, member, what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Reader:
    """The members of one document, and the problems found in them so far."""

    def __init__(self, source: str, members: Mapping[str, Any]) -> None:
        self.source = source
        self.members = members
        self.problems: list[str] = []

    def refuse(self, member: str, what: str) -> None:
        """Note a problem of `member`; `what` says what is wrong and what to do, without quoting a secret."""
        self.problems.append(f"{self.source}: {member}: {what}")

    def refuse_unknown(self, known: Iterable[str], unsupported: Mapping[str, str]) -> None:
        """Note every member that is not `known`, with the reason in `unsupported` or the nearest known name."""
        names = sorted(known)
        for member in self.members:
            if member in unsupported:
                self.refuse(member, unsupported[member])
            elif member not in names and member.partition("#")[0] not in LOCALISED:
                near = difflib.get_close_matches(member, names, n=1)
                self.refuse(member, f"there is no such member{f'; did you mean {near[0]}?' if near else ''}")

    def text(self, member: str, *, longest: int, value: Any = None) -> str | None:
        """Return the text in `member` (or `value`, named so), trimmed and in NFC; None when absent or refused."""
        found = self.members.get(member) if value is None else value
        if found is None:
            return None
        if not isinstance(found, str) or not found.strip():
            self.refuse(member, "must be a text that is not empty")
            return None
        words = unicodedata.normalize("NFC", found.strip())
        if len(words) > longest:
            self.refuse(member, f"must have at most {longest} characters, not {len(words)}")
        elif any(_is_deceiving(character) for character in words):
            self.refuse(member, "must not hold control, invisible or direction characters")
        else:
            return words
        return None

    def choice(self, member: str, known: Iterable[str], *, default: str | None = None) -> str | None:
        """Return the value of `member`, one of `known`; `default` when absent, None when refused."""
        found = self.members.get(member, default)
        names = tuple(known)
        if found in names:
            return str(found)
        self.refuse(member, f"must be one of {', '.join(names)}" if found is not None else _missing(names))
        return None

    def optional_choice(self, member: str, known: Iterable[str]) -> str | None:
        """Return the value of `member`, one of `known`; None when absent or refused."""
        return self.choice(member, known) if member in self.members else None

    def flag(self, member: str, *, default: bool = False) -> bool:
        """Return the true or false in `member`; `default` when absent or refused."""
        found = self.members.get(member, default)
        if not isinstance(found, bool):
            self.refuse(member, "must be true or false")
            return default
        return found

    def only(self, member: str, *, value: object, words: str) -> None:
        """Note a problem when `member` is there and is not `value`, the only one offered; `words` names it."""
        if self.members.get(member, value) != value:
            self.refuse(member, f"only {words} is supported; write it so or drop the member")

    def has_problem(self, member: str) -> bool:
        """Tell whether `member`, or a part of it, was refused."""
        opening = f"{self.source}: {member}"
        return any(problem.startswith(opening) for problem in self.problems)

    def by_language(self, member: str, *, longest: int) -> dict[str, str]:
        """Return the texts in `member` and `member#LANGUAGE` (RFC 7591, 2.2); the plain one counts as Vietnamese."""
        texts = {}
        for written, value in self.members.items():
            name, hash_sign, language = written.partition("#")
            if name != member:
                continue
            if hash_sign and language not in LANGUAGES:
                self.refuse(written, f"languages are {', '.join(LANGUAGES)}")
            elif (text := self.text(written, longest=longest, value=value)) is not None:
                if hash_sign:
                    texts[language] = text
                else:
                    texts.setdefault(REQUIRED_LANGUAGE, text)
        return texts

    def texts(self, member: str, *, longest: int, value: Any = None, is_required: bool = False) -> dict[str, str]:
        """Return a text by language; a plain text counts as Vietnamese. At least Vietnamese must be there."""
        found = self.members.get(member) if value is None else value
        if isinstance(found, str):
            found = {REQUIRED_LANGUAGE: found}
        if found is None:
            if is_required:
                self.refuse(member, f"is missing; give it by language, at least {REQUIRED_LANGUAGE}")
            return {}
        if not isinstance(found, Mapping):
            self.refuse(member, f'must be texts by language, such as {{"{REQUIRED_LANGUAGE}": "..."}}')
            return {}
        texts = {}
        for language, words in found.items():
            if language not in LANGUAGES:
                self.refuse(f"{member}.{language}", f"languages are {', '.join(LANGUAGES)}")
            elif (text := self.text(f"{member}.{language}", longest=longest, value=words or "")) is not None:
                texts[language] = text
        if REQUIRED_LANGUAGE not in found:
            self.refuse(f"{member}.{REQUIRED_LANGUAGE}", "is missing: every text is needed in Vietnamese at least")
        return texts

    def texts_of_list(self, member: str, *, most: int, longest: int) -> tuple[str, ...]:
        """Return the distinct texts of the list in `member`, exactly as written; none when absent or refused."""
        found = self.members.get(member)
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
            self.refuse(member, "must be a list of texts")
        elif len(found) > most or any(len(entry) > longest for entry in found):
            self.refuse(member, f"must have at most {most} entries of at most {longest} characters")
        elif len(set(found)) != len(found):
            self.refuse(member, "names an entry twice")
        else:
            return tuple(found)
        return ()


def _missing(names: tuple[str, ...]) -> str:
    return f"is missing; give one of {', '.join(names)}"


def _is_deceiving(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn") or character in _DECEIVING | _ISOLATES
