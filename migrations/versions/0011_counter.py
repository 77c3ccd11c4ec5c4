"""Counters, officers, pairings, mandates, and the two marks of a session opened with an officer's help."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables and the columns."""
    op.create_table(
        "counter",
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("services", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_counter")),
    )
    op.create_table(
        "officer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("counter", sa.String(length=64), nullable=False),
        sa.Column("valid_from", _TIME, nullable=False),
        sa.Column("valid_to", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_officer_citizen_id_citizen")),
        sa.ForeignKeyConstraint(["counter"], ["counter.slug"], name=op.f("fk_officer_counter_counter")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_officer")),
    )
    op.create_index(
        "ix_officer_citizen_id",
        "officer",
        ["citizen_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "counter_act",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("act", sa.String(length=32), nullable=False),
        sa.Column("officer_id", sa.Uuid(), nullable=False),
        sa.Column("counter", sa.String(length=64), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.String(length=16), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["officer_id"], ["officer.id"], name=op.f("fk_counter_act_officer_id_officer")),
        sa.ForeignKeyConstraint(["counter"], ["counter.slug"], name=op.f("fk_counter_act_counter_counter")),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_counter_act_citizen_id_citizen")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_act")),
        sa.UniqueConstraint("session_id", name=op.f("uq_counter_act_session_id")),
    )
    op.create_index("ix_counter_act_officer_id_id", "counter_act", ["officer_id", "id"])
    op.create_index("ix_counter_act_citizen_id_id", "counter_act", ["citizen_id", "id"])
    op.create_table(
        "counter_pairing",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("code_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("reference", sa.String(length=16), nullable=False),
        sa.Column("officer_id", sa.Uuid(), nullable=True),
        sa.Column("counter", sa.String(length=64), nullable=True),
        sa.Column("document", sa.String(length=32), nullable=True),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("citizen_id", sa.Uuid(), nullable=True),
        sa.Column("act", sa.String(length=32), nullable=True),
        sa.Column("second_officer_id", sa.Uuid(), nullable=True),
        sa.Column("allowed_at", _TIME, nullable=True),
        sa.Column("used_at", _TIME, nullable=True),
        sa.Column("handout", sa.Text(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_pairing")),
        sa.UniqueConstraint("code_index", name=op.f("uq_counter_pairing_code_index")),
    )
    op.create_index(op.f("ix_counter_pairing_interaction_id"), "counter_pairing", ["interaction_id"])
    op.create_index(op.f("ix_counter_pairing_expires_at"), "counter_pairing", ["expires_at"])
    op.create_table(
        "mandate",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("officer_id", sa.Uuid(), nullable=False),
        sa.Column("counter", sa.String(length=64), nullable=False),
        sa.Column("services", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("document", sa.String(length=32), nullable=False),
        sa.Column("reference", sa.String(length=16), nullable=False),
        sa.Column("valid_from", _TIME, nullable=False),
        sa.Column("valid_to", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("ended_by", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["citizen_id"], ["citizen.id"], name=op.f("fk_mandate_citizen_id_citizen")),
        sa.ForeignKeyConstraint(["officer_id"], ["officer.id"], name=op.f("fk_mandate_officer_id_officer")),
        sa.ForeignKeyConstraint(["counter"], ["counter.slug"], name=op.f("fk_mandate_counter_counter")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mandate")),
    )
    op.create_index(op.f("ix_mandate_citizen_id"), "mandate", ["citizen_id"])
    op.add_column("sso_session", sa.Column("mandate_id", sa.Uuid(), nullable=True))
    op.add_column("sso_session", sa.Column("actor_id", sa.Uuid(), nullable=True))
    op.add_column("authorization_code", sa.Column("actor_id", sa.Uuid(), nullable=True))
    op.add_column("access_token", sa.Column("actor_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    """Drop what this migration made."""
    op.drop_column("access_token", "actor_id")
    op.drop_column("authorization_code", "actor_id")
    op.drop_column("sso_session", "actor_id")
    op.drop_column("sso_session", "mandate_id")
    for table in ("mandate", "counter_pairing", "counter_act", "officer", "counter"):
        op.drop_table(table)
