"""Providers as the console shows them: read anew at each page, those whose record cannot be used among them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from idp.agencies.reading import DocumentRefused
from idp.core.database import db
from idp.upstream import cuts
from idp.upstream.document import read
from idp.upstream.models import ProviderState, UpstreamHealth, UpstreamProvider
from idp.upstream.record import Condition, Cut, Health, Provider, ProviderRecord

SOURCE = "document"
_SLUG = re.compile(r"[a-z0-9-]{1,32}")


class State(StrEnum):
    """What matters most about a provider now, the gravest first.

    UNUSABLE: the rules became stricter than its record. BREAKER: citizens met no answer, and no probe takes that back
    yet; PROBE: our own questions get none. INACTIVE: its record says that it takes nobody for now.
    """

    UNUSABLE = "unusable"
    DISABLED = "disabled"
    CUT = "cut"
    BREAKER = "breaker"
    PROBE = "probe"
    INACTIVE = "inactive"
    SLOW = "slow"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Seen:
    """One provider. `document` is what is in force, without a secret; `record` is None where it cannot be used, and
    `problems` says why. `health` is None while nobody has looked."""

    slug: str
    name: str
    state: State
    is_enabled: bool
    version: int
    updated_at: datetime
    document: Mapping[str, Any]
    has_secret: bool
    cut: Cut | None
    health: Health | None
    misses: int
    record: ProviderRecord | None
    problems: tuple[str, ...]


def all_seen(*, is_sandbox: bool, language: str, now: datetime) -> tuple[Seen, ...]:
    """Return every provider, by slug; leaves no transaction open."""
    return _read(sa.true(), is_sandbox=is_sandbox, language=language, now=now)


def seen(slug: str, *, is_sandbox: bool, language: str, now: datetime) -> Seen | None:
    """Return one provider, None for an unknown slug; leaves no transaction open."""
    # Not every text of an address can be asked for: PostgreSQL refuses some characters.
    if not _SLUG.fullmatch(slug):
        return None
    found = _read(UpstreamProvider.slug == slug, is_sandbox=is_sandbox, language=language, now=now)
    return found[0] if found else None


def _read(chosen: sa.ColumnElement[bool], *, is_sandbox: bool, language: str, now: datetime) -> tuple[Seen, ...]:
    query = (
        sa.select(UpstreamProvider, UpstreamHealth)
        .outerjoin(UpstreamHealth, UpstreamHealth.provider_id == UpstreamProvider.id)
        .where(chosen)
        .order_by(UpstreamProvider.slug)
        .execution_options(populate_existing=True)
    )
    found = tuple(
        _seen(row, health, is_sandbox=is_sandbox, language=language, now=now)
        for row, health in db.session.execute(query)
    )
    db.session.rollback()
    return found


def _seen(
    row: UpstreamProvider, health: UpstreamHealth | None, *, is_sandbox: bool, language: str, now: datetime
) -> Seen:
    record: ProviderRecord | None = None
    problems: tuple[str, ...] = ()
    has_secret = row.client_secret is not None
    try:
        record = read(row.document, source=SOURCE, is_sandbox=is_sandbox, has_secret=has_secret).record
    except DocumentRefused as refused:
        problems = tuple(problem.removeprefix(f"{SOURCE}: ") for problem in refused.problems)
    cut = cuts.read(row.cut) if row.cut else None
    known = None if health is None else Health(Condition(health.state), health.since, health.checked_at)
    return Seen(
        slug=row.slug,
        name=row.slug if record is None else record.names.get(language) or record.names["vi"],
        state=_state(row, record, cut, known, None if health is None else health.held_until, now),
        is_enabled=row.state == ProviderState.ENABLED,
        version=row.version,
        updated_at=row.updated_at,
        document=dict(row.document),
        has_secret=has_secret,
        cut=cut,
        health=known,
        misses=0 if health is None else health.misses,
        record=record,
        problems=problems,
    )


def _state(
    row: UpstreamProvider,
    record: ProviderRecord | None,
    cut: Cut | None,
    health: Health | None,
    held_until: datetime | None,
    now: datetime,
) -> State:
    if record is None:
        return State.UNUSABLE
    if row.state != ProviderState.ENABLED:
        return State.DISABLED
    if cut is not None and cut.is_on(now):
        return State.CUT
    provider = Provider.of(
        record,
        provider_id=row.id,
        slug=row.slug,
        version=row.version,
        is_enabled=True,
        secret=None,
        cut=cut,
        health=health,
    )
    condition = provider.condition(now)
    if condition is Condition.DOWN:
        return State.BREAKER if held_until is not None and held_until > now else State.PROBE
    if not record.is_active:
        return State.INACTIVE
    return State.SLOW if condition is Condition.SLOW else State.ACTIVE
