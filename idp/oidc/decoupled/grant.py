"""The two grants of a client that asks until the citizen has answered (RFC 8628, 3.4 and 3.5; CIBA Core 1.0, 10.1)."""

from typing import Any, ClassVar

from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin

from idp.agencies.clients import Client
from idp.agencies.metadata import GrantType
from idp.core import errors
from idp.core.errors import Entry, ProtocolFailure
from idp.core.ids import digest
from idp.oidc import codes, issue
from idp.oidc.decoupled import approval, pending
from idp.oidc.decoupled.models import POLL, READ_CODE, Kind
from idp.oidc.issue import Granted
from idp.oidc.token_request import AuthenticatedClient, TokenRequest


class _DecoupledGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """A poll: one statement says where the request stands and how soon the last poll was."""

    KIND: ClassVar[Kind]
    PARAMETER: ClassVar[str]
    MISSING: ClassVar[Entry]
    REFUSED: ClassVar[Entry]

    def validate_token_request(self) -> None:
        """Authenticate the client and redeem what the citizen approved. Raises ProtocolFailure."""
        request: TokenRequest = self.request
        authenticated: AuthenticatedClient = self.authenticate_token_endpoint_client()
        request.client = authenticated
        if not authenticated.check_grant_type(self.GRANT_TYPE):
            raise ProtocolFailure(errors.GRANT_TYPE_NOT_REGISTERED)
        secret = request.parameters.get(self.PARAMETER)
        if secret is None:
            raise ProtocolFailure(self.MISSING)
        self.granted = self._redeem(digest(secret), authenticated, request)

    def _redeem(self, key: bytes, client: AuthenticatedClient, request: TokenRequest) -> Granted:
        values = {
            "digest": key,
            "client_id": client.client.id,
            "kind": self.KIND.value,
            "penalty": pending.INTERVAL,
        }
        # Counting the poll is not what the client asked for; that comes when there is something to give.
        request.settle()
        state = request.provider.hot_path.apply(POLL, values)
        if state is None:
            raise ProtocolFailure(self.REFUSED)
        if state["denied_at"] is not None:
            raise ProtocolFailure(errors.POLL_DENIED)
        if state["approved_at"] is not None:
            # However soon it comes: what is asked for is there.
            return self._spend(key, client.client, request, is_over=bool(state["is_over"]))
        if state["is_over"]:
            raise ProtocolFailure(errors.POLL_EXPIRED)
        raise ProtocolFailure(errors.POLL_TOO_SOON if state["is_hasty"] else errors.POLL_PENDING)

    def _spend(self, key: bytes, client: Client, request: TokenRequest, *, is_over: bool) -> Granted:
        """Redeem the code that the approval wrote, as any code is, and say what a client can do when it is no good."""
        code = approval.code_digest(key, keyring=request.provider.keyring)
        try:
            return codes.spend(code, client, request, redirect_uri="", challenge="")
        except ProtocolFailure as failure:
            if failure.entry is not errors.CODE_REFUSED:
                raise
            found = request.provider.hot_path.one(READ_CODE, {"digest": code})
            if found is None or found["is_used"]:
                raise ProtocolFailure(self.REFUSED) from None
            # Never used: its time is over, or the citizen has signed out of the session that approved it.
            raise ProtocolFailure(errors.POLL_EXPIRED if is_over else errors.POLL_DENIED) from None

    def create_token_response(self) -> tuple[int, dict[str, Any], object]:
        """Return the token response."""
        request: TokenRequest = self.request
        document = issue.response(self.granted, request.client.client, provider=request.provider)
        return 200, document, self.TOKEN_RESPONSE_HEADER


class DeviceCodeGrant(_DecoupledGrant):
    """The device authorization grant."""

    GRANT_TYPE = GrantType.DEVICE.value
    KIND = Kind.DEVICE
    PARAMETER = "device_code"
    MISSING = errors.DEVICE_CODE_MISSING
    REFUSED = errors.DEVICE_CODE_REFUSED


class BackchannelGrant(_DecoupledGrant):
    """The grant of client-initiated backchannel authentication, poll mode."""

    GRANT_TYPE = GrantType.CIBA.value
    KIND = Kind.BACKCHANNEL
    PARAMETER = "auth_req_id"
    MISSING = errors.AUTH_REQ_ID_MISSING
    REFUSED = errors.AUTH_REQ_ID_REFUSED
