"""The life of our keys: made, published before use, active, retiring, retired.

Every act commits by itself, may be called twice, and from several processes at once: the unique `slot` of a key
allows one pending and one active key per algorithm whatever happens in parallel.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from idp.audit.events import Event
from idp.audit.record import record
from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring, Place, Purpose
from idp.keys import decryption, signer
from idp.keys.jose import SIGNING_ALGORITHMS
from idp.keys.models import KeyState, SigningKey

# security.md, 7, "signing".
PUBLISHED_BEFORE_USE = timedelta(hours=24)
KEPT_AFTER_USE = timedelta(hours=48)
LONGEST_USE = timedelta(days=90)
# Keys of the last kinds are there once a provider encrypts with them (OpenID Connect Core 1.0, 10.2.1).
ALGORITHMS = (*SIGNING_ALGORITHMS, *decryption.KINDS)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key and the state it came to."""

    kid: str
    algorithm: str
    state: KeyState


def place_of(row: str) -> Place:
    """Return where the sealed private half of the key with row key `row` (hex) lives."""
    return Place("signing_key", "private", row)


def ensure_keys(keyring: Keyring, algorithms: Collection[str] = SIGNING_ALGORITHMS) -> tuple[KeyChange, ...]:
    """Make an active key for each of `algorithms` that has none; return what was made.

    The first keys are used at once: nobody can have cached a key set before there was one.
    """

    def make_missing(keys: _Keys) -> list[KeyChange]:
        return [
            keys.add(keyring, algorithm, KeyState.ACTIVE)
            for algorithm in algorithms
            if keys.find(algorithm, KeyState.ACTIVE) is None
        ]

    return _in_one_transaction(make_missing)


def rotate(keyring: Keyring, algorithm: str | None = None, *, emergency: bool = False) -> tuple[KeyChange, ...]:
    """Publish a successor for the active key of `algorithm`, or of every algorithm in use.

    It becomes active by `advance` after PUBLISHED_BEFORE_USE; a successor that is waiting already is kept. With
    `emergency` a new key signs at once, and the old and the waiting one leave the key set: tokens they signed stop
    verifying and answers encrypted to them are not opened, which is the point when a private key may be known.
    """

    def publish(keys: _Keys) -> list[KeyChange]:
        changes = []
        in_use = [each for each in ALGORITHMS if each in SIGNING_ALGORITHMS or keys.of(each)]
        for each in (algorithm,) if algorithm else in_use:
            if emergency:
                changes += [keys.move(key, KeyState.RETIRED) for key in keys.of(each)]
                changes.append(keys.add(keyring, each, KeyState.ACTIVE))
            elif keys.find(each, KeyState.ACTIVE) is None:
                # Nobody can have cached a key set without a key, so there is nothing to wait for.
                changes.append(keys.add(keyring, each, KeyState.ACTIVE))
            elif keys.find(each, KeyState.PENDING) is None:
                changes.append(keys.add(keyring, each, KeyState.PENDING))
        return changes

    return _in_one_transaction(publish)


def advance(keyring: Keyring, *, now: datetime | None = None) -> tuple[KeyChange, ...]:
    """Do what is due: publish successors of old keys, activate published ones, retire those out of use.

    `now` is given by tests only.
    """
    instant = now or clock.now()

    def follow_the_clock(keys: _Keys) -> list[KeyChange]:
        changes = []
        for algorithm in ALGORITHMS:
            active = keys.find(algorithm, KeyState.ACTIVE)
            pending = keys.find(algorithm, KeyState.PENDING)
            if pending is not None and pending.created_at + PUBLISHED_BEFORE_USE <= instant:
                if active is not None:
                    changes.append(keys.move(active, KeyState.RETIRING))
                changes.append(keys.move(pending, KeyState.ACTIVE))
            elif pending is None and active is not None and (active.activated_at or instant) + LONGEST_USE <= instant:
                changes.append(keys.add(keyring, algorithm, KeyState.PENDING))
        changes += [
            keys.move(key, KeyState.RETIRED)
            for key in keys.retiring()
            if key.retired_at is not None and key.retired_at + KEPT_AFTER_USE <= instant
        ]
        return changes

    return _in_one_transaction(follow_the_clock, instant)


def all_keys() -> tuple[SigningKey, ...]:
    """Return every key there ever was, oldest first."""
    rows = tuple(db.session.scalars(sa.select(SigningKey).order_by(SigningKey.id)))
    db.session.commit()
    return rows


class _Keys:
    """The keys not yet retired, locked for one transaction."""

    def __init__(self, rows: Iterable[SigningKey], now: datetime) -> None:
        self._rows = list(rows)
        self._now = now

    def of(self, algorithm: str) -> list[SigningKey]:
        return [key for key in self._rows if key.algorithm == algorithm and key.state != KeyState.RETIRED]

    def find(self, algorithm: str, state: KeyState) -> SigningKey | None:
        return next((key for key in self.of(algorithm) if key.state == state), None)

    def retiring(self) -> list[SigningKey]:
        return [key for key in self._rows if key.state == KeyState.RETIRING]

    def add(self, keyring: Keyring, algorithm: str, state: KeyState) -> KeyChange:
        pem, jwk = signer.generate(algorithm)
        row = new_id()
        key = SigningKey(
            id=row,
            kid=jwk["kid"],
            algorithm=algorithm,
            private=keyring.seal(pem, place_of(row.hex), purpose=Purpose.SIGNING),
            public=jwk,
            created_at=self._now,
            version=0,
        )
        db.session.add(key)
        self._rows.append(key)
        record(db.session, Event.KEY_CREATED, detail={"kid": key.kid, "algorithm": algorithm})
        return self.move(key, state)

    def move(self, key: SigningKey, state: KeyState) -> KeyChange:
        key.state = state
        key.slot = f"{state}:{key.algorithm}" if state in (KeyState.PENDING, KeyState.ACTIVE) else None
        key.version += 1
        if state is KeyState.ACTIVE:
            key.activated_at = self._now
            record(db.session, Event.KEY_ACTIVATED, detail={"kid": key.kid, "algorithm": key.algorithm})
        if state in (KeyState.RETIRING, KeyState.RETIRED):
            key.retired_at = key.retired_at or self._now
        if state is KeyState.RETIRED:
            key.private = None
            record(db.session, Event.KEY_RETIRED, detail={"kid": key.kid, "algorithm": key.algorithm})
        # The slot must be free before the next key takes it, and the ORM would order updates by row key.
        db.session.flush()
        return KeyChange(key.kid, key.algorithm, state)


def _in_one_transaction(act: Callable[[_Keys], list[KeyChange]], now: datetime | None = None) -> tuple[KeyChange, ...]:
    for is_last_try in (False, True):
        statement = sa.select(SigningKey).where(SigningKey.state != KeyState.RETIRED).with_for_update()
        try:
            rows = db.session.scalars(statement.execution_options(populate_existing=True)).all()
            changes = act(_Keys(rows, now or clock.now()))
            db.session.commit()
            return tuple(changes)
        except IntegrityError:
            # Another process filled the slot first; what it did is seen by the second look.
            db.session.rollback()
            if is_last_try:
                raise
    raise AssertionError("unreachable")
