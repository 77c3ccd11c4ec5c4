"""UserInfo (OpenID Connect Core 1.0, 5.3): what was agreed, as it stands now."""

import re
from typing import Any

from idp.citizens import claims
from idp.core import errors
from idp.core.database import as_uuid, split_words
from idp.core.errors import ProtocolFailure
from idp.core.ids import digest
from idp.core.scopes import OPENID
from idp.oidc.caller import Caller
from idp.oidc.models import READ_TOKEN
from idp.sso.services import Services

_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)")


def answer(caller: Caller, *, provider: Services) -> dict[str, Any]:
    """Return the claims for the access token in an Authorization header (RFC 6750, 2.1). Raises ProtocolFailure."""
    token = _BEARER.fullmatch(caller.authorization or "")
    if token is None:
        raise ProtocolFailure(
            errors.TOKEN_MISSING if not caller.authorization else errors.TOKEN_REFUSED, challenge="Bearer"
        )
    row = provider.hot_path.one(READ_TOKEN, {"digest": digest(token[1])})
    client = None if row is None else provider.clients.by_row_id(as_uuid(row["client_id"]))
    if row is None or client is None or not client.is_active:
        raise ProtocolFailure(errors.TOKEN_REFUSED, challenge="Bearer")
    if OPENID not in split_words(row["scope"]):
        raise ProtocolFailure(errors.SCOPE_INSUFFICIENT, challenge="Bearer")
    names = split_words(row["claims"])
    if not names:
        return {"sub": row["sub"]}
    profile = claims.open_profile(row["profile"], as_uuid(row["citizen_id"]), provider.keyring)
    return {**claims.release(profile, names), "sub": row["sub"]}
