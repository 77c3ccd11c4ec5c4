"""Choosing a new password: by which rules it is judged for one citizen, and what follows once it is chosen.

Leaves the rules to `rules`, the hash to `password`, and ending sessions to sso.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.claims import profile_of
from idp.citizens.credentials import means_of, password, rules
from idp.citizens.credentials.rules import Weakness
from idp.citizens.models import Citizen
from idp.core.database import database_now, db
from idp.core.keyring import Keyring
from idp.core.levels import Method
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.notices import Notice


@dataclass(frozen=True, slots=True)
class Standards:
    """By what the new password of one citizen is judged."""

    has_second_factor: bool
    words: tuple[str, ...] = field(repr=False)

    @property
    def least(self) -> int:
        """Return how many characters it needs."""
        return rules.least_length(has_second_factor=self.has_second_factor)

    def judge(self, typed: str, settings: Settings) -> Weakness | None:
        """Return why `typed` must not be set, None when it may."""
        return rules.judge(typed, words=self.words, has_second_factor=self.has_second_factor, settings=settings)


def standards(citizen_id: UUID, *, names: Collection[str], keyring: Keyring) -> Standards:
    """Return the standards for a citizen; `names` are those of the services around. Leaves no transaction open."""
    citizen = db.session.get_one(Citizen, citizen_id)
    profile = profile_of(citizen, keyring)
    has_second_factor = Method.ONE_TIME_CODE in means_of(citizen_id)
    db.session.rollback()
    return Standards(has_second_factor, (*rules.words_about(profile.claims, profile.birth), *names))


def keep(citizen_id: UUID, stored: str, event: Event, *, keyring: Keyring) -> None:
    """Make `stored` (from `password.make_hash`) the password of a citizen, enabled again if it was disabled.

    The caller ends the other sessions and commits. Owes the notice to all contacts.
    """
    # Held by everybody who ends sessions after a change: of two at once each would wait for rows of the other.
    hold(citizen_id)
    password.store(citizen_id, stored, now=database_now())
    record(db.session, event, citizen_id=citizen_id)
    notices.owe(citizen_id, Notice.PASSWORD_CHANGED, keyring=keyring)


def hold(citizen_id: UUID) -> None:
    """Hold the row of a citizen until the caller commits."""
    db.session.execute(sa.select(Citizen.id).where(Citizen.id == citizen_id).with_for_update())
