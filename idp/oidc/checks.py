"""The checks of an authorization request: one ordered table, one rule a row.

The first rows decide whether there is a client to answer; until they pass, an error is a page (`Failure`) and never a
redirect (for a pushed request, which has no browser, the client is told). The rest raise `ProtocolFailure`, which goes
to the proven redirect URI. A check raises or fills in the draft; it does nothing else. A rule of the specifications is
looked up here by its section.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from idp.agencies.clients import Client
from idp.agencies.metadata import GrantType
from idp.core import asked, errors
from idp.core.errors import Failure, ProtocolFailure
from idp.core.levels import Level, level_of, lowest
from idp.core.parameters import Parameters
from idp.core.scopes import CLAIMS_BY_SCOPE, OFFLINE_ACCESS, OPENID, claims_of
from idp.keys.jose import SIGNING_ALGORITHMS, TokenRefused
from idp.oidc import claims_parameter, id_token, request_objects
from idp.oidc.responses import RESPONSE_MODES
from idp.sso.request import AuthorizationRequest, Prompt, ResponseMode
from idp.sso.services import Services

LONGEST_VALUE = 512
LONGEST_CLAIMS = 4_096
LONGEST_HINT = 4_096
_CHALLENGE = re.compile(r"[A-Za-z0-9\-_]{43}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_KNOWN = frozenset(
    {
        "acr_values", "claims", "claims_locales", "client_id", "code_challenge", "code_challenge_method", "display",
        "dpop_jkt", "id_token_hint", "idp_hint", "login_hint", "max_age", "nonce", "prompt", "redirect_uri",
        "registration", "request", "request_uri", "response_mode", "response_type", "scope", "state", "ui_locales",
    }
)  # fmt: skip


@dataclass
class Draft:
    """An authorization request in the making: what was sent, and what the checks passed so far have made of it.

    `parameters` are those that count: of a signed request the ones inside it. `is_pushed` and `is_signed` say how
    they came.
    """

    parameters: Parameters
    provider: Services
    found_client: Client | None = None
    is_pushed: bool = False
    is_signed: bool = False
    response_mode: ResponseMode = ResponseMode.QUERY
    resource: str = ""
    confirmation: str = ""
    scopes: tuple[str, ...] = ()
    prompt: frozenset[Prompt] = frozenset()
    max_age: int | None = None
    code_challenge: str = ""
    requested_claims: dict[str, Mapping[str, dict[str, Any]]] = field(default_factory=dict)
    claim_words: dict[str, frozenset[str]] = field(default_factory=dict)
    acr_values: tuple[str, ...] = ()
    level: Level = Level.LOA1
    is_level_essential: bool = False
    hinted_sub: str | None = None

    @property
    def client(self) -> Client:
        """Return the proven client; only checks after `client_is_known` may ask."""
        if self.found_client is None:
            raise Failure(errors.UNKNOWN_CLIENT)
        return self.found_client


# --- is there somebody to answer? -------------------------------------------------------------------------------


def client_is_known(draft: Draft) -> None:
    """RFC 6749, 4.1.2.1: an unknown client is never redirected to."""
    client_id = draft.parameters.get("client_id")
    if client_id is None or "client_id" in draft.parameters.repeated:
        raise Failure(errors.MALFORMED_REQUEST)
    client = draft.provider.clients.find(client_id)
    if client is None:
        raise Failure(errors.UNKNOWN_CLIENT)
    asked.by(client.client_id)
    if not client.is_active:
        raise Failure(errors.SUSPENDED_CLIENT)
    draft.found_client = client


def the_signed_request_counts(draft: Draft) -> None:
    """RFC 9101, 6.3: of a signed request only what is inside it. When it cannot be read the portal is told, provided
    that the address beside it is a registered one; else the citizen."""
    compact = draft.parameters.get("request")
    if compact is None:
        return
    try:
        draft.parameters = request_objects.read(compact, draft.parameters, draft.client, provider=draft.provider)
    except ProtocolFailure:
        if draft.is_pushed or _has_proven_address(draft):
            raise
        raise Failure(errors.REQUEST_OBJECT_UNREADABLE) from None
    draft.is_signed = True


def _has_proven_address(draft: Draft) -> bool:
    return draft.parameters.get("redirect_uri") in draft.client.redirect_uris and (
        "redirect_uri" not in draft.parameters.repeated
    )


def redirect_uri_is_registered(draft: Draft) -> None:
    """OpenID Connect Core 1.0, 3.1.2.1: required, and equal to a registered one character by character."""
    if not _has_proven_address(draft):
        raise Failure(errors.FOREIGN_REDIRECT_URI)


# --- the rest is told to the portal -----------------------------------------------------------------------------


def response_mode_is_known(draft: Draft) -> None:
    """OAuth 2.0 Multiple Response Type Encoding Practices, 2.1. First, so that the other errors come by it."""
    if "response_mode" in draft.parameters.repeated:
        raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
    word = draft.parameters.get("response_mode", "query")
    if word not in RESPONSE_MODES:
        raise ProtocolFailure(errors.RESPONSE_MODE_UNSUPPORTED)
    draft.response_mode = RESPONSE_MODES[word]


def the_way_it_came_is_allowed(draft: Draft) -> None:
    """RFC 9126, 5 and RFC 9101, 10.5: a client registered for pushed or signed requests sends no others."""
    client = draft.client
    if client.requires_pushed_requests and not draft.is_pushed:
        raise ProtocolFailure(errors.PUSH_REQUIRED)
    if client.wants_signed_requests and not draft.is_signed:
        raise ProtocolFailure(errors.REQUEST_OBJECT_MISSING)


def nothing_is_repeated(draft: Draft) -> None:
    """RFC 6749, 3.1: no parameter more than once."""
    if not _KNOWN.isdisjoint(draft.parameters.repeated):
        raise ProtocolFailure(errors.DUPLICATE_PARAMETER)


def values_are_short(draft: Draft) -> None:
    """Bound what is stored and returned; never truncate (security.md, 7)."""
    limits = {"claims": LONGEST_CLAIMS, "id_token_hint": LONGEST_HINT}
    for name in _KNOWN & draft.parameters.keys():
        if len(draft.parameters[name]) > limits.get(name, LONGEST_VALUE):
            raise ProtocolFailure(errors.PARAMETER_TOO_LONG)


def nothing_is_fetched(draft: Draft) -> None:
    """OpenID Connect Core 1.0, 6.2 and 7.2.1: refuse by name what is not supported; ignoring it would be unsafe."""
    if "request_uri" in draft.parameters:
        raise ProtocolFailure(errors.REQUEST_URI_UNSUPPORTED)
    if "registration" in draft.parameters:
        raise ProtocolFailure(errors.REGISTRATION_UNSUPPORTED)


def response_is_a_code(draft: Draft) -> None:
    """RFC 6749, 3.1.1; RFC 9700, 2.1.2: the code flow only."""
    response_type = draft.parameters.get("response_type")
    if response_type is None:
        raise ProtocolFailure(errors.RESPONSE_TYPE_MISSING)
    if response_type != "code":
        raise ProtocolFailure(errors.RESPONSE_TYPE_UNSUPPORTED)


def scopes_are_registered(draft: Draft) -> None:
    """OpenID Connect Core 1.0, 3.1.2.1 and RFC 6749, 3.3: openid is there; unknown scopes are ignored, known ones
    that the client is not registered for are refused. offline_access of a client that cannot refresh is ignored
    (OpenID Connect Core 1.0, 11): stock libraries ask for it everywhere."""
    asked = frozenset(draft.parameters.get("scope", "").split())
    if OPENID not in asked:
        raise ProtocolFailure(errors.SCOPE_WITHOUT_OPENID)
    client = draft.client
    if GrantType.REFRESH not in client.grant_types or OFFLINE_ACCESS not in client.scopes:
        asked -= {OFFLINE_ACCESS}
    known = tuple(scope for scope in CLAIMS_BY_SCOPE if scope in asked)
    if not frozenset(known) <= frozenset(client.scopes):
        raise ProtocolFailure(errors.SCOPE_NOT_GRANTED)
    draft.scopes = known


def challenge_is_s256(draft: Draft) -> None:
    """RFC 7636, 4.3 and RFC 9700, 2.1.1: S256 for every client; `plain`, also as the default, is refused."""
    challenge = draft.parameters.get("code_challenge")
    if challenge is None:
        if draft.client.requires_pkce or "code_challenge_method" in draft.parameters:
            raise ProtocolFailure(errors.CHALLENGE_MISSING)
        return
    if draft.parameters.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise ProtocolFailure(errors.CHALLENGE_INVALID)
    draft.code_challenge = challenge


def prompt_is_possible(draft: Draft) -> None:
    """OpenID Connect Core 1.0, 3.1.2.1: known values, and none stands alone."""
    words = frozenset(draft.parameters.get("prompt", "").split())
    if not words <= frozenset(Prompt) or (Prompt.NONE in words and len(words) > 1):
        raise ProtocolFailure(errors.PROMPT_INVALID)
    if Prompt.NONE in words and draft.client.refuses_prompt_none:
        raise ProtocolFailure(errors.PROMPT_NONE_REFUSED)
    draft.prompt = frozenset(Prompt(word) for word in words)


def nonce_is_there(draft: Draft) -> None:
    """Only where the client's record asks for it: in the code flow a nonce may be left out (Core 1.0, 3.1.2.1)."""
    if draft.client.requires_nonce and "nonce" not in draft.parameters:
        raise ProtocolFailure(errors.NONCE_MISSING)


def resource_is_registered(draft: Draft) -> None:
    """RFC 8707, 2: one resource server, of those the client is registered for; ours is UserInfo.

    One at a time, because a token for two could be taken by one to the other.
    """
    resource = draft.parameters.get("resource")
    if resource is None:
        return
    if "resource" in draft.parameters.repeated:
        raise ProtocolFailure(errors.TARGET_UNKNOWN)
    if resource == draft.provider.settings.issuer:
        return
    server = draft.provider.clients.by_resource(resource) if resource in draft.client.resources else None
    if server is None or not server.is_active:
        raise ProtocolFailure(errors.TARGET_UNKNOWN)
    draft.resource = resource


def key_is_a_thumbprint(draft: Draft) -> None:
    """RFC 9449, 10: the code may be bound to a key before there is a proof."""
    thumbprint = draft.parameters.get("dpop_jkt")
    if thumbprint is None:
        return
    if not _CHALLENGE.fullmatch(thumbprint):
        raise ProtocolFailure(errors.DPOP_JKT_INVALID)
    draft.confirmation = f"jkt:{thumbprint}"


def max_age_is_seconds(draft: Draft) -> None:
    """OpenID Connect Core 1.0, 3.1.2.1."""
    text = draft.parameters.get("max_age")
    if text is None:
        return
    if not _SECONDS.fullmatch(text):
        raise ProtocolFailure(errors.MAX_AGE_INVALID)
    draft.max_age = int(text)


def claims_are_readable(draft: Draft) -> None:
    """OpenID Connect Core 1.0, 5.5, and Identity Assurance 1.0, 5.3: what the client may have of it is noted."""
    text = draft.parameters.get("claims")
    if text is None:
        return
    for where, wished in claims_parameter.read(text).items():
        draft.requested_claims[where] = wished.plain
        draft.claim_words[where] = claims_parameter.words(wished, draft.client, provider=draft.provider)


def level_is_chosen(draft: Draft) -> None:
    """OpenID Connect Core 1.0, 3.1.2.1 (acr_values), 5.5.1.1 (essential acr): the lowest known value is wanted.

    An essential acr of which no value is known can never be met.
    """
    wish = draft.requested_claims.get("id_token", {}).get("acr", {})
    named = [wish["value"]] if "value" in wish else wish.get("values", [])
    words = [word for word in named if isinstance(word, str)] if isinstance(named, list) else []
    if wish.get("essential") is True and named:
        draft.is_level_essential = True
    else:
        words = draft.parameters.get("acr_values", "").split() or words
    known = tuple(word for word in words if level_of(word) is not None)
    if draft.client.requires_acr_values and not known:
        raise ProtocolFailure(errors.ACR_VALUES_MISSING)
    if draft.is_level_essential and not known:
        raise ProtocolFailure(errors.LEVEL_UNREACHABLE)
    default = draft.client.default_level
    draft.acr_values = known or (() if default is None else (default.acr,))
    draft.level = lowest(draft.acr_values) or Level.LOA1


def hint_is_ours(draft: Draft) -> None:
    """OpenID Connect Core 1.0, 3.1.2.1: an ID token issued here for this client, expired or not; or the `sub` that
    the claims parameter demands (5.5.1)."""
    wanted = draft.requested_claims.get("id_token", {}).get("sub", {}).get("value")
    if isinstance(wanted, str):
        # A subject is ASCII (OpenID Connect Core 1.0, 2); a lone surrogate in JSON could not even be stored.
        if not wanted.isascii():
            raise ProtocolFailure(errors.CLAIMS_INVALID)
        draft.hinted_sub = wanted
    hint = draft.parameters.get("id_token_hint")
    if hint is None:
        return
    try:
        claims = draft.provider.signing_keys.verify(hint, algorithms=SIGNING_ALGORITHMS, typ="JWT", allow_expired=True)
    except TokenRefused:
        raise ProtocolFailure(errors.HINT_INVALID) from None
    if (
        claims.get("iss") != draft.provider.settings.issuer
        or not id_token.is_one(claims)
        or draft.client.client_id not in _audience(claims)
        or not isinstance(claims.get("sub"), str)
    ):
        raise ProtocolFailure(errors.HINT_INVALID)
    draft.hinted_sub = claims["sub"]


def provider_may_be_named(draft: Draft) -> None:
    """FranceConnect's idp_hint: the portal leads its citizens to one identity provider, of those its record lists."""
    hint = draft.parameters.get("idp_hint")
    if hint is None:
        return
    if hint not in draft.client.idp_hints or draft.provider.providers.find(hint) is None:
        raise ProtocolFailure(errors.IDP_HINT_REFUSED)


def _audience(claims: dict[str, Any]) -> list[object]:
    audience = claims.get("aud")
    return audience if isinstance(audience, list) else [audience]


PAGE_CHECKS: tuple[Callable[[Draft], None], ...] = (
    client_is_known,
    the_signed_request_counts,
    redirect_uri_is_registered,
)
PORTAL_CHECKS: tuple[Callable[[Draft], None], ...] = (
    response_mode_is_known,
    nothing_is_repeated,
    the_way_it_came_is_allowed,
    nothing_is_fetched,
    values_are_short,
    response_is_a_code,
    scopes_are_registered,
    challenge_is_s256,
    prompt_is_possible,
    nonce_is_there,
    max_age_is_seconds,
    claims_are_readable,
    level_is_chosen,
    hint_is_ours,
    resource_is_registered,
    key_is_a_thumbprint,
    provider_may_be_named,
)


def check_client(draft: Draft) -> Client:
    """Return the client that may be answered at the redirect URI of `draft`.

    Raises Failure, and ProtocolFailure for a signed request that cannot be read beside a registered address.
    """
    for check in PAGE_CHECKS:
        check(draft)
    return draft.client


def check_request(draft: Draft) -> AuthorizationRequest:
    """Return the request once every check has passed. Raises ProtocolFailure."""
    for check in PORTAL_CHECKS:
        check(draft)
    return request_of(draft)


def request_of(draft: Draft) -> AuthorizationRequest:
    """Return the request that the checks made of `draft`."""
    parameters = draft.parameters
    userinfo = draft.claim_words.get("userinfo", frozenset()) | frozenset(claims_of(draft.scopes))
    return AuthorizationRequest(
        client_id=draft.client.client_id,
        redirect_uri=parameters.get("redirect_uri", ""),
        scopes=draft.scopes,
        claims=tuple(sorted(userinfo)),
        id_token_claims=tuple(sorted(draft.claim_words.get("id_token", ()))),
        acr_values=draft.acr_values,
        level=draft.level,
        is_level_essential=draft.is_level_essential,
        prompt=draft.prompt,
        code_challenge=draft.code_challenge,
        state=parameters.get("state"),
        nonce=parameters.get("nonce"),
        max_age=draft.max_age,
        login_hint=parameters.get("login_hint"),
        ui_locales=tuple(parameters.get("ui_locales", "").split()),
        hinted_sub=draft.hinted_sub,
        response_mode=draft.response_mode,
        resource=draft.resource,
        confirmation=draft.confirmation,
        idp_hint=parameters.get("idp_hint"),
    )
