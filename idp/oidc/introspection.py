"""Token introspection (RFC 7662): is this access token still good, and for what?

A client learns only of tokens issued to itself; any other token, known or not, is `{"active": false}`.
"""

from typing import Any

from idp.core import clock, errors
from idp.core.database import as_instant, as_uuid
from idp.core.errors import ProtocolFailure
from idp.core.ids import digest
from idp.core.parameters import Parameters
from idp.oidc import client_auth
from idp.oidc.caller import Caller
from idp.oidc.models import READ_TOKEN
from idp.sso.services import Services

_INACTIVE = {"active": False}


def answer(form: Parameters, *, caller: Caller, provider: Services) -> dict[str, Any]:
    """Return the introspection response (2.2). Raises ProtocolFailure when the client or the form is refused."""
    if form.repeated:
        raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
    client = client_auth.authenticate(caller, form, provider=provider)
    token = form.get("token")
    if token is None:
        raise ProtocolFailure(errors.TOKEN_PARAMETER_MISSING)
    row = provider.hot_path.one(READ_TOKEN, {"digest": digest(token)})
    if row is None or as_uuid(row["client_id"]) != client.id:
        return _INACTIVE
    return {
        "active": True,
        "client_id": client.client_id,
        "sub": row["sub"],
        "scope": row["scope"],
        "acr": row["acr"],
        "token_type": "Bearer",
        "iss": provider.settings.issuer,
        "iat": clock.epoch(as_instant(row["issued_at"])),
        "exp": clock.epoch(as_instant(row["expires_at"])),
    }
