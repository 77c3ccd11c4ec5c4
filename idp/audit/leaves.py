"""An event as a leaf: the bytes that are hashed, and nothing else that would have to be trusted.

The bytes are JSON as RFC 8785 would write it: members in order, no spaces, UTF-8, those without a value left out. All
values are text but `seq`. Whatever the table holds has such a form, also what somebody put there by hand: an event that
cannot be read must neither stop the sealing nor pass for another.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any, Final

import sqlalchemy as sa

from idp.audit import merkle
from idp.audit.models import AuditEvent
from idp.core.database import as_instant, as_uuid

EVENT: Final = AuditEvent.__table__
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


def _key(value: Any) -> str:
    return as_uuid(value).hex


def _time(value: Any) -> str:
    return as_instant(value).astimezone(UTC).strftime(_TIME)


# `detail` stays the text that was written: no reader has to agree with another about its numbers and escapes.
_MEMBERS: Final[tuple[tuple[str, str, Callable[[Any], str]], ...]] = (
    ("id", "id", _key),
    ("at", "at", _time),
    ("name", "name", str),
    ("citizen", "citizen_id", _key),
    ("client", "client_id", _key),
    ("session", "session_id", _key),
    ("outcome", "outcome", str),
    ("reference", "reference", str),
    ("detail", "detail", str),
)
COLUMNS: Final = tuple(sa.type_coerce(EVENT.c[column], sa.types.NullType()) for _, column, _ in _MEMBERS)
"""The columns of an event as the driver gives them; `members_of` takes such a row."""


def members_of(row: Sequence[Any]) -> dict[str, str]:
    """Return the members of a leaf but its `seq`, for the values of `COLUMNS`."""
    members = {}
    for (name, _, convert), value in zip(_MEMBERS, row, strict=True):
        if value is None:
            continue
        try:
            members[name] = convert(value)
        except (ValueError, TypeError, AttributeError, OverflowError):
            members[name] = str(value)
    return members


def body(seq: int, members: dict[str, str]) -> bytes:
    """Return the bytes of the leaf at `seq`. The number is in them, so that an event cannot change its place."""
    text = json.dumps({**members, "seq": seq}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def hash_of(seq: int, row: Sequence[Any]) -> bytes:
    """Return the leaf hash of an event at `seq`."""
    return merkle.leaf_hash(body(seq, members_of(row)))
