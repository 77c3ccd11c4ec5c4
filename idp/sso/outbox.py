"""The outbox of a session's end: which clients must be told.

Written in the transaction that ends the session, so that no crash lies between the two. Who delivers, and how the
telling went, is `oidc.logout`'s.
"""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.metadata import ClientMetadata
from idp.agencies.models import Client
from idp.citizens.models import PairwiseSubject
from idp.core.database import database_now, db
from idp.core.ids import new_id
from idp.sso.models import DeliveryState, LogoutDelivery

# So long the citizen's page, the agency and the operator can read how it went.
KEPT = timedelta(days=30)


def owe(session_id: UUID, citizen_id: UUID, clients: Collection[UUID]) -> None:
    """Add a delivery for each of `clients` (row ids) that registered a back-channel logout URI; the caller commits."""
    if not clients:
        return
    now = database_now()
    for row_id, document in db.session.execute(sa.select(Client.id, Client.document).where(Client.id.in_(clients))):
        metadata = ClientMetadata.of_stored(document)
        if metadata.backchannel_logout_uri is None:
            continue
        sub = db.session.scalar(
            sa.select(PairwiseSubject.sub).where(
                PairwiseSubject.citizen_id == citizen_id, PairwiseSubject.sector == metadata.sector
            )
        )
        if sub is None:
            # The record changed to a sector where nobody knows the citizen: there is no name to give.
            continue
        db.session.add(
            LogoutDelivery(
                id=new_id(),
                session_id=session_id,
                citizen_id=citizen_id,
                client_id=row_id,
                sub=sub,
                state=DeliveryState.PENDING,
                attempts=0,
                created_at=now,
                # At once, although the clock of SQLite, by which it is found due, knows no fractions of a millisecond.
                due_at=now - timedelta(milliseconds=1),
                expires_at=now + KEPT,
            )
        )
