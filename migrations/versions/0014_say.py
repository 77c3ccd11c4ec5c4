"""What citizens say about the identity providers they may come by."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "provider_choice",
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("is_allowed", sa.Boolean(), nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_provider_choice_citizen_id_citizen")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["upstream_provider.id"], name=op.f("fk_provider_choice_provider_id_upstream_provider")
        ),
        sa.PrimaryKeyConstraint("citizen_id", "provider_id", name=op.f("pk_provider_choice")),
    )
    op.create_table(
        "other_providers",
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("are_allowed", sa.Boolean(), nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_other_providers_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("citizen_id", name=op.f("pk_other_providers")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("other_providers")
    op.drop_table("provider_choice")
