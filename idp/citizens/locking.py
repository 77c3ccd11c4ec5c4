"""Accounts nobody signs in to: locked by their citizen until a counter has seen them, or blocked by an operator."""

from uuid import UUID

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.models import Citizen, CitizenState
from idp.core import clock
from idp.core.database import db
from idp.core.keyring import Keyring
from idp.notify import notices
from idp.notify.notices import Notice


def lock(citizen_id: UUID, *, keyring: Keyring) -> bool:
    """Lock an account that can be used; the caller ends what is open and commits. False when there was nothing to lock.

    Events: citizen locked. The citizen is owed a notice.
    """
    return _turn(
        citizen_id, CitizenState.ACTIVE, CitizenState.LOCKED, Event.CITIZEN_LOCKED, Notice.ACCOUNT_LOCKED, keyring
    )


def block(citizen_id: UUID, *, keyring: Keyring) -> bool:
    """Block an account that can be used; the caller ends what is open and commits. False when it cannot be used anyway.

    A citizen's own lock stays what it is: lifting the block would lift it, too. Events: citizen blocked. The citizen is
    owed a notice.
    """
    return _turn(
        citizen_id, CitizenState.ACTIVE, CitizenState.DISABLED, Event.CITIZEN_BLOCKED, Notice.ACCOUNT_BLOCKED, keyring
    )


def unblock(citizen_id: UUID, *, keyring: Keyring) -> bool:
    """Lift the block; the caller commits. False when the account was not blocked.

    Events: citizen unblocked. The citizen is owed a notice.
    """
    return _turn(
        citizen_id, CitizenState.DISABLED, CitizenState.ACTIVE, Event.CITIZEN_UNBLOCKED, Notice.ACCOUNT_UNBLOCKED,
        keyring,
    )  # fmt: skip


def is_locked(citizen_id: UUID) -> bool:
    """Tell whether an account is locked by its citizen."""
    citizen = db.session.get(Citizen, citizen_id, populate_existing=True)
    return citizen is not None and citizen.state is CitizenState.LOCKED


def _turn(
    citizen_id: UUID, before: CitizenState, after: CitizenState, event: Event, notice: Notice, keyring: Keyring
) -> bool:
    citizen = db.session.get(Citizen, citizen_id, populate_existing=True, with_for_update=True)
    if citizen is None or citizen.state is not before:
        return False
    citizen.state, citizen.updated_at = after, clock.now()
    record(db.session, event, citizen_id=citizen_id)
    notices.owe(citizen_id, notice, keyring=keyring)
    return True
