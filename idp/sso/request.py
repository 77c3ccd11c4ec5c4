"""The checked authorization request: the value that travels through the pages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from idp.citizens import verified_claims
from idp.core.levels import Level
from idp.core.scopes import OFFLINE_ACCESS


class Prompt(StrEnum):
    """Values of `prompt` (OpenID Connect Core 1.0, 3.1.2.1)."""

    NONE = "none"
    LOGIN = "login"
    CONSENT = "consent"
    SELECT_ACCOUNT = "select_account"


class ResponseMode(StrEnum):
    """How the answer reaches the portal (OAuth 2.0 Multiple Response Type Encoding Practices, 2.1; Form Post; JARM).

    OTHER_DEVICE: no browser carries it; the client asks for it at the token endpoint (RFC 8628; CIBA).
    OWN_PAGE: there is no portal; the browser goes on to a page of the provider, signed in.
    """

    QUERY = "query"
    FORM_POST = "form_post"
    QUERY_JWT = "query.jwt"
    FORM_POST_JWT = "form_post.jwt"
    OTHER_DEVICE = "other_device"
    OWN_PAGE = "own_page"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An authorization request of which every check has passed; nothing in it is read from a URL again.

    `acr_values` are the words the portal used for levels it accepts (from acr_values, the claims parameter, or the
    client's record), `level` the lowest of them; `is_level_essential` says that less is a failure. `claims` go to
    UserInfo and `id_token_claims` into the ID token; both are names of claims about the person, and wishes for verified
    ones in the form of citizens.verified_claims. `resource` is the
    resource server tokens are for (RFC 8707; empty for UserInfo), `confirmation` the key the code is bound to
    (`jkt:...`; RFC 9449, 10), `pushed` the digest (hex) of the pushed request it came in, `decoupled` that of the
    device's or CIBA's request, `idp_hint` the identity provider the portal leads its citizens to.
    """

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    claims: tuple[str, ...]
    id_token_claims: tuple[str, ...]
    acr_values: tuple[str, ...]
    level: Level
    is_level_essential: bool
    prompt: frozenset[Prompt]
    code_challenge: str = ""
    state: str | None = None
    nonce: str | None = None
    max_age: int | None = None
    login_hint: str | None = None
    ui_locales: tuple[str, ...] = ()
    hinted_sub: str | None = None
    response_mode: ResponseMode = ResponseMode.QUERY
    resource: str = ""
    confirmation: str = ""
    pushed: str = ""
    decoupled: str = ""
    idp_hint: str | None = None

    @property
    def disclosed(self) -> frozenset[str]:
        """Return all that the citizen is asked for: claims, verified or not, and access after the session."""
        lasting = {OFFLINE_ACCESS} & set(self.scopes)
        return verified_claims.names((*self.claims, *self.id_token_claims)) | lasting

    def without_lasting(self) -> "AuthorizationRequest":
        """Return the request without access after the session."""
        return replace(self, scopes=tuple(scope for scope in self.scopes if scope != OFFLINE_ACCESS))

    def pushed_as(self, key: str) -> "AuthorizationRequest":
        """Return the request with the digest (hex) of the pushed request it came in."""
        return replace(self, pushed=key)

    def to_document(self) -> dict[str, Any]:
        """Return the request as a JSON document for the interaction's row."""
        return {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scopes": list(self.scopes),
            "claims": list(self.claims),
            "id_token_claims": list(self.id_token_claims),
            "acr_values": list(self.acr_values),
            "level": int(self.level),
            "is_level_essential": self.is_level_essential,
            "prompt": sorted(self.prompt),
            "code_challenge": self.code_challenge,
            "state": self.state,
            "nonce": self.nonce,
            "max_age": self.max_age,
            "login_hint": self.login_hint,
            "ui_locales": list(self.ui_locales),
            "hinted_sub": self.hinted_sub,
            "response_mode": self.response_mode.value,
            "resource": self.resource,
            "confirmation": self.confirmation,
            "pushed": self.pushed,
            "decoupled": self.decoupled,
            "idp_hint": self.idp_hint,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "AuthorizationRequest":
        """Return the request a row of ours holds."""
        fields = dict(document)
        for name in ("scopes", "claims", "id_token_claims", "acr_values", "ui_locales"):
            fields[name] = tuple(fields[name])
        fields["level"] = Level(fields["level"])
        fields["response_mode"] = ResponseMode(fields.get("response_mode", ResponseMode.QUERY))
        fields["prompt"] = frozenset(Prompt(value) for value in fields["prompt"])
        return cls(**fields)
