"""Protect an agency's own API with LienKet's access tokens: bearer or DPoP-bound, with step-up.

api = AgencyApi(issuer="https://...", resource="https://api.example")            # JWT access tokens
api = AgencyApi(..., client_id="etax-api", client_secret="...")                  # or by introspection

@app.get("/returns")
@api.token_required(scope="idnum", level="loa2", max_age=300)
def returns(): ... api.token.sub ...
"""

from __future__ import annotations

import functools
import logging
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlsplit

import requests
from flask import Response, g, jsonify, request
from flask.typing import ResponseReturnValue

from clients.agency_login import proofs
from clients.agency_login.access_token import AccessToken, TokenRefused, read_introspection, read_jwt
from clients.agency_login.proofs import MemoryReplays, ProofRefused, Replays, check_proof
from clients.agency_login.provider import Provider, bound, is_safe_url
from clients.agency_login.refusals import LoginRefused, Refusal
from clients.agency_login.sessions import rank

log = logging.getLogger("agency_login")

_AUTHORIZATION = re.compile(r"(?i:(bearer|dpop)) +([A-Za-z0-9\-._~+/]+=*)")
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


class AgencyApi:
    """Guard the views of a Flask application.

    `resource` is the identifier the API is registered with at LienKet (`resource_identifiers`), and what `aud` must
    name. `address` is the public origin the API is called at, by default that of `resource`. With
    `client_id` and `client_secret` every token is introspected, at the cost of one call, and stops the moment it is
    revoked; without them it must be a JWT. Raises ValueError for settings that cannot be safe.
    """

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        address: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        replays: Replays | None = None,
        timeout: float = 5.0,
    ) -> None:
        if (client_id is None) != (client_secret is None):
            raise ValueError("give both client_id and client_secret, or neither")
        self.provider = Provider(issuer, timeout=timeout)
        self.resource = resource
        parts = urlsplit(resource if address is None else address)
        self.address = f"{parts.scheme}://{parts.netloc}"
        if not is_safe_url(self.address):
            raise ValueError("address must be https (http only on loopback)")
        self._credentials = None if client_id is None else f"{quote_plus(client_id)}:{quote_plus(client_secret or '')}"
        self._replays = replays or MemoryReplays()

    @property
    def token(self) -> AccessToken:
        """Return the token of the current request; only inside a view under `token_required`."""
        token: AccessToken = g.agency_access_token
        return token

    def token_required(
        self, *, scope: str | None = None, level: str | None = None, max_age: int | None = None
    ) -> Callable[[Callable[..., ResponseReturnValue]], Callable[..., ResponseReturnValue]]:
        """Let a view run only with a good token that has `scope`, for a sign-in that reached `level` within `max_age`
        seconds. Otherwise answers as RFC 6750, 3, RFC 9449, 7.1 and RFC 9470, 3 say, so that the client can step up.
        """
        if level is not None and not rank(level):
            raise ValueError("level must be loa1, loa2 or loa3")
        if scope is not None and not all(_SCOPE.fullmatch(name) for name in scope.split()):
            raise ValueError("scope must be scope names with one blank between two")

        def decorate(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
            @functools.wraps(view)
            def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
                refused = self._refusal(scope, level, max_age)
                return view(*args, **kwargs) if refused is None else refused

            return guarded

        return decorate

    def _refusal(self, scope: str | None, level: str | None, max_age: int | None) -> Response | None:
        """Judge the current request; keep its token, or return what to answer instead."""
        header = request.headers.get("Authorization")
        if not header:
            # No error code for a request that shows nothing (RFC 6750, 3.1).
            both = {"WWW-Authenticate": f'Bearer, DPoP algs="{proofs.ALGORITHM}"'}
            return _answer("token_missing", HTTPStatus.UNAUTHORIZED, both)
        found = _AUTHORIZATION.fullmatch(header)
        if found is None:
            return _refuse("Bearer", "invalid_token", "the Authorization header is not understood")
        scheme = "DPoP" if found[1].lower() == "dpop" else "Bearer"
        try:
            token = self._read(found[2])
            if scheme != token.scheme:
                # A bound token as a bearer token is what a thief has.
                return _refuse(token.scheme, "invalid_token", "the scheme does not fit the token")
            self._check_key(token, found[2])
        except TokenRefused as refused:
            return _refuse(scheme, "invalid_token", str(refused))
        except ProofRefused as refused:
            return _refuse("DPoP", "invalid_dpop_proof", str(refused))
        except LoginRefused as refused:
            log.warning("token not judged: %s", refused)
            # The token may be good: what failed is asking about it.
            return _answer("temporarily_unavailable", HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"})
        if scope is not None and not set(scope.split()) <= token.scopes:
            return _refuse(scheme, "insufficient_scope", demands={"scope": scope})
        is_too_low = level is not None and not token.reaches(level)
        is_too_old = max_age is not None and not token.is_younger_than(max_age)
        if is_too_low or is_too_old:
            # Both demands, so that the client's next authorization request meets both (RFC 9470, 4).
            demands = {"acr_values": level, "max_age": max_age}
            present = {name: str(value) for name, value in demands.items() if value is not None}
            return _refuse(scheme, "insufficient_user_authentication", demands=present)
        g.agency_access_token = token
        return None

    def _read(self, token: str) -> AccessToken:
        if self._credentials is None:
            return read_jwt(token, self.provider.key, issuer=self.provider.issuer, audience=self.resource)
        answer = self._introspect(token)
        return read_introspection(answer, issuer=self.provider.issuer, audience=self.resource)

    def _check_key(self, token: AccessToken, text: str) -> None:
        if token.bound_to is None:
            return
        given = request.headers.getlist("DPoP")
        if len(given) != 1:
            raise ProofRefused("not exactly one proof")
        check_proof(
            given[0],
            method=request.method,
            address=f"{self.address}{request.script_root}{request.path}",
            access_token=text,
            bound_to=token.bound_to,
            replays=self._replays,
        )

    def _introspect(self, token: str) -> dict[str, Any]:
        """Ask LienKet about a token (RFC 7662, 2). Raises LoginRefused."""
        endpoint = self.provider.metadata().get("introspection_endpoint")
        if endpoint is None:
            raise LoginRefused(Refusal.PROVIDER_ERROR, "discovery: introspection_endpoint missing or not https")

        def authorize(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
            # As an auth callable, so that an entry in ~/.netrc cannot replace the header.
            prepared.headers["Authorization"] = "Basic " + b64encode((self._credentials or "").encode()).decode()
            return prepared

        try:
            with bound(requests.Session(), self.provider.timeout) as session:
                response = session.post(
                    endpoint, data={"token": token}, headers={"Accept": "application/json"}, auth=authorize
                )
                response.raise_for_status()
                document = response.json()
        except requests.HTTPError as error:
            raise LoginRefused(Refusal.PROVIDER_ERROR, f"introspection: HTTP {error.response.status_code}") from None
        except requests.JSONDecodeError:
            raise LoginRefused(Refusal.PROVIDER_ERROR, "introspection: not JSON") from None
        except requests.RequestException as error:
            raise LoginRefused(Refusal.PROVIDER_UNREACHABLE, f"introspection: {type(error).__name__}") from None
        if not isinstance(document, dict):
            raise LoginRefused(Refusal.PROVIDER_ERROR, "introspection: not a JSON object")
        return document


def _refuse(
    scheme: str, error: str, cause: str = "demands not met", *, demands: Mapping[str, str] | None = None
) -> Response:
    log.info("%s: %s", error, cause)
    parameters = {"error": error, **(demands or {})}
    if scheme == "DPoP":
        parameters["algs"] = proofs.ALGORITHM
    # Every value is a constant, a level, a number or a scope of the application itself: nothing from the request.
    said = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
    status = HTTPStatus.FORBIDDEN if error == "insufficient_scope" else HTTPStatus.UNAUTHORIZED
    return _answer(error, status, {"WWW-Authenticate": f"{scheme} {said}"})


def _answer(error: str, status: HTTPStatus, headers: dict[str, str]) -> Response:
    response = jsonify(error=error)
    response.status_code = status
    response.headers.update({"Cache-Control": "no-store", **headers})
    return response
