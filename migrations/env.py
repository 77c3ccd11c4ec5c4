"""How Alembic reaches the database: over the connection and in the transaction that `idp db` opened.

Only `idp.cli.db` runs this. One transaction holds the lock, the look at the current version and every step, so that
a failed upgrade leaves nothing behind, on SQLite too (its schema changes are transactional as well).
"""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("metadata"),
    transactional_ddl=True,
    compare_type=True,
    render_as_batch=True,
)
context.run_migrations()
