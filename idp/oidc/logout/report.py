"""How the telling goes, by client: for the operator at a terminal, and the agency that asks about its own."""

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from idp.agencies.models import Client
from idp.core.database import db
from idp.sso.models import DeliveryState, LogoutBreaker, LogoutDelivery


@dataclass(slots=True)
class ClientReport:
    """The deliveries to one client that are on record.

    `last_outcome` is the word of the latest attempt that was recorded, None before the first; `rests_until` is set
    while the client is left alone.
    """

    client_id: str
    counts: dict[DeliveryState, int] = field(default_factory=dict)
    last_outcome: str | None = None
    rests_until: datetime | None = None


def by_client(client_id: str | None = None) -> list[ClientReport]:
    """Return a report for each client that was owed a word in the time on record, or for one; by client_id."""
    counted = (
        sa.select(Client.id, Client.client_id, LogoutDelivery.state, sa.func.count())
        .join(LogoutDelivery, LogoutDelivery.client_id == Client.id)
        .group_by(Client.id, Client.client_id, LogoutDelivery.state)
        .order_by(Client.client_id)
    )
    if client_id is not None:
        counted = counted.where(Client.client_id == client_id)
    reports: dict[str, ClientReport] = {}
    for row_id, name, state, count in db.session.execute(counted):
        if name not in reports:
            reports[name] = ClientReport(name)
            reports[name].last_outcome = db.session.scalar(
                sa.select(LogoutDelivery.outcome)
                .where(LogoutDelivery.client_id == row_id, LogoutDelivery.outcome.is_not(None))
                .order_by(LogoutDelivery.created_at.desc())
                .limit(1)
            )
            reports[name].rests_until = db.session.scalar(
                sa.select(LogoutBreaker.open_until).where(
                    LogoutBreaker.client_id == row_id, LogoutBreaker.open_until > sa.func.now()
                )
            )
        reports[name].counts[DeliveryState(state)] = count
    db.session.rollback()
    return list(reports.values())
