"""National staff: its members, and the invitations that wait."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "staff_member",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("agency", sa.String(length=64), nullable=True),
        sa.Column("joined_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_staff_member_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_member")),
    )
    op.create_index(
        "ix_staff_member_citizen_id",
        "staff_member",
        ["citizen_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL AND agency IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL AND agency IS NULL"),
    )
    op.create_table(
        "staff_invitation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("agency", sa.String(length=64), nullable=True),
        sa.Column("mail", sa.Text(), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_invitation")),
        sa.UniqueConstraint("digest", name=op.f("uq_staff_invitation_digest")),
    )
    op.create_index(op.f("ix_staff_invitation_expires_at"), "staff_invitation", ["expires_at"])


def downgrade() -> None:
    """Drop them."""
    for table in ("staff_invitation", "staff_member"):
        op.drop_table(table)
