"""Spending authorization codes: those a browser brought, and those an approval on another device wrote."""

from idp.agencies.clients import Client
from idp.agencies.metadata import GrantType
from idp.audit.events import Event
from idp.core import errors
from idp.core.errors import ProtocolFailure
from idp.core.ids import digest, new_id, new_secret
from idp.oidc import issue, refresh_tokens, sender
from idp.oidc.issue import Granted
from idp.oidc.refresh_tokens import RefreshToken
from idp.oidc.statements import READ_CODE_RESOURCE, REVOKE_REPLAYED, SPEND_CODE, SPEND_CODE_FOR_OFFLINE
from idp.oidc.token_request import TokenRequest


def spend(code_digest: bytes, client: Client, request: TokenRequest, *, redirect_uri: str, challenge: str) -> Granted:
    """Spend a code and write what it buys, in one statement. Raises ProtocolFailure invalid_grant, invalid_target."""
    provider = request.provider
    confirmation = sender.confirm(request.caller, client, provider=provider)
    secret, grant_id = new_secret(), new_id()
    is_lasting = GrantType.REFRESH in client.grant_types
    values: dict[str, object] = {
        "code_digest": code_digest,
        "client_id": client.id,
        "redirect_uri": redirect_uri,
        "challenge": challenge,
        "confirmation": confirmation,
        "token_digest": digest(secret),
        "event_id": new_id(),
        "event_name": Event.TOKEN_ISSUED.value,
        "reference": request.reference,
        **issue.target_values(request.parameters, provider),
    }
    if is_lasting:
        values |= {
            "grant_id": grant_id,
            "refresh_idle": provider.settings.refresh_idle,
            "refresh_absolute": provider.settings.refresh_absolute,
        }
    row = request.apply(SPEND_CODE_FOR_OFFLINE if is_lasting else SPEND_CODE, values)
    if row is None:
        replayed = {"event_id": new_id(), "event_name": Event.CODE_REPLAYED.value, "reference": request.reference}
        provider.hot_path.apply(REVOKE_REPLAYED, replayed | {"code_digest": code_digest, "client_id": client.id})
        _refuse_suspended(code_digest, client, request)
        raise ProtocolFailure(errors.CODE_REFUSED)
    if not row["bound"]:
        if row["redirect_uri"] != redirect_uri:
            raise ProtocolFailure(errors.REDIRECT_URI_DIFFERS)
        if row["code_challenge"] != challenge:
            raise ProtocolFailure(errors.VERIFIER_REFUSED)
        is_other_key = row["confirmation"] not in ("", confirmation)
        raise ProtocolFailure(errors.CODE_REFUSED if is_other_key else errors.TARGET_INVALID)
    lasting = is_lasting and row["offline"]
    return Granted(
        row=row,
        secret=secret,
        resource=issue.target_of(request.parameters, row, provider),
        confirmation=confirmation,
        scope=row["scope"],
        refresh_token=refresh_tokens.write(RefreshToken(grant_id, 0), provider.keyring) if lasting else None,
    )


def _refuse_suspended(code_digest: bytes, client: Client, request: TokenRequest) -> None:
    provider = request.provider
    found = provider.hot_path.one(READ_CODE_RESOURCE, {"digest": code_digest, "client_id": client.id})
    if found is not None:
        issue.refuse_suspended(issue.target_of(request.parameters, found, provider), provider=provider)
