"""Shared devices, reports of "it was not me", closing accounts, and requests about rights."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the column and the tables."""
    op.add_column("sso_session", sa.Column("is_shared", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "disowned",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("about", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("reference", sa.String(length=16), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disowned")),
        sa.UniqueConstraint("about", name=op.f("uq_disowned_about")),
        sa.UniqueConstraint("reference", name=op.f("uq_disowned_reference")),
    )
    op.create_index(op.f("ix_disowned_citizen_id"), "disowned", ["citizen_id"])
    op.create_table(
        "closing",
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("closes_at", _TIME, nullable=False),
        sa.Column("reminded_at", _TIME, nullable=True),
        sa.Column("closed_at", _TIME, nullable=True),
        sa.Column("due_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("citizen_id", name=op.f("pk_closing")),
    )
    op.create_index(op.f("ix_closing_due_at"), "closing", ["due_at"])
    op.create_table(
        "closed_number",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("scheme", sa.String(length=64), nullable=False),
        sa.Column("index_key_id", sa.String(length=32), nullable=False),
        sa.Column("number_index", sa.String(length=64), nullable=False),
        sa.Column("closed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closed_number")),
    )
    op.create_index(op.f("ix_closed_number_citizen_id"), "closed_number", ["citizen_id"])
    op.create_index(
        op.f("ix_closed_number_index_key_id_number_index"), "closed_number", ["index_key_id", "number_index"]
    )
    op.create_table(
        "rights_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("reference", sa.String(length=16), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("answer_due_at", _TIME, nullable=False),
        sa.Column("done_due_at", _TIME, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rights_request")),
        sa.UniqueConstraint("reference", name=op.f("uq_rights_request_reference")),
    )
    op.create_index(op.f("ix_rights_request_citizen_id"), "rights_request", ["citizen_id"])
    op.create_index(op.f("ix_rights_request_state_answer_due_at"), "rights_request", ["state", "answer_due_at"])


def downgrade() -> None:
    """Drop them."""
    for table in ("rights_request", "closed_number", "closing", "disowned"):
        op.drop_table(table)
    op.drop_column("sso_session", "is_shared")
