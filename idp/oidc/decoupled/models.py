"""The table of requests that are approved on another device than the one that asked."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Model


class DecoupledRequest(Model):
    """A device authorization (RFC 8628) or a backchannel authentication (CIBA), waiting for its citizen.

    `digest` is that of the device_code or auth_req_id; once approved, the authorization code of the standard grant
    stands in `authorization_code` under a digest that both sides derive from it.
    """

    __tablename__ = "decoupled_request"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    client_id: Mapped[UUID] = mapped_column(sa.Uuid)
    citizen_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="Whom CIBA's hint named; None for a device")
    user_code_digest: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32), unique=True)
    request: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON of the checked request")
    shown: Mapped[str] = mapped_column(sa.Text, doc="Sealed: the code or message a citizen compares")
    confirmation: Mapped[str] = mapped_column(sa.String(64), doc="Key it is bound to; empty: none")
    seconds_between_polls: Mapped[int] = mapped_column(sa.Integer)
    polled_at: Mapped[datetime | None] = mapped_column(Instant)
    approved_at: Mapped[datetime | None] = mapped_column(Instant)
    denied_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)

    __table_args__ = (sa.Index("ix_decoupled_request_citizen_id_expires_at", "citizen_id", "expires_at"),)


EXPIRING = (("decoupled_request", "expires_at", 86_400),)
