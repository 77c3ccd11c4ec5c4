"""Authlib's Flask client, with our metadata, keys, transport and client authentication."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus

import requests
from authlib.integrations.flask_client import FlaskOAuth2App, OAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion
from flask import Flask
from joserfc.jwk import import_key

from clients.agency_login.provider import Provider, bound
from clients.agency_login.refusals import LoginRefused, Refusal


class LienKetClient(FlaskOAuth2App):  # type: ignore[misc]  # Authlib is untyped
    """Drive Authlib's Flask client with our metadata, keys and transport.

    Authlib keeps both for the life of the process, takes the algorithms from the metadata, does not compare the issuer
    with the configured one, and sets no time limit.
    """

    provider: Provider

    def load_server_metadata(self) -> dict[str, Any]:
        """Return the metadata of our provider, in place of Authlib's own fetch."""
        return self.provider.metadata()

    def fetch_jwk_set(self, force: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Authlib's signature
        """Return the keys of our provider, in place of Authlib's own fetch."""
        return {"keys": self.provider.keys(refetch=force)}


class IssuerAssertion(PrivateKeyJWT):  # type: ignore[misc]  # Authlib is untyped
    """Authenticate the client by a signed assertion for the issuer, good for one minute and one use.

    Authlib's own names the token endpoint as audience, lives an hour, and with extra claims repeats its jti.
    Source: FAPI 2.0 Security Profile, 5.3.2.1; RFC 7523, 3.
    """

    def __init__(self, issuer: str, *, kid: str | None) -> None:
        super().__init__()
        self._issuer = issuer
        self._kid = kid

    def sign(self, auth: Any, token_endpoint: str) -> str:
        """Return the assertion; the private key is what Authlib carries as the client secret."""
        key = auth.client_secret
        header = {"typ": "JWT", "alg": "ES256" if key.key_type == "EC" else "PS256"}
        if self._kid:
            header["kid"] = self._kid
        assertion: str = sign_jwt_bearer_assertion(
            key, auth.client_id, self._issuer, subject=auth.client_id, header=header, expires_in=60
        )
        return assertion


def _send_basic(auth: Any, method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """Authenticate by the Authorization header, with id and secret form-encoded first (RFC 6749, 2.3.1).

    Authlib leaves out the encoding; a secret with `%`, `+` or a space would arrive as another one.
    """
    pair = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret)}"
    headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
    return uri, headers, body


def create_client(
    app: Flask,
    provider: Provider,
    *,
    client_id: str,
    credential: str | Mapping[str, Any] | None,
    auth_method: str,
    scope: str,
) -> LienKetClient:
    """Register the client with Authlib; `credential` is a secret, or a private JWK, which means private_key_jwt."""
    methods: list[Any] = [("client_secret_basic", _send_basic)]
    secret: Any = credential
    if isinstance(credential, Mapping):
        secret = import_key(dict(credential))
        auth_method = "private_key_jwt"
        methods = [IssuerAssertion(provider.issuer, kid=credential.get("kid"))]

    def prepare(oauth_session: Any) -> None:
        bound(oauth_session, provider.timeout)
        oauth_session.register_compliance_hook("access_token_response", _check_token_response)

    client: LienKetClient = OAuth(app).register(
        "lienket",
        client_cls=LienKetClient,
        client_id=client_id,
        client_secret=secret,
        client_auth_methods=methods,
        compliance_fix=prepare,
        client_kwargs={
            "scope": scope,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": auth_method,
        },
    )
    client.provider = provider
    return client


def _check_token_response(response: requests.Response) -> requests.Response:
    """Refuse a token answer that is not what RFC 6749, 5.1 or 5.2 describe, before Authlib works with it."""
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise LoginRefused(Refusal.PROVIDER_ERROR, f"the token endpoint: HTTP {response.status_code}")
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        raise LoginRefused(Refusal.PROVIDER_ERROR, "the token endpoint: not JSON") from None
    if not isinstance(answer, dict):
        raise LoginRefused(Refusal.PROVIDER_ERROR, "the token endpoint: not a JSON object")
    if "error" not in answer:
        if response.status_code != HTTPStatus.OK or str(answer.get("token_type")).lower() != "bearer":
            raise LoginRefused(Refusal.PROVIDER_ERROR, "the token endpoint: neither an error nor a bearer token")
        if not all(isinstance(answer.get(name), str) and answer[name] for name in ("access_token", "id_token")):
            raise LoginRefused(Refusal.TOKEN_REFUSED, "the token endpoint: no access token or no ID token")
    return response
