"""Housekeeping: rows that mean nothing any more are deleted, in small bites, and the deleting is on record.

Which rows, and how long after their time, each room says beside its tables (`EXPIRING`). A bite is one short
transaction, so that nobody waits for it; several may run at once and take different rows, or none.
"""

from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType

import sqlalchemy as sa

from idp.agencies import models as agencies
from idp.audit import models as audit
from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import models as citizens
from idp.core import clock, limits
from idp.core.database import Model, db
from idp.keys import models as keys
from idp.notify import models as notify
from idp.oidc import models as oidc
from idp.oidc.decoupled import models as decoupled
from idp.sso import agreements, devices
from idp.sso import models as sso

# Every module with tables; importing this one gives the metadata all of them.
ROOMS: tuple[ModuleType, ...] = (
    limits, keys, audit, notify, agencies, citizens, sso, agreements, devices, oidc, decoupled,
)  # fmt: skip
BITE = 1_000


def expiring() -> Iterator[tuple[str, str, int]]:
    """Yield table, column and seconds of grace of everything that expires."""
    for room in ROOMS:
        yield from getattr(room, "EXPIRING", ())
    yield (citizens.CredentialThrottle.__tablename__, "expires_at", 0)


def delete_expired(*, bite: int = BITE) -> dict[str, int]:
    """Delete every expired row, at most `bite` in one transaction; return how many by table, audited the same way.

    Commits by itself, and may be stopped at any point and run again.
    """
    deleted: dict[str, int] = {}
    for name, column, grace in expiring():
        table = Model.metadata.tables[name]
        count = 0
        while (rows := _bite(table, column, grace, bite)) > 0:
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
