"""The token request and its client in the shape that Authlib's grants read."""

from dataclasses import dataclass

from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from idp.agencies.clients import Client
from idp.core.database import Change, Row
from idp.core.parameters import Parameters
from idp.oidc.caller import Caller
from idp.oidc.client_auth import Authentication
from idp.sso.services import Services


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
        self.authentication: Authentication | None = None

    def apply(self, change: Change, values: Row) -> Row | None:
        """Apply the change that the client asked for, after authenticating. Raises ProtocolFailure."""
        assert self.authentication is not None
        return self.authentication.apply(change, values)

    def settle(self) -> None:
        """Spend what the client authenticated with, unless a change has. Raises ProtocolFailure invalid_client."""
        if self.authentication is not None:
            self.authentication.settle()

    @property
    def form(self) -> Parameters:
        """Return the parameters of the body."""
        return self.parameters


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """What Authlib's grants ask of a client."""

    client: Client

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client may use `grant_type`."""
        return grant_type in self.client.grant_types
