"""What a client document comes to: the record of one client, whole and checked."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Self

from idp.core.levels import Level


class Basis(StrEnum):
    """Why the agency may have the data: the citizen agrees, or a law says so."""

    CONSENT = "consent"
    LEGAL = "legal"


class AuthMethod(StrEnum):
    """How a client proves itself at the token endpoint (OpenID Connect Core 1.0, 9; RFC 8705, 2)."""

    SECRET_BASIC = "client_secret_basic"  # noqa: S105 (a registered name)
    SECRET_POST = "client_secret_post"  # noqa: S105
    PRIVATE_KEY_JWT = "private_key_jwt"
    TLS = "tls_client_auth"
    SELF_SIGNED_TLS = "self_signed_tls_client_auth"


SECRET_METHODS = frozenset({AuthMethod.SECRET_BASIC, AuthMethod.SECRET_POST})


class Profile(StrEnum):
    """The security profile of a client: one word that decides everything weaker is refused."""

    STANDARD = "standard"
    FAPI2 = "fapi2"


class GrantType(StrEnum):
    """The grants a client may use at the token endpoint."""

    CODE = "authorization_code"
    REFRESH = "refresh_token"
    DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
    CIBA = "urn:openid:params:grant-type:ciba"


class TokenFormat(StrEnum):
    """What an access token is: a random word known by its digest, or a JWT (RFC 9068)."""

    OPAQUE = "opaque"
    JWT = "jwt"


class Rule(StrEnum):
    """A rule from which a client may be exempt until a day, with a reason on record."""

    PKCE = "pkce"
    PUSHED_REQUESTS = "pushed_authorization_requests"
    SENDER_CONSTRAINED_TOKENS = "sender_constrained_tokens"
    ASYMMETRIC_AUTHENTICATION = "asymmetric_client_authentication"


@dataclass(frozen=True, slots=True)
class Exemption:
    """Until which day (the last one, UTC) a rule does not bind a client, and why."""

    until: date
    reason: str


@dataclass(frozen=True, slots=True)
class Encryption:
    """How an answer is encrypted to its reader's key: `alg` and `enc` of RFC 7518."""

    alg: str
    enc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMetadata:
    """One client document, whole: every default filled in, every value checked.

    Texts and links to texts are by language, Vietnamese always among them. The fields with a default came after the
    first schema: a document stored before them reads as if it had been written with the default.
    """

    names: Mapping[str, str]
    client_uri: str | None
    policy_uris: Mapping[str, str]
    tos_uris: Mapping[str, str]
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
    software_id: str | None
    software_version: str | None
    profile: Profile = Profile.STANDARD
    exemptions: Mapping[Rule, Exemption] = field(default_factory=dict)
    grant_types: tuple[GrantType, ...] = (GrantType.CODE,)
    jwks_uri: str | None = None
    sector_identifier_uri: str | None = None
    logo_uri: str | None = None
    # Members of RFC 8705, 2.1.2 (`tls_client_auth_subject_dn` and its kin): exactly one with tls_client_auth.
    tls_subject: Mapping[str, str] = field(default_factory=dict)
    # FranceConnect's habits; off for everybody who does not ask for them.
    requires_nonce: bool = False
    requires_acr_values: bool = False
    refuses_prompt_none: bool = False
    # Identity providers (by slug) that the client may lead its citizens to.
    idp_hints: tuple[str, ...] = ()
    # Requests and their answers.
    wants_pushed_requests: bool = False
    wants_signed_requests: bool = False
    request_object_algorithms: tuple[str, ...] = ()
    authorization_response_algorithm: str | None = None
    id_token_encryption: Encryption | None = None
    userinfo_algorithm: str | None = None
    userinfo_encryption: Encryption | None = None
    introspection_algorithm: str | None = None
    introspection_encryption: Encryption | None = None
    # Tokens.
    wants_dpop: bool = False
    wants_tls_bound_tokens: bool = False
    # As a client: the resource servers it may ask tokens for. As a resource server: the identifiers it answers to
    # (RFC 8707), and what tokens for it are.
    resources: tuple[str, ...] = ()
    resource_identifiers: tuple[str, ...] = ()
    token_format: TokenFormat = TokenFormat.OPAQUE
    # Logout.
    backchannel_logout_uri: str | None = None
    wants_backchannel_sid: bool = False
    frontchannel_logout_uri: str | None = None
    wants_frontchannel_sid: bool = False

    def stored(self) -> dict[str, Any]:
        """Return the document as it is kept in the database: plain JSON values."""
        values = asdict(self)
        values["redirect_uris"] = sorted(self.redirect_uris)
        values["post_logout_redirect_uris"] = sorted(self.post_logout_redirect_uris)
        values["default_level"] = None if self.default_level is None else int(self.default_level)
        values["exemptions"] = {
            rule.value: {"until": exemption.until.isoformat(), "reason": exemption.reason}
            for rule, exemption in self.exemptions.items()
        }
        for name in _TUPLES:
            values[name] = list(values[name])
        return values

    @classmethod
    def fields_of(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the constructor's arguments for a document as `stored` returned it."""
        fields = {
            **stored,
            "redirect_uris": frozenset(stored["redirect_uris"]),
            "post_logout_redirect_uris": frozenset(stored["post_logout_redirect_uris"]),
            "default_level": None if stored["default_level"] is None else Level(stored["default_level"]),
        }
        for name, read in _READERS.items():
            if fields.get(name) is not None:
                fields[name] = read(fields[name])
        return fields

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> Self:
        """Return the metadata for a document as `stored` returned it."""
        return cls(**cls.fields_of(stored))


_TUPLES = (
    "contacts",
    "scopes",
    "auth_signing_algorithms",
    "grant_types",
    "request_object_algorithms",
    "resources",
    "resource_identifiers",
    "idp_hints",
)
_ENCRYPTIONS = ("id_token_encryption", "userinfo_encryption", "introspection_encryption")
_READERS: dict[str, Callable[[Any], Any]] = {
    "basis": Basis,
    "auth_method": AuthMethod,
    "profile": Profile,
    "token_format": TokenFormat,
    **dict.fromkeys(_TUPLES, tuple),
    "grant_types": lambda names: tuple(GrantType(name) for name in names),
    **dict.fromkeys(_ENCRYPTIONS, lambda chosen: Encryption(**chosen)),
    "exemptions": lambda rules: {
        Rule(rule): Exemption(date.fromisoformat(found["until"]), found["reason"]) for rule, found in rules.items()
    },
}
