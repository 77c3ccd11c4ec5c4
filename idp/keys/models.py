"""The table of signing keys."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Json, Model


class KeyState(StrEnum):
    """The life of a key: published, then signing, then only verifying, then gone from the JWKS."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


class SigningKey(Model):
    """One signing key pair; the private half is sealed by the keyring."""

    __tablename__ = "signing_key"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    kid: Mapped[str] = mapped_column(sa.String(64), unique=True, doc="Thumbprint of the public key (RFC 7638)")
    algorithm: Mapped[str] = mapped_column(sa.String(16))
    private: Mapped[str | None] = mapped_column(sa.Text, doc="Sealed PKCS#8 PEM; None once retired")
    public: Mapped[dict[str, Any]] = mapped_column(Json, doc="Public JWK")
    state: Mapped[str] = mapped_column(sa.String(16))
    created_at: Mapped[datetime] = mapped_column(Instant)
    activated_at: Mapped[datetime | None] = mapped_column(Instant)
    retired_at: Mapped[datetime | None] = mapped_column(Instant, doc="When it stopped signing (state retiring on)")
    changed_at: Mapped[datetime] = mapped_column(Instant, doc="Last change of state; caches compare it")
