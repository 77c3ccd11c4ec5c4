"""The statements that take deliveries and record how they went.

A row is taken by one UPDATE that counts the attempt and moves `due_at` on by a lease: one winner however many workers
look, and a worker killed in between loses nothing.
"""

from idp.audit.models import INSERT_EVENT
from idp.core.database import Change, Query

_RESTING = "EXISTS (SELECT 1 FROM logout_breaker b WHERE b.client_id = d.client_id AND b.open_until > {now})"
_TAKE = "UPDATE logout_delivery SET attempts = attempts + 1, due_at = {after_lease} WHERE id = "
_TAKEN = (
    "id",
    "client_id",
    "session_id",
    "sub",
    "attempts",
    "created_at",
    "(SELECT b.failures FROM logout_breaker b WHERE b.client_id = logout_delivery.client_id) AS failures",
)
# After a rest one delivery goes ahead, and while it is under way the client rests on for all other workers.
_PROBE = (
    "UPDATE logout_breaker SET open_until = {after_lease} "
    "WHERE client_id = (SELECT {first.client_id} {from_first}) AND failures >= :patience"
)

# A resting client's rows wait without using up attempts, but not past their time.
_IS_DUE = "d.due_at <= {now} AND (d.created_at < :oldest OR NOT " + _RESTING + ")"

ANY_DUE = Query("SELECT 1 AS due FROM logout_delivery d WHERE " + _IS_DUE + " LIMIT 1")  # noqa: S608 (constants of this module)

TAKE_DUE = Change(
    first=_TAKE  # noqa: S608
    + "(SELECT d.id FROM logout_delivery d WHERE "
    + _IS_DUE
    + " ORDER BY d.due_at LIMIT 1 {skip_locked}) AND due_at <= {now}",
    returning=_TAKEN,
    then=(_PROBE,),
)

# The first attempt for one client, by the request that ended the session.
TAKE_FIRST = Change(
    first=_TAKE  # noqa: S608
    + "(SELECT d.id FROM logout_delivery d WHERE d.session_id = :session_id AND d.client_id = :client_id "
    + "AND d.attempts = 0 AND NOT "
    + _RESTING
    + ") AND attempts = 0 AND state = 'pending'",
    returning=_TAKEN,
    then=(_PROBE,),
)

# Taken but not tried: this worker has enough requests open to the client.
PUT_BACK = Change(
    first="""
    UPDATE logout_delivery SET attempts = attempts - 1, due_at = {after_pause}
    WHERE id = :id AND attempts = :attempts AND state = 'pending'
    """
)

RETRY = Change(
    first="""
    UPDATE logout_delivery SET outcome = CAST(:outcome AS text), due_at = {after_pause}
    WHERE id = :id AND attempts = :attempts AND state = 'pending'
    """
)

# Of a row that was taken twice, because the lease ran out, the first final word stands.
CONCLUDE = Change(
    first="""
    UPDATE logout_delivery SET state = :state, outcome = CAST(:outcome AS text), finished_at = {now}, due_at = NULL
    WHERE id = :id AND state = 'pending'
    """,
    returning=("client_id", "citizen_id", "session_id"),
    then=(
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, {first.client_id}, "
        "{first.session_id}, CAST(:outcome AS text), CAST(:reference AS text) {from_first}",
    ),
)

# While a client rests, requests that were under way before make its rest no longer; the probe does.
COUNT_FAILURE = Change(
    first="""
    INSERT INTO logout_breaker (client_id, failures, open_until) VALUES (:client_id, 1, NULL)
    ON CONFLICT (client_id) DO UPDATE SET failures = CASE WHEN logout_breaker.open_until > {now} AND NOT :is_probe
        THEN logout_breaker.failures ELSE logout_breaker.failures + 1 END
    """,
    returning=("failures",),
)

REST = Change(
    first="""
    UPDATE logout_breaker SET open_until = {after_rest}
    WHERE client_id = :client_id AND (open_until IS NULL OR open_until <= {now} OR :is_probe)
    """
)

# It answered: whatever it said, it is there.
CLOSE_BREAKER = Change(
    first="UPDATE logout_breaker SET failures = 0, open_until = NULL WHERE client_id = :client_id AND failures > 0"
)
