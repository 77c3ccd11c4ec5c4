"""A provider document as somebody types it: read strictly, and compared with what is in force."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST_SHOWN = 300
_SECRET = "client_secret"  # noqa: S105 (the name of a member)


class NotJson(Exception):
    """What was typed is no JSON object. `line` is where reading stopped, 0 when that says nothing."""

    def __init__(self, line: int = 0) -> None:
        super().__init__(str(line))
        self.line = line


class NamedTwice(Exception):
    """A member stands twice in one object, and only one of the two would count. `member` is its name."""

    def __init__(self, member: str) -> None:
        super().__init__(member)
        self.member = member


@dataclass(frozen=True, slots=True)
class Change:
    """One member that is another, as JSON; None where it is missing."""

    member: str
    before: str | None
    after: str | None


def read_text(text: str) -> dict[str, Any]:
    """Return the members of a document. Raises NotJson and NamedTwice."""
    try:
        members = json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse)
        # Half of a character pair, which JSON can escape and no database keeps.
        json.dumps(members, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise NotJson(error.lineno) from None
    except (ValueError, RecursionError):
        raise NotJson from None
    if not isinstance(members, dict):
        raise NotJson
    return members


def text_of(members: Mapping[str, Any]) -> str:
    """Return a document as it is shown in the field."""
    return json.dumps(members, ensure_ascii=False, indent=2)


def without_secret(members: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the members without the secret, and whether there was one: what is typed here comes back in pages."""
    return {name: value for name, value in members.items() if name != _SECRET}, _SECRET in members


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the members in which two documents differ, by name; those of objects one by one."""
    old, new = _flat(before), _flat(after)
    return tuple(
        Change(name, _shown(old.get(name)), _shown(new.get(name)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _flat(members: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in members.items():
        if isinstance(value, Mapping) and value:
            flat |= {f"{name}.{part}": _json(inner) for part, inner in value.items()}
        else:
            flat[name] = _json(value)
    return flat


def _json(value: Any) -> str:
    # Sorted: the order of members means nothing.
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _shown(value: str | None) -> str | None:
    return value if value is None or len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…"


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise NamedTwice(name)
        members[name] = value
    return members


def _refuse(constant: str) -> None:
    raise ValueError(constant)
