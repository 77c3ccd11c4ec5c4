"""The ID token (OpenID Connect Core 1.0, 2 and 3.1.3.6)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from idp.agencies.clients import Client
from idp.citizens import claims
from idp.core import clock
from idp.core.database import Row, as_instant, as_uuid, split_words
from idp.core.scopes import SIGN_IN_CLAIMS
from idp.keys.jose import at_hash
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
    if spent["nonce"] is not None:
        document["nonce"] = spent["nonce"]
    if client.receives_sid:
        document["sid"] = sid_of(as_uuid(spent["session_id"]), client, provider.keyring)
    if spent["id_token_claims"]:
        document = {**_person(spent, provider), **document}
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


def _person(spent: Row, provider: Services) -> Mapping[str, Any]:
    """Return the claims that the `claims` parameter asked to have in the ID token itself; rare, so read apart."""
    row = provider.hot_path.one(READ_PROFILE, {"citizen_id": spent["citizen_id"]})
    if row is None:
        return {}
    profile = claims.open_profile(row["profile"], as_uuid(spent["citizen_id"]), provider.keyring)
    names = [name for name in split_words(spent["id_token_claims"]) if name not in SIGN_IN_CLAIMS]
    return claims.release(profile, names)
