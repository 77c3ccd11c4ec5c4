"""What a client document comes to: the record of one client, whole and checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Self

from idp.core.levels import Level


class Basis(StrEnum):
    """Why the agency may have the data: the citizen agrees, or a law says so."""

    CONSENT = "consent"
    LEGAL = "legal"


class AuthMethod(StrEnum):
    """How a client proves itself at the token endpoint (OpenID Connect Core 1.0, 9)."""

    SECRET_BASIC = "client_secret_basic"  # noqa: S105 (a registered name)
    SECRET_POST = "client_secret_post"  # noqa: S105
    PRIVATE_KEY_JWT = "private_key_jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMetadata:
    """One client document, whole: every default filled in, every value checked.

    Texts are by language, Vietnamese always among them. `pkce_exempt_until` is the last day of an exception.
    """

    names: Mapping[str, str]
    client_uri: str | None
    policy_uri: str | None
    tos_uri: str | None
    contacts: tuple[str, ...]
    redirect_uris: frozenset[str]
    post_logout_redirect_uris: frozenset[str]
    sector: str
    scopes: tuple[str, ...]
    purposes: Mapping[str, Mapping[str, str]]
    basis: Basis
    legal_bases: Mapping[str, str]
    default_level: Level | None
    auth_method: AuthMethod
    auth_signing_algorithms: tuple[str, ...]
    jwks: Mapping[str, Any] | None
    id_token_algorithm: str
    pkce_exempt_until: date | None
    pkce_exempt_reason: str | None
    software_id: str | None
    software_version: str | None

    def stored(self) -> dict[str, Any]:
        """Return the document as it is kept in the database: plain JSON values."""
        values = asdict(self)
        values["redirect_uris"] = sorted(self.redirect_uris)
        values["post_logout_redirect_uris"] = sorted(self.post_logout_redirect_uris)
        values["default_level"] = None if self.default_level is None else int(self.default_level)
        values["pkce_exempt_until"] = self.pkce_exempt_until and self.pkce_exempt_until.isoformat()
        for name in ("contacts", "scopes", "auth_signing_algorithms"):
            values[name] = list(values[name])
        return values

    @classmethod
    def fields_of(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the constructor's arguments for a document as `stored` returned it."""
        until = stored["pkce_exempt_until"]
        return {
            **stored,
            "redirect_uris": frozenset(stored["redirect_uris"]),
            "post_logout_redirect_uris": frozenset(stored["post_logout_redirect_uris"]),
            "default_level": None if stored["default_level"] is None else Level(stored["default_level"]),
            "pkce_exempt_until": None if until is None else date.fromisoformat(until),
            "basis": Basis(stored["basis"]),
            "auth_method": AuthMethod(stored["auth_method"]),
        } | {name: tuple(stored[name]) for name in ("contacts", "scopes", "auth_signing_algorithms")}

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> Self:
        """Return the metadata for a document as `stored` returned it."""
        return cls(**cls.fields_of(stored))
