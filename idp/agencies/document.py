"""The client document: what an agency says about one client, checked member by member.

Member names are those of RFC 7591, 2, OpenID Connect Dynamic Client Registration 1.0, 2, and the specifications that
added to them, plus ours (`agency`, `basis`, `legal_basis`, `purposes`, `sector_identifier`, `profile`, `exceptions`,
`resources`, `resource_identifiers`, `access_token_format`, the `require_` and `refuse_` switches). A document is
refused as a whole, every problem named by its member; docs/client-document.md is the reference for agencies.

Owns who the client is and what it may ask for. Leaves its addresses, keys, protection and profile to the modules of
these names, and what needs the network or other clients to whoever applies the document.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp.agencies import addresses, authentication, profiles, protection
from idp.agencies.metadata import SECRET_METHODS, Basis, ClientMetadata, GrantType, Profile
from idp.agencies.reading import REQUIRED_LANGUAGE, DocumentRefused, Reader
from idp.core import scopes as vocabulary
from idp.core.levels import ACR_VALUES, Level, level_of, lowest
from idp.keys.certificate import SUBJECT_MEMBERS

MAX_NAME = 100
MAX_PURPOSE = 300
MAX_CITATION = 500
MIN_SECRET = 8
MAX_SECRET = 255

_CLIENT_ID = re.compile(r"[A-Za-z0-9._~:-]{1,128}")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_SECRET = re.compile(r"[\x21-\x7e]+")
_MAIL = re.compile(r"[^\s@]{1,64}@[^\s@]+\.[^\s@]+")
# Scopes that stand for no data, so that an agency need not say what it does with them.
_WITHOUT_PURPOSE = frozenset({vocabulary.OPENID, vocabulary.OFFLINE_ACCESS})

KNOWN = frozenset(
    {
        *("client_id", "client_secret", "agency", "client_name", "client_uri", "logo_uri", "contacts"),
        *("policy_uri", "tos_uri", "software_id", "software_version"),
        *("redirect_uris", "post_logout_redirect_uris", "response_types", "grant_types", "application_type"),
        *("subject_type", "sector_identifier", "sector_identifier_uri"),
        *("backchannel_logout_uri", "backchannel_logout_session_required"),
        *("frontchannel_logout_uri", "frontchannel_logout_session_required"),
        *("backchannel_token_delivery_mode", "backchannel_user_code_parameter"),
        *("scope", "purposes", "basis", "legal_basis", "default_acr_values"),
        *("resources", "resource_identifiers", "access_token_format"),
        *("token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "jwks", "jwks_uri", *SUBJECT_MEMBERS),
        *(
            "profile",
            "exceptions",
            "require_pkce",
            "require_nonce",
            "require_acr_values",
            "refuse_prompt_none",
            "idp_hints",
        ),
        *("require_pushed_authorization_requests", "require_signed_request_object", "request_object_signing_alg"),
        *("id_token_signed_response_alg", "authorization_signed_response_alg"),
        *("userinfo_signed_response_alg", "introspection_signed_response_alg"),
        *(
            f"{answer}_encrypted_response_{half}"
            for answer in ("id_token", "userinfo", "introspection")
            for half in ("alg", "enc")
        ),
        *("dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"),
    }
)
_UNSUPPORTED = {
    "request_uris": "is not supported; send the request object itself, or push it",
    "authorization_encrypted_response_alg": "is not supported; drop the member",
    "authorization_encrypted_response_enc": "is not supported; drop the member",
    "request_object_encryption_alg": "is not supported; sign the request object and push it",
    "request_object_encryption_enc": "is not supported; sign the request object and push it",
    "initiate_login_uri": "is not supported; drop the member",
    "default_max_age": "is not supported; send max_age with each request",
    "software_statement": "is not supported; write its members into the document",
}


@dataclass(frozen=True, slots=True)
class ClientDocument:
    """One document read: the client's metadata, and what names it. `secret` only ever comes from a sandbox."""

    source: str
    client_id: str | None
    secret: str | None
    agency_slug: str
    agency_names: Mapping[str, str]
    metadata: ClientMetadata

    def __repr__(self) -> str:
        return f"ClientDocument({self.source})"


def read(members: Any, *, source: str, is_sandbox: bool) -> ClientDocument:
    """Check one parsed client document. Raises DocumentRefused with every problem, each line opening with `source`."""
    if not isinstance(members, Mapping):
        raise DocumentRefused([f"{source}: a client document is a JSON object"])
    try:
        json.dumps(members, ensure_ascii=False).encode("utf-8")
    except ValueError:
        # Half a character (RFC 8259, 8.2), which no database takes.
        raise DocumentRefused([f"{source}: a text holds half a character; write it in UTF-8"]) from None
    reader = Reader(source, members)
    reader.refuse_unknown(KNOWN, _UNSUPPORTED)
    client_id, secret = _identity(reader, is_sandbox=is_sandbox)
    slug, agency_names = _agency(reader)
    granted = _scopes(reader)
    grants = _grants(reader, granted)
    redirect_uris = addresses.listed(reader, "redirect_uris", is_sandbox=is_sandbox)
    if GrantType.CODE in grants and not redirect_uris and not reader.has_problem("redirect_uris"):
        reader.refuse("redirect_uris", "is missing; list every address a browser may be sent back to")
    sector, sector_uri = addresses.sector(reader, redirect_uris, is_sandbox=is_sandbox)
    profile, exemptions = profiles.read(reader)
    proof = authentication.read(reader, profile, is_sandbox=is_sandbox)
    if secret and proof.method is not None and proof.method not in SECRET_METHODS:
        reader.refuse("client_secret", f"is not used with {proof.method}; drop it")
    basis, legal_bases = _basis(reader)
    _closed_lists(reader, grants)
    fields: dict[str, Any] = {
        "names": _names(reader),
        "client_uri": addresses.single(reader, "client_uri", is_sandbox=is_sandbox),
        "logo_uri": addresses.single(reader, "logo_uri", is_sandbox=is_sandbox),
        "policy_uris": addresses.by_language(reader, "policy_uri", is_sandbox=is_sandbox),
        "tos_uris": addresses.by_language(reader, "tos_uri", is_sandbox=is_sandbox),
        "contacts": _contacts(reader),
        "grant_types": grants,
        "redirect_uris": frozenset(redirect_uris),
        "post_logout_redirect_uris": frozenset(
            addresses.listed(reader, "post_logout_redirect_uris", is_sandbox=is_sandbox)
        ),
        "sector": sector,
        "sector_identifier_uri": sector_uri,
        **addresses.logout(reader, redirect_uris, is_sandbox=is_sandbox),
        "scopes": granted,
        "purposes": _purposes(reader, granted),
        "basis": basis,
        "legal_bases": legal_bases,
        "default_level": _default_level(reader),
        "resources": addresses.resources(reader, "resources", is_sandbox=is_sandbox),
        "resource_identifiers": addresses.resources(reader, "resource_identifiers", is_sandbox=is_sandbox),
        "idp_hints": reader.texts_of_list("idp_hints", most=20, longest=32),
        "profile": profile,
        "exemptions": exemptions,
        "auth_method": proof.method,
        "auth_signing_algorithms": proof.algorithms,
        "jwks": proof.jwks,
        "jwks_uri": proof.jwks_uri,
        "tls_subject": proof.tls_subject,
        **protection.read(reader, profile, proof),
        "software_id": reader.text("software_id", longest=MAX_NAME),
        "software_version": reader.text("software_version", longest=MAX_NAME),
    }
    if profile is Profile.FAPI2:
        profiles.demand_fapi2(reader, fields)
    if reader.problems:
        raise DocumentRefused(reader.problems)
    return ClientDocument(source, client_id, secret, slug, agency_names, ClientMetadata(**fields))


def _identity(reader: Reader, *, is_sandbox: bool) -> tuple[str | None, str | None]:
    client_id = reader.members.get("client_id")
    if client_id is not None and (not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id)):
        reader.refuse("client_id", "must have 1 to 128 letters, digits or . _ ~ : -")
    secret = reader.members.get("client_secret")
    if secret is not None:
        if not is_sandbox:
            reader.refuse("client_secret", "is only allowed in the sandbox; drop it, a secret is made and shown once")
        elif (
            not isinstance(secret, str) or not _SECRET.fullmatch(secret) or not MIN_SECRET <= len(secret) <= MAX_SECRET
        ):
            reader.refuse("client_secret", f"must have {MIN_SECRET} to {MAX_SECRET} visible ASCII characters")
    return client_id, secret


def _agency(reader: Reader) -> tuple[str, Mapping[str, str]]:
    agency = reader.members.get("agency")
    if isinstance(agency, str):
        agency = {"slug": _slug_of(agency), "name": agency}
    if not isinstance(agency, Mapping):
        reader.refuse("agency", 'is missing; give {"slug": "...", "name": {"vi": "..."}}')
        return "", {}
    for name in set(agency) - {"slug", "name"}:
        reader.refuse(f"agency.{name}", "there is no such member; an agency has slug and name")
    slug = agency.get("slug")
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        reader.refuse("agency.slug", "must have 1 to 64 small letters, digits or hyphens")
        slug = ""
    return slug, reader.texts("agency.name", longest=MAX_NAME, value=agency.get("name"))


def _slug_of(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower().replace("đ", "d")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:64].strip("-")


def _names(reader: Reader) -> dict[str, str]:
    names = reader.by_language("client_name", longest=MAX_NAME)
    if REQUIRED_LANGUAGE not in names and not reader.has_problem("client_name"):
        reader.refuse("client_name", "is missing; give the name citizens know, in Vietnamese at least")
    return names


def _contacts(reader: Reader) -> tuple[str, ...]:
    contacts = reader.texts_of_list("contacts", most=10, longest=254)
    for number, contact in enumerate(contacts):
        if not _MAIL.fullmatch(contact):
            reader.refuse(f"contacts[{number}]", "must be an e-mail address")
    return contacts


def _scopes(reader: Reader) -> tuple[str, ...]:
    scope = reader.members.get("scope", vocabulary.OPENID)
    names = scope.split(" ") if isinstance(scope, str) else []
    if not names or len(set(names)) != len(names) or not set(names) <= set(vocabulary.SCOPES):
        known = " ".join(vocabulary.SCOPES)
        reader.refuse("scope", f"must be distinct scopes, one blank between two, each one of: {known}")
        return ()
    if vocabulary.OPENID not in names:
        reader.refuse("scope", "must contain openid")
    return tuple(name for name in vocabulary.SCOPES if name in names)


def _purposes(reader: Reader, granted: tuple[str, ...]) -> dict[str, dict[str, str]]:
    purposes = reader.members.get("purposes", {})
    if not isinstance(purposes, Mapping):
        reader.refuse("purposes", 'must be texts by scope and language, such as {"name": {"vi": "..."}}')
        return {}
    for scope in purposes:
        if scope not in granted and granted:
            reader.refuse(f"purposes.{scope}", "names a scope that is not in scope; drop it or ask for the scope")
    return {
        scope: texts
        for scope in granted
        if (
            texts := reader.texts(
                f"purposes.{scope}",
                longest=MAX_PURPOSE,
                value=purposes.get(scope),
                is_required=scope not in _WITHOUT_PURPOSE,
            )
        )
    }


def _basis(reader: Reader) -> tuple[Basis | None, dict[str, str]]:
    basis = reader.choice("basis", tuple(Basis))
    is_legal = basis == Basis.LEGAL
    citations = reader.texts("legal_basis", longest=MAX_CITATION, is_required=is_legal)
    if citations and basis == Basis.CONSENT:
        reader.refuse("legal_basis", 'is only used with basis "legal"; drop it or change the basis')
    return (None if basis is None else Basis(basis)), citations


def _default_level(reader: Reader) -> Level | None:
    values = reader.texts_of_list("default_acr_values", most=10, longest=20)
    if unknown := [value for value in values if level_of(value) is None]:
        number = values.index(unknown[0])
        reader.refuse(f"default_acr_values[{number}]", f"must be one of {', '.join(ACR_VALUES)}")
    return lowest(values)


def _grants(reader: Reader, granted: tuple[str, ...]) -> tuple[GrantType, ...]:
    known = tuple(GrantType)
    names = reader.texts_of_list("grant_types", most=len(known), longest=100) or (GrantType.CODE,)
    for number, name in enumerate(names):
        if name not in known:
            reader.refuse(f"grant_types[{number}]", f"must be one of {', '.join(known)}")
    grants = tuple(grant for grant in known if grant in names)
    if GrantType.REFRESH in grants:
        if len(grants) == 1:
            reader.refuse("grant_types", "refresh_token needs a grant that the first token comes from")
        if vocabulary.OFFLINE_ACCESS not in granted and granted:
            reader.refuse("grant_types", "refresh_token needs the scope offline_access")
    return grants


def _closed_lists(reader: Reader, grants: tuple[GrantType, ...]) -> None:
    """Refuse what RFC 7591 lets a client ask for and this provider never does."""
    has_code = GrantType.CODE in grants
    reader.only("response_types", value=["code"] if has_code else [], words="code" if has_code else "an empty list")
    reader.only("application_type", value="web", words="web")
    reader.only("subject_type", value="pairwise", words="pairwise")
    reader.only("backchannel_token_delivery_mode", value="poll", words="poll")
    reader.only("backchannel_user_code_parameter", value=False, words="false")
