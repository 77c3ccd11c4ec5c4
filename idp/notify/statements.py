"""The statements that take notices and record how they went, as those of logout deliveries do.

A row is taken by one UPDATE that counts the attempt and moves `due_at` on by a lease: one winner however many workers
look, and a worker killed in between loses nothing.
"""

from idp.audit.models import INSERT_EVENT
from idp.core.database import Change, Query

# Looking first: taking is a write, and mostly there is nothing.
# A code is what goes stale; codes and notices each have a runner.
ANY_DUE = Query("SELECT 1 AS due FROM notice WHERE due_at <= {now} AND (stale_at IS NOT NULL) = :are_codes LIMIT 1")

TAKE_DUE = Change(
    first="""
    UPDATE notice SET attempts = attempts + 1, due_at = {after_lease}
    WHERE id = (
        SELECT n.id FROM notice n WHERE n.due_at <= {now} AND (n.stale_at IS NOT NULL) = :are_codes
        ORDER BY n.due_at LIMIT 1 {skip_locked}
    )
        AND due_at <= {now}
    """,
    returning=(
        "id", "citizen_id", "kind", "facts", "recipient", "channel", "language", "attempts", "created_at", "stale_at",
    ),
)  # fmt: skip

# One row for each channel from here on, each with attempts and an end of its own. Once, whoever else took the row.
SPLIT = Change(
    first="UPDATE notice SET channel = :channel WHERE id = :id AND channel IS NULL AND state = 'pending'",
    returning=("citizen_id", "kind", "created_at", "expires_at"),
    then=(
        """
        INSERT INTO notice (id, citizen_id, kind, facts, channel, state, attempts, created_at, due_at, expires_at)
        SELECT :other_id, {first.citizen_id}, {first.kind}, :other_facts, :other_channel, 'pending', 0,
            {first.created_at}, {now}, {first.expires_at} {from_first}
        """,
    ),
)

RETRY = Change(
    first="""
    UPDATE notice SET outcome = CAST(:outcome AS text), due_at = {after_pause}
    WHERE id = :id AND attempts = :attempts AND state = 'pending'
    """
)

# Of a row that was taken twice, because the lease ran out, the first final word stands. With the address goes what was
# sent to it, which may be a code.
CONCLUDE = Change(
    first="""
    UPDATE notice SET state = :state, outcome = CAST(:outcome AS text), channel = CAST(:channel AS text),
        language = CAST(:language AS text), finished_at = {now}, due_at = NULL, recipient = NULL,
        facts = CASE WHEN recipient IS NULL THEN facts ELSE '' END
    WHERE id = :id AND state = 'pending'
    """,
    returning=("citizen_id",),
    then=(
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, NULL, NULL, "
        "CAST(:outcome AS text), NULL {from_first}",
    ),
)
