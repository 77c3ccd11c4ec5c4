"""The token endpoint.

Authlib chooses the grant by its `grant_type` and walks it through its phases; every default of its that is known to
be unsafe is replaced here (security.md, 2.1): the code is spent by one statement before anything else happens (A2),
a replay revokes what the first use gave (A3), parameters come from the body only and once each (A4, A5), clients
authenticate by our own code (A9), nothing is stored or printed in clear (A10, A11).
"""

import re
from collections.abc import Mapping
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oauth2.rfc6749.errors import OAuth2Error
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from idp.core import errors
from idp.core.errors import ProtocolFailure
from idp.core.ids import digest
from idp.core.parameters import Parameters
from idp.oidc import client_auth, codes, issue
from idp.oidc.caller import Caller
from idp.oidc.decoupled.grant import BackchannelGrant, DeviceCodeGrant
from idp.oidc.issue import Granted
from idp.oidc.refresh import RefreshGrant
from idp.oidc.token_request import AuthenticatedClient, TokenRequest
from idp.sso.services import Services

# RFC 7636, 4.1.
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


class SpentCode:
    """A code that this request has just spent, and the access token written with it."""

    def __init__(self, granted: Granted) -> None:
        self.granted = granted

    def get_redirect_uri(self) -> str:
        """Return the redirect URI of the authorization request, as Authlib's grant compares it once more."""
        return str(self.granted.row["redirect_uri"])

    def get_scope(self) -> str:
        """Return the scopes granted."""
        return self.granted.scope


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """The authorization code grant (RFC 6749, 4.1.3; RFC 7636, 4.5 and 4.6)."""

    def query_authorization_code(self, code: str, client: AuthenticatedClient) -> SpentCode:
        """Spend the code and write the access token, in one statement. Raises ProtocolFailure invalid_grant.

        Spending comes before judging the rest: a request with a wrong verifier is an attack, and gets one try. Only
        a proof of the client's key is looked at earlier, because a client without a fresh nonce must come again.
        """
        request: TokenRequest = self.request
        form = request.parameters
        verifier = form.get("code_verifier")
        redirect_uri = form.get("redirect_uri")
        if redirect_uri is None:
            raise ProtocolFailure(errors.REDIRECT_URI_MISSING)
        if verifier is not None and not _VERIFIER.fullmatch(verifier):
            raise ProtocolFailure(errors.VERIFIER_MALFORMED)
        # No verifier is equal to no challenge only: neither can be dropped on the way (RFC 9700, 2.1.1).
        challenge = create_s256_code_challenge(verifier) if verifier is not None else ""
        return SpentCode(
            codes.spend(digest(code), client.client, request, redirect_uri=redirect_uri, challenge=challenge)
        )

    def authenticate_user(self, authorization_code: SpentCode) -> str:
        """Return the subject; whether the session still stands was part of spending the code."""
        return str(authorization_code.granted.row["sub"])

    def generate_token(self, **_unused: Any) -> dict[str, Any]:
        """Return the token response (OpenID Connect Core 1.0, 3.1.3.3)."""
        request: TokenRequest = self.request
        granted: Granted = request.authorization_code.granted
        return issue.response(granted, request.client.client, provider=request.provider)

    def save_token(self, token: Mapping[str, Any]) -> None:
        """Do nothing: the token was written when the code was spent."""

    def delete_authorization_code(self, authorization_code: SpentCode) -> None:
        """Do nothing: a spent code is kept so that a replay is recognised."""


class TokenEndpoint(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server, reduced to choosing and walking grants. It knows nothing of Flask."""

    def __init__(self) -> None:
        super().__init__()
        for grant in (CodeGrant, RefreshGrant, DeviceCodeGrant, BackchannelGrant):
            self.register_grant(grant)

    def answer(self, form: Parameters, *, caller: Caller, provider: Services, reference: str) -> Mapping[str, Any]:
        """Return the token response as a JSON document. Raises ProtocolFailure."""
        if "resource" in form.repeated:
            raise ProtocolFailure(errors.TARGET_INVALID)
        if form.repeated:
            raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
        if "grant_type" not in form:
            # The client is named first: an anonymous probe learns nothing about what is supported.
            client_auth.authenticate(caller, form, provider=provider)
            raise ProtocolFailure(errors.GRANT_TYPE_MISSING)
        request = TokenRequest(form, caller=caller, provider=provider, reference=reference)
        try:
            document: Mapping[str, Any] = self.create_token_response(request)
        finally:
            # Also where nothing was changed: an assertion works once, and who repeats one learns nothing else.
            request.settle()
        return document

    def authenticate_client(
        self, request: TokenRequest, methods: object, endpoint: str = "token"
    ) -> AuthenticatedClient:
        """Authenticate by the method the client registered, whatever the grant lists."""
        request.authentication = client_auth.recognise(request.caller, request.parameters, provider=request.provider)
        return AuthenticatedClient(request.authentication.client)

    def create_oauth2_request(self, request: TokenRequest) -> TokenRequest:
        """Return the request as it is: the edge has read it already."""
        return request

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Send nothing: events go to the audit trail."""

    def handle_response(self, status: int, body: Mapping[str, Any], headers: object) -> Mapping[str, Any]:
        """Return the body; the edge makes bytes and headers of it."""
        return body

    def handle_error_response(self, request: TokenRequest, error: OAuth2Error) -> Mapping[str, Any]:
        """Raise the catalogue's entry for an error that Authlib found itself."""
        raise ProtocolFailure(_FOUND_BY_AUTHLIB.get(error.error, errors.FORM_INVALID)) from None


_FOUND_BY_AUTHLIB = {
    "unsupported_grant_type": errors.GRANT_TYPE_UNSUPPORTED,
    "unauthorized_client": errors.GRANT_TYPE_NOT_REGISTERED,
    "invalid_request": errors.CODE_MISSING,
    "invalid_grant": errors.CODE_REFUSED,
    "invalid_client": errors.CLIENT_UNAUTHENTICATED,
}
