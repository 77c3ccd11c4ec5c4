"""The token endpoint.

Authlib chooses the grant by its `grant_type` and walks it through its phases; every default of its that is known to
be unsafe is replaced here (security.md, 2.1): the code is spent by one statement before anything else happens (A2),
a replay revokes what the first use gave (A3), parameters come from the body only and once each (A4, A5), clients
authenticate by our own code (A9), nothing is stored or printed in clear (A10, A11).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import OAuth2Error
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from idp.agencies.clients import Client
from idp.audit.events import Event
from idp.core import clock, errors
from idp.core.database import Row
from idp.core.errors import ProtocolFailure
from idp.core.ids import digest, new_id, new_secret
from idp.core.parameters import Parameters
from idp.oidc import client_auth, id_token
from idp.oidc.caller import Caller
from idp.oidc.models import REVOKE_REPLAYED, SPEND_CODE
from idp.sso.services import Services

# RFC 7636, 4.1.
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


class TokenRequest(OAuth2Request):  # type: ignore[misc]
    """A token request as Authlib reads one, made from the body alone."""

    def __init__(self, form: Parameters, *, caller: Caller, provider: Services, reference: str) -> None:
        # The issuer stands for the address: what a proxy in front did to the URL must not matter.
        super().__init__("POST", "https://token.invalid/")
        self.parameters = form
        self.caller = caller
        self.provider = provider
        self.reference = reference
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> Parameters:
        """Return the parameters of the body."""
        return self.parameters


@dataclass(frozen=True, slots=True)
class _AuthenticatedClient:
    """What Authlib's grants ask of a client."""

    client: Client

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client may use `grant_type`."""
        return grant_type == "authorization_code"


@dataclass(frozen=True, slots=True)
class _SpentCode:
    """A code that this request has just spent, and the access token written with it."""

    row: Row
    access_token: str

    def get_redirect_uri(self) -> str:
        """Return the redirect URI of the authorization request, as Authlib's grant compares it once more."""
        return str(self.row["redirect_uri"])

    def get_scope(self) -> str:
        """Return the scopes granted."""
        return str(self.row["scope"])


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """The authorization code grant (RFC 6749, 4.1.3; RFC 7636, 4.5 and 4.6)."""

    def query_authorization_code(self, code: str, client: _AuthenticatedClient) -> _SpentCode:
        """Spend the code and write the access token, in one statement. Raises ProtocolFailure invalid_grant.

        Spending comes before judging the rest: a request with a wrong verifier is an attack, and gets one try.
        """
        request: TokenRequest = self.request
        provider = request.provider
        verifier = request.parameters.get("code_verifier")
        redirect_uri = request.parameters.get("redirect_uri")
        if redirect_uri is None:
            raise ProtocolFailure(errors.REDIRECT_URI_MISSING)
        if verifier is not None and not _VERIFIER.fullmatch(verifier):
            raise ProtocolFailure(errors.VERIFIER_MALFORMED)
        access_token = new_secret()
        values = {
            "code_digest": digest(code),
            "client_id": client.client.id,
            "redirect_uri": redirect_uri,
            # No verifier is equal to no challenge only: neither can be dropped on the way (RFC 9700, 2.1.1).
            "challenge": create_s256_code_challenge(verifier) if verifier is not None else "",
            "token_digest": digest(access_token),
            "event_id": new_id(),
            "event_name": Event.TOKEN_ISSUED.value,
            "reference": request.reference,
        }
        spent = provider.hot_path.apply(SPEND_CODE, values)
        if spent is None:
            values |= {"event_id": new_id(), "event_name": Event.CODE_REPLAYED.value}
            provider.hot_path.apply(REVOKE_REPLAYED, values)
            raise ProtocolFailure(errors.CODE_REFUSED)
        if not spent["bound"]:
            is_other_uri = spent["redirect_uri"] != redirect_uri
            raise ProtocolFailure(errors.REDIRECT_URI_DIFFERS if is_other_uri else errors.VERIFIER_REFUSED)
        return _SpentCode(spent, access_token)

    def authenticate_user(self, authorization_code: _SpentCode) -> str:
        """Return the subject; whether the session still stands was part of spending the code."""
        return str(authorization_code.row["sub"])

    def generate_token(self, **_unused: Any) -> dict[str, Any]:
        """Return the token response (OpenID Connect Core 1.0, 3.1.3.3)."""
        request: TokenRequest = self.request
        spent: _SpentCode = request.authorization_code
        return {
            "access_token": spent.access_token,
            "token_type": "Bearer",
            "expires_in": spent.row["token_lifetime"],
            "scope": spent.row["scope"],
            "id_token": id_token.sign(
                spent.row,
                request.client.client,
                access_token=spent.access_token,
                issued_at=clock.now(),
                provider=request.provider,
            ),
        }

    def save_token(self, token: Mapping[str, Any]) -> None:
        """Do nothing: the token was written when the code was spent."""

    def delete_authorization_code(self, authorization_code: _SpentCode) -> None:
        """Do nothing: a spent code is kept so that a replay is recognised."""


class TokenEndpoint(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server, reduced to choosing and walking grants. It knows nothing of Flask."""

    def __init__(self) -> None:
        super().__init__()
        self.register_grant(CodeGrant)

    def answer(self, form: Parameters, *, caller: Caller, provider: Services, reference: str) -> Mapping[str, Any]:
        """Return the token response as a JSON document. Raises ProtocolFailure."""
        if form.repeated:
            raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
        if "grant_type" not in form:
            # The client is named first: an anonymous probe learns nothing about what is supported.
            client_auth.authenticate(caller, form, provider=provider)
            raise ProtocolFailure(errors.GRANT_TYPE_MISSING)
        document: Mapping[str, Any] = self.create_token_response(
            TokenRequest(form, caller=caller, provider=provider, reference=reference)
        )
        return document

    def authenticate_client(
        self, request: TokenRequest, methods: object, endpoint: str = "token"
    ) -> _AuthenticatedClient:
        """Authenticate by the method the client registered, whatever the grant lists."""
        client = client_auth.authenticate(request.caller, request.parameters, provider=request.provider)
        return _AuthenticatedClient(client)

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
