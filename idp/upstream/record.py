"""What a provider document comes to: the record of one provider, whole and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

from idp.agencies.clients import Client
from idp.agencies.metadata import Encryption
from idp.core.levels import Level


class AuthMethod(StrEnum):
    """How we prove ourselves at a provider's token endpoint (OpenID Connect Core 1.0, 9)."""

    SECRET_BASIC = "client_secret_basic"  # noqa: S105 (a registered name)
    SECRET_POST = "client_secret_post"  # noqa: S105
    PRIVATE_KEY_JWT = "private_key_jwt"


class Endpoint(StrEnum):
    """The addresses of a provider, by their names in its metadata."""

    AUTHORIZATION = "authorization_endpoint"
    TOKEN = "token_endpoint"  # noqa: S105 (a registered name)
    USERINFO = "userinfo_endpoint"
    KEYS = "jwks_uri"
    PUSHED = "pushed_authorization_request_endpoint"
    END_SESSION = "end_session_endpoint"


class Condition(StrEnum):
    """How a provider answers."""

    UP = "up"
    SLOW = "slow"
    DOWN = "down"


BELIEVED = timedelta(minutes=5)
"""How long a provider that was down is taken to be down still, if nobody looks at it any more."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider is, since when, and when that was last seen."""

    condition: Condition
    since: datetime
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class Cut:
    """An incident for which a provider is cut off: for these agencies, or all without one; from this level, or every.

    `until` is None while nobody knows the end.
    """

    agencies: frozenset[str]
    level: Level | None
    reasons: Mapping[str, str]
    since: datetime
    until: datetime | None

    def is_on(self, now: datetime) -> bool:
        """Tell whether the incident lasts."""
        return self.since <= now and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True)
class Banner:
    """A message about a provider, shown from the first day to the last (UTC)."""

    since: date
    until: date
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRecord:
    """One provider document, whole: every default filled in, every value checked.

    `levels` maps the provider's `acr` words to ours: no other word is accepted from it, and none counts for more than
    `ceiling`. `claims` names, for each fact we need, where it may stand; the first that is there wins. `amr` is what it
    may assert. `origins` are other places its sign-in leads a browser through; `agencies` with `are_denied` says whom
    it does not serve.
    """

    issuer: str
    client_id: str
    auth_method: AuthMethod
    auth_algorithm: str
    endpoints: Mapping[Endpoint, str]
    id_token_algorithm: str
    id_token_encryption: Encryption | None
    userinfo_algorithm: str | None
    userinfo_encryption: Encryption | None
    scopes: tuple[str, ...]
    claims: Mapping[str, tuple[str, ...]]
    trust_frameworks: tuple[str, ...]
    levels: Mapping[str, Level]
    level_without_acr: Level | None
    ceiling: Level
    amr: tuple[str, ...]
    names: Mapping[str, str]
    descriptions: Mapping[str, str]
    logo: str | None
    order: int
    is_displayed: bool
    is_active: bool
    is_beta: bool
    notice: Mapping[str, str]
    unavailable: Mapping[str, str]
    banners: tuple[Banner, ...]
    agencies: frozenset[str]
    are_denied: bool
    origins: tuple[str, ...]
    always_prompts: bool
    promises_iss: bool
    uses_pushed_requests: bool
    binds_tokens: bool
    ends_sessions: bool
    tells_of_logout: bool

    @property
    def encryptions(self) -> Mapping[str, Encryption]:
        """Return how its answers are encrypted to us, by `id_token` and `userinfo`; those that are not are missing."""
        chosen = {"id_token": self.id_token_encryption, "userinfo": self.userinfo_encryption}
        return {answer: encryption for answer, encryption in chosen.items() if encryption is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(ProviderRecord):
    """One provider as it stood at most five seconds ago."""

    id: UUID
    slug: str
    version: int
    is_enabled: bool
    secret: str | None = field(default=None, repr=False)
    cut: Cut | None = None
    health: Health | None = None

    @classmethod
    def of(
        cls,
        record: ProviderRecord,
        *,
        provider_id: UUID,
        slug: str,
        version: int,
        is_enabled: bool,
        secret: str | None,
        cut: Cut | None = None,
        health: Health | None = None,
    ) -> Self:
        """Return the provider that `record` describes."""
        described = {each.name: getattr(record, each.name) for each in fields(ProviderRecord)}
        return cls(
            id=provider_id,
            slug=slug,
            version=version,
            is_enabled=is_enabled,
            secret=secret,
            cut=cut,
            health=health,
            **described,
        )

    @property
    def is_open(self) -> bool:
        """Tell whether citizens may come by it now."""
        return self.is_enabled and self.is_active

    def serves(self, client: Client) -> bool:
        """Tell whether citizens may come by it to the agency of `client`; to our own pages they always may."""
        if not client.agency_slug:
            return True
        return (client.agency_slug in self.agencies) is not self.are_denied

    def is_cut(self, client: Client, level: Level, now: datetime) -> bool:
        """Tell whether an incident keeps it from sign-ins at `level` for the agency of `client`."""
        cut = self.cut
        if cut is None or not cut.is_on(now):
            return False
        is_named = not cut.agencies or client.agency_slug in cut.agencies
        return is_named and (cut.level is None or level >= cut.level)

    def believed(self, now: datetime, client: Client | None = None) -> Level:
        """Return the most it is believed: its ceiling, below the level of an incident at all agencies, or at the agency
        of `client`."""
        cut = self.cut
        if cut is None or cut.level is None or not cut.is_on(now):
            return self.ceiling
        if cut.agencies and (client is None or client.agency_slug not in cut.agencies):
            return self.ceiling
        return min(self.ceiling, Level(cut.level - 1))

    def condition(self, now: datetime) -> Condition:
        """Return how it answers; a word that nobody has confirmed lately counts no more."""
        health = self.health
        if health is None or (health.condition is Condition.DOWN and now - health.checked_at > BELIEVED):
            return Condition.UP
        return health.condition

    def name(self, language: str) -> str:
        """Return the provider's name in `language`, or in Vietnamese."""
        return self.names.get(language) or self.names["vi"]

    def words(self, texts: Mapping[str, str], language: str) -> str | None:
        """Return one of its texts in `language`, or in Vietnamese; None when it has none."""
        return texts.get(language) or texts.get("vi")

    def banner(self, language: str, today: date) -> str | None:
        """Return the message of today, None without one."""
        shown = (banner for banner in self.banners if banner.since <= today <= banner.until)
        return next((self.words(banner.texts, language) for banner in shown), None)

    def asked(self, wanted: Level) -> Level:
        """Return the level to ask it for when `wanted` is: never above its ceiling."""
        return min(wanted, self.ceiling)

    def acr_words(self, least: Level) -> tuple[str, ...]:
        """Return its own words for `least` and more, the lowest first."""
        return tuple(
            word for word, level in sorted(self.levels.items(), key=lambda pair: (pair[1], pair[0])) if level >= least
        )

    @property
    def form_actions(self) -> tuple[str, ...]:
        """Return the origins that a form leading to it passes through: Chromium holds form-action against redirects."""
        addresses = [self.issuer, *self.origins]
        addresses += [
            self.endpoints[name] for name in (Endpoint.AUTHORIZATION, Endpoint.END_SESSION) if name in self.endpoints
        ]
        return tuple(dict.fromkeys(map(origin_of, addresses)))


def origin_of(address: str) -> str:
    """Return scheme and authority of an address."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
