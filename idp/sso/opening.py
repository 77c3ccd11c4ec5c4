"""A session opened at once: by one statement, for who signs in on pages where nobody has yet, in a browser without one.

That is nearly everybody with number and password, and those come by the hundred thousand in the morning: over the ORM
the opening cost half of what the hash does. Whoever comes with a session, or second to a double click, is left to
`session.open_session`, which looks at what is there; the terms of a session are the same for both, and so are its rows.
"""

import json
from collections.abc import Callable, Mapping
from uuid import UUID

from idp.audit.events import Event
from idp.audit.record import DONE
from idp.citizens import assurance
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core.database import Change, HotPath, Query, as_instant
from idp.core.ids import digest, new_id
from idp.core.keyring import Keyring
from idp.core.levels import Method
from idp.core.logging import current_reference
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.notices import INSERT_NOTICE, Fact, Notice
from idp.sso import session
from idp.sso.devices import Origin
from idp.sso.session import Opened

READ_PROVEN = Query("SELECT proofing, registry_status, {now} AS now FROM citizen WHERE id = :citizen_id")
# Two at once wait for each other here, and the second finds that it is the second.
_MARK = """
    UPDATE interaction
    SET session_id = :session_id, authenticated_at = :now, agreed_at = NULL, bound_key_at = NULL, settled_at = NULL
    WHERE id = :interaction_id AND session_id IS NULL AND finished_at IS NULL
    """
_PARTS = (
    """
    INSERT INTO sso_session
        (id, digest, citizen_id, opened_at, authenticated_at, level, amr, idle_expires_at, expires_at, is_shared)
    SELECT :session_id, :digest, :citizen_id, :now, :now, :level, :amr, :idle_expires_at, :expires_at, :is_shared
    WHERE {if_first}
    """,
    """
    INSERT INTO session_origin (session_id, citizen_id, opened_at, device, network)
    SELECT :session_id, :citizen_id, :now, :device, :network WHERE {if_first}
    """,
    """
    INSERT INTO audit_event (id, at, name, citizen_id, session_id, outcome, reference, detail)
    SELECT :event_id, :now, :event_name, :citizen_id, :session_id, :outcome, :reference, :detail WHERE {if_first}
    """,
)
OPEN = Change(first=_MARK, then=_PARTS)
OPEN_AND_TELL = Change(first=_MARK, then=(*_PARTS, INSERT_NOTICE + "WHERE {if_first}"))


def open_at_once(
    citizen_id: UUID,
    methods: frozenset[Method],
    *,
    interaction_id: UUID,
    flow_secret: str,
    origin: Origin,
    is_shared: bool,
    new_device: Callable[[UUID], Mapping[str, Fact]] | None,
    settings: Settings,
    keyring: Keyring,
    hot_path: HotPath,
) -> Opened | None:
    """Open a session after an authentication on the pages of an interaction, and mark the interaction; committed.

    `new_device` gives the facts of the notice that is owed about the session of that id, None where none is. Return
    None, and nothing is changed, where the pages have had a session before. The caller has no transaction open. Events:
    session opened. Raises DatabaseUnavailable.
    """
    row = hot_path.one(READ_PROVEN, {"citizen_id": citizen_id})
    if row is None:
        return None
    key, now = new_id(), as_instant(row["now"])
    level = session.carried(Proofing(row["proofing"]), RegistryStatus(row["registry_status"]), methods)
    lives = session.lives_of(level, now, is_shared=is_shared, settings=settings)
    secret = session.derived(keyring, "open", flow_secret, key)
    values: dict[str, object] = {
        "interaction_id": interaction_id,
        "session_id": key,
        "citizen_id": citizen_id,
        "now": now,
        "digest": digest(secret),
        "level": int(level),
        "amr": " ".join(assurance.amr(methods)),
        "idle_expires_at": lives.idle_expires_at,
        "expires_at": lives.expires_at,
        "is_shared": is_shared,
        "device": origin.device,
        "network": origin.network,
        "event_id": new_id(),
        "event_name": Event.SESSION_OPENED.value,
        "outcome": DONE,
        "reference": current_reference(),
        "detail": json.dumps({"level": int(level)}, separators=(",", ":")),
    }
    change = OPEN
    if new_device is not None:
        change = OPEN_AND_TELL
        values |= notices.owed(Notice.NEW_DEVICE, new_device(key), keyring=keyring)
    return None if hot_path.apply(change, values) is None else Opened(key, secret)
