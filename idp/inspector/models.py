"""The table of inspected requests."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Json, Model

KEPT: Final = timedelta(days=7)
IS_FAILED = sa.text("outcome <> 'ok'")


class InspectedRequest(Model):
    """One request of a client, redacted. Rows are inserted by the batch and deleted by housekeeping."""

    __tablename__ = "inspected_request"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True, doc="A UUIDv7 of `at`, so that it sorts by it")
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    reference: Mapped[str] = mapped_column(sa.String(16), index=True)
    endpoint: Mapped[str] = mapped_column(sa.String(32))
    outcome: Mapped[str] = mapped_column(sa.String(8), doc="Code of the error catalogue, or ok")
    oauth_error: Mapped[str | None] = mapped_column(sa.String(64))
    status: Mapped[int] = mapped_column(sa.SmallInteger)
    client_id: Mapped[str | None] = mapped_column(sa.String(256), doc="The name in the protocol, of an existing client")
    is_proven: Mapped[bool] = mapped_column(sa.Boolean, doc="The client showed its own secret, key or token")
    parameters: Mapped[dict[str, Any]] = mapped_column(Json, doc="Names and lengths, values from closed lists only")

    __table_args__ = (
        sa.Index("ix_inspected_request_client_id_id", "client_id", "id"),
        # One that is refused stands among thousands that are not.
        sa.Index(
            "ix_inspected_request_failed",
            "client_id",
            "id",
            postgresql_where=IS_FAILED,
            sqlite_where=IS_FAILED,
        ),
    )


EXPIRING = ((InspectedRequest.__tablename__, "at", int(KEPT.total_seconds())),)
