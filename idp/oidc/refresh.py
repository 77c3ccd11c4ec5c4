"""The refresh token grant (RFC 6749, 6; OpenID Connect Core 1.0, 12; RFC 9700, 4.14).

standard client                  every use gives a new token; an old one used again ends the whole family
standard client, bound tokens    the same, but the identical request, sent again within GRACE because its answer
                                 was lost, gets the same new token
FAPI 2.0 client                  no rotation (FAPI 2.0 Security Profile, 5.3.2.1): its tokens are worth nothing
                                 without its key, and rotation loses logins on bad networks
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin

from idp.agencies.clients import Client
from idp.agencies.metadata import GrantType, Profile
from idp.audit.events import Event
from idp.citizens import verified_claims
from idp.core import errors
from idp.core.database import Change, Row, as_instant, split_words
from idp.core.errors import ProtocolFailure
from idp.core.ids import digest, new_id, new_secret
from idp.core.scopes import claims_of
from idp.oidc import issue, refresh_tokens, sender
from idp.oidc.issue import Granted
from idp.oidc.refresh_tokens import RefreshToken
from idp.oidc.statements import READ_GRANT, REFRESH, REFRESH_AGAIN, REVOKE_GRANT, REVOKE_OUTGROWN
from idp.oidc.token_request import TokenRequest
from idp.sso.services import Services

GRACE = timedelta(seconds=10)


class RefreshGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """The grant as Authlib walks it: first the client and the token, then the answer."""

    GRANT_TYPE = GrantType.REFRESH.value

    def validate_token_request(self) -> None:
        """Authenticate the client and use the refresh token, in one statement. Raises ProtocolFailure."""
        request: TokenRequest = self.request
        authenticated = self.authenticate_token_endpoint_client()
        request.client = authenticated
        if not authenticated.check_grant_type(self.GRANT_TYPE):
            raise ProtocolFailure(errors.GRANT_TYPE_NOT_REGISTERED)
        text = request.parameters.get("refresh_token")
        if text is None:
            raise ProtocolFailure(errors.REFRESH_TOKEN_MISSING)
        token = refresh_tokens.read(text, request.provider.keyring)
        if token is None:
            raise ProtocolFailure(errors.REFRESH_TOKEN_REFUSED)
        self.granted = _use(token, authenticated.client, request)

    def create_token_response(self) -> tuple[int, dict[str, Any], object]:
        """Return the token response."""
        request: TokenRequest = self.request
        document = issue.response(self.granted, request.client.client, provider=request.provider)
        return 200, document, self.TOKEN_RESPONSE_HEADER


def _use(token: RefreshToken, client: Client, request: TokenRequest) -> Granted:
    provider, form = request.provider, request.parameters
    confirmation = sender.confirm(request.caller, client, provider=provider)
    rotates = client.profile is not Profile.FAPI2
    secret = new_secret()
    values: dict[str, object] = {
        "grant_id": token.grant_id,
        "generation": token.generation,
        "client_id": client.id,
        "step": 1 if rotates else 0,
        "confirmation": confirmation,
        "token_digest": digest(secret),
        "refresh_idle": provider.settings.refresh_idle,
        "event_id": new_id(),
        "event_name": Event.TOKEN_REFRESHED.value,
        "reference": request.reference,
        "scope": "",
        "claims": "",
        **issue.target_values(form, provider),
    }
    if "scope" in form:
        values |= _narrowed(form["scope"], token, client, provider)
    row = request.apply(REFRESH, values)
    if row is None:
        row = _again(token, client, request, values)
    if not frozenset(split_words(row["scope"])) <= frozenset(client.scopes):
        # What was agreed is more than the client may have today; the citizen must be asked anew.
        _end(token, client, request, Event.TOKEN_REVOKED)
        raise ProtocolFailure(errors.REFRESH_TOKEN_REFUSED)
    if values["scope"]:
        row = {**row, "id_token_claims": _kept(row["id_token_claims"], str(values["scope"]))}
    scope = str(values["scope"] or row["scope"])
    return Granted(
        row={**row, "nonce": None},
        secret=secret,
        resource=issue.target_of(form, row, provider),
        confirmation=confirmation,
        scope=scope,
        refresh_token=refresh_tokens.write(RefreshToken(token.grant_id, row["generation"]), provider.keyring),
    )


def _narrowed(scope: str, token: RefreshToken, client: Client, provider: Services) -> Mapping[str, object]:
    """Return scope and claims of a request for less than was agreed (RFC 6749, 6).

    Claims that were asked for one by one, by the `claims` parameter, belong to no scope and are left out then.
    """
    grant = _read(token, client, provider)
    granted, wanted = split_words(grant["scope"]), frozenset(scope.split())
    if not wanted or not wanted <= frozenset(granted):
        # A scope of blanks names nothing, which is not the same as naming no scope.
        raise ProtocolFailure(errors.SCOPE_EXCEEDS_GRANT)
    kept = " ".join(name for name in granted if name in wanted)
    return {"scope": kept, "claims": _kept(grant["claims"], kept)}


def _kept(claims: str, scope: str) -> str:
    """Return those of `claims` that `scope` stands for."""
    return " ".join(verified_claims.narrowed(split_words(claims), claims_of(split_words(scope))))


def _read(token: RefreshToken, client: Client, provider: Services) -> Row:
    grant = provider.hot_path.one(READ_GRANT, {"grant_id": token.grant_id, "client_id": client.id})
    if grant is None:
        raise ProtocolFailure(errors.REFRESH_TOKEN_REFUSED)
    return grant


def _again(token: RefreshToken, client: Client, request: TokenRequest, values: Mapping[str, object]) -> Row:
    """Find out why a refresh token did not work: let an identical retry through, end the family of a replayed one.

    Raises ProtocolFailure unless the answer of the first try was lost.
    """
    provider = request.provider
    grant = provider.hot_path.one(READ_GRANT, {"grant_id": token.grant_id, "client_id": client.id})
    if grant is None:
        # Also while the citizen is disabled a token that was used before is a stolen one.
        _end(token, client, request, Event.REFRESH_REPLAYED, change=REVOKE_OUTGROWN)
        raise ProtocolFailure(errors.REFRESH_TOKEN_REFUSED)
    if values["resource"] not in ("", values["own"], grant["resource"]):
        raise ProtocolFailure(errors.TARGET_INVALID)
    issue.refuse_suspended(issue.target_of(request.parameters, grant, provider), provider=provider)
    if token.generation >= grant["generation"]:
        # It works, but was used by somebody else at this very moment, who then ended the family or did not.
        raise ProtocolFailure(errors.REFRESH_TOKEN_REFUSED)
    refreshed_at = grant["refreshed_at"]
    is_recent = refreshed_at is not None and as_instant(grant["now"]) - as_instant(refreshed_at) < GRACE
    if values["confirmation"] and values["confirmation"] == grant["confirmation"] and is_recent:
        row = provider.hot_path.apply(REFRESH_AGAIN, values)
        if row is not None:
            return row
    _end(token, client, request, Event.REFRESH_REPLAYED)
    raise ProtocolFailure(errors.REFRESH_TOKEN_REFUSED)


def _end(
    token: RefreshToken, client: Client, request: TokenRequest, event: Event, *, change: Change = REVOKE_GRANT
) -> None:
    """End the family of a token, and with it every access token that lives by it. Events: the one given."""
    values = {
        "generation": token.generation,
        "grant_id": token.grant_id,
        "client_id": client.id,
        "event_id": new_id(),
        "event_name": event.value,
        "reference": request.reference,
    }
    request.provider.hot_path.apply(change, values)
