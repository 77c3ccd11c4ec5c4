"""Tables of the whole protocol: pushed requests, refresh tokens, proofs, logout deliveries, devices, registration.

Together, because they came with one design. A client's dated exception from PKCE, once two members of its document,
becomes one of its exemptions; its policy and terms become links by language.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DIGEST = sa.LargeBinary(length=32)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables, widen codes and access tokens, and rewrite the clients' exceptions."""
    for table, column in (
        ("authorization_code", sa.Column("resource", sa.Text(), nullable=False, server_default="")),
        ("authorization_code", sa.Column("confirmation", sa.String(length=64), nullable=False, server_default="")),
        ("access_token", sa.Column("grant_id", sa.Uuid(), nullable=True)),
        ("access_token", sa.Column("auth_time", _TIME, nullable=True)),
        ("access_token", sa.Column("resource", sa.Text(), nullable=False, server_default="")),
        ("access_token", sa.Column("confirmation", sa.String(length=64), nullable=False, server_default="")),
    ):
        op.add_column(table, column)
    # An interaction of our own pages has no client; one of another device is confirmed first.
    with op.batch_alter_table("interaction") as interaction:
        interaction.alter_column("client_id", existing_type=sa.Uuid(), nullable=True)
        interaction.add_column(sa.Column("confirmed_at", _TIME, nullable=True))
    op.create_table(
        "pushed_request",
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("used_at", _TIME, nullable=True),
        sa.Column("code_digest", _DIGEST, nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_pushed_request")),
    )
    op.create_index(op.f("ix_pushed_request_expires_at"), "pushed_request", ["expires_at"])
    op.create_table(
        "offline_grant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code_digest", _DIGEST, nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("sub", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.Column("id_token_claims", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("acr", sa.String(length=16), nullable=False),
        sa.Column("amr", sa.String(length=64), nullable=False),
        sa.Column("auth_time", _TIME, nullable=False),
        sa.Column("token_lifetime", sa.Integer(), nullable=False),
        sa.Column("confirmation", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("refreshed_at", _TIME, nullable=True),
        sa.Column("idle_expires_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offline_grant")),
        sa.UniqueConstraint("code_digest", name=op.f("uq_offline_grant_code_digest")),
    )
    op.create_index(op.f("ix_offline_grant_expires_at"), "offline_grant", ["expires_at"])
    op.create_index("ix_offline_grant_citizen_id_client_id", "offline_grant", ["citizen_id", "client_id"])
    op.create_table(
        "dpop_proof",
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_dpop_proof")),
        # Proofs live for a minute: a crash that empties the table costs less than a flush to disk on every request.
        prefixes=["UNLOGGED"] if op.get_bind().dialect.name == "postgresql" else [],
    )
    op.create_index(op.f("ix_dpop_proof_expires_at"), "dpop_proof", ["expires_at"])
    op.create_table(
        "logout_delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("sub", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=True),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logout_delivery")),
        sa.UniqueConstraint("session_id", "client_id", name=op.f("uq_logout_delivery_session_id_client_id")),
    )
    op.create_index(op.f("ix_logout_delivery_due_at"), "logout_delivery", ["due_at"])
    op.create_index(op.f("ix_logout_delivery_expires_at"), "logout_delivery", ["expires_at"])
    op.create_index("ix_logout_delivery_client_id_created_at", "logout_delivery", ["client_id", "created_at"])
    op.create_table(
        "logout_breaker",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("open_until", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_logout_breaker_client_id_client")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_logout_breaker")),
    )
    op.create_table(
        "decoupled_request",
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("citizen_id", sa.Uuid(), nullable=True),
        sa.Column("user_code_digest", _DIGEST, nullable=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("seconds_between_polls", sa.Integer(), nullable=False),
        sa.Column("polled_at", _TIME, nullable=True),
        sa.Column("is_hasty", sa.Boolean(), nullable=False),
        sa.Column("approved_at", _TIME, nullable=True),
        sa.Column("denied_at", _TIME, nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_decoupled_request")),
        sa.UniqueConstraint("user_code_digest", name=op.f("uq_decoupled_request_user_code_digest")),
    )
    op.create_index("ix_decoupled_request_citizen_id_expires_at", "decoupled_request", ["citizen_id", "expires_at"])
    op.create_index(op.f("ix_decoupled_request_expires_at"), "decoupled_request", ["expires_at"])
    op.create_table(
        "resource_identifier",
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_resource_identifier_client_id_client")),
        sa.PrimaryKeyConstraint("identifier", name=op.f("pk_resource_identifier")),
    )
    op.create_index(op.f("ix_resource_identifier_client_id"), "resource_identifier", ["client_id"])
    op.create_table(
        "initial_access_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("agency_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("clients_left", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"], name=op.f("fk_initial_access_token_agency_id_agency")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_initial_access_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_initial_access_token_digest")),
    )
    op.create_index(op.f("ix_initial_access_token_expires_at"), "initial_access_token", ["expires_at"])
    op.create_table(
        "client_registration",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("token_digest", _DIGEST, nullable=False),
        sa.Column("initial_access_token_id", sa.Uuid(), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_client_registration_client_id_client")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client_registration")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_client_registration_token_digest")),
    )
    op.create_table(
        "client_logo",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_client_logo_client_id_client")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client_logo")),
    )
    _rewrite_documents(_with_exemptions)


def downgrade() -> None:
    """Drop what this migration made; dated exceptions become the two members again."""
    for table in (
        "client_logo", "client_registration", "initial_access_token", "resource_identifier", "decoupled_request",
        "logout_breaker", "logout_delivery", "dpop_proof", "offline_grant", "pushed_request",
    ):  # fmt: skip
        op.drop_table(table)
    op.execute("DELETE FROM interaction WHERE client_id IS NULL")
    with op.batch_alter_table("interaction") as interaction:
        interaction.drop_column("confirmed_at")
        interaction.alter_column("client_id", existing_type=sa.Uuid(), nullable=False)
    for table, column in (
        ("access_token", "confirmation"),
        ("access_token", "resource"),
        ("access_token", "auth_time"),
        ("access_token", "grant_id"),
        ("authorization_code", "confirmation"),
        ("authorization_code", "resource"),
    ):
        op.drop_column(table, column)
    _rewrite_documents(_without_exemptions)


def _rewrite_documents(change) -> None:
    connection = op.get_bind()
    client = sa.table("client", sa.column("id"), sa.column("document", sa.Text()))
    for row in connection.execute(sa.select(client.c.id, client.c.document)).all():
        document = change(json.loads(row.document))
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        connection.execute(sa.update(client).where(client.c.id == row.id).values(document=text))


def _with_exemptions(document):
    until, reason = document.pop("pkce_exempt_until", None), document.pop("pkce_exempt_reason", None)
    document["exemptions"] = {"pkce": {"until": until, "reason": reason or ""}} if until else {}
    for name in ("policy_uri", "tos_uri"):
        uri = document.pop(name)
        document[f"{name}s"] = {"vi": uri} if uri else {}
    return document


def _without_exemptions(document):
    exempt = document.pop("exemptions", {}).get("pkce", {})
    for name in ("policy_uri", "tos_uri"):
        document[name] = document.pop(f"{name}s").get("vi")
    known = (
        "names", "client_uri", "policy_uri", "tos_uri", "contacts", "redirect_uris", "post_logout_redirect_uris",
        "sector", "scopes", "purposes", "basis", "legal_bases", "default_level", "auth_method",
        "auth_signing_algorithms", "jwks", "id_token_algorithm", "software_id", "software_version",
    )  # fmt: skip
    kept = {name: document[name] for name in known}
    return {**kept, "pkce_exempt_until": exempt.get("until"), "pkce_exempt_reason": exempt.get("reason")}
