"""Ending the sessions that came by a provider in the time of an incident."""

from datetime import datetime

import sqlalchemy as sa

from idp.core.database import db
from idp.core.levels import Level
from idp.sso import session
from idp.sso.models import SsoSession
from idp.upstream.models import UpstreamProvider

REASON = "incident"
_BITE = 100


def end_sessions(slug: str, *, since: datetime, level: Level | None) -> int:
    """End what came by the provider since then, at `level` or above; return how many. Commits in bites.

    A session that was opened before and entered anew by the provider since is among them. The agencies each had reached
    are owed a word. Events: session ended.
    """
    row = SsoSession
    chosen = (
        sa.select(row.id)
        .join(UpstreamProvider, UpstreamProvider.id == row.provider_id)
        .where(
            UpstreamProvider.slug == slug,
            row.ended_at.is_(None),
            sa.or_(row.opened_at >= since, row.renewed_at >= since),
            sa.true() if level is None else row.provider_level >= int(level),
        )
        .order_by(row.id)
        .limit(_BITE)
    )
    done = 0
    while keys := db.session.scalars(chosen).all():
        done += sum(session.end(key, reason=REASON) for key in keys)
        db.session.commit()
    return done
