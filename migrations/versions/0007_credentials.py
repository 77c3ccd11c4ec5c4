"""Recovery codes, what waits to be confirmed, and the names of authenticator apps."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "recovery_sheet",
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("disabled_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_recovery_sheet_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("citizen_id", name=op.f("pk_recovery_sheet")),
    )
    op.create_table(
        "recovery_code",
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("used_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_recovery_code_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("citizen_id", "digest", name=op.f("pk_recovery_code")),
    )
    op.create_table(
        "pending_credential",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "kind", name=op.f("pk_pending_credential")),
    )
    op.create_index(op.f("ix_pending_credential_expires_at"), "pending_credential", ["expires_at"])
    op.add_column("totp_credential", sa.Column("name", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("totp_credential", "name")
    op.drop_table("pending_credential")
    op.drop_table("recovery_code")
    op.drop_table("recovery_sheet")
