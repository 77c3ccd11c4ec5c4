"""Passkeys, the challenges of their ceremonies, and two marks of a login."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DIGEST = sa.LargeBinary(length=32)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables and the columns."""
    op.create_table(
        "passkey",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("credential_digest", _DIGEST, nullable=False),
        sa.Column("credential_id", sa.LargeBinary(length=1023), nullable=False),
        sa.Column("user_handle", sa.LargeBinary(length=64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("aaguid", sa.Uuid(), nullable=False),
        sa.Column("transports", sa.String(length=64), nullable=False),
        sa.Column("is_backup_eligible", sa.Boolean(), nullable=False),
        sa.Column("is_backed_up", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME, nullable=True),
        sa.Column("copied_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_passkey_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkey")),
        sa.UniqueConstraint("credential_digest", name=op.f("uq_passkey_credential_digest")),
    )
    op.create_index(op.f("ix_passkey_citizen_id"), "passkey", ["citizen_id"])
    op.create_table(
        "passkey_challenge",
        sa.Column("bound_to", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("bound_to", "purpose", name=op.f("pk_passkey_challenge")),
    )
    op.create_index(op.f("ix_passkey_challenge_expires_at"), "passkey_challenge", ["expires_at"])
    op.add_column("interaction", sa.Column("bound_key_at", _TIME, nullable=True))
    op.add_column("interaction", sa.Column("settled_at", _TIME, nullable=True))


def downgrade() -> None:
    """Drop what this migration made."""
    op.drop_column("interaction", "settled_at")
    op.drop_column("interaction", "bound_key_at")
    op.drop_table("passkey_challenge")
    op.drop_table("passkey")
