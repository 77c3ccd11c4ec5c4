"""What plain OpenID Connect metadata means as a client document: defaults of the specifications and of the sandbox."""

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from idp.agencies import uris
from idp.agencies.document import KNOWN, MAX_NAME
from idp.agencies.metadata import AuthMethod, Basis, ClientMetadata, GrantType, Profile, Rule
from idp.agencies.reading import LANGUAGES, LOCALISED, REQUIRED_LANGUAGE
from idp.core import clock, scopes
from idp.core.ids import new_id

# Said by the server alone, or, for the sector, by the host of an address the client has shown to be its own.
_NEVER_TAKEN = frozenset({"client_id", "client_secret", "agency"})
_EXCEPTIONS = frozenset({"exceptions", "require_pkce"})
_ASSERTION_ALGORITHM = "token_endpoint_auth_signing_alg"
# OpenID Connect Core 1.0, 5.4: what a client asks for that knows nothing of this country.
_USUAL_SCOPES = (scopes.OPENID, "profile", "email", "address", "phone")
_TRIAL = timedelta(days=365)
_TRIAL_REASON = "Sandbox self-registration"
_TRIAL_PURPOSE = {
    "vi": "Thử kết nối trong môi trường thử nghiệm, với người không có thật.",
    "en": "To try the connection in the sandbox, with people who do not exist.",
    "fr": "Pour essayer la connexion dans le bac à sable, avec des personnes fictives.",
}


def document_of(
    members: Mapping[str, Any], *, agency: Mapping[str, Any] | None, granted: Collection[str], is_sandbox: bool
) -> dict[str, Any]:
    """Return the client document that `members` stand for.

    Members nobody here understands are left out (RFC 7591, 2), and so are nulls (RFC 7592, 2.2). `granted` are the
    most scopes the client may have. Without an `agency` the client speaks for nobody but the host it is sent back to.
    In the sandbox, what our own rules ask for besides the standards is filled in.
    """
    kept = {name: value for name, value in members.items() if value is not None and _is_taken(name)}
    if kept.get("token_endpoint_auth_method") != AuthMethod.PRIVATE_KEY_JWT:
        kept.pop(_ASSERTION_ALGORITHM, None)
    if kept.get("profile") != Profile.FAPI2:
        # OpenID Connect Dynamic Client Registration 1.0, 2.
        kept.setdefault("id_token_signed_response_alg", "RS256")
    kept.setdefault("scope", " ".join(_usual(kept, granted)))
    if agency is None:
        kept.pop("sector_identifier", None)
    if not kept.get("redirect_uris") and not {"sector_identifier", "sector_identifier_uri"} & kept.keys():
        # A sector nobody shares: nothing shows whose host the client speaks for.
        kept["sector_identifier"] = _shown_by_key(kept) or f"{new_id().hex}.invalid"
    if agency is None:
        host = kept.get("sector_identifier") or _sector_of(kept)
        agency = {"slug": _slug_of(host), "name": {REQUIRED_LANGUAGE: host[:MAX_NAME] or "?"}}
    _name(kept)
    if is_sandbox:
        _fill_in(kept)
    return {**kept, "agency": agency}


def has_shown(sector: str, metadata: ClientMetadata) -> bool:
    """Tell whether an address of the client stands for `sector`, so that it may be the one that decides about `sub`.

    That of its keys does where the client proves itself with them: who points at another's cannot.
    """
    shown = [*metadata.redirect_uris, metadata.sector_identifier_uri]
    if metadata.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        shown.append(metadata.jwks_uri)
    return any(uris.sector_of((address,)) == sector for address in shown if address is not None)


def asks_for_exceptions(members: Mapping[str, Any], agreed: Any = None) -> bool:
    """Tell whether a client asks to be exempt from a rule besides the `agreed` ones.

    That is settled with people, not with a program.
    """
    exceptions = members.get("exceptions")
    return members.get("require_pkce", True) not in (True, None) or bool(exceptions and exceptions != agreed)


def _is_taken(name: str) -> bool:
    plain, hash_sign, language = name.partition("#")
    if plain not in KNOWN or name in _NEVER_TAKEN:
        return False
    return not hash_sign or (plain in LOCALISED and language in LANGUAGES)


def _usual(kept: Mapping[str, Any], granted: Collection[str]) -> list[str]:
    asked = kept.get("grant_types", ())
    wants_offline = isinstance(asked, list) and GrantType.REFRESH in asked
    usual = (*_USUAL_SCOPES, scopes.OFFLINE_ACCESS) if wants_offline else _USUAL_SCOPES
    return [name for name in usual if name in granted]


def _sector_of(kept: Mapping[str, Any]) -> str:
    """Return the host a client that speaks for itself is known by; empty when its addresses name none."""
    address = kept.get("sector_identifier_uri")
    if address is None:
        listed = kept.get("redirect_uris")
        address = listed[0] if isinstance(listed, list) and listed else ""
    try:
        return (uris.sector_of((address,)) or "") if isinstance(address, str) else ""
    except ValueError:
        return ""


def _shown_by_key(kept: Mapping[str, Any]) -> str:
    address = kept.get("jwks_uri")
    if kept.get("token_endpoint_auth_method") != AuthMethod.PRIVATE_KEY_JWT or not isinstance(address, str):
        return ""
    try:
        return uris.sector_of((address,)) or ""
    except ValueError:
        return ""


def _slug_of(host: str) -> str:
    # One agency for each host: clients of one sector share their subjects, and others never do.
    return f"sandbox-{re.sub(r'[^a-z0-9]+', '-', host.lower())}"[:64].strip("-")


def _name(kept: dict[str, Any]) -> None:
    """Make sure that there is a name to show: in any language given, else the host citizens are sent back to."""
    if "client_name" in kept or f"client_name#{REQUIRED_LANGUAGE}" in kept:
        return
    others = [kept[f"client_name#{language}"] for language in LANGUAGES if f"client_name#{language}" in kept]
    host = _sector_of(kept)
    if others or host:
        kept["client_name"] = others[0] if others else host[:MAX_NAME]


def _fill_in(kept: dict[str, Any]) -> None:
    if "basis" not in kept and "legal_basis" not in kept:
        kept["basis"] = Basis.CONSENT.value
    scope = kept["scope"]
    purposes = kept.get("purposes", {})
    if isinstance(scope, str) and isinstance(purposes, Mapping):
        silent = {scopes.OPENID, scopes.OFFLINE_ACCESS, *purposes}
        kept["purposes"] = {
            **purposes,
            **{name: dict(_TRIAL_PURPOSE) for name in scope.split() if name not in silent and name in scopes.SCOPES},
        }
    if kept.get("profile") != Profile.FAPI2 and not _EXCEPTIONS & kept.keys():
        # Plain libraries and the Foundation's test plans send no code challenge.
        until = (clock.now().date() + _TRIAL).isoformat()
        kept["exceptions"] = {Rule.PKCE.value: {"reason": _TRIAL_REASON, "until": until}}
