"""What the dispatcher decides from: the request, the session's standing, and how far this interaction has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from idp.agencies.clients import Client
from idp.citizens import assurance
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core.database import HotPath, as_instant, as_uuid, split_words
from idp.core.ids import digest
from idp.core.levels import Level, Method
from idp.sso.models import STANDING
from idp.sso.request import AuthorizationRequest


@dataclass(frozen=True, slots=True)
class Standing:
    """A live session with its citizen, as one statement read it for one client."""

    session_id: UUID
    citizen_id: UUID
    authenticated_at: datetime
    level: Level
    amr: tuple[str, ...]
    idle_expires_at: datetime
    expires_at: datetime
    now: datetime
    is_active: bool
    locale: str | None
    proofing: str
    registry_status: str
    registry_checked_at: datetime | None
    registry_asked_at: datetime | None
    agreed: frozenset[str] | None
    agreed_basis: str | None
    sub: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the citizen has come on these pages; all False for a request that has shown none.

    `has_confirmed` belongs to the browser, whoever signs in on it; the rest to the session. `has_bound_key`: a passkey
    bound to its device was used here. `has_settled`: the citizen goes on below the level that was wished for.
    """

    has_authenticated: bool = False
    has_selected: bool = False
    has_agreed: bool = False
    has_denied: bool = False
    has_confirmed: bool = False
    has_bound_key: bool = False
    has_settled: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a step may look at to say whether it is needed."""

    request: AuthorizationRequest
    client: Client
    standing: Standing | None
    progress: Progress


def level_here(standing: Standing, progress: Progress) -> Level:
    """Return the level this login can answer with.

    A session carries loa2 at most to the next portal. loa3 is true on the pages where the key was used, as long as the
    session still tells of it, and nowhere else: it is never given by single sign-on.
    """
    if not progress.has_bound_key:
        return standing.level
    return assurance.proven(
        Proofing(standing.proofing), RegistryStatus(standing.registry_status), map(Method, standing.amr)
    )


def read_standing(hot_path: HotPath, session_secret: str | None, client: Client) -> Standing | None:
    """Return the standing of the session whose cookie holds `session_secret`, or None when it has none that lives."""
    if not session_secret:
        return None
    row = hot_path.one(STANDING, {"digest": digest(session_secret), "client": client.id, "sector": client.sector})
    return None if row is None else _standing(row)


def _standing(row: Mapping[str, Any]) -> Standing:
    checked, asked = row["registry_checked_at"], row["registry_asked_at"]
    agreed = row["agreed_claims"]
    return Standing(
        session_id=as_uuid(row["session_id"]),
        citizen_id=as_uuid(row["citizen_id"]),
        authenticated_at=as_instant(row["authenticated_at"]),
        level=Level(row["level"]),
        amr=tuple(split_words(row["amr"])),
        idle_expires_at=as_instant(row["idle_expires_at"]),
        expires_at=as_instant(row["expires_at"]),
        now=as_instant(row["now"]),
        is_active=row["state"] == "active",
        locale=row["locale"],
        proofing=row["proofing"],
        registry_status=row["registry_status"],
        registry_checked_at=as_instant(checked) if checked else None,
        registry_asked_at=as_instant(asked) if asked else None,
        agreed=None if agreed is None else frozenset(split_words(agreed)),
        agreed_basis=row["agreed_basis"],
        sub=row["sub"],
    )
