"""The keys as the running provider uses them: one copy in each process, a change seen within five seconds."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from idp.core import clock
from idp.core.database import DatabaseUnavailable, HotPath, as_uuid
from idp.core.keyring import Keyring, Purpose, SealBroken
from idp.keys import jose, signer
from idp.keys.jose import SIGNING_ALGORITHMS, TokenRefused, VerificationKey
from idp.keys.models import READ_NEXT_KEY, READ_REVISION, KeyState
from idp.keys.rotation import place_of
from idp.keys.signer import Signer

FRESH_SECONDS = 5.0

_log = logging.getLogger(__name__)


class NoSigningKey(Exception):
    """There is no active key for the algorithm asked for; `rotation.ensure_keys` makes the first ones."""


@dataclass(frozen=True)
class _Keys:
    revision: object
    signers: Mapping[str, Signer]
    verifiers: tuple[VerificationKey, ...]
    jwks: bytes
    etag: str


class SigningKeys:
    """The signing keys of this process.

    At most one statement every FRESH_SECONDS asks whether anything changed; private keys are unsealed once. While
    the database does not answer, the keys loaded last stay in use. Safe to use from several threads.
    """

    def __init__(self, hot_path: HotPath, keyring: Keyring) -> None:
        self._hot_path = hot_path
        self._keyring = keyring
        self._lock = threading.Lock()
        self._keys: _Keys | None = None
        self._checked = 0.0
        self._loaded: dict[str, Signer] = {}

    def signer(self, algorithm: str) -> Signer:
        """Return the active key for `algorithm`. Raises NoSigningKey, and DatabaseUnavailable before the first load."""
        try:
            return self._current().signers[algorithm]
        except KeyError:
            raise NoSigningKey(algorithm) from None

    def jwks(self) -> bytes:
        """Return the key set to publish, as JSON (RFC 7517, 5): pending, active and retiring keys."""
        return self._current().jwks

    @property
    def etag(self) -> str:
        """Return the entity tag of `jwks`, quoted (RFC 9110, 8.8.3)."""
        return self._current().etag

    def verify(
        self,
        compact: str,
        *,
        algorithms: Collection[str] = SIGNING_ALGORITHMS,
        typ: str | None = None,
        allow_expired: bool = False,
    ) -> dict[str, Any]:
        """Return the claims of a token we signed, such as an `id_token_hint`.

        Issuer and audience are the caller's to compare. Raises TokenRefused; an expired token is refused unless
        `allow_expired`, which OpenID Connect Core 1.0, 3.1.2.1 asks for hints.
        """
        claims = jose.verify(self._current().verifiers, compact, algorithms=algorithms, typ=typ)
        if not allow_expired:
            expiry = claims.get("exp")
            if not isinstance(expiry, int | float) or expiry <= clock.epoch(clock.now()):
                raise TokenRefused("the token has expired")
        return claims

    def _current(self) -> _Keys:
        keys = self._keys
        if keys is not None and time.monotonic() - self._checked < FRESH_SECONDS:
            return keys
        if keys is None:
            with self._lock:
                if self._keys is None:
                    self._keys = self._load()
                    self._checked = time.monotonic()
                return self._keys
        # One thread looks, the others go on with what they have.
        if self._lock.acquire(blocking=False):
            try:
                self._checked = time.monotonic()
                self._refresh(keys)
            except (DatabaseUnavailable, SealBroken) as error:
                _log.warning("keeping the signing keys loaded before", extra={"outcome": type(error).__name__})
            finally:
                self._lock.release()
        return self._keys or keys

    def _refresh(self, keys: _Keys) -> None:
        if self._revision() != keys.revision:
            self._keys = self._load()

    def _revision(self) -> object:
        row = self._hot_path.one(READ_REVISION, {})
        # A sum is a Decimal with one driver and an int with the other.
        return int(row["revision"] or 0) if row is not None else 0

    def _load(self) -> _Keys:
        # First the revision: a change in between is then seen by the next look rather than missed.
        revision = self._revision()
        signers: dict[str, Signer] = {}
        loaded: dict[str, Signer] = {}
        published: list[tuple[int, str, dict[str, Any]]] = []
        kid = ""
        while (row := self._hot_path.one(READ_NEXT_KEY, {"after": kid})) is not None:
            kid = row["kid"]
            jwk: dict[str, Any] = json.loads(row["public"])
            if row["state"] == KeyState.ACTIVE:
                loaded[kid] = self._loaded.get(kid) or self._unseal(row, jwk)
                signers[row["algorithm"]] = loaded[kid]
            published.append((_ORDER.index(row["state"]), kid, jwk))
        self._loaded = loaded
        # The key in use first, for portals that take the first one.
        members = [jwk for _, _, jwk in sorted(published, key=lambda entry: entry[:2])]
        jwks = json.dumps({"keys": members}, separators=(",", ":")).encode()
        return _Keys(
            revision=revision,
            signers=signers,
            verifiers=tuple(key for jwk in members for key in jose.verification_keys(jwk, (jwk["alg"],))),
            jwks=jwks,
            etag=f'"{hashlib.sha256(jwks).hexdigest()[:32]}"',
        )

    def _unseal(self, row: Mapping[str, Any], jwk: Mapping[str, Any]) -> Signer:
        place = place_of(as_uuid(row["id"]).hex)
        return signer.load(self._keyring.unseal(row["private"], place, purpose=Purpose.SIGNING), jwk)


_ORDER = (KeyState.ACTIVE, KeyState.PENDING, KeyState.RETIRING)
