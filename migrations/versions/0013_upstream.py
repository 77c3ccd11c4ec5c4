"""Identity providers that are federated, and what a session remembers of the one it came by."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables and columns."""
    op.create_table(
        "upstream_provider",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upstream_provider")),
        sa.UniqueConstraint("slug", name=op.f("uq_upstream_provider_slug")),
    )
    op.create_table(
        "upstream_login",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("returned_at", _TIME, nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["upstream_provider.id"], name=op.f("fk_upstream_login_provider_id_upstream_provider")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upstream_login")),
        sa.UniqueConstraint("state_digest", name=op.f("uq_upstream_login_state_digest")),
    )
    op.create_index(op.f("ix_upstream_login_interaction_id"), "upstream_login", ["interaction_id"])
    op.create_index(op.f("ix_upstream_login_expires_at"), "upstream_login", ["expires_at"])
    op.create_table(
        "upstream_identity",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("subject_index", sa.String(length=64), nullable=False),
        sa.Column("index_key_id", sa.String(length=32), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["upstream_provider.id"], name=op.f("fk_upstream_identity_provider_id_upstream_provider")
        ),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_upstream_identity_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("provider_id", "subject_index", name=op.f("pk_upstream_identity")),
    )
    op.create_index(op.f("ix_upstream_identity_citizen_id"), "upstream_identity", ["citizen_id"])
    op.create_table(
        "upstream_session",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("subject_index", sa.String(length=64), nullable=False),
        sa.Column("sid_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("id_token", sa.Text(), nullable=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_upstream_session")),
    )
    op.create_index(
        "ix_upstream_session_provider_id_subject_index", "upstream_session", ["provider_id", "subject_index"]
    )
    op.create_index(op.f("ix_upstream_session_expires_at"), "upstream_session", ["expires_at"])
    op.create_table(
        "upstream_logout_token",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "digest", name=op.f("pk_upstream_logout_token")),
    )
    op.create_index(op.f("ix_upstream_logout_token_expires_at"), "upstream_logout_token", ["expires_at"])
    op.add_column("sso_session", sa.Column("provider_id", sa.Uuid(), nullable=True))
    op.add_column("sso_session", sa.Column("provider_level", sa.SmallInteger(), nullable=True))
    op.add_column("sso_session", sa.Column("provider_amr", sa.String(length=64), nullable=True))
    op.add_column("sso_session", sa.Column("own_amr", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("sso_session") as batch:
        for column in ("own_amr", "provider_amr", "provider_level", "provider_id"):
            batch.drop_column(column)
    for table in (
        "upstream_logout_token",
        "upstream_session",
        "upstream_identity",
        "upstream_login",
        "upstream_provider",
    ):
        op.drop_table(table)
