"""Enrolments of citizens by themselves: under way, and waiting for the register."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "enrolment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bound_to", sa.Uuid(), nullable=False),
        sa.Column("draft", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spent_at", _TIME, nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment")),
        sa.UniqueConstraint("bound_to", name=op.f("uq_enrolment_bound_to")),
    )
    op.create_index(op.f("ix_enrolment_expires_at"), "enrolment", ["expires_at"])
    op.create_table(
        "waiting_enrolment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.String(length=16), nullable=False),
        sa.Column("index_key_id", sa.String(length=32), nullable=False),
        sa.Column("details_index", sa.String(length=64), nullable=False),
        sa.Column("applicant", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("answered_at", _TIME, nullable=True),
        sa.Column("due_at", _TIME, nullable=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_enrolment")),
    )
    for column in ("details_index", "due_at", "expires_at"):
        op.create_index(op.f(f"ix_waiting_enrolment_{column}"), "waiting_enrolment", [column])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("waiting_enrolment")
    op.drop_table("enrolment")
