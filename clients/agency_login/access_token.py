"""Judge an access token that somebody brings to an agency's own API: by its signature, or by asking LienKet.

A JWT (RFC 9068) is verified here with LienKet's published keys and is good until it expires. An opaque token, or one
that must stop the moment it is revoked, is introspected (RFC 7662). Both end in the same `AccessToken`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jose import jwt
from jose.exceptions import JOSEError

from clients.agency_login.id_token import ALGORITHMS, CLOCK_TOLERANCE
from clients.agency_login.sessions import rank

_LONGEST = 16_384
_DOTS = 2  # header.payload.signature
_KEY_TYPES = {"ES256": "EC", "RS256": "RSA"}
# RFC 9068, 4: an ID token or a logout token, signed with the same key, must not open an API.
_TYPES = ("at+jwt", "application/at+jwt")
_TEXTS = ("sub", "client_id")
_OPTIONS = {
    "require_iss": True,
    "require_sub": True,
    "require_aud": True,
    "require_exp": True,
    "require_iat": True,
    "require_jti": True,
    "verify_at_hash": False,
    "leeway": CLOCK_TOLERANCE,
}


class TokenRefused(Exception):
    """The token opens nothing here; the message names a check and never holds anything of the token."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Describe a good access token: whose, for which client, and how the citizen had signed in.

    `sub` is the name under which this API knows the citizen. `bound_to` is the thumbprint of the key that must come
    with the token (`cnf`, `jkt`), or None for a bearer token. `auth_time` is in seconds since 1970, UTC.
    """

    sub: str
    client_id: str
    scopes: frozenset[str]
    acr: str
    auth_time: int | None
    bound_to: str | None
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def scheme(self) -> str:
        """Give the scheme of the Authorization header it must come with (RFC 9449, 7.1)."""
        return "Bearer" if self.bound_to is None else "DPoP"

    def reaches(self, level: str) -> bool:
        """Tell whether the sign-in behind this token proved at least `level` ("loa1" to "loa3")."""
        return rank(self.acr) >= rank(level) > 0

    def is_younger_than(self, seconds: int) -> bool:
        """Tell whether the citizen signed in within the last `seconds`; not when nobody says when that was."""
        return self.auth_time is not None and time.time() - self.auth_time <= seconds


def read_jwt(
    token: str, find_key: Callable[[str], Mapping[str, Any] | None], *, issuer: str, audience: str
) -> AccessToken:
    """Return the token after every check of RFC 9068, 4, or raise TokenRefused.

    `find_key` takes a key id and returns the provider's public JWK or None.
    """
    if len(token) > _LONGEST or token.count(".") != _DOTS or not token.isascii():
        raise TokenRefused("not a compact JWS")
    try:
        header = jwt.get_unverified_header(token)
    except JOSEError as error:
        raise TokenRefused(type(error).__name__) from None
    jwk = _key_for(header, find_key)
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            {"keys": [jwk]},
            algorithms=list(ALGORITHMS),
            audience=audience,
            issuer=issuer,
            options=dict(_OPTIONS),
        )
    # JOSEError and not JWTError: a key of the wrong type raises JWKError. TypeError: a claim that is null or a list.
    except (JOSEError, TypeError) as error:
        raise TokenRefused(f"python-jose: {type(error).__name__}") from None
    if claims["iat"] > time.time() + CLOCK_TOLERANCE:
        raise TokenRefused("issued in the future")
    return _token(claims)


def read_introspection(answer: Mapping[str, Any], *, issuer: str, audience: str) -> AccessToken:
    """Return the token an introspection response describes (RFC 7662, 2.2), or raise TokenRefused.

    `audience` is checked here again, so that a token for another API of the same agency does not work.
    """
    if answer.get("active") is not True:
        raise TokenRefused("not active")
    named = answer.get("aud")
    if answer.get("iss") != issuer or audience not in (named if isinstance(named, list) else [named]):
        raise TokenRefused("for somebody else")
    expiry = answer.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or expiry <= time.time():
        raise TokenRefused("expired")
    return _token(answer)


def _key_for(header: Mapping[str, Any], find_key: Callable[[str], Mapping[str, Any] | None]) -> Mapping[str, Any]:
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in _TYPES or "crit" in header:
        raise TokenRefused("not an access token")
    if algorithm not in ALGORITHMS or not isinstance(kid, str):
        raise TokenRefused("not an algorithm of ours, or no kid")
    jwk = find_key(kid)
    if jwk is None or jwk["kty"] != _KEY_TYPES[algorithm] or jwk.get("alg", algorithm) != algorithm:
        raise TokenRefused("no key of the provider fits")
    return jwk


def _token(claims: Mapping[str, Any]) -> AccessToken:
    if not all(isinstance(claims.get(name), str) and claims[name] for name in _TEXTS):
        raise TokenRefused("sub or client_id is missing")
    scope, auth_time, acr = claims.get("scope", ""), claims.get("auth_time"), claims.get("acr", "")
    has_time = isinstance(auth_time, int) and not isinstance(auth_time, bool)
    return AccessToken(
        sub=claims["sub"],
        client_id=claims["client_id"],
        scopes=frozenset(scope.split()) if isinstance(scope, str) else frozenset(),
        acr=acr if isinstance(acr, str) else "",
        auth_time=auth_time if has_time else None,
        bound_to=_bound_to(claims.get("cnf")),
        claims=claims,
    )


def _bound_to(confirmation: object) -> str | None:
    """Return the thumbprint in `cnf` (RFC 9449, 6). A binding this library cannot check makes the token useless here:
    taking it as a bearer token would undo what the binding is for."""
    if confirmation is None:
        return None
    if isinstance(confirmation, Mapping) and set(confirmation) == {"jkt"} and isinstance(confirmation["jkt"], str):
        return confirmation["jkt"]
    raise TokenRefused("bound in a way that is not checked here")
