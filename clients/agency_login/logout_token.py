"""Judge a logout token: LienKet's word that a citizen has signed out elsewhere.

Source: OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6. Verified by python-jose within the bounds that
`id_token.py` explains.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jose import jwt
from jose.exceptions import JOSEError

from clients.agency_login.id_token import ALGORITHMS, CLOCK_TOLERANCE

_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST = 16_384
_DOTS = 2  # header.payload.signature
_KEY_TYPES = {"ES256": "EC", "RS256": "RSA"}
_TYPES = ("logout+jwt", "application/logout+jwt")
_OPTIONS = {
    "require_iss": True,
    "require_aud": True,
    "require_exp": True,
    "require_iat": True,
    "require_jti": True,
    "verify_at_hash": False,
    "leeway": CLOCK_TOLERANCE,
}


class LogoutRefused(Exception):
    """The token ends nothing here; the message names a check and never holds anything of the token."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What has ended: the session `sid` of the citizen, or every session of `sub` when no session is named."""

    sub: str | None
    sid: str | None
    jti: str
    expires_at: int


def read_logout_token(
    token: object, find_key: Callable[[str], Mapping[str, Any] | None], *, issuer: str, client_id: str
) -> Ended:
    """Return what `token` ends, after every check of 2.6, or raise LogoutRefused.

    `find_key` takes a key id and returns the provider's public JWK or None.
    """
    if not isinstance(token, str) or len(token) > _LONGEST or token.count(".") != _DOTS or not token.isascii():
        raise LogoutRefused("not a compact JWS")
    try:
        jwk = _key_for(jwt.get_unverified_header(token), find_key)
        claims: dict[str, Any] = jwt.decode(
            token,
            {"keys": [jwk]},
            algorithms=list(ALGORITHMS),
            audience=client_id,
            issuer=issuer,
            options=dict(_OPTIONS),
        )
    # JOSEError and not JWTError: a key of the wrong type raises JWKError. TypeError: a claim that is null or a list.
    except (JOSEError, TypeError) as error:
        raise LogoutRefused(f"python-jose: {type(error).__name__}") from None
    return _ended(claims)


def _key_for(header: Mapping[str, Any], find_key: Callable[[str], Mapping[str, Any] | None]) -> Mapping[str, Any]:
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ")
    # An ID token is signed with the same key and travels through browsers: it must not sign anybody out.
    if not isinstance(kind, str) or kind.lower() not in _TYPES or "crit" in header:
        raise LogoutRefused("not a logout token")
    if algorithm not in ALGORITHMS or not isinstance(kid, str):
        raise LogoutRefused("not an algorithm of ours, or no kid")
    jwk = find_key(kid)
    if jwk is None or jwk["kty"] != _KEY_TYPES[algorithm] or jwk.get("alg", algorithm) != algorithm:
        raise LogoutRefused("no key of the provider fits")
    return jwk


def _ended(claims: Mapping[str, Any]) -> Ended:
    events, sub, sid = claims.get("events"), claims.get("sub"), claims.get("sid")
    if not isinstance(events, Mapping) or not isinstance(events.get(_EVENT), Mapping):
        raise LogoutRefused("not about a logout")
    if "nonce" in claims:
        raise LogoutRefused("has a nonce")
    if claims["iat"] > time.time() + CLOCK_TOLERANCE:
        raise LogoutRefused("issued in the future")
    named = [value for value in (sub, sid) if value is not None]
    if not named or not all(isinstance(value, str) and value for value in named):
        raise LogoutRefused("names neither sub nor sid")
    if not isinstance(claims["jti"], str) or not claims["jti"]:
        raise LogoutRefused("has no jti")
    return Ended(sub, sid, claims["jti"], int(claims["exp"]))


class SeenTokens:
    """Remembers the `jti` of logout tokens until they expire, in this process; safe to use from several threads."""

    def __init__(self, *, limit: int = 10_000) -> None:
        self._seen: dict[str, int] = {}
        self._limit = limit
        self._lock = threading.Lock()

    def spend(self, ended: Ended) -> bool:
        """Note the token; return False when it was noted before."""
        now = time.time() - CLOCK_TOLERANCE
        with self._lock:
            if len(self._seen) >= self._limit:
                self._seen = {jti: until for jti, until in self._seen.items() if until > now}
            if ended.jti in self._seen or len(self._seen) >= self._limit:
                return False
            self._seen[ended.jti] = ended.expires_at
        return True
