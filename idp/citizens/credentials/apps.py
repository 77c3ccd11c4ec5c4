"""What a citizen sees of their authenticator apps and does with them: list, add, name, remove.

Owns that a new app counts only after its first code, and that this code counts once. Leaves the codes of a sign-in to
`totp`, what must remain to `removal`, and ending other sessions to sso.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.credentials import pending, totp
from idp.citizens.credentials.pending import Kind
from idp.citizens.credentials.removal import Removal
from idp.citizens.models import Citizen, TotpCredential
from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring, Place
from idp.notify import notices
from idp.notify.notices import Notice

MOST: Final = 5
"""Apps of one citizen: each more is one more chance for a guess."""

LONGEST_NAME: Final = 40
_OWN: Final = "own"
_STEP_SECONDS: Final = 30


class Outcome(Enum):
    """How adding an app ended. GONE: nothing waits for this session, because it took too long or was done before."""

    ADDED = "added"
    REFUSED = "refused"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class App:
    """One app as its owner sees it. An empty `name`: nobody gave one."""

    id: UUID
    name: str = field(repr=False)
    is_disabled: bool
    added_at: datetime
    last_used_at: datetime | None


def shown(citizen_id: UUID, *, keyring: Keyring) -> list[App]:
    """Return the apps of a citizen, the oldest first, in the caller's transaction."""
    owner = person_key.read(citizen_id, keyring=keyring)
    rows = db.session.scalars(
        sa.select(TotpCredential)
        .where(TotpCredential.citizen_id == citizen_id, TotpCredential.confirmed_at.is_not(None))
        .order_by(TotpCredential.confirmed_at, TotpCredential.id)
    ).all()
    return [
        App(
            id=row.id,
            name="" if row.name is None else owner.unseal(row.name, name_place(row.id)),
            is_disabled=row.disabled_at is not None,
            added_at=row.confirmed_at or clock.now(),
            last_used_at=None if row.last_step is None else datetime.fromtimestamp(row.last_step * _STEP_SECONDS, UTC),
        )
        for row in rows
    ]


def begin(citizen_id: UUID, *, bound_to: UUID, keyring: Keyring) -> str | None:
    """Return the secret that the session `bound_to` is setting up, a new one at first; None with the most allowed.

    Commits.
    """
    if _count(citizen_id) >= MOST:
        db.session.rollback()
        return None
    return pending.offer(Kind.APP, totp.new_secret(), bound_to=bound_to, keyring=keyring)


def finish(citizen_id: UUID, code: str, *, name: str, bound_to: UUID, keyring: Keyring) -> Outcome:
    """Keep the app that is being set up if `code` is one of its codes now, which is then used up; commits.

    A wrong code leaves the secret waiting: it is on the page, so there is nothing to guess.
    """
    secret = pending.waiting(Kind.APP, bound_to=bound_to, keyring=keyring)
    step = None if secret is None else totp.step_of(secret, code)
    if secret is None or step is None:
        db.session.rollback()
        return Outcome.GONE if secret is None else Outcome.REFUSED
    db.session.get_one(Citizen, citizen_id, with_for_update=True, populate_existing=True)
    taken = pending.take(Kind.APP, bound_to=bound_to, keyring=keyring)
    if taken != secret or _count(citizen_id) >= MOST:
        db.session.rollback()
        return Outcome.GONE
    key, owner = new_id(), person_key.ensure(citizen_id, keyring=keyring)
    db.session.add(
        TotpCredential(
            id=key,
            citizen_id=citizen_id,
            label=_OWN,
            name=owner.seal(name, name_place(key)),
            secret=owner.seal(secret, totp.secret_place(key)),
            last_step=step,
            confirmed_at=clock.now(),
            failures=0,
        )
    )
    record(db.session, Event.TOTP_ADDED, citizen_id=citizen_id, detail={"app": key.hex})
    notices.owe(citizen_id, Notice.APP_ADDED, keyring=keyring)
    db.session.commit()
    return Outcome.ADDED


def was_just_added(citizen_id: UUID, *, within: timedelta) -> bool:
    """Tell whether the citizen has an app that is no older than `within`; leaves no transaction open."""
    row = TotpCredential
    fresh = sa.select(row.id).where(row.citizen_id == citizen_id, row.confirmed_at > clock.now() - within).limit(1)
    found = db.session.scalar(fresh) is not None
    db.session.rollback()
    return found


def rename(citizen_id: UUID, app_id: UUID, name: str, *, keyring: Keyring) -> bool:
    """Give an app another name; False when the citizen has no such app. The caller commits."""
    row = _own(citizen_id, app_id)
    if row is None:
        return False
    row.name = person_key.ensure(citizen_id, keyring=keyring).seal(name, name_place(row.id))
    record(db.session, Event.TOTP_NAMED, citizen_id=citizen_id, detail={"app": row.id.hex})
    return True


def remove(citizen_id: UUID, app_id: UUID, *, keyring: Keyring) -> bool:
    """Forget an app and owe its notice; False when the citizen has no such app.

    The caller ends the other sessions and commits. Raises LastSecondFactor.
    """
    removal = Removal(citizen_id)
    row = _own(citizen_id, app_id)
    if row is None:
        return False
    db.session.delete(row)
    removal.check()
    record(db.session, Event.TOTP_REMOVED, citizen_id=citizen_id, detail={"app": app_id.hex})
    notices.owe(citizen_id, Notice.APP_REMOVED, keyring=keyring)
    return True


def name_place(app_id: UUID) -> Place:
    """Return where the name of an app is sealed."""
    return Place(TotpCredential.__tablename__, "name", app_id.hex)


def _own(citizen_id: UUID, app_id: UUID) -> TotpCredential | None:
    return db.session.scalar(
        sa.select(TotpCredential)
        .where(TotpCredential.id == app_id, TotpCredential.citizen_id == citizen_id)
        .with_for_update()
    )


def _count(citizen_id: UUID) -> int:
    chosen = sa.select(sa.func.count()).where(
        TotpCredential.citizen_id == citizen_id, TotpCredential.confirmed_at.is_not(None)
    )
    return db.session.scalar(chosen) or 0
