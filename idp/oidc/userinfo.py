"""UserInfo (OpenID Connect Core 1.0, 5.3): what was agreed, as it stands now."""

from typing import Any

from idp.agencies.clients import Client
from idp.core import asked, clock, errors
from idp.core.database import Row, as_uuid, split_words
from idp.core.errors import ProtocolFailure
from idp.core.scopes import OPENID
from idp.oidc import access_tokens, client_auth, person_claims, sender
from idp.oidc.caller import Caller
from idp.oidc.protected import protect
from idp.sso.services import Services


def answer(caller: Caller, *, provider: Services) -> dict[str, Any] | str:
    """Return the claims for the access token in an Authorization header: a document, or a JWT where registered.

    Raises ProtocolFailure (RFC 6750, 3; RFC 9449, 7.1).
    """
    presented = sender.presented(caller)
    row = access_tokens.read(presented.token, provider=provider)
    client = None if row is None else provider.clients.by_row_id(as_uuid(row["client_id"]))
    if client is not None:
        asked.by(client.client_id, is_proven=True)
    # A token for a resource server must not open UserInfo: that server would read what the citizen gave to another.
    if row is None or client is None or not client.is_active or row["resource"]:
        raise ProtocolFailure(errors.TOKEN_REFUSED, challenge=presented.scheme)
    sender.check_presented(presented, row["confirmation"], caller, provider=provider)
    client_auth.pace(client, provider=provider)
    if OPENID not in split_words(row["scope"]):
        raise ProtocolFailure(errors.SCOPE_INSUFFICIENT, challenge=presented.scheme)
    document = _claims(row, client, provider)
    if client.userinfo_algorithm is None and client.userinfo_encryption is None:
        return document
    return _jwt(document, client, provider)


def _claims(row: Row, client: Client, provider: Services) -> dict[str, Any]:
    words = person_claims.allowed(row["claims"], client)
    if not words:
        return {"sub": row["sub"]}
    return {**person_claims.of(as_uuid(row["citizen_id"]), row, words, client, provider=provider), "sub": row["sub"]}


def _jwt(document: dict[str, Any], client: Client, provider: Services) -> str:
    signed = {
        **document,
        "iss": provider.settings.issuer,
        "aud": client.client_id,
        "iat": clock.epoch(clock.now()),
    }
    return protect(
        signed,
        client,
        algorithm=client.userinfo_algorithm or client.id_token_algorithm,
        encryption=client.userinfo_encryption,
        typ="JWT",
        provider=provider,
    )
