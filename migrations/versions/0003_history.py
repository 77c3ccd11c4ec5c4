"""What citizens agreed to in which words, and where their sessions come from."""

import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DIGEST = sa.LargeBinary(length=32)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables; what is in force today goes on, without words, because nobody kept them."""
    op.create_table(
        "wording",
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_wording")),
    )
    agreement = op.create_table(
        "agreement",
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("wording", _DIGEST, nullable=True),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("citizen_id", "client_id", "at", name=op.f("pk_agreement")),
    )
    op.create_table(
        "session_origin",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("network", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_origin")),
    )
    op.create_index("ix_session_origin_citizen_id_opened_at", "session_origin", ["citizen_id", "opened_at"])
    consent = sa.table(
        "consent",
        sa.column("citizen_id", sa.Uuid()),
        sa.column("client_id", sa.Uuid()),
        sa.column("basis", sa.String()),
        sa.column("claims", sa.Text()),
        sa.column("created_at", _TIME),
    )
    known = op.get_bind().execute(sa.select(consent)).all()
    rows = [
        {
            "citizen_id": row.citizen_id,
            "client_id": row.client_id,
            "at": row.created_at,
            "act": "agreed" if row.basis == "consent" else "told",
            "language": "",
            "wording": None,
            "terms": json.dumps(
                {claim: {"since": _utc(row.created_at), "wording": "", "scope": ""} for claim in row.claims.split()}
            ),
        }
        for row in known
    ]
    if rows:
        op.bulk_insert(agreement, rows)


def _utc(instant: datetime) -> str:
    # SQLite gives times without a zone, all of them UTC.
    aware = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    return aware.astimezone(UTC).isoformat()


def downgrade() -> None:
    """Drop what this migration made."""
    for table in ("session_origin", "agreement", "wording"):
        op.drop_table(table)
