"""Messages to an address of no account, codes that prove one, the choice of text messages, and forgotten passwords."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_DIGEST = sa.LargeBinary(length=32)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables and the columns."""
    op.add_column("citizen", sa.Column("notices_by_sms", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("notice", sa.Column("recipient", sa.Text(), nullable=True))
    op.add_column("notice", sa.Column("stale_at", _TIME, nullable=True))
    with op.batch_alter_table("notice") as notice:
        notice.alter_column("citizen_id", existing_type=sa.Uuid(), nullable=True)
    op.create_table(
        "contact_proof",
        sa.Column("bound_to", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("code_digest", _DIGEST, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("bound_to", "purpose", name=op.f("pk_contact_proof")),
    )
    op.create_index(op.f("ix_contact_proof_expires_at"), "contact_proof", ["expires_at"])
    op.create_table(
        "password_reset",
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=True),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("proven_at", _TIME, nullable=True),
        sa.Column("confirmed_at", _TIME, nullable=True),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("interaction_id", name=op.f("pk_password_reset")),
    )
    op.create_index(op.f("ix_password_reset_expires_at"), "password_reset", ["expires_at"])


def downgrade() -> None:
    """Drop what this migration made, and the messages to nobody's account."""
    op.drop_table("password_reset")
    op.drop_table("contact_proof")
    op.execute("DELETE FROM notice WHERE citizen_id IS NULL OR stale_at IS NOT NULL")
    with op.batch_alter_table("notice") as notice:
        notice.alter_column("citizen_id", existing_type=sa.Uuid(), nullable=False)
    op.drop_column("notice", "stale_at")
    op.drop_column("notice", "recipient")
    op.drop_column("citizen", "notices_by_sms")
