"""Tables of what is issued: authorization codes, access tokens, pushed requests, offline grants.

Each index costs every login a write, so there is one for each question that is asked: by digest, by code (replay),
by expiry (housekeeping). Whether session and citizen still stand is read from their own rows.
"""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Model


class AuthorizationCode(Model):
    """A code and all that the token endpoint needs; spent by one UPDATE (RFC 6749, 4.1.2)."""

    __tablename__ = "authorization_code"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.Uuid)
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid)
    session_id: Mapped[UUID] = mapped_column(sa.Uuid)
    sub: Mapped[str] = mapped_column(sa.String(64))
    redirect_uri: Mapped[str] = mapped_column(sa.Text)
    code_challenge: Mapped[str] = mapped_column(sa.String(43), doc="Empty only for a dated exception from PKCE")
    nonce: Mapped[str | None] = mapped_column(sa.Text)
    scope: Mapped[str] = mapped_column(sa.Text)
    claims: Mapped[str] = mapped_column(sa.Text, doc="Claim names agreed for UserInfo")
    id_token_claims: Mapped[str] = mapped_column(sa.Text, doc="Claim names agreed for the ID token")
    acr: Mapped[str] = mapped_column(sa.String(16))
    amr: Mapped[str] = mapped_column(sa.String(64))
    token_lifetime: Mapped[int] = mapped_column(sa.Integer, doc="Seconds the tokens bought with it live")
    resource: Mapped[str] = mapped_column(sa.Text, default="", doc="Resource server agreed (RFC 8707); empty: none")
    confirmation: Mapped[str] = mapped_column(sa.String(64), default="", doc="Key it is bound to (RFC 9449, 10)")
    auth_time: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    used_at: Mapped[datetime | None] = mapped_column(Instant)
    actor_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="The officer, as a citizen, who helped to sign in")


class AccessToken(Model):
    """An access token, known by the digest of itself when opaque and of its `jti` when a JWT.

    `grant_id` is the offline grant it lives by; without one it stops with its session.
    """

    __tablename__ = "access_token"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    code_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), index=True)
    client_id: Mapped[UUID] = mapped_column(sa.Uuid)
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid)
    session_id: Mapped[UUID] = mapped_column(sa.Uuid)
    grant_id: Mapped[UUID | None] = mapped_column(sa.Uuid)
    sub: Mapped[str] = mapped_column(sa.String(64))
    scope: Mapped[str] = mapped_column(sa.Text)
    claims: Mapped[str] = mapped_column(sa.Text)
    resource: Mapped[str] = mapped_column(sa.Text, default="", doc="The resource server it is for; empty: UserInfo")
    confirmation: Mapped[str] = mapped_column(
        sa.String(64), default="", doc="Key it is bound to: `jkt:` or `x5t:` and a SHA-256 thumbprint; empty: bearer"
    )
    acr: Mapped[str] = mapped_column(sa.String(16))
    auth_time: Mapped[datetime | None] = mapped_column(Instant, doc="None for a token of the first schema")
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    actor_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="The officer, as a citizen, who helped to sign in")


class PushedRequest(Model):
    """A pushed authorization request (RFC 9126), checked and sealed; spent by the code it leads to."""

    __tablename__ = "pushed_request"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True, doc="SHA-256 of the request_uri's end")
    client_id: Mapped[UUID] = mapped_column(sa.Uuid)
    request: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON of the checked request")
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    used_at: Mapped[datetime | None] = mapped_column(Instant)
    code_digest: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32), doc="The code it was spent for")


class OfflineGrant(Model):
    """What a citizen agreed to for the time after the session (OpenID Connect Core 1.0, 11): a family of tokens.

    No refresh token is stored, not even its digest: each is computed from row, generation and a key of the keyring,
    and `generation` says which one works now.
    """

    __tablename__ = "offline_grant"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    code_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    client_id: Mapped[UUID] = mapped_column(sa.Uuid)
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid)
    session_id: Mapped[UUID] = mapped_column(sa.Uuid, doc="The session it was given in, for `sid`")
    sub: Mapped[str] = mapped_column(sa.String(64))
    scope: Mapped[str] = mapped_column(sa.Text)
    claims: Mapped[str] = mapped_column(sa.Text)
    id_token_claims: Mapped[str] = mapped_column(sa.Text)
    resource: Mapped[str] = mapped_column(sa.Text)
    acr: Mapped[str] = mapped_column(sa.String(16))
    amr: Mapped[str] = mapped_column(sa.String(64))
    auth_time: Mapped[datetime] = mapped_column(Instant)
    token_lifetime: Mapped[int] = mapped_column(sa.Integer)
    confirmation: Mapped[str] = mapped_column(sa.String(64), doc="The key shown last, when the tokens are bound to one")
    generation: Mapped[int] = mapped_column(sa.Integer, doc="Of the refresh token that works now")
    created_at: Mapped[datetime] = mapped_column(Instant)
    refreshed_at: Mapped[datetime | None] = mapped_column(Instant)
    idle_expires_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (sa.Index("ix_offline_grant_citizen_id_client_id", "citizen_id", "client_id"),)


class DpopProof(Model):
    """The `jti` of a DPoP proof that was accepted once (RFC 9449, 11.1)."""

    __tablename__ = "dpop_proof"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True, doc="SHA-256 of key and jti")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


# Rows are deleted once this long past the column named. A spent code outlives its own expiry so that a replay is
# recognised as one, and takes the token with it.
EXPIRING = (
    ("authorization_code", "expires_at", 86_400),
    ("access_token", "expires_at", 3_600),
    ("pushed_request", "expires_at", 86_400),
    ("offline_grant", "expires_at", 86_400),
    ("dpop_proof", "expires_at", 60),
)
