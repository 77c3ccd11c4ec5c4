"""Check DPoP proofs (RFC 9449, 4.3) at an agency's own API, with python-jose.

python-jose signs and verifies no PS256 and no EdDSA, so proofs are taken with ES256 only; the challenge says so.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from jose import jws
from jose.exceptions import JOSEError

ALGORITHM = "ES256"
SECONDS_AHEAD = 60
SECONDS_OLD = 60
_LONGEST = 8_192
_DOTS = 2
_PUBLIC = ("kty", "crv", "x", "y")
# Members that tell a verifier to fetch, embed or reinterpret (RFC 8725, 3.10).
_FORBIDDEN = frozenset({"crit", "b64", "jku", "x5u", "x5c", "zip", "enc"})
_DEFAULT_PORTS = {"https": 443, "http": 80}


class ProofRefused(Exception):
    """The proof does not fit the request; the message names a check and never holds anything of the proof."""


class Replays(Protocol):
    """Remember proofs that were used.

    `is_new` returns True once for each key, however many threads ask, and may forget it after `until` (seconds since
    1970). An API with several worker processes brings its own, over storage that all of them share.
    """

    def is_new(self, key: str, until: float) -> bool: ...


class MemoryReplays:
    """Remember proofs in this process."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()
        self._swept_at = 0.0

    def is_new(self, key: str, until: float) -> bool:
        """Tell whether `key` comes for the first time, and remember it."""
        now = time.time()
        with self._lock:
            if now - self._swept_at > SECONDS_OLD:
                self._seen = {seen: end for seen, end in self._seen.items() if end > now}
                self._swept_at = now
            if key in self._seen:
                return False
            self._seen[key] = until
            return True


def check_proof(proof: str, *, method: str, address: str, access_token: str, bound_to: str, replays: Replays) -> None:
    """Check that `proof` was made for this request and token by the key the token is bound to.

    `address` is the public address of the request; its query does not matter. Raises ProofRefused.
    """
    header = _header(proof)
    jwk = header.get("jwk")
    if str(header.get("typ")).lower().removeprefix("application/") != "dpop+jwt" or header.get("alg") != ALGORITHM:
        raise ProofRefused("another typ or alg")
    if not _FORBIDDEN.isdisjoint(header) or not isinstance(jwk, Mapping) or not _is_public(jwk):
        raise ProofRefused("the header is not that of a proof")
    public = {name: jwk[name] for name in _PUBLIC}
    try:
        claims = json.loads(jws.verify(proof, {"keys": [public]}, algorithms=[ALGORITHM]))
    except (JOSEError, ValueError, TypeError, RecursionError) as error:
        raise ProofRefused(type(error).__name__) from None
    if _hash(json.dumps(public, separators=(",", ":"), sort_keys=True)) != bound_to:
        raise ProofRefused("another key than the token's")
    if not isinstance(claims, Mapping) or claims.get("htm") != method or claims.get("ath") != _hash(access_token):
        raise ProofRefused("for another method or token")
    if not _is_same_address(claims.get("htu"), address):
        raise ProofRefused("for another address")
    issued_at, jti = claims.get("iat"), claims.get("jti")
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float) or not isinstance(jti, str) or not jti:
        raise ProofRefused("no iat or no jti")
    if not -SECONDS_AHEAD <= int(time.time()) - issued_at <= SECONDS_OLD:
        raise ProofRefused("not made now")
    if not replays.is_new(_hash(f"{bound_to}.{jti}"), time.time() + SECONDS_AHEAD + SECONDS_OLD):
        raise ProofRefused("used before")


def _header(proof: str) -> dict[str, Any]:
    # A comma joins two headers of one name (RFC 9449, 4.3, 1).
    if len(proof) > _LONGEST or proof.count(".") != _DOTS or not proof.isascii() or "," in proof:
        raise ProofRefused("not exactly one compact JWS")
    try:
        header: dict[str, Any] = jws.get_unverified_header(proof)
    except (JOSEError, RecursionError) as error:
        raise ProofRefused(type(error).__name__) from None
    return header


def _is_public(jwk: Mapping[str, Any]) -> bool:
    is_ours = jwk.get("kty") == "EC" and jwk.get("crv") == "P-256" and not {"d", "k"} & set(jwk)
    return is_ours and all(isinstance(jwk.get(name), str) for name in _PUBLIC)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _is_same_address(htu: object, address: str) -> bool:
    if not isinstance(htu, str):
        return False
    try:
        return _comparable(htu) == _comparable(address)
    except ValueError:
        return False


def _comparable(address: str) -> tuple[str, str, int | None, str]:
    """Return an address without query and fragment, with what RFC 3986, 6.2 calls equivalent made equal."""
    parts = urlsplit(address)
    if parts.username is not None or not parts.hostname:
        raise ValueError("not an address")
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme), unquote(parts.path) or "/"
