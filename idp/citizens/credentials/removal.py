"""What may not be taken from an account by its owner: the last way in, and the last second factor.

An account with one factor again is one that a stolen password opens; whoever wants to change a phone first adds the new
one. Losing everything is the counter's case, not this page's.
"""

from uuid import UUID

from idp.citizens import assurance
from idp.citizens.credentials import means_of
from idp.citizens.models import Citizen
from idp.core.database import db
from idp.core.levels import Level, Method


class LastWayIn(Exception):
    """Without this the citizen could not sign in any more."""


class LastSecondFactor(Exception):
    """Without this a password alone would open the account."""


class Removal:
    """One removal, in the caller's transaction: made before anything is taken, checked after."""

    def __init__(self, citizen_id: UUID) -> None:
        # Held, so that of two things removed at the same moment one remains.
        db.session.get_one(Citizen, citizen_id, with_for_update=True, populate_existing=True)
        self._citizen_id = citizen_id
        self._before = means_of(citizen_id)

    def check(self) -> None:
        """Roll back and raise LastWayIn or LastSecondFactor when too much was taken."""
        db.session.flush()
        after = means_of(self._citizen_id)
        problem: type[Exception] | None = None
        if not after & {Method.PASSWORD, Method.HARDWARE_KEY, Method.SOFTWARE_KEY}:
            problem = LastWayIn
        elif assurance.level_at_home(after) < Level.LOA2 <= assurance.level_at_home(self._before):
            problem = LastSecondFactor
        if problem is not None:
            db.session.rollback()
            raise problem
