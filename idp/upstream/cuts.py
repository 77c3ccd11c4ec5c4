"""The incident switch: a provider cut off from agencies or levels, for a time, with a reason for everybody to read."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.models import Agency
from idp.agencies.transaction import in_one_transaction
from idp.audit.events import Event
from idp.audit.record import actor, record
from idp.core import clock
from idp.core.database import db
from idp.core.levels import Level
from idp.upstream.apply import check_seen, find
from idp.upstream.record import Cut

LONGEST_REASON: Final = 300
REQUIRED_LANGUAGE: Final = "vi"


class CutRefused(Exception):
    """What was given is no incident: `problems` are pairs of a member and what is wrong with it."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{member}: {what}" for member, what in problems))
        self.problems = problems


def read(members: Mapping[str, Any]) -> Cut:
    """Return the incident kept as `members`."""
    level, until = members["level"], members["until"]
    return Cut(
        agencies=frozenset(members["agencies"]),
        level=None if level is None else Level(level),
        reasons=members["reasons"],
        since=datetime.fromisoformat(members["from"]),
        until=None if until is None else datetime.fromisoformat(until),
    )


def described(
    *,
    agencies: Iterable[str],
    level: Level | None,
    reasons: Mapping[str, str | None],
    since: datetime | None,
    until: datetime | None,
) -> Cut:
    """Return the incident that somebody describes; it begins now unless `since` is given. Reads the agencies' names.

    Raises CutRefused with the members agency, reason-vi (en, fr) and until.
    """
    chosen = frozenset(agencies)
    begins = since or clock.now()
    known = set(db.session.scalars(sa.select(Agency.slug).where(Agency.slug.in_(chosen))))
    db.session.rollback()
    problems = [("agency", f"there is no agency {each}") for each in sorted(chosen - known)]
    texts = {language: text.strip() for language, text in reasons.items() if text is not None and text.strip()}
    if REQUIRED_LANGUAGE not in texts:
        problems.append((f"reason-{REQUIRED_LANGUAGE}", "is missing; everybody reads it"))
    problems += [
        (f"reason-{language}", f"is longer than {LONGEST_REASON} characters")
        for language, text in texts.items()
        if len(text) > LONGEST_REASON
    ]
    if until is not None and until <= begins:
        problems.append(("until", "is not after the beginning"))
    if problems:
        raise CutRefused(problems)
    return Cut(agencies=chosen, level=level, reasons=texts, since=begins, until=until)


def cut(slug: str, incident: Cut, *, by: UUID | None = None, seen: int | None = None) -> None:
    """Cut a provider off, instead of any incident before. Commits. Events: provider cut.

    `by` and `seen` as in `apply`. Raises UnknownProvider, OutdatedProvider.
    """
    kept = {
        "agencies": sorted(incident.agencies),
        "level": None if incident.level is None else int(incident.level),
        "reasons": dict(incident.reasons),
        "from": incident.since.isoformat(),
        "until": None if incident.until is None else incident.until.isoformat(),
    }
    in_one_transaction(lambda: _keep(slug, kept, by=by, seen=seen))


def uncut(slug: str, *, by: UUID | None = None, seen: int | None = None) -> bool:
    """End the incident of a provider; False when there was none. Commits. Events: uncut.

    `by` and `seen` as in `apply`. Raises UnknownProvider, OutdatedProvider.
    """
    return in_one_transaction(lambda: _keep(slug, None, by=by, seen=seen))


def _keep(slug: str, kept: dict[str, Any] | None, *, by: UUID | None, seen: int | None) -> bool:
    row = find(slug)
    check_seen(row.version, seen)
    if kept is None and row.cut is None:
        return False
    row.cut = kept
    row.version += 1
    row.updated_at = clock.now()
    detail: dict[str, Any] = {"provider": slug, **actor(by)}
    if kept is not None:
        detail |= {"agencies": len(kept["agencies"]), "level": kept["level"]}
    record(db.session, Event.UPSTREAM_CUT, outcome="uncut" if kept is None else "cut", detail=detail)
    return True
