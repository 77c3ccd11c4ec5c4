"""A session opened at once: by one statement, for who signs in on pages where nobody has yet, in a browser without one.

That is nearly everybody with number and password, and those come by the hundred thousand in the morning: over the ORM
the opening cost half of what the hash does. And everybody whom an identity provider brings again (`upstream.familiar`).
Whoever comes with a session, or second to a double click, is left to `session.open_session`, which looks at what is
there; the terms of a session are the same for both, and so are its rows.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
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
from idp.sso.session import Opened, Vouched
from idp.upstream import familiar

READ_PROVEN = Query("SELECT proofing, registry_status, {now} AS now FROM citizen WHERE id = :citizen_id")
# Two at once wait for each other here, and the second finds that it is the second.
_MARK = """
    UPDATE interaction
    SET session_id = :session_id, authenticated_at = :now, agreed_at = NULL, bound_key_at = :bound_key_at,
        settled_at = NULL
    WHERE id = :interaction_id AND session_id IS NULL AND finished_at IS NULL
    """
_PARTS = (
    """
    INSERT INTO sso_session
        (id, digest, citizen_id, opened_at, authenticated_at, level, amr, idle_expires_at, expires_at, is_shared,
         provider_id, provider_level, provider_amr, own_amr)
    SELECT :session_id, :digest, :citizen_id, :now, :authenticated_at, :level, :amr, :idle_expires_at, :expires_at,
        :is_shared, :provider_id, :provider_level, :provider_amr, :own_amr
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
_TELL = INSERT_NOTICE + "WHERE {if_first}"
OPEN_AND_TELL = Change(first=_MARK, then=(*_PARTS, _TELL))
# The account is held as it was read: who closes it, or a door of it, is waited for, and then this changes nothing.
_MARK_AS_READ = f"""{_MARK} AND EXISTS (
        SELECT 1 FROM citizen WHERE id = :citizen_id AND version = :version AND state = 'active' {{hold}}
    )
    """  # noqa: S608 (texts of ours)
OPEN_AS_BEFORE = Change(first=_MARK_AS_READ, then=(*_PARTS, *familiar.NOTE))
OPEN_AS_BEFORE_AND_TELL = Change(first=_MARK_AS_READ, then=(*_PARTS, *familiar.NOTE, _TELL))


@dataclass(frozen=True, slots=True)
class Proven:
    """What an account is worth, and when that was read."""

    proofing: Proofing
    registry_status: RegistryStatus
    now: datetime


@dataclass(frozen=True, slots=True)
class Brought:
    """By whom a citizen was brought, at which version of the account that was judged, and what is noted of a session
    (the parameters of `familiar.NOTE`)."""

    vouched: Vouched
    version: int
    noted: Callable[[UUID], Mapping[str, object]]


def read_proven(citizen_id: UUID, *, hot_path: HotPath) -> Proven | None:
    """Return what the account of a citizen is worth, None when there is none."""
    row = hot_path.one(READ_PROVEN, {"citizen_id": citizen_id})
    if row is None:
        return None
    return Proven(Proofing(row["proofing"]), RegistryStatus(row["registry_status"]), as_instant(row["now"]))


def open_at_once(
    citizen_id: UUID,
    methods: frozenset[Method],
    *,
    interaction_id: UUID,
    flow_secret: str,
    origin: Origin,
    is_shared: bool,
    new_device: Callable[[UUID], Mapping[str, Fact]] | None,
    proven: Proven,
    brought: Brought | None = None,
    settings: Settings,
    keyring: Keyring,
    hot_path: HotPath,
) -> Opened | None:
    """Open a session after an authentication on the pages of an interaction, and mark the interaction; committed.

    `new_device` gives the facts of the notice that is owed about the session of that id, None where none is. Return
    None, and nothing is changed, where the pages have had a session before, or the account of who was `brought` has
    changed since. The caller has no transaction open. Events: session opened; accepted, for who was brought. Raises
    DatabaseUnavailable.
    """
    key, now = new_id(), proven.now
    vouched = None if brought is None else brought.vouched
    used = methods if vouched is None else methods | assurance.vouching(vouched.level)
    level = session.carried(proven.proofing, proven.registry_status, used)
    lives = session.lives_of(level, now, is_shared=is_shared, settings=settings)
    secret = session.derived(keyring, "open", flow_secret, key)
    values: dict[str, object] = {
        "interaction_id": interaction_id,
        "session_id": key,
        "citizen_id": citizen_id,
        "now": now,
        "digest": digest(secret),
        "level": int(level),
        "amr": session.amr_told(used, () if vouched is None else vouched.amr),
        "authenticated_at": (None if vouched is None else vouched.authenticated_at) or now,
        "bound_key_at": now if session.is_highest(methods, vouched) else None,
        "provider_id": None if vouched is None else vouched.provider_id,
        "provider_level": None if vouched is None else int(vouched.level),
        "provider_amr": None if vouched is None else " ".join(vouched.amr),
        "own_amr": None if vouched is None else " ".join(assurance.amr(used)),
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
    if brought is not None:
        values = {**brought.noted(key), **values, "version": brought.version}
    change = OPEN if brought is None else OPEN_AS_BEFORE
    if new_device is not None:
        change = OPEN_AND_TELL if brought is None else OPEN_AS_BEFORE_AND_TELL
        values |= notices.owed(Notice.NEW_DEVICE, new_device(key), keyring=keyring)
    return None if hot_path.apply(change, values) is None else Opened(key, secret)
