"""The indexes by which a citizen's own data are found; neither is written by a warm login."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PERSONAL = sa.text("name NOT IN ('oidc:code:issued', 'oidc:token:issued')")


def upgrade() -> None:
    """Make the indexes."""
    op.create_index(
        "ix_audit_event_citizen_id_id",
        "audit_event",
        ["citizen_id", "id"],
        postgresql_where=_PERSONAL,
        sqlite_where=_PERSONAL,
    )
    op.create_index(op.f("ix_notice_citizen_id"), "notice", ["citizen_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f("ix_notice_citizen_id"), "notice")
    op.drop_index("ix_audit_event_citizen_id_id", "audit_event")
