"""Signed authorization requests (JAR, RFC 9101; OpenID Connect Core 1.0, 6.1), by value only.

What the object says counts, and nothing beside it (RFC 9101, 6.3). A `request_uri` that would have to be fetched is
refused elsewhere: the provider never opens an address that a browser brought.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from idp.agencies.clients import Client
from idp.agencies.metadata import Profile
from idp.core import clock, errors
from idp.core.errors import ProtocolFailure
from idp.core.parameters import CONTROL, Parameters
from idp.keys import jose
from idp.keys.jose import TokenRefused
from idp.oidc.client_auth import CLOCK_AHEAD, CLOCK_BEHIND, instant
from idp.sso.services import Services

# FAPI 2.0 Message Signing, 5.3.1.
_LONGEST_LIFE = timedelta(minutes=60)
_TYPES = frozenset({"oauth-authz-req+jwt", "jwt", None})
_NOT_PARAMETERS = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti", "sub"})


def read(
    compact: str, outer: Parameters, client: Client, *, is_backchannel: bool = False, provider: Services
) -> Parameters:
    """Return the parameters inside a request object of `client`. Raises ProtocolFailure.

    It must be signed with a registered key of the client, name the client as issuer and us as audience, and not be
    over; a FAPI 2.0 client must bound its life by `nbf` and `exp`. In a backchannel request every client must, and
    the issuer alone names the client (CIBA Core 1.0, 7.1.1).
    """
    if client.jwks is None and client.jwks_uri is None:
        raise ProtocolFailure(errors.REQUEST_OBJECT_UNSUPPORTED)
    if "request" in outer.repeated:
        raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
    algorithms = client.request_object_algorithms or (
        jose.FAPI_ALGORITHMS if client.profile is Profile.FAPI2 else jose.CLIENT_ALGORITHMS
    )
    try:
        header = jose.read_header(compact)
        claims = provider.client_keys.verified(client, compact, algorithms=algorithms)
    except TokenRefused:
        raise ProtocolFailure(errors.REQUEST_OBJECT_INVALID) from None
    if jose.media_type(header) not in _TYPES:
        # Another kind of token that the client signed, such as a client assertion (RFC 8725, 3.11).
        raise ProtocolFailure(errors.REQUEST_OBJECT_INVALID)
    if is_backchannel:
        claims = {"client_id": client.client_id, **claims}
        if not {"exp", "nbf", "iat", "jti"} <= claims.keys():
            raise ProtocolFailure(errors.REQUEST_OBJECT_UNBOUNDED)
    _check_names(claims, outer, client, provider)
    _check_times(claims, is_bounded=is_backchannel or client.profile is Profile.FAPI2)
    return Parameters(dict(_parameters(claims)), frozenset())


def _check_names(claims: Mapping[str, Any], outer: Parameters, client: Client, provider: Services) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    is_ours = claims.get("iss") == client.client_id and provider.settings.issuer in audiences
    is_one_client = claims.get("client_id") == client.client_id == outer.get("client_id", client.client_id)
    # A request object that could pass for a client assertion would be one (RFC 9101, 10.8).
    is_assertion = claims.get("sub") == client.client_id
    if not is_ours or not is_one_client or is_assertion or "request" in claims or "request_uri" in claims:
        raise ProtocolFailure(errors.REQUEST_OBJECT_INVALID)


def _check_times(claims: Mapping[str, Any], *, is_bounded: bool) -> None:
    now = clock.now()
    times: dict[str, datetime] = {}
    for name in ("exp", "nbf", "iat"):
        if name not in claims:
            continue
        moment = instant(claims[name])
        if moment is None:
            raise ProtocolFailure(errors.REQUEST_OBJECT_INVALID)
        times[name] = moment
    expires_at, not_before = times.get("exp"), times.get("nbf")
    is_over = expires_at is not None and expires_at <= now - CLOCK_BEHIND
    is_early = any(times[name] > now + CLOCK_AHEAD for name in ("nbf", "iat") if name in times)
    if is_over or is_early:
        raise ProtocolFailure(errors.REQUEST_OBJECT_EXPIRED)
    if is_bounded and (
        expires_at is None
        or not_before is None
        or expires_at - not_before > _LONGEST_LIFE
        or now - not_before > _LONGEST_LIFE + CLOCK_BEHIND
    ):
        raise ProtocolFailure(errors.REQUEST_OBJECT_UNBOUNDED)


def _parameters(claims: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the claims that are parameters, as the texts they would be in a query."""
    found = []
    for name, value in claims.items():
        if name in _NOT_PARAMETERS:
            continue
        if isinstance(value, bool) or value is None or isinstance(value, float):
            raise ProtocolFailure(errors.REQUEST_OBJECT_INVALID)
        text = value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict | list) else str(value)
        if not CONTROL.isdisjoint(text) or not _is_text(text):
            raise ProtocolFailure(errors.REQUEST_OBJECT_INVALID)
        if text:
            found.append((name, text))
    return found


def _is_text(text: str) -> bool:
    # JSON can hold half of a surrogate pair, which no database stores.
    return not any("\ud800" <= sign <= "\udfff" for sign in text)
