"""A client's record written as a client document again: what was read, with every default in place."""

from collections.abc import Mapping
from typing import Any

from idp.agencies.metadata import ClientMetadata, GrantType, Rule
from idp.agencies.reading import REQUIRED_LANGUAGE

_PLAIN = {
    "client_uri": "client_uri",
    "logo_uri": "logo_uri",
    "jwks_uri": "jwks_uri",
    "jwks": "jwks",
    "sector_identifier_uri": "sector_identifier_uri",
    "basis": "basis",
    "software_id": "software_id",
    "software_version": "software_version",
    "profile": "profile",
    "token_endpoint_auth_method": "auth_method",
    "id_token_signed_response_alg": "id_token_algorithm",
    "authorization_signed_response_alg": "authorization_response_algorithm",
    "userinfo_signed_response_alg": "userinfo_algorithm",
    "introspection_signed_response_alg": "introspection_algorithm",
    "access_token_format": "token_format",
    "backchannel_logout_uri": "backchannel_logout_uri",
    "frontchannel_logout_uri": "frontchannel_logout_uri",
}
_LISTS = {
    "contacts": "contacts",
    "grant_types": "grant_types",
    "resources": "resources",
    "resource_identifiers": "resource_identifiers",
}
_FLAGS = {
    "backchannel_logout_session_required": "wants_backchannel_sid",
    "frontchannel_logout_session_required": "wants_frontchannel_sid",
    "require_nonce": "requires_nonce",
    "require_acr_values": "requires_acr_values",
    "refuse_prompt_none": "refuses_prompt_none",
    "require_pushed_authorization_requests": "wants_pushed_requests",
    "require_signed_request_object": "wants_signed_requests",
    "dpop_bound_access_tokens": "wants_dpop",
    "tls_client_certificate_bound_access_tokens": "wants_tls_bound_tokens",
}


def members_of(metadata: ClientMetadata) -> dict[str, Any]:
    """Return the members of a client document that reads as `metadata`: all but agency, id and secret.

    Members that say nothing (an absent text, an empty list, a switch that is off) are left out.
    """
    members: dict[str, Any] = {
        **_localised("client_name", metadata.names),
        **_localised("policy_uri", metadata.policy_uris),
        **_localised("tos_uri", metadata.tos_uris),
        "redirect_uris": sorted(metadata.redirect_uris),
        "post_logout_redirect_uris": sorted(metadata.post_logout_redirect_uris),
        "response_types": ["code"] if GrantType.CODE in metadata.grant_types else [],
        "application_type": "web",
        "subject_type": "pairwise",
        "scope": " ".join(metadata.scopes),
        "purposes": {scope: dict(texts) for scope, texts in metadata.purposes.items()},
        "legal_basis": dict(metadata.legal_bases),
        **metadata.tls_subject,
    }
    for member, name in _PLAIN.items():
        members[member] = getattr(metadata, name)
    for member, name in _LISTS.items():
        members[member] = list(getattr(metadata, name))
    for member, name in _FLAGS.items():
        members[member] = getattr(metadata, name) or None
    if metadata.sector_identifier_uri is None:
        members["sector_identifier"] = metadata.sector
    if metadata.default_level is not None:
        members["default_acr_values"] = [metadata.default_level.acr]
    # All that are known stand for none in particular.
    for member, algorithms in (
        ("token_endpoint_auth_signing_alg", metadata.auth_signing_algorithms),
        ("request_object_signing_alg", metadata.request_object_algorithms),
    ):
        members[member] = algorithms[0] if len(algorithms) == 1 else None
    for answer in ("id_token", "userinfo", "introspection"):
        if (encryption := getattr(metadata, f"{answer}_encryption")) is not None:
            members[f"{answer}_encrypted_response_alg"] = encryption.alg
            members[f"{answer}_encrypted_response_enc"] = encryption.enc
    members["exceptions"] = {
        rule.value: {"reason": metadata.exemptions[rule].reason, "until": metadata.exemptions[rule].until.isoformat()}
        for rule in Rule
        if rule in metadata.exemptions
    }
    # `response_types` may be an empty list and mean it.
    return {name: value for name, value in members.items() if value not in (None, [], {}) or name == "response_types"}


def _localised(member: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {
        member if language == REQUIRED_LANGUAGE else f"{member}#{language}": text for language, text in texts.items()
    }
