"""The client document: what an agency says about one client, checked member by member.

Member names are those of RFC 7591, 2, and OpenID Connect Dynamic Client Registration 1.0, 2, plus ours (`agency`,
`basis`, `legal_basis`, `purposes`, `sector_identifier`, `require_pkce`). A document is refused as a whole, every
problem named by its member; docs/client-document.md is the reference for agencies.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from idp.agencies import uris
from idp.agencies.metadata import AuthMethod, Basis, ClientMetadata, Exemption, Rule
from idp.agencies.reading import LANGUAGES, REQUIRED_LANGUAGE, DocumentRefused, Reader
from idp.core import clock
from idp.core import scopes as vocabulary
from idp.core.levels import ACR_VALUES, Level, level_of, lowest
from idp.keys import public_jwk
from idp.keys.jose import CLIENT_ALGORITHMS, SIGNING_ALGORITHMS

MAX_URI_LENGTH = 2_000
MAX_URIS = 20
MAX_KEYS = 10
MAX_NAME = 100
MAX_PURPOSE = 300
MAX_CITATION = 500
MIN_SECRET = 8
MAX_SECRET = 255

LONGEST_EXCEPTION = timedelta(days=366)

_CLIENT_ID = re.compile(r"[A-Za-z0-9._~:-]{1,128}")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_SECRET = re.compile(r"[\x21-\x7e]+")
_MAIL = re.compile(r"[^\s@]{1,64}@[^\s@]+\.[^\s@]+")
_PKCE_MEMBERS = {"value", "reason", "until"}

_KNOWN = (
    "client_id",
    "client_secret",
    "agency",
    "client_name",
    "client_uri",
    "contacts",
    "policy_uri",
    "tos_uri",
    "redirect_uris",
    "post_logout_redirect_uris",
    "response_types",
    "grant_types",
    "application_type",
    "subject_type",
    "sector_identifier",
    "scope",
    "purposes",
    "basis",
    "legal_basis",
    "default_acr_values",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "jwks",
    "id_token_signed_response_alg",
    "require_pkce",
    "software_id",
    "software_version",
)
_UNSUPPORTED = {
    "jwks_uri": "is not supported yet; put the public keys inline as jwks",
    "userinfo_signed_response_alg": "is not supported yet; UserInfo answers are JSON over TLS, drop the member",
    "id_token_encrypted_response_alg": "is not supported; drop the member",
    "sector_identifier_uri": "is not supported; name the host itself as sector_identifier",
    "request_uris": "is not supported; send plain parameters",
    "logo_uri": "is not supported: pages show no pictures from elsewhere; drop the member",
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
    reader = Reader(source, members)
    reader.refuse_unknown(_KNOWN, _UNSUPPORTED)
    client_id, secret = _identity(reader, is_sandbox=is_sandbox)
    slug, agency_names = _agency(reader)
    redirect_uris = _uris(reader, "redirect_uris", is_sandbox=is_sandbox)
    if not redirect_uris and not _has_problem(reader, "redirect_uris"):
        reader.refuse("redirect_uris", "is missing; list every address a browser may be sent back to")
    method, algorithms, jwks = _authentication(reader)
    if secret and method is AuthMethod.PRIVATE_KEY_JWT:
        reader.refuse("client_secret", "is not used with private_key_jwt; drop it")
    granted = _scopes(reader)
    basis, legal_bases = _basis(reader)
    exemptions = _pkce(reader)
    _closed_lists(reader)
    fields: dict[str, Any] = {
        "names": _names(reader),
        "client_uri": _uri(reader, "client_uri", is_sandbox=is_sandbox),
        "policy_uri": _uri(reader, "policy_uri", is_sandbox=is_sandbox),
        "tos_uri": _uri(reader, "tos_uri", is_sandbox=is_sandbox),
        "contacts": _contacts(reader),
        "redirect_uris": frozenset(redirect_uris),
        "post_logout_redirect_uris": frozenset(_uris(reader, "post_logout_redirect_uris", is_sandbox=is_sandbox)),
        "sector": _sector(reader, redirect_uris),
        "scopes": granted,
        "purposes": _purposes(reader, granted),
        "basis": basis,
        "legal_bases": legal_bases,
        "default_level": _default_level(reader),
        "auth_method": method,
        "auth_signing_algorithms": algorithms,
        "jwks": jwks,
        "id_token_algorithm": reader.choice("id_token_signed_response_alg", SIGNING_ALGORITHMS, default="ES256"),
        "exemptions": exemptions,
        "software_id": reader.text("software_id", longest=MAX_NAME),
        "software_version": reader.text("software_version", longest=MAX_NAME),
    }
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
    """Read `client_name` and `client_name#LANGUAGE` (RFC 7591, 2.2); the plain one counts as Vietnamese."""
    names = {}
    for member, value in reader.members.items():
        name, hash_sign, language = member.partition("#")
        if name != "client_name":
            continue
        if hash_sign and language not in LANGUAGES:
            reader.refuse(member, f"languages are {', '.join(LANGUAGES)}")
        elif (text := reader.text(member, longest=MAX_NAME, value=value)) is not None:
            if hash_sign:
                names[language] = text
            else:
                names.setdefault(REQUIRED_LANGUAGE, text)
    if REQUIRED_LANGUAGE not in names and not _has_problem(reader, "client_name"):
        reader.refuse("client_name", "is missing; give the name citizens know, in Vietnamese at least")
    return names


def _uris(reader: Reader, member: str, *, is_sandbox: bool) -> tuple[str, ...]:
    found = reader.texts_of_list(member, most=MAX_URIS, longest=MAX_URI_LENGTH)
    for number, uri in enumerate(found):
        if problem := uris.problem_of(uri, allows_loopback=is_sandbox):
            reader.refuse(f"{member}[{number}]", problem)
    return () if _has_problem(reader, member) else found


def _uri(reader: Reader, member: str, *, is_sandbox: bool) -> str | None:
    uri = reader.text(member, longest=MAX_URI_LENGTH)
    if uri is not None and (problem := uris.problem_of(uri, allows_loopback=is_sandbox)):
        reader.refuse(member, problem)
    return uri


def _contacts(reader: Reader) -> tuple[str, ...]:
    contacts = reader.texts_of_list("contacts", most=10, longest=254)
    for number, contact in enumerate(contacts):
        if not _MAIL.fullmatch(contact):
            reader.refuse(f"contacts[{number}]", "must be an e-mail address")
    return contacts


def _sector(reader: Reader, redirect_uris: tuple[str, ...]) -> str:
    sector = reader.members.get("sector_identifier")
    if sector is None:
        shared = uris.sector_of(redirect_uris) if redirect_uris else ""
        if shared is None:
            reader.refuse("sector_identifier", "is needed because the redirect URIs have several hosts; name one host")
        return shared or ""
    if not isinstance(sector, str) or not uris.is_host(sector):
        reader.refuse("sector_identifier", "must be a host name in small letters, without scheme, port or path")
    return str(sector)


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
                is_required=scope != vocabulary.OPENID,
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


def _authentication(reader: Reader) -> tuple[AuthMethod | None, tuple[str, ...], dict[str, Any] | None]:
    method = reader.choice("token_endpoint_auth_method", tuple(AuthMethod), default=AuthMethod.SECRET_BASIC)
    if method != AuthMethod.PRIVATE_KEY_JWT:
        for member in ("jwks", "token_endpoint_auth_signing_alg"):
            if member in reader.members:
                reader.refuse(member, f"is only used with {AuthMethod.PRIVATE_KEY_JWT}; drop it")
        return (None if method is None else AuthMethod(method)), (), None
    algorithms: tuple[str, ...] = CLIENT_ALGORITHMS
    if "token_endpoint_auth_signing_alg" in reader.members:
        chosen = reader.choice("token_endpoint_auth_signing_alg", CLIENT_ALGORITHMS)
        algorithms = (chosen,) if chosen else ()
    return AuthMethod.PRIVATE_KEY_JWT, algorithms, _jwks(reader, algorithms)


def _jwks(reader: Reader, algorithms: tuple[str, ...]) -> dict[str, Any] | None:
    jwks = reader.members.get("jwks")
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if (
        not isinstance(keys, list)
        or not 1 <= len(keys) <= MAX_KEYS
        or not all(isinstance(key, Mapping) for key in keys)
    ):
        reader.refuse("jwks", f'must be {{"keys": [...]}} with 1 to {MAX_KEYS} public keys')
        return None
    kept = []
    for number, key in enumerate(keys):
        try:
            kept.append(public_jwk.checked(key, algorithms))
        except public_jwk.JwkRefused as refused:
            reader.refuse(f"jwks.keys[{number}]", str(refused))
    names = [key.get("kid") for key in kept]
    if len(kept) > 1 and (None in names or len(set(names)) != len(names)):
        reader.refuse("jwks.keys", "need a kid each, all different, because there are several")
    return {"keys": kept}


def _pkce(reader: Reader) -> dict[Rule, Exemption]:
    required = reader.members.get("require_pkce", True)
    if required is True:
        return {}
    shape = '{"value": false, "reason": "...", "until": "YYYY-MM-DD"}'
    if not isinstance(required, Mapping) or required.get("value") is not False or set(required) - _PKCE_MEMBERS:
        reader.refuse("require_pkce", f"must be true, or an exception with reason and last day: {shape}")
        return {}
    reason = reader.text("require_pkce.reason", longest=MAX_PURPOSE, value=required.get("reason") or "")
    try:
        until = date.fromisoformat(required.get("until", ""))
    except (TypeError, ValueError):
        reader.refuse("require_pkce.until", "must be the last day of the exception, as YYYY-MM-DD")
        return {}
    if until > clock.now().date() + LONGEST_EXCEPTION:
        reader.refuse("require_pkce.until", f"must be at most {LONGEST_EXCEPTION.days} days ahead")
    return {Rule.PKCE: Exemption(until, reason or "")}


def _closed_lists(reader: Reader) -> None:
    """Refuse what RFC 7591 lets a client ask for and this provider never does."""
    for member, only in (
        ("response_types", ["code"]),
        ("grant_types", ["authorization_code"]),
        ("application_type", "web"),
        ("subject_type", "pairwise"),
    ):
        if reader.members.get(member, only) != only:
            words = only if isinstance(only, str) else only[0]
            reader.refuse(member, f"only {words} is supported; write it so or drop the member")


def _has_problem(reader: Reader, member: str) -> bool:
    opening = f"{reader.source}: {member}"
    return any(problem.startswith(opening) for problem in reader.problems)
