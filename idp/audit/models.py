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


class AuditLeaf(Model):
    """The place of one event in the sealed order. Rows are only ever inserted, and stay when their event is pruned."""

    __tablename__ = "audit_leaf"

    seq: Mapped[int] = mapped_column(
        sa.BigInteger, primary_key=True, autoincrement=False, doc="Sequence number, from 0 and without gaps"
    )
    event_id: Mapped[UUID] = mapped_column(sa.Uuid, unique=True)
    hash: Mapped[bytes] = mapped_column(sa.LargeBinary, doc="Leaf hash (RFC 9162, 2.1.1)")


class AuditNode(Model):
    """The hash over 256^level leaves, kept so that a proof reads a few hundred hashes and not all of them."""

    __tablename__ = "audit_node"

    level: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(sa.LargeBinary)


class AuditCheckpoint(Model):
    """A signed statement of what the trail was."""

    __tablename__ = "audit_checkpoint"

    size: Mapped[int] = mapped_column(
        sa.BigInteger, primary_key=True, autoincrement=False, doc="Number of events under it"
    )
    at: Mapped[datetime] = mapped_column(Instant)
    kept_until: Mapped[datetime | None] = mapped_column(Instant, index=True, doc="None for the first of each day")
    note: Mapped[str] = mapped_column(sa.Text, doc="The signed note, as it was handed out")


class AuditSealer(Model):
    """How far sealing is: one row, locked by whoever seals."""

    __tablename__ = "audit_sealer"

    id: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(sa.BigInteger, doc="Number of sealed events: the next sequence number")
    settled: Mapped[UUID] = mapped_column(sa.Uuid, doc="Every event with a smaller id is sealed")
    mark: Mapped[UUID] = mapped_column(sa.Uuid, doc="What `settled` becomes once all transactions of its time are over")
    mark_xid: Mapped[int] = mapped_column(sa.BigInteger, doc="The newest of those transactions (PostgreSQL)")
    pruned: Mapped[int] = mapped_column(sa.BigInteger, doc="Events with smaller numbers are no longer kept")
    pruned_by: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="The event that says so")
    deleted: Mapped[int] = mapped_column(sa.BigInteger, doc="Of those, events with smaller numbers are gone")
    kept_at: Mapped[datetime] = mapped_column(Instant, doc="When stragglers were looked for and old events pruned")
