"""The table of our keys: those we sign with, and those that answers to us are encrypted to."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Json, Model, Query


class KeyState(StrEnum):
    """The life of a key: published, then signing, then only verifying, then gone from the JWKS.

    One that answers are encrypted to is published while PENDING or ACTIVE, and opens them until it is RETIRED.
    """

    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


class SigningKey(Model):
    """One key pair; the private half is sealed by the keyring.

    `algorithm` is that of its signatures, or one of decryption.KINDS.
    """

    __tablename__ = "signing_key"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    kid: Mapped[str] = mapped_column(sa.String(64), unique=True, doc="Thumbprint of the public key (RFC 7638)")
    algorithm: Mapped[str] = mapped_column(sa.String(16))
    private: Mapped[str | None] = mapped_column(sa.Text, doc="Sealed PKCS#8 PEM; None once retired")
    public: Mapped[dict[str, Any]] = mapped_column(Json, doc="Public JWK")
    state: Mapped[str] = mapped_column(sa.String(16))
    slot: Mapped[str | None] = mapped_column(
        sa.String(32), unique=True, doc="State and algorithm while pending or active: at most one key each"
    )
    created_at: Mapped[datetime] = mapped_column(Instant)
    activated_at: Mapped[datetime | None] = mapped_column(Instant)
    retired_at: Mapped[datetime | None] = mapped_column(Instant, doc="When it stopped signing (state retiring on)")
    version: Mapped[int] = mapped_column(sa.Integer, default=1, doc="Raised by every change of state")


# The sum grows by every change, whatever the clocks of the machines that made them say.
READ_REVISION = Query("SELECT sum(version) AS revision FROM signing_key")

# Keys are few; the ring walks them one by one because the hot path answers single rows.
READ_NEXT_KEY = Query(
    """
    SELECT id, kid, algorithm, private, public, state FROM signing_key
    WHERE state <> 'retired' AND kid > :after ORDER BY kid LIMIT 1
    """
)
