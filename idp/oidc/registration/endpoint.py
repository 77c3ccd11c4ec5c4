"""The acts behind `/register` and `/register/CLIENT_ID`: from bytes to the client information response."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from idp.agencies import invitations, outside, registration
from idp.agencies.document import ClientDocument, read
from idp.agencies.invitations import Invitation
from idp.agencies.reading import DocumentRefused
from idp.agencies.registration import Registered, TokenRefused
from idp.agencies.written import members_of
from idp.core import clock, errors, scopes
from idp.core.errors import Entry, Failure
from idp.core.settings import Registers
from idp.oidc.registration import plain
from idp.sso.services import Services

PATH = "/register"
REGISTRATIONS_A_MINUTE = 30
BAD_TOKENS_A_MINUTE = 20
# RFC 7592, 2.2: told by the server, never by the client.
_SERVERS_WORDS = frozenset(
    {"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}
)
_SOURCE = "metadata"


class RegistrationRefused(Exception):
    """The request is refused; `problem` names the member and what to do, in our own words."""

    def __init__(self, entry: Entry, problem: str = "") -> None:
        super().__init__(entry.code)
        self.entry = entry
        self.problem = problem


def register(body: bytes, authorization: str | None, address: str, *, provider: Services) -> dict[str, Any]:
    """Register a client and return its record (RFC 7591, 3.2.1), with the secret and token shown this once.

    Raises RegistrationRefused, and Failure when registration is off or asked for too often.
    """
    registers = provider.settings.registers_clients
    if registers is Registers.OFF:
        raise Failure(errors.NOT_FOUND)
    _limit(provider, "registration", address, amount=REGISTRATIONS_A_MINUTE)
    invitation = _invitation(authorization, is_needed=registers is Registers.TOKEN)
    members = _object(body)
    is_sandbox = provider.settings.is_sandbox
    if not is_sandbox and plain.asks_for_exceptions(members):
        raise RegistrationRefused(errors.METADATA_REFUSED, "exceptions: are agreed with the operator, not here")
    granted = invitation.scopes if invitation else frozenset(scopes.SCOPES)
    agency = {"slug": invitation.agency_slug} if invitation else None
    document = _read(members, agency=agency, granted=granted, is_sandbox=is_sandbox)
    try:
        logo = outside.look(document, provider.outbound)
        registered = registration.register(document, invitation, scopes=granted, logo=logo, is_sandbox=is_sandbox)
    except DocumentRefused as refused:
        raise _refusal(refused) from None
    except TokenRefused:
        raise RegistrationRefused(errors.INITIAL_TOKEN_REFUSED) from None
    return _answer(registered, registered.token or "", provider)


def show(client_id: str, authorization: str | None, address: str, *, provider: Services) -> dict[str, Any]:
    """Return the client's record (RFC 7592, 2.1). Raises RegistrationRefused and Failure."""
    registered, token = _own(client_id, authorization, address, provider)
    return _answer(registered, token, provider)


def change(
    client_id: str, body: bytes, authorization: str | None, address: str, *, provider: Services
) -> dict[str, Any]:
    """Replace the client's record by the one sent (RFC 7592, 2.2). Raises RegistrationRefused and Failure."""
    registered, token = _own(client_id, authorization, address, provider)
    members = _object(body)
    _check_own_words(members, registered)
    is_sandbox = provider.settings.is_sandbox
    agreed = members_of(registered.metadata).get("exceptions")
    if not is_sandbox and plain.asks_for_exceptions(members, agreed):
        raise RegistrationRefused(errors.METADATA_REFUSED, "exceptions: are agreed with the operator, not here")
    agency = {"slug": registered.agency_slug}
    document = _read(
        members,
        agency=agency,
        granted=registered.scopes,
        owned=registered.metadata.resource_identifiers,
        sector=registered.metadata.sector,
        is_sandbox=is_sandbox,
    )
    document = replace(document, client_id=client_id)
    try:
        logo = outside.look(document, provider.outbound)
        changed = registration.replace(registered, document, logo=logo, is_sandbox=is_sandbox)
    except DocumentRefused as refused:
        raise _refusal(refused) from None
    return _answer(changed, token, provider)


def remove(client_id: str, authorization: str | None, address: str, *, provider: Services) -> None:
    """End the client (RFC 7592, 2.3). Raises RegistrationRefused and Failure."""
    registered, _ = _own(client_id, authorization, address, provider)
    registration.remove(registered)


def _invitation(authorization: str | None, *, is_needed: bool) -> Invitation | None:
    if authorization is None and not is_needed:
        return None
    token = _bearer(authorization)
    invitation = invitations.find(token) if token else None
    if invitation is None:
        # A token that is sent and wrong is refused in the sandbox too: the client believes it speaks for an agency.
        raise RegistrationRefused(errors.INITIAL_TOKEN_REFUSED)
    return invitation


def _own(client_id: str, authorization: str | None, address: str, provider: Services) -> tuple[Registered, str]:
    if provider.settings.registers_clients is Registers.OFF:
        raise Failure(errors.NOT_FOUND)
    token = _bearer(authorization)
    try:
        if token:
            return registration.find(client_id, token), token
    except TokenRefused:
        pass
    _limit(provider, "registration-token", address, amount=BAD_TOKENS_A_MINUTE)
    raise RegistrationRefused(errors.REGISTRATION_TOKEN_REFUSED)


def _limit(provider: Services, name: str, address: str, *, amount: int) -> None:
    verdict = provider.limiter.hit(name, address, amount=amount, per_seconds=60)
    if not verdict.is_allowed:
        raise Failure(errors.TOO_MANY_REQUESTS, retry_after=verdict.retry_after)


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        members = json.loads(body.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RegistrationRefused(errors.REGISTRATION_MALFORMED) from None
    if not isinstance(members, dict):
        raise RegistrationRefused(errors.REGISTRATION_MALFORMED)
    if "software_statement" in members:
        raise RegistrationRefused(errors.SOFTWARE_STATEMENT_REFUSED)
    return members


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _check_own_words(members: Mapping[str, Any], registered: Registered) -> None:
    for name in _SERVERS_WORDS & members.keys():
        raise RegistrationRefused(errors.METADATA_REFUSED, f"{name}: is not sent in an update (RFC 7592, 2.2)")
    if members.get("client_id") != registered.client_id:
        raise RegistrationRefused(errors.METADATA_REFUSED, "client_id: must be sent, and be this client's")
    secret = members.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and registration.has_secret(registered, secret)):
        raise RegistrationRefused(errors.METADATA_REFUSED, "client_secret: must be the present one or left out")


def _read(
    members: Mapping[str, Any],
    *,
    agency: Mapping[str, Any] | None,
    granted: frozenset[str],
    owned: Collection[str] = (),
    sector: str | None = None,
    is_sandbox: bool,
) -> ClientDocument:
    """Return the document that `members` stand for; `owned` and `sector` are what the client has already."""
    written = plain.document_of(members, agency=agency, granted=granted, is_sandbox=is_sandbox)
    try:
        document = read(written, source=_SOURCE, is_sandbox=is_sandbox)
    except DocumentRefused as refused:
        raise _refusal(refused) from None
    if not granted.issuperset(document.metadata.scopes):
        raise RegistrationRefused(errors.METADATA_REFUSED, "scope: has a scope that this agency may not ask for")
    named = document.metadata.sector
    is_new = members.get("sector_identifier") == named != sector
    if is_new and not plain.has_shown(named, document.metadata):
        # The first who names a host would keep it from the agency whose it is.
        problem = "sector_identifier: must be the host of a redirect URI, or of the jwks_uri of private_key_jwt"
        raise RegistrationRefused(errors.METADATA_REFUSED, problem)
    # Whoever answers to the name of an API is told whose the tokens for it are; names elsewhere take an agreement.
    hosts = {urlsplit(uri).hostname for uri in document.metadata.redirect_uris}
    for identifier in set(document.metadata.resource_identifiers).difference(owned):
        if urlsplit(identifier).hostname not in hosts:
            problem = "resource_identifiers: must be at a host of the redirect URIs; agree others with the operator"
            raise RegistrationRefused(errors.METADATA_REFUSED, problem)
    return document


def _refusal(refused: DocumentRefused) -> RegistrationRefused:
    """Return the OAuth error for the first problem of a document, of a redirect URI if there is one."""
    problems = [problem.removeprefix(f"{_SOURCE}: ") for problem in refused.problems]
    for problem in problems:
        if problem.startswith("redirect_uris"):
            return RegistrationRefused(errors.REDIRECT_URIS_REFUSED, problem)
    return RegistrationRefused(errors.METADATA_REFUSED, problems[0])


def _answer(registered: Registered, token: str, provider: Services) -> dict[str, Any]:
    document = {
        **members_of(registered.metadata),
        "client_id": registered.client_id,
        "client_id_issued_at": clock.epoch(registered.created_at),
        "registration_client_uri": f"{provider.settings.issuer}{PATH}/{registered.client_id}",
        "registration_access_token": token,
    }
    if registered.secret is not None:
        document |= {"client_secret": registered.secret, "client_secret_expires_at": 0}
    return document
