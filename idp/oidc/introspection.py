"""Token introspection (RFC 7662), as JSON or as a signed JWT (RFC 9701): is this token still good, and for what?

the client it was issued to     everything, of access and refresh tokens
the resource server it is for   as far as its own scopes reach, under its own `sub` (FranceConnect's checktoken)
anybody else                    {"active": false}, as for a token that never was
"""

import json
from dataclasses import dataclass
from typing import Any

from idp.agencies.clients import Client
from idp.core import clock, errors
from idp.core.database import Row, as_instant, as_uuid, split_words
from idp.core.errors import ProtocolFailure
from idp.core.parameters import Parameters
from idp.oidc import access_tokens, client_auth, refresh_tokens, sender
from idp.oidc.access_tokens import subject_for
from idp.oidc.caller import Caller
from idp.oidc.protected import protect
from idp.oidc.statements import READ_GRANT
from idp.sso.services import Services

JWT_MEDIA_TYPE = "application/token-introspection+jwt"
_INACTIVE: dict[str, Any] = {"active": False}


@dataclass(frozen=True, slots=True)
class Introspected:
    """The answer, and whether it is a JWT (`body` is then the token) or JSON."""

    body: str
    is_jwt: bool


def answer(form: Parameters, *, caller: Caller, accept: str, provider: Services) -> Introspected:
    """Return the introspection response (2.2). Raises ProtocolFailure when the client or the form is refused.

    It is a JWT when the `Accept` header asks for one (RFC 9701, 4), or when the client registered an algorithm and
    does not ask for plain JSON instead; always, when the client registered that it wants it encrypted.
    """
    if form.repeated:
        raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
    client = client_auth.authenticate(caller, form, provider=provider)
    client_auth.pace(client, provider=provider)
    token = form.get("token")
    if token is None:
        raise ProtocolFailure(errors.TOKEN_PARAMETER_MISSING)
    document = _introspect(token, client, provider)
    accepts = accept.lower()
    is_registered = client.introspection_algorithm and "application/json" not in accepts
    if JWT_MEDIA_TYPE in accepts or is_registered or client.introspection_encryption is not None:
        return Introspected(_signed(document, client, provider), is_jwt=True)
    return Introspected(json.dumps(document), is_jwt=False)


def _introspect(token: str, client: Client, provider: Services) -> dict[str, Any]:
    refresh = refresh_tokens.read(token, provider.keyring)
    if refresh is not None:
        grant = provider.hot_path.one(READ_GRANT, {"grant_id": refresh.grant_id, "client_id": client.id})
        is_current = grant is not None and grant["generation"] == refresh.generation
        return _refresh(grant, client, provider) if grant is not None and is_current else _INACTIVE
    row = access_tokens.read(token, provider=provider)
    if row is None:
        return _INACTIVE
    if row["resource"] in client.resource_identifiers:
        return _for_resource_server(row, client, provider)
    return _access(row, client, provider) if as_uuid(row["client_id"]) == client.id else _INACTIVE


def _access(row: Row, client: Client, provider: Services, *, reader: Client | None = None) -> dict[str, Any]:
    """Return the answer about a token of `client`, for the client itself or for the resource server `reader`."""
    reader = reader or client
    document = {
        "active": True,
        "client_id": client.client_id,
        "sub": row["sub"],
        "scope": row["scope"],
        "acr": row["acr"],
        "token_type": sender.token_type(row["confirmation"]),
        "iss": provider.settings.issuer,
        "aud": row["resource"] or provider.settings.issuer,
        "iat": clock.epoch(as_instant(row["issued_at"])),
        "exp": clock.epoch(as_instant(row["expires_at"])),
    }
    if row["auth_time"] is not None:
        # So that a resource server can ask for a fresher sign-in (RFC 9470, 6.2).
        document["auth_time"] = clock.epoch(as_instant(row["auth_time"]))
    if row["confirmation"]:
        document["cnf"] = sender.cnf(row["confirmation"])
    if row["actor_id"] is not None:
        document["act"] = access_tokens.act_for(reader, row, provider)
    return document


def _for_resource_server(row: Row, client: Client, provider: Services) -> dict[str, Any]:
    asker = provider.clients.by_row_id(as_uuid(row["client_id"]))
    if asker is None or not asker.is_active:
        return _INACTIVE
    visible = [name for name in split_words(row["scope"]) if name in client.scopes]
    document = _access(row, asker, provider, reader=client)
    return {**document, "sub": subject_for(client, row, provider), "scope": " ".join(visible)}


def _refresh(grant: Row, client: Client, provider: Services) -> dict[str, Any]:
    return {
        "active": True,
        "client_id": client.client_id,
        "sub": grant["sub"],
        "scope": grant["scope"],
        "acr": grant["acr"],
        "iss": provider.settings.issuer,
        "iat": clock.epoch(as_instant(grant["created_at"])),
        "exp": clock.epoch(as_instant(grant["expires_at"])),
    }


def _signed(document: dict[str, Any], client: Client, provider: Services) -> str:
    response = {
        "iss": provider.settings.issuer,
        "aud": client.client_id,
        "iat": clock.epoch(clock.now()),
        "token_introspection": document,
    }
    return protect(
        response,
        client,
        # The default of RFC 9701, 6, is the algorithm every verifier has.
        algorithm=client.introspection_algorithm or "RS256",
        encryption=client.introspection_encryption,
        typ="token-introspection+jwt",
        provider=provider,
    )
