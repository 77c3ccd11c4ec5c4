"""Tables of federation: providers, sign-ins on their way, the subjects we know, what citizens say of providers, the
sessions that came by them."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Change, Instant, Json, Model, Query
from idp.core.keyring import Place


class ProviderState(StrEnum):
    """Whether citizens may come by a provider. Disabling keeps its record and the subjects known of it."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class UpstreamProvider(Model):
    """One identity provider. The document is what the operator wrote, without the secret."""

    __tablename__ = "upstream_provider"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    slug: Mapped[str] = mapped_column(sa.String(32), unique=True, doc="Name in paths and on the command line")
    state: Mapped[str] = mapped_column(sa.String(16))
    document: Mapped[dict[str, Any]] = mapped_column(Json)
    client_secret: Mapped[str | None] = mapped_column(sa.Text, doc="Sealed; the secret we have at the provider")
    version: Mapped[int] = mapped_column(sa.Integer, doc="Raised by every change, of the state too")
    cut: Mapped[dict[str, Any] | None] = mapped_column(Json, doc="The incident for which it is cut off")
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class UpstreamHealth(Model):
    """How a provider is, for all workers. A provider nobody has looked at yet has no row and is taken to be well."""

    __tablename__ = "upstream_health"

    provider_id: Mapped[UUID] = mapped_column(sa.ForeignKey("upstream_provider.id"), primary_key=True)
    state: Mapped[str] = mapped_column(sa.String(8), doc="A word of `record.Condition`")
    since: Mapped[datetime] = mapped_column(Instant)
    checked_at: Mapped[datetime] = mapped_column(Instant, doc="When it was last found in this state, changes alone")
    held_until: Mapped[datetime] = mapped_column(Instant, doc="Until then no probe takes back what citizens met")
    probe_due_at: Mapped[datetime] = mapped_column(Instant, doc="Also the lease of the worker that probes")
    misses: Mapped[int] = mapped_column(sa.Integer, doc="Probes in a row without an answer")
    version: Mapped[int] = mapped_column(sa.Integer, doc="Raised by whatever a page should see")


class UpstreamLogin(Model):
    """One journey to a provider and back. `outcome` says how it ended, for the page.

    The table is unlogged: a crash of PostgreSQL empties it, and whoever was under way then begins anew. No state that
    was spent comes back by that, because none is left.
    """

    __tablename__ = "upstream_login"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    state_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True)
    provider_id: Mapped[UUID] = mapped_column(sa.ForeignKey("upstream_provider.id"))
    interaction_id: Mapped[UUID] = mapped_column(sa.Uuid, index=True)
    journey: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON: handle, nonce, verifier, what was asked")
    created_at: Mapped[datetime] = mapped_column(Instant)
    returned_at: Mapped[datetime | None] = mapped_column(Instant, doc="When the state was spent")
    outcome: Mapped[str | None] = mapped_column(sa.String(32), doc="A word of `refusal.Reason`, or `done`")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class UpstreamIdentity(Model):
    """A subject of a provider, and the citizen it turned out to be. Linked by the verified number only."""

    __tablename__ = "upstream_identity"

    provider_id: Mapped[UUID] = mapped_column(sa.ForeignKey("upstream_provider.id"), primary_key=True)
    subject_index: Mapped[str] = mapped_column(
        sa.String(64), primary_key=True, doc="Hex HMAC: a subject may be a number"
    )
    index_key_id: Mapped[str] = mapped_column(sa.String(32))
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_used_at: Mapped[datetime] = mapped_column(Instant)


class ProviderChoice(Model):
    """What a citizen has said about one provider; without a row their word about all others counts."""

    __tablename__ = "provider_choice"

    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(sa.ForeignKey("upstream_provider.id"), primary_key=True)
    is_allowed: Mapped[bool] = mapped_column(sa.Boolean)
    changed_at: Mapped[datetime] = mapped_column(Instant)


class OtherProviders(Model):
    """What a citizen has said about every provider they have not named, those that come later among them."""

    __tablename__ = "other_providers"

    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), primary_key=True)
    are_allowed: Mapped[bool] = mapped_column(sa.Boolean)
    changed_at: Mapped[datetime] = mapped_column(Instant)


class UpstreamSession(Model):
    """What a provider calls a session of ours that came by it, so that a logout there ends it here, and ours there."""

    __tablename__ = "upstream_session"

    session_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(sa.Uuid)
    subject_index: Mapped[str] = mapped_column(sa.String(64))
    sid_digest: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32), doc="SHA-256 of the provider's `sid`")
    id_token: Mapped[str | None] = mapped_column(sa.Text, doc="Sealed; the hint for the provider's own logout")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)

    __table_args__ = (sa.Index("ix_upstream_session_provider_id_subject_index", "provider_id", "subject_index"),)


class UpstreamLogoutToken(Model):
    """The `jti` of a logout token that a provider's call has spent (Back-Channel Logout 1.0, 2.6, 8)."""

    __tablename__ = "upstream_logout_token"

    provider_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True, doc="SHA-256 of the jti")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


# Journeys stay a day, so that what a provider answered lately can be counted.
EXPIRING = (
    ("upstream_login", "expires_at", 86_400),
    ("upstream_session", "expires_at", 86_400),
    ("upstream_logout_token", "expires_at", 0),
)

# The sum grows by every change, whatever the clocks of the machines that made them say.
READ_REVISION = Query(
    """
    SELECT (SELECT sum(version) FROM upstream_provider) + coalesce((SELECT sum(version) FROM upstream_health), 0)
        AS revision
    """
)
# Providers are few; the directory walks them one by one because the hot path answers single rows.
READ_NEXT_PROVIDER = Query(
    """
    SELECT p.id, p.slug, p.state, p.document, p.client_secret, p.version, p.cut,
           h.state AS condition, h.since, h.checked_at
    FROM upstream_provider p LEFT JOIN upstream_health h ON h.provider_id = p.id
    WHERE p.slug > :after ORDER BY p.slug LIMIT 1
    """
)

START_JOURNEY = Change(
    first="""
    INSERT INTO upstream_login (id, state_digest, provider_id, interaction_id, journey, created_at, expires_at)
    VALUES (:id, :state_digest, :provider_id, :interaction_id, :journey, {now}, {after_lifetime})
    """
)
# Spent before anything about the answer is looked at: one statement, one winner.
SPEND_STATE = Change(
    first="""
    UPDATE upstream_login SET returned_at = {now}
    WHERE state_digest = :digest AND returned_at IS NULL AND expires_at > {now}
    """,
    returning=("id", "provider_id", "interaction_id", "journey"),
)
READ_LATEST = Query(
    "SELECT provider_id, outcome FROM upstream_login WHERE interaction_id = :interaction_id ORDER BY id DESC LIMIT 1"
)
READ_SPENT_STATE = Query("SELECT id, journey FROM upstream_login WHERE state_digest = :digest")

SPEND_LOGOUT_TOKEN = Change(
    first="""
    INSERT INTO upstream_logout_token (provider_id, digest, expires_at)
    VALUES (:provider_id, :digest, {after_lifetime}) ON CONFLICT DO NOTHING
    """
)

# A breaker opened: citizens met no answer. The older beginning stays.
HOLD_DOWN = Change(
    first="""
    INSERT INTO upstream_health
        (provider_id, state, since, checked_at, held_until, probe_due_at, misses, version)
    VALUES (:provider_id, 'down', {now}, {now}, {after_rest}, {now}, 0, 1)
    ON CONFLICT (provider_id) DO UPDATE SET
        since = CASE WHEN upstream_health.state = 'down' THEN upstream_health.since ELSE {now} END,
        state = 'down', checked_at = {now}, held_until = {after_rest}, version = upstream_health.version + 1
    """
)
# One worker probes: whoever moves the time forward.
TAKE_PROBE = Change(
    first="""
    INSERT INTO upstream_health
        (provider_id, state, since, checked_at, held_until, probe_due_at, misses, version)
    VALUES (:provider_id, 'up', {now}, {now}, {now}, {after_pause}, 0, 0)
    ON CONFLICT (provider_id) DO UPDATE SET probe_due_at = {after_pause} WHERE upstream_health.probe_due_at <= {now}
    """,
    returning=("provider_id",),
)
# Writes only what changes, so that a provider that is well costs the lease alone.
PROBE_ANSWERED = Change(
    first="""
    UPDATE upstream_health SET state = :state, since = CASE WHEN state = :state THEN since ELSE {now} END,
        checked_at = {now}, misses = 0, version = version + 1
    WHERE provider_id = :provider_id AND held_until <= {now} AND (state <> :state OR misses > 0)
    """
)
PROBE_MISSED = Change(
    first="""
    UPDATE upstream_health SET misses = misses + 1, checked_at = {now}, version = version + 1,
        since = CASE WHEN misses + 1 >= :most AND state <> 'down' THEN {now} ELSE since END,
        state = CASE WHEN misses + 1 >= :most THEN 'down' ELSE state END
    WHERE provider_id = :provider_id
    """
)


def secret_place(provider_id: UUID) -> Place:
    """Return where the secret of a provider is sealed."""
    return Place(UpstreamProvider.__tablename__, "client_secret", provider_id.hex)


def journey_place(login_id: UUID) -> Place:
    """Return where a journey is sealed."""
    return Place(UpstreamLogin.__tablename__, "journey", login_id.hex)


def id_token_place(session_id: UUID) -> Place:
    """Return where the ID token of a session is sealed."""
    return Place(UpstreamSession.__tablename__, "id_token", session_id.hex)
