"""How the sending goes, by kind of notice: for the operator at a terminal."""

from dataclasses import dataclass, field

import sqlalchemy as sa

from idp.core.database import db
from idp.notify.models import NoticeState, OwedNotice


@dataclass(slots=True)
class KindReport:
    """The notices of one kind that are on record. `last_outcome` is the word of the latest attempt, None before one."""

    kind: str
    counts: dict[NoticeState, int] = field(default_factory=dict)
    last_outcome: str | None = None


def by_kind() -> list[KindReport]:
    """Return a report for each kind that was owed in the time on record, by kind."""
    counted = sa.select(OwedNotice.kind, OwedNotice.state, sa.func.count()).group_by(OwedNotice.kind, OwedNotice.state)
    reports: dict[str, KindReport] = {}
    for kind, state, count in db.session.execute(counted.order_by(OwedNotice.kind)):
        if kind not in reports:
            reports[kind] = KindReport(kind)
            reports[kind].last_outcome = db.session.scalar(
                sa.select(OwedNotice.outcome)
                .where(OwedNotice.kind == kind, OwedNotice.outcome.is_not(None))
                .order_by(OwedNotice.created_at.desc())
                .limit(1)
            )
        reports[kind].counts[NoticeState(state)] = count
    db.session.rollback()
    return list(reports.values())
