"""The answer to an authorization request: code or error, state and issuer, by the way the portal asked for.

query            in the redirect (RFC 6749, 4.1.2; RFC 9207)
form_post        in a form that the browser posts (OAuth 2.0 Form Post Response Mode, 2)
query.jwt, form_post.jwt, and jwt, which is query.jwt   the same, in one signed parameter (JARM)
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import quote

from idp.agencies.clients import Client
from idp.core import clock
from idp.core.errors import Entry
from idp.sso.request import ResponseMode
from idp.sso.services import Services

# The values a portal may send as response_mode.
RESPONSE_MODES = {
    "query": ResponseMode.QUERY,
    "form_post": ResponseMode.FORM_POST,
    "jwt": ResponseMode.QUERY_JWT,
    "query.jwt": ResponseMode.QUERY_JWT,
    "form_post.jwt": ResponseMode.FORM_POST_JWT,
}
_SIGNED = frozenset({ResponseMode.QUERY_JWT, ResponseMode.FORM_POST_JWT})
_POSTED = frozenset({ResponseMode.FORM_POST, ResponseMode.FORM_POST_JWT})
# JARM, 2.1: at most ten minutes; the code in it lives no longer than a minute.
_SIGNED_LIFE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PortalAnswer:
    """What a portal is told, and whether its browser carries it in the address or in a form. `refused` is the error in
    it, None where there is none."""

    client: Client
    redirect_uri: str
    parameters: dict[str, str]
    is_posted: bool
    refused: Entry | None = None

    @property
    def location(self) -> str:
        """Return the redirect that carries the answer; the registered query is kept as it is."""
        # Values are quoted so that the portal reads `state` byte for byte.
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.parameters.items())
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{query}"


def with_code(
    redirect_uri: str, code: str, *, mode: ResponseMode, state: str | None, client: Client, provider: Services
) -> PortalAnswer:
    """Return the answer that brings a code."""
    return _answer(redirect_uri, {"code": code}, mode, state, client, provider)


def with_error(
    redirect_uri: str,
    entry: Entry,
    *,
    mode: ResponseMode,
    state: str | None,
    client: Client,
    provider: Services,
    reference: str,
) -> PortalAnswer:
    """Return the answer that brings an error (RFC 6749, 4.1.2.1)."""
    error = {"error": entry.oauth_error or "server_error", "error_description": describe(entry, reference)}
    return replace(_answer(redirect_uri, error, mode, state, client, provider), refused=entry)


def describe(entry: Entry, reference: str) -> str:
    """Return the sentence for the portal's developer, with the code to look up and the reference of this request."""
    return f"{entry.description} ({entry.code} {reference})"


def _answer(
    redirect_uri: str,
    parameters: dict[str, str],
    mode: ResponseMode,
    state: str | None,
    client: Client,
    provider: Services,
) -> PortalAnswer:
    if state is not None:
        parameters["state"] = state
    parameters["iss"] = provider.settings.issuer
    if mode in _SIGNED:
        algorithm = client.authorization_response_algorithm or client.id_token_algorithm
        expiry = clock.epoch(clock.now() + _SIGNED_LIFE)
        document = {**parameters, "aud": client.client_id, "exp": expiry}
        parameters = {"response": provider.signing_keys.signer(algorithm).sign(document, typ="JWT")}
    return PortalAnswer(client, redirect_uri, parameters, mode in _POSTED)
