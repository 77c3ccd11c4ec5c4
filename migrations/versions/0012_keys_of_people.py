"""A key of one's own for each citizen, wrapped; empty for those enrolled before, until their values are re-sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nobody is given a key here, because that needs the keyring."""
    op.add_column("citizen", sa.Column("data_key", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop it; what was sealed under these keys is lost with them."""
    op.drop_column("citizen", "data_key")
