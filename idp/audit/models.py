"""The table of events, and its insert for the hot path."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Json, Model

# What a citizen reads of the trail in their own data. The events of every login are left out, and so is the write of an
# index at every login: the ledger has a line for each. A constant, so that the planner finds the partial index.
IS_PERSONAL = sa.text("name NOT IN ('oidc:code:issued', 'oidc:token:issued')")


class AuditEvent(Model):
    """One thing that happened. Rows are only ever inserted.

    Indexes come with the first page that asks: each is a write on every login.
    """

    __tablename__ = "audit_event"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, doc="Not indexed: the id is a UUIDv7 and sorts by time")
    name: Mapped[str] = mapped_column(sa.String(64))
    citizen_id: Mapped[UUID | None] = mapped_column(sa.Uuid)
    client_id: Mapped[UUID | None] = mapped_column(sa.Uuid)
    session_id: Mapped[UUID | None] = mapped_column(sa.Uuid)
    outcome: Mapped[str] = mapped_column(sa.String(32), default="done")
    reference: Mapped[str | None] = mapped_column(sa.String(16), doc="Reference of the request, as on its error page")
    detail: Mapped[dict[str, Any] | None] = mapped_column(Json, doc="Codes and counts only, never personal data")

    __table_args__ = (
        sa.Index(
            "ix_audit_event_citizen_id_id",
            "citizen_id",
            "id",
            postgresql_where=IS_PERSONAL,
            sqlite_where=IS_PERSONAL,
        ),
    )


# `:event_id`, `:event_name` and `:reference` are given by every caller; the acting rows come from its statement.
INSERT_EVENT = "INSERT INTO audit_event (id, at, name, citizen_id, client_id, session_id, outcome, reference) "
