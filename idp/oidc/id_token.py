"""The ID token (OpenID Connect Core 1.0, 2 and 3.1.3.6)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from idp.agencies.clients import Client
from idp.citizens import assurance
from idp.citizens.numbers import VN_PIN
from idp.core import clock
from idp.core.database import Row, as_instant, as_uuid, split_words
from idp.core.levels import Level, level_of
from idp.keys.jose import at_hash
from idp.oidc import access_tokens, person_claims
from idp.oidc.protected import protect
from idp.oidc.sid import sid_of
from idp.oidc.statements import READ_PROFILE
from idp.sso.services import Services


def write(spent: Row, client: Client, *, access_token: str, issued_at: datetime, provider: Services) -> str:
    """Return the ID token for a code or grant just used, signed and encrypted as the client's record says.

    `auth_time`, `acr` and `amr` come from that row, so that they tell of the authentication and not of this request.
    """
    now = clock.epoch(issued_at)
    document: dict[str, Any] = {
        "iss": provider.settings.issuer,
        "sub": spent["sub"],
        "aud": client.client_id,
        "iat": now,
        "exp": now + spent["token_lifetime"],
        "auth_time": clock.epoch(as_instant(spent["auth_time"])),
        "acr": spent["acr"],
        "amr": list(split_words(spent["amr"])),
        "at_hash": at_hash(access_token),
    }
    if provider.settings.number_scheme == VN_PIN:
        methods = assurance.known_methods(split_words(spent["amr"]))
        document |= assurance.national_levels(level_of(spent["acr"]) or Level.NONE, methods)
    if spent["nonce"] is not None:
        document["nonce"] = spent["nonce"]
    if spent.get("actor_id") is not None:
        document["act"] = access_tokens.act_for(client, spent, provider)
    if client.receives_sid:
        document["sid"] = sid_of(as_uuid(spent["session_id"]), client, provider.keyring)
    if spent["id_token_claims"]:
        document = {**_person(spent, client, provider), **document}
    return protect(
        document,
        client,
        algorithm=client.id_token_algorithm,
        encryption=client.id_token_encryption,
        typ="JWT",
        provider=provider,
    )


def is_one(claims: Mapping[str, Any]) -> bool:
    """Tell whether claims that we signed are those of an ID token.

    Answers of the authorization endpoint and of UserInfo have our issuer, the client as audience and the same `typ`
    (RFC 8725, 3.12).
    """
    return {"sub", "exp", "auth_time", "at_hash"} <= claims.keys()


def _person(spent: Row, client: Client, provider: Services) -> Mapping[str, Any]:
    """Return the claims that the `claims` parameter asked to have in the ID token itself; rare, so read apart."""
    words = person_claims.allowed(spent["id_token_claims"], client)
    row = provider.hot_path.one(READ_PROFILE, {"citizen_id": spent["citizen_id"]})
    if row is None:
        return {}
    return person_claims.of(as_uuid(spent["citizen_id"]), row, words, client, provider=provider)
