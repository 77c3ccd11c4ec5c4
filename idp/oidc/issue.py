"""The token response, the same for every grant: access token, ID token, refresh token."""

from dataclasses import dataclass
from typing import Any

from idp.agencies.clients import Client
from idp.core import clock, errors
from idp.core.database import Row, split_words
from idp.core.errors import ProtocolFailure
from idp.core.parameters import Parameters
from idp.core.scopes import OPENID
from idp.oidc import access_tokens, id_token, sender
from idp.sso.services import Services


@dataclass(frozen=True, slots=True)
class Granted:
    """What a grant came to: its row, and the secret under whose digest the access token was written with it.

    `resource` is the resource server the token is for, empty for UserInfo; `confirmation` the key it is bound to;
    `scope` what was granted now; `refresh_token` the one to hand out, if any.
    """

    row: Row
    secret: str
    resource: str
    confirmation: str
    scope: str
    refresh_token: str | None = None


def response(granted: Granted, client: Client, *, provider: Services) -> dict[str, Any]:
    """Return the token response (RFC 6749, 5.1; OpenID Connect Core 1.0, 3.1.3.3 and 12.2)."""
    row, now = granted.row, clock.now()
    token = access_tokens.write(
        granted.secret,
        row,
        client,
        resource=granted.resource,
        confirmation=granted.confirmation,
        issued_at=now,
        provider=provider,
    )
    document = {
        "access_token": token,
        "token_type": sender.token_type(granted.confirmation),
        "expires_in": row["token_lifetime"],
        "scope": granted.scope,
    }
    if OPENID in split_words(granted.scope):
        document["id_token"] = id_token.write(row, client, access_token=token, issued_at=now, provider=provider)
    if granted.refresh_token is not None:
        document["refresh_token"] = granted.refresh_token
    return document


def target_values(form: Parameters, provider: Services) -> dict[str, object]:
    """Return the statements' values for the `resource` a token request names (RFC 8707, 2.2)."""
    return {"resource": form.get("resource", ""), "own": provider.settings.issuer}


def refuse_suspended(resource: str, *, provider: Services) -> None:
    """Raise ProtocolFailure invalid_target when nobody may ask about tokens for `resource` now.

    Nothing is spent then: the statements that spend look for themselves, and this says why they did not.
    """
    if resource in ("", provider.settings.issuer):
        return
    server = provider.clients.by_resource(resource)
    if server is None or not server.is_active:
        raise ProtocolFailure(errors.TARGET_INVALID)


def target_of(form: Parameters, row: Row, provider: Services) -> str:
    """Return the resource the token is for, as the statement decided it: empty for UserInfo."""
    return "" if form.get("resource") == provider.settings.issuer else str(row["resource"])
