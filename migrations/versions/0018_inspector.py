"""Requests of clients, redacted, for seven days."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_FAILED = sa.text("outcome <> 'ok'")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "inspected_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference", sa.String(16), nullable=False),
        sa.Column("endpoint", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("oauth_error", sa.String(64), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("client_id", sa.String(256), nullable=True),
        sa.Column("is_proven", sa.Boolean(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inspected_request")),
    )
    op.create_index(op.f("ix_inspected_request_at"), "inspected_request", ["at"])
    op.create_index(op.f("ix_inspected_request_reference"), "inspected_request", ["reference"])
    op.create_index(op.f("ix_inspected_request_client_id_id"), "inspected_request", ["client_id", "id"])
    op.create_index(
        op.f("ix_inspected_request_failed"),
        "inspected_request",
        ["client_id", "id"],
        postgresql_where=_FAILED,
        sqlite_where=_FAILED,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("inspected_request")
