"""Authorization codes and access tokens, and the statements that issue, spend and read them.

Each index costs every login a write, so there is one for each question that is asked: by digest, by code (replay),
by expiry (housekeeping). Whether session and citizen still stand is read from their own rows.
"""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.models import INSERT_EVENT
from idp.core.database import Change, Instant, Model, Query


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
    resources: Mapped[str] = mapped_column(sa.Text, default="", doc="Resource servers agreed (RFC 8707)")
    confirmation: Mapped[str] = mapped_column(sa.String(64), default="", doc="Key it is bound to (RFC 9449, 10)")
    auth_time: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


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
    resources: Mapped[str] = mapped_column(sa.Text, default="", doc="Resource servers it is for, besides UserInfo")
    confirmation: Mapped[str] = mapped_column(
        sa.String(64), default="", doc="Key it is bound to: `jkt:` or `x5t:` and a SHA-256 thumbprint; empty: bearer"
    )
    acr: Mapped[str] = mapped_column(sa.String(16))
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


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
    """What a citizen agreed to for the time after the session (OpenID Connect Core 1.0, 11): a family of tokens."""

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
    resources: Mapped[str] = mapped_column(sa.Text)
    acr: Mapped[str] = mapped_column(sa.String(16))
    amr: Mapped[str] = mapped_column(sa.String(64))
    auth_time: Mapped[datetime] = mapped_column(Instant)
    token_lifetime: Mapped[int] = mapped_column(sa.Integer)
    confirmation: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (sa.Index("ix_offline_grant_citizen_id_client_id", "citizen_id", "client_id"),)


class RefreshToken(Model):
    """One refresh token of an offline grant, known by its digest."""

    __tablename__ = "refresh_token"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(sa.ForeignKey("offline_grant.id", ondelete="CASCADE"), index=True)
    issued_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


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
    # A spent refresh token outlives its own expiry for the same reason as a code; its grant takes it along.
    ("refresh_token", "expires_at", 86_400),
    ("offline_grant", "expires_at", 86_400),
    ("dpop_proof", "expires_at", 60),
)

_OF_SESSION = "FROM sso_session s WHERE s.id = :session_id AND "

_INSERT_CODE = (
    """
    INSERT INTO authorization_code (digest, client_id, citizen_id, session_id, sub, redirect_uri, code_challenge,
        nonce, scope, claims, id_token_claims, acr, amr, token_lifetime, auth_time, expires_at)
    SELECT :digest, :client_id, s.citizen_id, s.id, :sub, :redirect_uri, :code_challenge, CAST(:nonce AS text),
        :scope, :claims, :id_token_claims, :acr, s.amr, :token_lifetime, s.authenticated_at, {after_lifetime}
    """
    + _OF_SESSION
)

_DISCLOSE = (
    "INSERT INTO disclosure (id, at, citizen_id, client_id, session_id, basis, claims, acr) "
    "SELECT :disclosure_id, {now}, s.citizen_id, :client_id, s.id, :basis, :disclosed, :acr "
    + _OF_SESSION
    + "{if_first}"
)

_EVENT = (
    INSERT_EVENT
    + "SELECT :event_id, {now}, :event_name, s.citizen_id, :client_id, s.id, 'done', CAST(:reference AS text) "
    + _OF_SESSION
    + "{if_first}"
)

# The session must still be open when the code is written: a sign-out in another tab wins.
ISSUE_CODE = Change(first=_INSERT_CODE + "s.ended_at IS NULL", then=(_DISCLOSE, _EVENT))

# The same, and the session's idle life moves on (only once it is noticeably used up).
ISSUE_CODE_AND_TOUCH = Change(
    first=ISSUE_CODE.first,
    then=(
        *ISSUE_CODE.then,
        "UPDATE sso_session SET idle_expires_at = {after_idle} WHERE id = :session_id AND {if_first}",
    ),
)

# The same at the end of pages: only one of two resumed tabs or clicks writes the code. `:replaced` is the code that a
# first finish wrote and that was spent unused because the browser never received it; empty for the first finish.
ISSUE_CODE_AFTER_PAGES = Change(
    first="""
    UPDATE interaction SET finished_at = {now}, code_digest = :digest
    WHERE id = :interaction_id AND (finished_at IS NULL OR code_digest = :replaced)
        AND EXISTS (SELECT 1 FROM sso_session s WHERE s.id = :session_id AND s.ended_at IS NULL)
    """,
    then=(_INSERT_CODE + "{if_first}", _DISCLOSE, _EVENT),
)

# Takes back a code that was written but never redeemed.
WITHDRAW_CODE = Change(
    first="""
    UPDATE authorization_code SET used_at = {now} WHERE digest = :digest AND used_at IS NULL AND expires_at > {now}
    """
)

# Spends the code whatever else the request says, so that no second try is possible; the token is written only when
# the bindings hold. `bound` tells which.
SPEND_CODE = Change(
    first="""
    UPDATE authorization_code SET used_at = {now}
    WHERE digest = :code_digest AND client_id = :client_id AND used_at IS NULL AND expires_at > {now}
        AND EXISTS (
            SELECT 1 FROM sso_session s JOIN citizen z ON z.id = s.citizen_id
            WHERE s.id = session_id AND s.ended_at IS NULL AND z.state = 'active'
        )
    """,
    returning=(
        "client_id",
        "citizen_id",
        "session_id",
        "sub",
        "redirect_uri",
        "code_challenge",
        "nonce",
        "scope",
        "claims",
        "id_token_claims",
        "acr",
        "amr",
        "auth_time",
        "token_lifetime",
        "redirect_uri = :redirect_uri AND code_challenge = :challenge AS bound",
    ),
    then=(
        """
        INSERT INTO access_token (digest, code_digest, client_id, citizen_id, session_id, sub, scope, claims, acr,
            issued_at, expires_at)
        SELECT :token_digest, :code_digest, {first.client_id}, {first.citizen_id}, {first.session_id}, {first.sub},
            {first.scope}, {first.claims}, {first.acr}, {now}, {after_first_token_lifetime}
        {from_first} WHERE {first.bound}
        """,
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, {first.client_id}, "
        "{first.session_id}, CASE WHEN {first.bound} THEN 'done' ELSE 'refused' END, CAST(:reference AS text) "
        "{from_first}",
    ),
)

# A second use: everything the first one gave stops working (RFC 6749, 4.1.2; ASVS 10.4.2).
REVOKE_REPLAYED = Change(
    first="""
    UPDATE authorization_code SET expires_at = expires_at
    WHERE digest = :code_digest AND client_id = :client_id AND used_at IS NOT NULL
    """,
    returning=("client_id", "citizen_id", "session_id"),
    then=(
        """
        UPDATE access_token SET revoked_at = {now}
        WHERE code_digest = :code_digest AND revoked_at IS NULL AND {if_first}
        """,
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, {first.client_id}, "
        "{first.session_id}, 'revoked', CAST(:reference AS text) {from_first}",
    ),
)

READ_TOKEN = Query(
    """
    SELECT t.sub, t.scope, t.claims, t.client_id, t.citizen_id, t.acr, t.issued_at, t.expires_at, z.profile
    FROM access_token t
    JOIN citizen z ON z.id = t.citizen_id
    JOIN sso_session s ON s.id = t.session_id
    WHERE t.digest = :digest AND t.revoked_at IS NULL AND t.expires_at > {now}
        AND z.state = 'active' AND s.ended_at IS NULL
    """
)

READ_PROFILE = Query("SELECT profile FROM citizen WHERE id = :citizen_id AND state = 'active'")
