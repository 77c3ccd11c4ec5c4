"""Read the catalogue of requirements: what each specification asks, and what we say about it.

One file per specification in `requirements/`, its sections as tables, each requirement one line:

    title = "RFC 7636: Proof Key for Code Exchange"
    [section."4.6"]
    1 = ["supported", "The verifier is hashed and compared; a difference is invalid_grant."]

The id is the file's name, the section and the number: `RFC7636-4.6-1`. A file with `plain_ids = true` has rows with
short names of their own (`B24`). The text is ours, never a copy of the specification's.
"""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

DIRECTORY = Path(__file__).parent / "requirements"
OPEN = DIRECTORY / "open.toml"


class State(StrEnum):
    """What we say about a requirement."""

    SUPPORTED = "supported"  # held for every client
    SWITCH = "switch"  # held where a member of the client document or a setting says so, which is named
    REFUSED = "refused"  # the feature is not offered; the answer that says so is named
    CLIENT = "client"  # binds the relying party or the resource server of somebody else
    OPERATOR = "operator"  # binds what stands in front of the provider, such as the proxy that ends TLS


NEEDS_TEST = frozenset({State.SUPPORTED, State.SWITCH, State.REFUSED})


class CatalogueRefused(Exception):
    """A file of the catalogue is not as it should be; the message names the place."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing a specification asks."""

    id: str
    section: str
    state: State
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Specification:
    """One specification and what it asks, in its own order."""

    name: str
    title: str
    url: str
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class OpenList:
    """Requirements without a test yet: why, for each, and how many there may be at most."""

    at_most: int
    reasons: dict[str, str]


def specifications() -> tuple[Specification, ...]:
    """Return the whole catalogue in the order of the files' `order`, then of their names.

    Raises CatalogueRefused: a member is unknown or missing, a state unknown, an id given twice.
    """
    read = [_read(path) for path in sorted(DIRECTORY.glob("*.toml")) if path != OPEN]
    read.sort(key=lambda pair: (pair[0], pair[1].name))
    found = tuple(specification for _, specification in read)
    seen: set[str] = set()
    for requirement in (one for specification in found for one in specification.requirements):
        if requirement.id in seen:
            raise CatalogueRefused(f"{requirement.id} is there twice")
        seen.add(requirement.id)
    return found


def open_list() -> OpenList:
    """Return the requirements that no test holds yet.

    Raises CatalogueRefused: an id stands under two reasons.
    """
    document = tomllib.loads(OPEN.read_text())
    reasons: dict[str, str] = {}
    for reason, ids in document["reason"].items():
        for name in ids:
            if name in reasons:
                raise CatalogueRefused(f"open.toml: {name} is there twice")
            reasons[name] = reason
    return OpenList(document["at_most"], reasons)


def write_open_list(reasons: dict[str, str]) -> None:
    """Write the open list anew; the most it may ever hold is what it holds now."""
    lines = [
        "# What no test holds yet, by reason. It only shrinks: `python -m tests.spec.checklist` takes out what a test",
        "# holds now and lowers the number. A new line needs a reason for the reader of docs/specifications.md.",
        f"at_most = {len(reasons)}",
        "",
        "[reason]",
    ]
    for reason in dict.fromkeys(reasons.values()):
        lines.append(f'"{reason}" = [')
        lines += [f'    "{name}",' for name, why in reasons.items() if why == reason]
        lines.append("]")
    OPEN.write_text("\n".join(lines) + "\n")


def _read(path: Path) -> tuple[int, Specification]:
    document = tomllib.loads(path.read_text())
    if unknown := document.keys() - {"title", "url", "order", "plain_ids", "section"}:
        raise CatalogueRefused(f"{path.name}: unknown {sorted(unknown)}")
    requirements: list[Requirement] = []
    for section, rows in document["section"].items():
        for number, (state, text) in rows.items():
            word, _, by = state.partition(": ")
            where = f"{path.name}, {section}, {number}"
            if word not in set(State):
                raise CatalogueRefused(f"{where}: the state {word!r} is unknown")
            if (word in {State.SWITCH, State.REFUSED}) != bool(by):
                raise CatalogueRefused(f"{where}: `switch: NAME` and `refused: ANSWER` say by what, the others nothing")
            name = number if document.get("plain_ids") else f"{path.stem}-{section}-{number}"
            requirements.append(Requirement(name, section, State(word), by, text))
    specification = Specification(path.stem, document["title"], document["url"], tuple(requirements))
    return document["order"], specification
