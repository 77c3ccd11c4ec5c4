"""Housekeeping: rows that mean nothing any more are deleted, in small bites, and the deleting is on record; signing
keys are moved on. Once an hour by one of the workers of `idp serve`, or whenever `idp housekeeping` is called.

Which rows, and how long after their time, each room says beside its tables (`EXPIRING`). A bite is one short
transaction, so that nobody waits for it; several may run at once and take different rows, or none.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from types import ModuleType

import sqlalchemy as sa

from idp.agencies import models as agencies
from idp.audit import models as audit
from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import closing, counter_acts, erasure, mandates, officers, pairing, rights
from idp.citizens import models as citizens
from idp.citizens.applicants import models as applicants
from idp.core import clock, limits
from idp.core.database import DatabaseUnavailable, Model, db
from idp.core.keyring import Keyring
from idp.core.limits import Limiter
from idp.inspector import models as inspector
from idp.keys import models as keys
from idp.keys import rotation
from idp.notify import models as notify
from idp.oidc import models as oidc
from idp.oidc.decoupled import models as decoupled
from idp.sso import agreements, devices, disowned
from idp.sso import models as sso
from idp.staff import invitations as staff_invitations
from idp.staff import members as staff_members
from idp.upstream import models as upstream

# Every module with tables; importing this one gives the metadata all of them.
ROOMS: tuple[ModuleType, ...] = (
    limits, keys, audit, inspector, notify, agencies, citizens, applicants, closing, erasure, rights, officers,
    counter_acts, pairing, mandates, upstream, staff_members, staff_invitations, sso, agreements, devices, disowned,
    oidc, decoupled,
)  # fmt: skip
BITE = 1_000
EVERY = 3_600
FIRST_AFTER = 30.0
"""Seconds between two turns, and before the first of a worker: what starts has other things to do."""


def expiring() -> Iterator[tuple[str, str, int]]:
    """Yield table, column and seconds of grace of everything that expires."""
    for room in ROOMS:
        yield from getattr(room, "EXPIRING", ())
    yield (citizens.CredentialThrottle.__tablename__, "expires_at", 0)


Context = Callable[[], AbstractContextManager[object]]
"""Opens the application's context, in which the ORM's session works."""


class Housekeeping:
    """What the workers do beside serving: one of them, once an hour."""

    name = "housekeeping"
    idle_seconds = 60.0

    def __init__(
        self, context: Context, *, keyring: Keyring, limiter: Limiter, first_after: float = FIRST_AFTER
    ) -> None:
        self._context = context
        self._keyring = keyring
        self._limiter = limiter
        self._due = time.monotonic() + first_after

    def run_due(self, stop: threading.Event) -> int:
        """Keep house if it is this worker's turn; return whether it was. Raises DatabaseUnavailable."""
        if time.monotonic() < self._due:
            return 0
        # The first of all workers who comes in this hour. That it was not forgotten, or done twice, harms nobody.
        turn = self._limiter.hit("housekeeping", "", amount=1, per_seconds=EVERY)
        self._due = time.monotonic() + (EVERY if turn.is_allowed else turn.retry_after)
        if not turn.is_allowed:
            return 0
        try:
            with self._context():
                delete_expired(stop=stop)
                if not stop.is_set():
                    rotation.advance(self._keyring)
        except sa.exc.OperationalError as error:
            raise DatabaseUnavailable(type(error).__name__) from error
        return 1

    def close(self) -> None:
        """Return at once: nothing is under way beside `run_due`."""


def delete_expired(*, bite: int = BITE, stop: threading.Event | None = None) -> dict[str, int]:
    """Delete every expired row, at most `bite` in one transaction; return how many by table, audited the same way.

    Commits by itself, and may be stopped at any point, by `stop` between two bites, and run again.
    """
    deleted: dict[str, int] = {}
    for name, column, grace in expiring():
        table = Model.metadata.tables[name]
        count = 0
        while not (stop and stop.is_set()) and (rows := _bite(table, column, grace, bite)) > 0:
            count += rows
        if count:
            deleted[name] = deleted.get(name, 0) + count
    return deleted


def _bite(table: sa.Table, column: str, grace: int, bite: int) -> int:
    keys_of = list(table.primary_key.columns)
    chosen = (
        sa.select(*keys_of)
        .where(table.c[column] < clock.now() - timedelta(seconds=grace))
        .order_by(table.c[column])
        .limit(bite)
    )
    # Rows that a request or another housekeeper holds are left for the next time (SQLite has one writer anyway).
    chosen = chosen.with_for_update(skip_locked=True)
    found = db.session.execute(chosen).all()
    if not found:
        db.session.rollback()
        return 0
    is_chosen = (
        keys_of[0].in_([row[0] for row in found])
        if len(keys_of) == 1
        else sa.tuple_(*keys_of).in_([tuple(row) for row in found])
    )
    db.session.execute(sa.delete(table).where(is_chosen))
    record(db.session, Event.HOUSEKEEPING_DELETED, detail={"table": table.name, "rows": len(found)})
    db.session.commit()
    return len(found)
