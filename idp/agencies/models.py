"""Tables of agencies and clients, and their statements for the hot path."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Change, Instant, Json, Model, Query


class ClientState(StrEnum):
    """Whether a client may be used. Suspending keeps the registration, its history and its subjects.

    A client that removed itself is never used again, and its row stays: its subjects must not become another's.
    """

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"


class Agency(Model):
    """A public body that answers for one or more clients."""

    __tablename__ = "agency"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    slug: Mapped[str] = mapped_column(sa.String(64), unique=True, doc="Name in documents and on the command line")
    names: Mapped[dict[str, str]] = mapped_column(Json, doc="Name shown to citizens, by language")
    state: Mapped[str] = mapped_column(sa.String(16), default=ClientState.ACTIVE)
    created_at: Mapped[datetime] = mapped_column(Instant)


class Client(Model):
    """One registered relying party of an agency."""

    __tablename__ = "client"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    client_id: Mapped[str] = mapped_column(sa.String(128), unique=True, doc="Identifier in the protocol")
    agency_id: Mapped[UUID] = mapped_column(sa.ForeignKey("agency.id"), index=True)
    state: Mapped[str] = mapped_column(sa.String(16), default=ClientState.ACTIVE)
    document: Mapped[dict[str, Any]] = mapped_column(Json, doc="The client document, defaults filled in, no secret")
    version: Mapped[int] = mapped_column(sa.Integer, default=1, doc="Raised by every change of the document")
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class ClientSecret(Model):
    """One secret of a client. Two may live at a time, so that an agency can change over without an outage."""

    __tablename__ = "client_secret"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), doc="SHA-256 of the secret")
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime | None] = mapped_column(Instant, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(Instant, index=True)


class AssertionId(Model):
    """The `jti` of a client assertion that was accepted once (RFC 7523, 3, item 7)."""

    __tablename__ = "assertion_jti"

    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True, doc="SHA-256 of the jti")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class ResourceIdentifier(Model):
    """A resource server's identifier (RFC 8707, 2) and the client that answers to it. Follows the document."""

    __tablename__ = "resource_identifier"

    identifier: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)


class InitialAccessToken(Model):
    """A ticket with which an agency registers clients by itself (RFC 7591, 3)."""

    __tablename__ = "initial_access_token"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    agency_id: Mapped[UUID] = mapped_column(sa.ForeignKey("agency.id"))
    label: Mapped[str] = mapped_column(sa.String(100))
    scopes: Mapped[str] = mapped_column(sa.Text, doc="The most a client registered with it may ask for")
    clients_left: Mapped[int] = mapped_column(sa.Integer)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


class ClientRegistration(Model):
    """The registration access token of a client that registered itself (RFC 7592, 3)."""

    __tablename__ = "client_registration"

    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    token_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    initial_access_token_id: Mapped[UUID | None] = mapped_column(sa.Uuid)
    scopes: Mapped[str] = mapped_column(sa.Text, doc="The most it may ask for, as its initial access token said")
    created_at: Mapped[datetime] = mapped_column(Instant)


class ClientLogo(Model):
    """A client's logo, fetched once and served from here: citizens' browsers never ask the agency for it."""

    __tablename__ = "client_logo"

    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    media_type: Mapped[str] = mapped_column(sa.String(32))
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)


# Rows are deleted once this long past the column named: security.md, 6, "Retention proposal". Ended secrets stay a
# month, so that an agency's questions about a failed change-over can be answered.
EXPIRING = (
    ("assertion_jti", "expires_at", 600),
    ("client_secret", "ended_at", 2_592_000),
    ("client_secret", "expires_at", 2_592_000),
    ("initial_access_token", "expires_at", 2_592_000),
)

_LIVE = "s.client_id = c.id AND s.ended_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > {now})"

# Two secrets may live at a time, so two probes read all of them without an aggregate the databases disagree on.
_READ_CLIENT = f"""
    SELECT c.id, c.client_id, c.state, c.document, c.version,
        a.slug AS agency_slug, a.names AS agency_names, a.state AS agency_state,
        (SELECT s.digest FROM client_secret s WHERE {_LIVE} ORDER BY s.id DESC LIMIT 1) AS digest,
        (SELECT s.expires_at FROM client_secret s WHERE {_LIVE} ORDER BY s.id DESC LIMIT 1) AS digest_expires_at,
        (SELECT s.digest FROM client_secret s WHERE {_LIVE} ORDER BY s.id DESC LIMIT 1 OFFSET 1) AS older,
        (SELECT s.expires_at FROM client_secret s WHERE {_LIVE} ORDER BY s.id DESC LIMIT 1 OFFSET 1)
            AS older_expires_at,
        (SELECT l.digest FROM client_logo l WHERE l.client_id = c.id) AS logo
    FROM client c JOIN agency a ON a.id = c.agency_id
    WHERE """  # noqa: S608 (constants of this module only)
READ_CLIENT = Query(_READ_CLIENT + "c.client_id = :client_id")
FIND_RESOURCE = Query("SELECT client_id FROM resource_identifier WHERE identifier = :identifier")
READ_CLIENT_BY_ROW = Query(_READ_CLIENT + "c.id = :id")

READ_LOGO = Query("SELECT digest, media_type, content FROM client_logo WHERE client_id = :client")

SPEND_ASSERTION = Change(
    first="""
    INSERT INTO assertion_jti (client_id, digest, expires_at)
    VALUES (:assertion_client, :assertion_digest, :assertion_expires_at) ON CONFLICT DO NOTHING
    """
)
