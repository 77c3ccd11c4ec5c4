"""The citizen's say: by which identity providers their account may be entered, and by which not.

A word about one provider goes before the word about all others; whoever has said nothing allows every one. Closing the
door to others keeps what is there: each provider there is at that moment and was not named gets a word of its own, so
that "future ones" are those that come later and no other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.models import Citizen
from idp.core.database import database_now, db
from idp.core.keyring import Keyring
from idp.notify import notices
from idp.notify.notices import Notice
from idp.upstream.models import OtherProviders, ProviderChoice, UpstreamIdentity
from idp.upstream.record import Provider


@dataclass(frozen=True, slots=True)
class Say:
    """What a citizen has said: by provider, and about all others. `used` is when each was last used."""

    named: Mapping[UUID, bool]
    others: bool
    used: Mapping[UUID, datetime]

    def allows(self, provider_id: UUID) -> bool:
        """Tell whether the account may be entered by the provider."""
        return self.named.get(provider_id, self.others)


def read(citizen_id: UUID) -> Say:
    """Return what a citizen has said, and which providers they have used."""
    choices = db.session.scalars(sa.select(ProviderChoice).where(ProviderChoice.citizen_id == citizen_id))
    named = {row.provider_id: row.is_allowed for row in choices}
    others = db.session.scalar(sa.select(OtherProviders.are_allowed).where(OtherProviders.citizen_id == citizen_id))
    used = db.session.execute(
        sa.select(UpstreamIdentity.provider_id, sa.func.max(UpstreamIdentity.last_used_at).label("at"))
        .where(UpstreamIdentity.citizen_id == citizen_id)
        .group_by(UpstreamIdentity.provider_id)
    )
    return Say(named, others is not False, {row.provider_id: row.at for row in used})


def allows(citizen_id: UUID, provider_id: UUID) -> bool:
    """Tell whether the account may be entered by the provider; the caller holds the citizen's row."""
    named = (
        sa.select(ProviderChoice.is_allowed)
        .where(ProviderChoice.citizen_id == citizen_id, ProviderChoice.provider_id == provider_id)
        .scalar_subquery()
    )
    others = sa.select(OtherProviders.are_allowed).where(OtherProviders.citizen_id == citizen_id).scalar_subquery()
    return db.session.scalar(sa.select(sa.func.coalesce(named, others, sa.true()))) is not False


def set_one(citizen_id: UUID, provider: Provider, *, is_allowed: bool, session_id: UUID, keyring: Keyring) -> bool:
    """Allow or block one provider; the caller commits. False when it was so already. Events: choice made."""
    if not _hold(citizen_id) or allows(citizen_id, provider.id) is is_allowed:
        return False
    _name(citizen_id, provider.id, is_allowed=is_allowed, now=database_now())
    _said(citizen_id)
    record(
        db.session,
        Event.UPSTREAM_CHOSEN,
        citizen_id=citizen_id,
        session_id=session_id,
        outcome="allowed" if is_allowed else "blocked",
        detail={"provider": provider.slug},
    )
    kind = Notice.PROVIDER_ALLOWED if is_allowed else Notice.PROVIDER_BLOCKED
    notices.owe(citizen_id, kind, keyring=keyring, provider=dict(provider.names))
    return True


def set_others(
    citizen_id: UUID, providers: Iterable[Provider], *, are_allowed: bool, session_id: UUID, keyring: Keyring
) -> bool:
    """Allow or block all providers that come after `providers`; the caller commits. False when it was so already.

    Events: choice made.
    """
    if not _hold(citizen_id):
        return False
    said = read(citizen_id)
    if said.others is are_allowed:
        return False
    now = database_now()
    for provider in providers:
        if provider.id not in said.named:
            _name(citizen_id, provider.id, is_allowed=said.others, now=now)
    row = db.session.get(OtherProviders, citizen_id) or OtherProviders(citizen_id=citizen_id)
    row.are_allowed, row.changed_at = are_allowed, now
    db.session.add(row)
    _said(citizen_id)
    record(
        db.session,
        Event.UPSTREAM_CHOSEN,
        citizen_id=citizen_id,
        session_id=session_id,
        outcome="allowed" if are_allowed else "blocked",
        detail={"provider": "*"},
    )
    kind = Notice.NEW_PROVIDERS_ALLOWED if are_allowed else Notice.NEW_PROVIDERS_BLOCKED
    notices.owe(citizen_id, kind, keyring=keyring)
    return True


def _hold(citizen_id: UUID) -> bool:
    """Hold the citizen's row, as a sign-in by a provider does: one of the two sees what the other did."""
    return db.session.get(Citizen, citizen_id, with_for_update=True, populate_existing=True) is not None


def _said(citizen_id: UUID) -> None:
    """Move the account's version on: who has read it, for a sign-in that waits for this row, reads it again."""
    db.session.execute(
        sa.update(Citizen).where(Citizen.id == citizen_id).values(version=Citizen.version + 1),
        execution_options={"synchronize_session": False},
    )
    db.session.expire(db.session.get_one(Citizen, citizen_id))


def _name(citizen_id: UUID, provider_id: UUID, *, is_allowed: bool, now: datetime) -> None:
    row = db.session.get(ProviderChoice, (citizen_id, provider_id)) or ProviderChoice(
        citizen_id=citizen_id, provider_id=provider_id
    )
    row.is_allowed, row.changed_at = is_allowed, now
    db.session.add(row)
