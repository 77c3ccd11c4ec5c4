"""What the dispatcher decides from: the request, the session's standing, and how far this interaction has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from idp.agencies.clients import Client
from idp.citizens import assurance, mandates
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core.database import HotPath, as_instant, as_uuid, split_words
from idp.core.ids import digest
from idp.core.levels import Level, Method
from idp.sso.models import STANDING
from idp.sso.request import AuthorizationRequest

_KEYS = frozenset({Method.HARDWARE_KEY, Method.SOFTWARE_KEY})


@dataclass(frozen=True, slots=True)
class Standing:
    """A live session with its citizen, as one statement read it for one client.

    `is_shared`: on a device that others use. `is_locked`: the citizen has locked the account. `is_assisted`: an officer
    helped to open it, under a mandate that covers this client. `provider_id`: the identity provider it came by.
    `methods`: those of ours that were used, and what that provider vouches for; `amr` is what agencies are told.
    """

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
    is_shared: bool = False
    is_locked: bool = False
    is_assisted: bool = False
    provider_id: UUID | None = None
    methods: frozenset[Method] = frozenset()

    def is_with_key(self, *, within: timedelta) -> bool:
        """Tell whether a passkey of ours was used for it, at most `within` ago.

        What an identity provider says of its own keys does not count.
        """
        return not _KEYS.isdisjoint(self.methods) and self.now - self.authenticated_at <= within


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the citizen has come on these pages; all False for a request that has shown none.

    `has_confirmed` belongs to the browser, whoever signs in on it; the rest to the session. `has_bound_key`: a passkey
    bound to its device was used here, or a provider vouched for loa3. `has_settled`: the citizen goes on below the
    level that was wished for.
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


def asked_of(request: AuthorizationRequest, standing: Standing | None) -> AuthorizationRequest:
    """Return what `request` asks of the session of `standing`: nothing that outlives it where it is not one's own.

    Not on a device that others use, nor with an officer at the keyboard.
    """
    is_own = standing is None or not (standing.is_shared or standing.is_assisted)
    return request if is_own else request.without_lasting()


def level_here(standing: Standing, progress: Progress) -> Level:
    """Return the level this login can answer with.

    A session carries loa2 at most to the next portal. loa3 is true on the pages where the key was used, or a provider
    vouched for it, as long as the session still tells of it, and nowhere else: it is never given by single sign-on.
    """
    if not progress.has_bound_key:
        return standing.level
    return assurance.proven(
        Proofing(standing.proofing),
        RegistryStatus(standing.registry_status),
        standing.methods,
    )


def read_standing(hot_path: HotPath, session_secret: str | None, client: Client) -> Standing | None:
    """Return the standing of the session whose cookie holds `session_secret`, or None when it has none that lives.

    A session opened with an officer's help stands nowhere but where its mandate reaches: neither in the citizen's own
    space nor at another service, and nowhere once the mandate has ended.
    """
    if not session_secret:
        return None
    row = hot_path.one(STANDING, {"digest": digest(session_secret), "client": client.id, "sector": client.sector})
    if row is None or (row["mandate_id"] is not None and not _is_covered(hot_path, row, client)):
        return None
    return _standing(row)


def _is_covered(hot_path: HotPath, row: Mapping[str, Any], client: Client) -> bool:
    mandate = hot_path.one(mandates.READ_MANDATE, {"mandate_id": row["mandate_id"]})
    return mandate is not None and mandates.covers(mandate, client.client_id)


def _standing(row: Mapping[str, Any]) -> Standing:
    checked, asked = row["registry_checked_at"], row["registry_asked_at"]
    agreed = row["agreed_claims"]
    provider_id = row["provider_id"]
    amr = split_words(row["amr"])
    return Standing(
        session_id=as_uuid(row["session_id"]),
        citizen_id=as_uuid(row["citizen_id"]),
        authenticated_at=as_instant(row["authenticated_at"]),
        level=Level(row["level"]),
        amr=tuple(amr),
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
        is_shared=bool(row["is_shared"]),
        is_locked=row["state"] == "locked",
        is_assisted=row["mandate_id"] is not None,
        provider_id=as_uuid(provider_id) if provider_id else None,
        methods=assurance.known_methods(split_words(row["own_amr"] or "") if provider_id else amr)
        | assurance.vouching(Level(row["provider_level"] or Level.NONE)),
    )
