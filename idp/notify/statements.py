"""The statements that take notices and record how they went, as those of logout deliveries do.

A row is taken by one UPDATE that counts the attempt and moves `due_at` on by a lease: one winner however many workers
look, and a worker killed in between loses nothing.
"""

from idp.audit.models import INSERT_EVENT
from idp.core.database import Change, Query

# Looking first: taking is a write, and mostly there is nothing.
ANY_DUE = Query("SELECT 1 AS due FROM notice WHERE due_at <= {now} LIMIT 1")

TAKE_DUE = Change(
    first="""
    UPDATE notice SET attempts = attempts + 1, due_at = {after_lease}
    WHERE id = (SELECT n.id FROM notice n WHERE n.due_at <= {now} ORDER BY n.due_at LIMIT 1 {skip_locked})
        AND due_at <= {now}
    """,
    returning=("id", "citizen_id", "kind", "facts", "attempts", "created_at"),
)

RETRY = Change(
    first="""
    UPDATE notice SET outcome = CAST(:outcome AS text), due_at = {after_pause}
    WHERE id = :id AND attempts = :attempts AND state = 'pending'
    """
)

# Of a row that was taken twice, because the lease ran out, the first final word stands.
CONCLUDE = Change(
    first="""
    UPDATE notice SET state = :state, outcome = CAST(:outcome AS text), channel = CAST(:channel AS text),
        language = CAST(:language AS text), finished_at = {now}, due_at = NULL
    WHERE id = :id AND state = 'pending'
    """,
    returning=("citizen_id",),
    then=(
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, NULL, NULL, "
        "CAST(:outcome AS text), NULL {from_first}",
    ),
)
