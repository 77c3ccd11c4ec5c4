"""Finding requests again."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.core.database import db
from idp.inspector.entry import Endpoint, Entry, Shown
from idp.inspector.models import IS_FAILED, InspectedRequest

PAGE: Final = 50
MOST: Final = 500
# What people read out, and what they may have heard.
_HEARD = str.maketrans({"I": "1", "L": "1", "O": "0", " ": None, "-": None})


@dataclass(frozen=True, slots=True)
class Page:
    """Some requests, the newest first. `after` leads to the next page, None after the last."""

    entries: tuple[Entry, ...]
    after: UUID | None


def find(
    *,
    client_ids: Collection[str] | None = None,
    since: datetime | None = None,
    reference: str | None = None,
    is_failed: bool = False,
    after: UUID | None = None,
    limit: int = PAGE,
) -> Page:
    """Return requests, the newest first: those that fit everything given.

    `client_ids` None is every client, and requests that named none; none at all finds nothing. `reference` may be as
    somebody wrote it down. At most `limit` and never more than MOST come at once. Needs an application context; reads
    in the ORM's transaction.
    """
    row = InspectedRequest
    chosen = sa.select(row).order_by(row.id.desc()).limit(min(limit, MOST) + 1)
    if client_ids is not None:
        chosen = chosen.where(row.client_id.in_(sorted(client_ids)))
    if since is not None:
        # By the key, so that one index serves choosing and order (RFC 9562, 5.7: it begins with the milliseconds).
        chosen = chosen.where(row.id >= UUID(int=max(0, int(since.timestamp() * 1_000)) << 80))
    if reference is not None:
        chosen = chosen.where(row.reference == reference.strip().upper().translate(_HEARD))
    if is_failed:
        chosen = chosen.where(IS_FAILED)
    if after is not None:
        chosen = chosen.where(row.id < after)
    found = [_entry(each) for each in db.session.scalars(chosen)]
    entries, more = found[: min(limit, MOST)], found[min(limit, MOST) :]
    return Page(tuple(entries), entries[-1].id if more and entries else None)


def _entry(row: InspectedRequest) -> Entry:
    return Entry(
        id=row.id,
        at=row.at,
        reference=row.reference,
        endpoint=Endpoint(row.endpoint),
        outcome=row.outcome,
        oauth_error=row.oauth_error,
        status=row.status,
        client_id=row.client_id,
        is_proven=row.is_proven,
        parameters={name: Shown.from_document(stored) for name, stored in row.parameters.items()},
    )
