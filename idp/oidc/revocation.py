"""Token revocation (RFC 7009): a client gives back what it no longer needs.

Revoking a refresh token ends its whole grant, every access token bought with it included; revoking an access token
ends that one.
"""

from idp.agencies.clients import Client
from idp.audit.events import Event
from idp.core import errors
from idp.core.database import Change, Row, as_uuid
from idp.core.errors import ProtocolFailure
from idp.core.ids import new_id
from idp.core.parameters import Parameters
from idp.oidc import access_tokens, client_auth, refresh_tokens
from idp.oidc.caller import Caller
from idp.oidc.statements import READ_GRANT_OWNER, READ_TOKEN, REVOKE_GRANT, REVOKE_TOKEN
from idp.sso.services import Services


def revoke(form: Parameters, *, caller: Caller, provider: Services, reference: str) -> None:
    """End the token in `form`; a token that is unknown or over already is no error (2.2).

    `token_type_hint` is not needed: what a token is shows in its form. Raises ProtocolFailure, also for a token of
    another client (2.1). Events: token revoked.
    """
    if form.repeated:
        raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
    client = client_auth.authenticate(caller, form, provider=provider)
    client_auth.pace(client, provider=provider)
    token = form.get("token")
    if token is None:
        raise ProtocolFailure(errors.TOKEN_PARAMETER_MISSING)
    values = {
        "client_id": client.id,
        "event_id": new_id(),
        "event_name": Event.TOKEN_REVOKED.value,
        "reference": reference,
    }
    refresh = refresh_tokens.read(token, provider.keyring)
    if refresh is not None:
        if not _apply(REVOKE_GRANT, values | {"grant_id": refresh.grant_id}, provider):
            _refuse_foreign(provider.hot_path.one(READ_GRANT_OWNER, {"grant_id": refresh.grant_id}), client)
        return
    key = access_tokens.key_of(token, provider=provider)
    if key is None or _apply(REVOKE_TOKEN, values | {"digest": key}, provider):
        return
    _refuse_foreign(provider.hot_path.one(READ_TOKEN, {"digest": key}), client)


def _refuse_foreign(row: Row | None, client: Client) -> None:
    if row is not None and as_uuid(row["client_id"]) != client.id:
        raise ProtocolFailure(errors.TOKEN_OF_ANOTHER)


def _apply(change: Change, values: dict[str, object], provider: Services) -> bool:
    return provider.hot_path.apply(change, values) is not None
