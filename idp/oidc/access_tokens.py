"""Access tokens: what they look like, and how one that was presented is found again.

Opaque, 256 random bits known by their digest; or, where the client or the resource server wants to read them itself,
a JWT (RFC 9068) over the same row. The `jti` of a JWT is the digest of the row: whoever reads it learns nothing that
opens anything, and a revoked JWT is as dead here as a revoked word.
"""

import base64
import binascii
from datetime import datetime
from typing import Any

from idp.agencies.clients import Client
from idp.agencies.metadata import TokenFormat
from idp.citizens import subjects
from idp.core import clock
from idp.core.database import Row, as_instant, as_uuid, split_words
from idp.core.ids import digest
from idp.keys.jose import TokenRefused
from idp.oidc import sender
from idp.oidc.statements import READ_SUBJECT, READ_TOKEN
from idp.sso.services import Services

TYP = "at+jwt"


def write(
    secret: str, row: Row, client: Client, *, resource: str, confirmation: str, issued_at: datetime, provider: Services
) -> str:
    """Return the access token of a row written under the digest of `secret`: the secret itself, or a JWT.

    `row` is the code or grant it was issued for, `resource` the resource server it is for, empty for UserInfo. What a
    resource server reads of it is cut to its own scopes, and names the citizen as that server knows them.
    """
    audience = provider.clients.by_resource(resource) if resource else None
    reader = audience or client
    if reader.token_format is TokenFormat.OPAQUE:
        return secret
    now = clock.epoch(issued_at)
    scopes = [name for name in split_words(row["scope"]) if audience is None or name in audience.scopes]
    document: dict[str, Any] = {
        "iss": provider.settings.issuer,
        "aud": resource or provider.settings.issuer,
        "sub": row["sub"] if audience is None else subject_for(audience, row, provider),
        "client_id": client.client_id,
        "jti": _text(digest(secret)),
        "iat": now,
        "exp": now + row["token_lifetime"],
        "scope": " ".join(scopes),
        "auth_time": clock.epoch(as_instant(row["auth_time"])),
        "acr": row["acr"],
        "amr": list(split_words(row["amr"])),
    }
    if confirmation:
        document["cnf"] = sender.cnf(confirmation)
    if row.get("actor_id") is not None:
        document["act"] = act_for(reader, row, provider)
    return provider.signing_keys.signer(reader.id_token_algorithm).sign(document, typ=TYP)


def subject_for(audience: Client, row: Row, provider: Services) -> str:
    """Return the `sub` under which a resource server knows the citizen of `row`."""
    known = provider.hot_path.one(READ_SUBJECT, {"citizen_id": row["citizen_id"], "sector": audience.sector})
    if known is not None:
        return str(known["sub"])
    return subjects.subject(as_uuid(row["citizen_id"]), audience.sector, keyring=provider.keyring)


def act_for(reader: Client, row: Row, provider: Services) -> dict[str, str]:
    """Return the `act` claim (RFC 8693, 4.1): the officer beside the citizen of `row`, as `reader` knows them."""
    return {"sub": subject_for(reader, {"citizen_id": row["actor_id"]}, provider)}


def read(token: str, *, provider: Services) -> Row | None:
    """Return the row of a living access token, of either form, or None. Raises DatabaseUnavailable."""
    key = key_of(token, provider=provider)
    return None if key is None else provider.hot_path.one(READ_TOKEN, {"digest": key})


def key_of(token: str, *, provider: Services) -> bytes | None:
    """Return the digest a token is stored under; None for a JWT that we did not sign as an access token."""
    if "." not in token:
        return digest(token)
    try:
        # Expired ones too: whether it lives is the row's to say.
        jti = provider.signing_keys.verify(token, typ=TYP, allow_expired=True).get("jti")
        return base64.b64decode(f"{jti}=", altchars=b"-_", validate=True) if isinstance(jti, str) else None
    except (TokenRefused, ValueError, binascii.Error):
        return None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
