"""How it goes, for everybody to read: our own sign-in, the register, each identity provider. Names nobody and no
machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from idp.citizens.registry import Watched
from idp.core.database import DatabaseUnavailable, Query
from idp.keys.ring import NoSigningKey
from idp.sso.services import Services
from idp.upstream.record import Condition, Provider

_ANSWERS = Query("SELECT 1 AS one")


class Word(StrEnum):
    """How one part is. CUT is an operator's decision, for an incident or by the record; the others were seen."""

    UP = "up"
    SLOW = "slow"
    DOWN = "down"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Incident:
    """From when and until when a provider is cut off; in part where other agencies or levels are served."""

    since: datetime
    until: datetime | None
    is_partial: bool


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """How one provider is. `since` is known where it is not well, `reasons` where an operator closed it."""

    slug: str
    names: Mapping[str, str]
    word: Word
    since: datetime | None
    incident: Incident | None
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Status:
    """How everything is, as this worker knows it."""

    sign_in: Word
    register: Word
    providers: tuple[ProviderStatus, ...]


def database_and_keys(services: Services) -> str | None:
    """Return what keeps this worker from signing a citizen in, `database` or `keys`; None when nothing does."""
    try:
        services.hot_path.one(_ANSWERS, {})
        services.signing_keys.signer("ES256")
    except DatabaseUnavailable:
        return "database"
    except NoSigningKey:
        return "keys"
    return None


def read(services: Services, now: datetime) -> Status:
    """Return how everything is: one small statement, the rest is in memory."""
    register = services.registry
    try:
        providers = services.providers.all()
    except DatabaseUnavailable:
        providers = ()
    return Status(
        sign_in=Word.DOWN if database_and_keys(services) else Word.UP,
        register=Word.DOWN if isinstance(register, Watched) and not register.is_answering else Word.UP,
        providers=tuple(_of(each, now) for each in providers if each.is_displayed and each.is_enabled),
    )


def as_json(status: Status) -> dict[str, object]:
    """Return the feed of `status`."""
    return {
        "sign_in": status.sign_in.value,
        "register": status.register.value,
        "providers": [
            {
                "id": each.slug,
                "name": dict(each.names),
                "status": each.word.value,
                **({} if each.since is None else {"since": _text(each.since)}),
                **({"reason": dict(each.reasons)} if each.reasons else {}),
                **({} if each.incident is None else {"incident": _incident(each.incident)}),
            }
            for each in status.providers
        ],
    }


def _incident(incident: Incident) -> dict[str, object]:
    return {
        "from": _text(incident.since),
        "until": None if incident.until is None else _text(incident.until),
        "partial": incident.is_partial,
    }


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")


def _of(provider: Provider, now: datetime) -> ProviderStatus:
    cut = provider.cut if provider.cut is not None and provider.cut.is_on(now) else None
    incident = None
    if cut is not None:
        is_partial = bool(cut.agencies) or cut.level is not None
        incident = Incident(cut.since, cut.until, is_partial=is_partial)
    condition = provider.condition(now)
    word, since = Word(condition.value), None
    if not provider.is_active:
        word = Word.CUT
    elif condition is not Condition.UP and provider.health is not None:
        since = provider.health.since
    if incident is not None and not incident.is_partial:
        word, since = Word.CUT, incident.since
    reasons = cut.reasons if cut is not None else {} if provider.is_active else provider.unavailable
    return ProviderStatus(provider.slug, provider.names, word, since, incident, reasons)
