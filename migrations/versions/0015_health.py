"""How identity providers are, as workers saw and probes found, and incidents for which one is cut off."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "upstream_health",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("checked_at", _TIME, nullable=False),
        sa.Column("held_until", _TIME, nullable=False),
        sa.Column("probe_due_at", _TIME, nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["upstream_provider.id"], name=op.f("fk_upstream_health_provider_id_upstream_provider")
        ),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("pk_upstream_health")),
    )
    op.add_column("upstream_provider", sa.Column("cut", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("upstream_provider") as batch:
        batch.drop_column("cut")
    op.drop_table("upstream_health")
