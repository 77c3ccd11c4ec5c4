"""The keys as the running provider uses them: one copy in each process, a change seen within five seconds."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from idp.core import clock
from idp.core.database import DatabaseUnavailable, HotPath, Row, as_uuid
from idp.core.keyring import Keyring, Purpose, SealBroken
from idp.keys import decryption, jose, signer
from idp.keys.decryption import DecryptionKey
from idp.keys.jose import SIGNING_ALGORITHMS, TokenRefused, VerificationKey
from idp.keys.models import READ_NEXT_KEY, READ_REVISION, KeyState
from idp.keys.rotation import place_of
from idp.keys.signer import Signer

FRESH_SECONDS = 5.0

_log = logging.getLogger(__name__)


class NoSigningKey(Exception):
    """There is no active key for the algorithm asked for; `rotation.ensure_keys` makes the first ones."""


@dataclass(frozen=True)
class KeySet:
    """A key set as it is published: JSON (RFC 7517, 5), and its entity tag, quoted (RFC 9110, 8.8.3)."""

    jwks: bytes
    etag: str

    @classmethod
    def of(cls, members: Iterable[Mapping[str, Any]]) -> Self:
        """Return the set of these public JWKs."""
        jwks = json.dumps({"keys": list(members)}, separators=(",", ":")).encode()
        return cls(jwks, f'"{hashlib.sha256(jwks).hexdigest()[:32]}"')


@dataclass(frozen=True)
class _Keys:
    revision: object
    signers: Mapping[str, Signer]
    verifiers: tuple[VerificationKey, ...]
    openers: tuple[DecryptionKey, ...]
    for_clients: KeySet
    for_providers: KeySet


class SigningKeys:
    """The keys of this process: those it signs with, and those that answers of providers are encrypted to.

    At most one statement every FRESH_SECONDS asks whether anything changed; private keys are unsealed once. While
    the database does not answer, the keys loaded last stay in use. Safe to use from several threads.
    """

    def __init__(self, hot_path: HotPath, keyring: Keyring) -> None:
        self._hot_path = hot_path
        self._keyring = keyring
        self._lock = threading.Lock()
        self._keys: _Keys | None = None
        self._checked = 0.0
        self._loaded: dict[str, Signer | DecryptionKey] = {}

    def signer(self, algorithm: str) -> Signer:
        """Return the active key for `algorithm`. Raises NoSigningKey, and DatabaseUnavailable before the first load."""
        try:
            return self._current().signers[algorithm]
        except KeyError:
            raise NoSigningKey(algorithm) from None

    def jwks(self) -> bytes:
        """Return the key set for clients, as JSON (RFC 7517, 5): pending, active and retiring signing keys."""
        return self._current().for_clients.jwks

    @property
    def etag(self) -> str:
        """Return the entity tag of `jwks`, quoted (RFC 9110, 8.8.3)."""
        return self._current().for_clients.etag

    def for_providers(self) -> KeySet:
        """Return the key set for identity providers: what our assertions verify with, and what to encrypt to.

        A key to encrypt to leaves it when its successor is in use, so that it is forgotten before it is retired.
        """
        return self._current().for_providers

    def opened(self, compact: str, *, alg: str, enc: str) -> str:
        """Return the token inside one that was encrypted to us; as decryption.opened. Raises TokenRefused."""
        return decryption.opened(self._current().openers, compact, alg=alg, enc=enc)

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
        rows: list[tuple[Row, dict[str, Any]]] = []
        kid = ""
        while (row := self._hot_path.one(READ_NEXT_KEY, {"after": kid})) is not None:
            kid = row["kid"]
            rows.append((row, json.loads(row["public"])))
        # The key in use first, for those who take the first one.
        rows.sort(key=lambda entry: (_ORDER.index(entry[0]["state"]), entry[0]["kid"]))
        self._loaded = {row["kid"]: self._used(row, jwk) for row, jwk in rows if _is_used(row, jwk)}
        signing = [jwk for _, jwk in rows if jwk["use"] == "sig"]
        hiding = [jwk for row, jwk in rows if jwk["use"] == "enc" and row["state"] != KeyState.RETIRING]
        return _Keys(
            revision=revision,
            signers={key.algorithm: key for key in self._loaded.values() if not isinstance(key, DecryptionKey)},
            verifiers=tuple(key for jwk in signing for key in jose.verification_keys(jwk, (jwk["alg"],))),
            openers=tuple(key for key in self._loaded.values() if isinstance(key, DecryptionKey)),
            for_clients=KeySet.of(signing),
            for_providers=KeySet.of([*signing, *hiding]),
        )

    def _used(self, row: Row, jwk: Mapping[str, Any]) -> Signer | DecryptionKey:
        if (known := self._loaded.get(row["kid"])) is not None:
            return known
        place = place_of(as_uuid(row["id"]).hex)
        pem = self._keyring.unseal(row["private"], place, purpose=Purpose.SIGNING)
        return signer.load(pem, jwk) if jwk["use"] == "sig" else decryption.load(pem, jwk, row["algorithm"])


_ORDER = (KeyState.ACTIVE, KeyState.PENDING, KeyState.RETIRING)


def _is_used(row: Row, jwk: Mapping[str, Any]) -> bool:
    # An answer may be encrypted to any key that was ever published and is not retired.
    return bool(jwk["use"] == "enc" or row["state"] == KeyState.ACTIVE)
