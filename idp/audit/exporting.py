"""Sealed events for a log collector: JSON lines, or messages of RFC 5424 framed by their length (RFC 5425, 4.3).

In the sealed order, so that a number is a cursor and nothing is ever written behind it. What goes out are row keys,
codes and counts, as they stand in the table: nobody's number, name or address.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from idp.audit import leaves
from idp.audit.models import AuditLeaf

PAGE: Final = 500
_LEAF = AuditLeaf.__table__
_EVENT = leaves.EVENT
# Facility "log audit", severity "notice" (RFC 5424, 6.2.1).
_PRIORITY: Final = 13 * 8 + 5
_MEMBERS_ID: Final = "event@32473"


class Form(StrEnum):
    """How an event is written."""

    JSON = "json"
    SYSLOG = "syslog"


@dataclass(frozen=True, slots=True)
class Exported:
    """One sealed event; `members` as in its leaf, its leaf's hash in hexadecimal."""

    seq: int
    members: dict[str, str]
    leaf: str


def page(engine: sa.Engine, *, start: int, end: int | None = None, most: int = PAGE) -> list[Exported]:
    """Return the first events from `start` on and before `end`, `most` at most. Pruned ones are passed over."""
    chosen = (
        sa.select(_LEAF.c.seq, _LEAF.c.hash, *leaves.COLUMNS)
        .select_from(_LEAF.join(_EVENT, _EVENT.c.id == _LEAF.c.event_id))
        .where(_LEAF.c.seq >= start)
        .order_by(_LEAF.c.seq)
        .limit(most)
    )
    if end is not None:
        chosen = chosen.where(_LEAF.c.seq < end)
    with engine.begin() as connection:
        rows = connection.execute(chosen).all()
    return [Exported(row[0], leaves.members_of(row[2:]), bytes(row[1]).hex()) for row in rows]


def pages(engine: sa.Engine, *, start: int, end: int | None = None) -> Iterator[list[Exported]]:
    """Yield pages until there is no more."""
    while found := page(engine, start=start, end=end):
        yield found
        start = found[-1].seq + 1


def written(event: Exported, form: Form, *, host: str) -> str:
    """Return the text for one event; `host` is the name of this log for a collector."""
    if form is Form.JSON:
        return json.dumps(_object(event), ensure_ascii=False, separators=(",", ":")) + "\n"
    members = event.members
    data = [
        ("seq", str(event.seq)),
        ("leaf", event.leaf),
        *((name, members[name]) for name in _DATA if name in members),
    ]
    structured = "".join(f' {name}="{_escaped(value)}"' for name, value in data)
    at, name = members.get("at", "-"), members.get("name", "-")
    message = f"<{_PRIORITY}>1 {_word(at)} {_word(host)} lienket - {_word(name, 32)} [{_MEMBERS_ID}{structured}]"
    # Counted in octets.
    return f"{len(message.encode('utf-8', 'replace'))} {message}"


def kept(cursor: Path) -> int:
    """Return the number that `keep` wrote. Raises OSError, ValueError."""
    return int(cursor.read_text("ascii"))


def keep(cursor: Path, seq: int) -> None:
    """Write down which number is next, as a whole: half a number would be another one. Raises OSError."""
    whole = cursor.with_name(f"{cursor.name}.new")
    whole.write_text(f"{seq}\n", "ascii")
    whole.replace(cursor)


_DATA: Final = ("name", "id", "outcome", "citizen", "client", "session", "reference", "detail")


def _object(event: Exported) -> dict[str, Any]:
    found: dict[str, Any] = {"seq": event.seq, **event.members, "leaf": event.leaf}
    try:
        found["detail"] = json.loads(event.members.get("detail", "null"))
    except ValueError:
        # Not as we write it: left as text, which verifying will name.
        return found
    return {name: value for name, value in found.items() if value is not None}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]").replace("\n", " ")


def _word(value: str, most: int = 255) -> str:
    """Return what a header field may hold: printable ASCII without spaces (RFC 5424, 6)."""
    return "".join(sign if "!" <= sign <= "~" else "?" for sign in value)[:most] or "-"
