"""Tables of one login: interactions, sessions, consents, disclosures; and the statement the warm login reads."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Change, Instant, Model, Query


class SsoSession(Model):
    """A citizen signed in with one browser. The cookie holds the secret, the row its digest."""

    __tablename__ = "sso_session"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    previous_digest: Mapped[bytes | None] = mapped_column(
        sa.LargeBinary(32), doc="Digest before the last renewal, for the second half of a double click"
    )
    renewed_at: Mapped[datetime | None] = mapped_column(Instant)
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), index=True)
    opened_at: Mapped[datetime] = mapped_column(Instant)
    authenticated_at: Mapped[datetime] = mapped_column(
        Instant, doc="Last time password or passkey were used: auth_time"
    )
    level: Mapped[int] = mapped_column(sa.SmallInteger, doc="At most loa2: more is proven anew on the pages of a login")
    amr: Mapped[str] = mapped_column(sa.String(64), doc="Methods used as agencies are told, space-separated")
    provider_id: Mapped[UUID | None] = mapped_column(
        sa.Uuid, doc="The identity provider it came by; None: our own door"
    )
    provider_level: Mapped[int | None] = mapped_column(sa.SmallInteger, doc="What that provider vouches for")
    provider_amr: Mapped[str | None] = mapped_column(sa.String(64), doc="Methods that provider asserted")
    own_amr: Mapped[str | None] = mapped_column(sa.String(64), doc="With a provider: methods of ours used besides")
    idle_expires_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    is_shared: Mapped[bool] = mapped_column(
        sa.Boolean, default=False, server_default=sa.false(), doc="On a device that others use: it ends soon"
    )
    mandate_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="Only with an officer's help: under which mandate")
    actor_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="The citizen that this officer is")


class Interaction(Model):
    """One checked authorization request on its way through the pages."""

    __tablename__ = "interaction"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    handle_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    flow_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), doc="Digest of the flow cookie's secret")
    client_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("client.id"), doc="None for the provider's own pages")
    request: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON of the checked request")
    session_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="The session that signed in on these pages")
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant, doc="Yes to a request from another device")
    authenticated_at: Mapped[datetime | None] = mapped_column(Instant)
    bound_key_at: Mapped[datetime | None] = mapped_column(Instant, doc="A device-bound passkey was used on its pages")
    settled_at: Mapped[datetime | None] = mapped_column(Instant, doc="The citizen went on below the level wished for")
    selected_at: Mapped[datetime | None] = mapped_column(Instant)
    agreed_at: Mapped[datetime | None] = mapped_column(Instant)
    denied_at: Mapped[datetime | None] = mapped_column(Instant)
    code_digest: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32), doc="The code it ended with")
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class PasswordReset(Model):
    """A forgotten password on the pages of one interaction: whose it is, and how far the person has proven to be them.

    `citizen_id` is None where the number leads to nobody who could do this; the pages are the same. The id is new each
    time a number is typed, so that what was proven for one number counts for no other.
    """

    __tablename__ = "password_reset"

    interaction_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    id: Mapped[UUID] = mapped_column(sa.Uuid)
    citizen_id: Mapped[UUID | None] = mapped_column(sa.Uuid)
    account: Mapped[str] = mapped_column(sa.String(64), doc="Hex HMAC of the number typed, or of whose it is")
    proven_at: Mapped[datetime | None] = mapped_column(Instant, doc="The code sent to a proven address came back")
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant, doc="The second factor was shown too")
    finished_at: Mapped[datetime | None] = mapped_column(Instant, doc="The new password was set: once")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class Consent(Model):
    """What one citizen has agreed to, or been told of, for one client."""

    __tablename__ = "consent"

    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    basis: Mapped[str] = mapped_column(sa.String(16))
    claims: Mapped[str] = mapped_column(sa.Text, doc="Claim names, sorted, space-separated; empty for only openid")
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class Disclosure(Model):
    """One line of the citizen's ledger: which agency received which claims, when, at which level, on what basis."""

    __tablename__ = "disclosure"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid)
    client_id: Mapped[UUID] = mapped_column(sa.Uuid)
    session_id: Mapped[UUID] = mapped_column(sa.Uuid)
    basis: Mapped[str] = mapped_column(sa.String(16))
    claims: Mapped[str] = mapped_column(sa.Text)
    acr: Mapped[str] = mapped_column(sa.String(16))

    __table_args__ = (sa.Index("ix_disclosure_citizen_id_at", "citizen_id", "at"),)


class DeliveryState(StrEnum):
    """How far a client's telling has come. All but the first are final."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    GIVEN_UP = "given up"


class LogoutDelivery(Model):
    """The duty to tell one client that a session has ended (OpenID Connect Back-Channel Logout 1.0, 2.5).

    Written in the transaction that ends the session; `outcome` is a word, never what the client answered. Whoever
    takes a row moves `due_at` on by a lease, so that the row of a worker that was killed is taken again.
    """

    __tablename__ = "logout_delivery"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(sa.Uuid)
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid)
    client_id: Mapped[UUID] = mapped_column(sa.Uuid)
    sub: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(16))
    attempts: Mapped[int] = mapped_column(sa.Integer)
    outcome: Mapped[str | None] = mapped_column(sa.String(32), doc="Of the last attempt")
    created_at: Mapped[datetime] = mapped_column(Instant)
    due_at: Mapped[datetime | None] = mapped_column(Instant, index=True, doc="Next attempt; None once finished")
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)

    __table_args__ = (
        sa.UniqueConstraint("session_id", "client_id"),
        sa.Index("ix_logout_delivery_client_id_created_at", "client_id", "created_at"),
    )


class LogoutBreaker(Model):
    """Failures in a row of one client's logout endpoint, and until when it is left alone."""

    __tablename__ = "logout_breaker"

    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    failures: Mapped[int] = mapped_column(sa.Integer)
    open_until: Mapped[datetime | None] = mapped_column(Instant)


# Rows are deleted once this long past the column named: security.md, 6, "Retention proposal".
EXPIRING = (
    ("interaction", "expires_at", 86_400),
    ("password_reset", "expires_at", 0),
    ("sso_session", "expires_at", 86_400),
    ("logout_delivery", "expires_at", 0),
)

START = Change(
    first="""
    INSERT INTO interaction (id, handle_digest, flow_digest, client_id, request, created_at, expires_at)
    VALUES (:id, :handle_digest, :flow_digest, :client_id, :request, {now}, {after_lifetime})
    """
)

# Every page of a login asks this first.
VISITED = Query(
    """
    SELECT id, flow_digest, client_id, request, session_id, confirmed_at, authenticated_at, bound_key_at, settled_at,
           selected_at, agreed_at, denied_at, code_digest, finished_at, expires_at <= {now} AS is_over
    FROM interaction WHERE handle_digest = :handle
    """
)

# Everything the dispatcher needs to answer a returning citizen, in one probe per index.
STANDING = Query(
    """
    SELECT s.id AS session_id, s.citizen_id, s.authenticated_at, s.level, s.amr, s.opened_at,
           s.provider_id, s.provider_level, s.own_amr, s.idle_expires_at, s.expires_at, s.is_shared, s.mandate_id,
           {now} AS now,
           z.state, z.locale, z.proofing, z.registry_status, z.registry_checked_at, z.registry_asked_at,
           c.claims AS agreed_claims, c.basis AS agreed_basis, p.sub
    FROM sso_session s
    JOIN citizen z ON z.id = s.citizen_id
    LEFT JOIN consent c ON c.citizen_id = s.citizen_id AND c.client_id = :client
    LEFT JOIN pairwise_subject p ON p.citizen_id = s.citizen_id AND p.sector = :sector
    WHERE s.digest = :digest AND s.ended_at IS NULL AND s.idle_expires_at > {now} AND s.expires_at > {now}
    """
)
