"""Journeys to providers wait for no disk."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Log them no more: a journey lives for minutes, and after a crash that empties the table none of them is known."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE upstream_login SET UNLOGGED")


def downgrade() -> None:
    """Log them again."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE upstream_login SET LOGGED")
