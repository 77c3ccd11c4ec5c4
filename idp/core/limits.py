"""Rate limits: how often one thing may happen to one key within one window.

Owns counting, on Valkey where there is one and in the database otherwise; and, where a statement for each request
would cost more than the request, in the memory of one process. Leaves what is limited, how often, and what
the refusal looks like to the rooms. A limit is never off: when Valkey does not answer within its budget, the database
counts, and when that does not answer either the request fails.

The window opens with the first hit and is fixed. Keys are stored as HMAC, because they may be addresses.
"""

import hashlib
import hmac
import logging
import math
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core import clock
from idp.core.database import Change, DatabaseUnavailable, HotPath, Instant, Model, Query, as_instant

VALKEY_BUDGET_SECONDS = 0.1
# After a failure Valkey is left alone this long, so that an outage costs one budget and not one for every hit.
VALKEY_REST_SECONDS = 5.0
_MOMENT = 0.001
BURST_SECONDS = 5.0
_MOST_BUCKETS = 10_000

_log = logging.getLogger(__name__)


class RateLimit(Model):
    """One open window."""

    __tablename__ = "rate_limit"

    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True, doc="HMAC of what is limited")
    hits: Mapped[int] = mapped_column(sa.Integer)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


EXPIRING = (("rate_limit", "expires_at", 60),)

_OVER = "rate_limit.expires_at <= {now}"

# One statement, so that parallel hits on one key queue at its row and each gets a number of its own.
COUNT_HIT = Change(
    first=f"""
    INSERT INTO rate_limit (digest, hits, expires_at) VALUES (:digest, 1, {{after_window}})
    ON CONFLICT (digest) DO UPDATE SET
        hits = CASE WHEN {_OVER} THEN 1 ELSE rate_limit.hits + 1 END,
        expires_at = CASE WHEN {_OVER} THEN {{after_window}} ELSE rate_limit.expires_at END
    """,  # noqa: S608 (constants of this module only)
    returning=("hits",),
)
READ_WINDOW = Query("SELECT expires_at, {now} AS now FROM rate_limit WHERE digest = :digest AND expires_at > {now}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a hit is within its limit; if not, after how many whole seconds (at least 1) to try again."""

    is_allowed: bool
    retry_after: int


class Counter(Protocol):
    """Counts hits by key (32 bytes) in windows of whole seconds. Both methods raise CounterUnavailable.

    Counting is atomic: n hits on one key in one window, from any number of processes, return the numbers 1 to n.
    """

    def count(self, key: bytes, *, window: int) -> int:
        """Count one hit on `key`, opening a window of `window` seconds if none is open; return its number."""

    def closes_in(self, key: bytes) -> float:
        """Return the seconds until the open window of `key` closes, 0 when none is open."""


class CounterUnavailable(Exception):
    """The store of the counter did not answer in time. The hit may or may not have been counted."""


class SqlCounter:
    """Counts in the table `rate_limit`, by the database's clock."""

    def __init__(self, hot_path: HotPath) -> None:
        self._hot_path = hot_path

    def count(self, key: bytes, *, window: int) -> int:
        """Count one hit on `key` by an upsert that returns its number."""
        try:
            row = self._hot_path.apply(COUNT_HIT, {"digest": key, "window": window})
        except DatabaseUnavailable as error:
            raise CounterUnavailable from error
        assert row is not None  # an upsert always returns its row
        return int(row["hits"])

    def closes_in(self, key: bytes) -> float:
        """Return the seconds until the open window of `key` closes, 0 when none is open."""
        try:
            row = self._hot_path.one(READ_WINDOW, {"digest": key})
        except DatabaseUnavailable as error:
            raise CounterUnavailable from error
        return (as_instant(row["expires_at"]) - as_instant(row["now"])).total_seconds() if row else 0.0


class ValkeyCounter:
    """Counts in Valkey or Redis through the `limits` library, which increments and sets the expiry in one script."""

    def __init__(self, url: str) -> None:
        # Only here, because it costs 0.2 s of every start; redis is an extra besides.
        from limits.errors import StorageError  # noqa: PLC0415
        from limits.storage import storage_from_string  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self._failure = StorageError

        # redis-py's own scheme names; `limits` would ask for another client library for `valkey://`.
        for ours, theirs in (("unix://", "redis+unix://"), ("valkey://", "redis://"), ("valkeys://", "rediss://")):
            if url.startswith(ours):
                url = theirs + url.removeprefix(ours)
        self._storage = storage_from_string(
            url,
            key_prefix="lk",
            wrap_exceptions=True,
            socket_timeout=VALKEY_BUDGET_SECONDS,
            socket_connect_timeout=VALKEY_BUDGET_SECONDS,
            # The library's default tries again with growing pauses, far past the budget.
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # handed on to redis.Redis, typed too narrowly
        )

    def count(self, key: bytes, *, window: int) -> int:
        """Count one hit on `key` by a script that also sets the expiry of a new key."""
        try:
            return cast(int, self._storage.incr(key.hex(), window))
        except self._failure as error:
            raise CounterUnavailable from error

    def closes_in(self, key: bytes) -> float:
        """Return the seconds until the open window of `key` closes, 0 when none is open."""
        try:
            left = cast(float, self._storage.get_expiry(key.hex())) - clock.now().timestamp()
            # A key that does not exist "expires now", by a clock read a moment apart from ours.
            return left if left > _MOMENT else 0.0
        except self._failure as error:
            raise CounterUnavailable from error


class Limiter:
    """Asks the counters in order: the first one that answers decides. Safe to use from several threads."""

    def __init__(self, *counters: Counter, secret: bytes) -> None:
        if not counters:
            raise ValueError("a limiter without a counter would limit nothing")
        self._counters = counters
        self._resting_until = [0.0] * len(counters)
        self._secret = secret

    def hit(self, name: str, key: str, *, amount: int, per_seconds: int) -> Verdict:
        """Count one hit of limit `name` on `key`, of which `amount` are allowed in `per_seconds`.

        Raises DatabaseUnavailable when no counter answers: a limit that cannot be checked is not passed.
        """
        message = f"{name}\0{key}\0{per_seconds}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._secret, message, hashlib.sha256).digest()
        last = len(self._counters) - 1
        for number, counter in enumerate(self._counters):
            if number < last and time.monotonic() < self._resting_until[number]:
                continue
            try:
                is_allowed = counter.count(digest, window=per_seconds) <= amount
                left = 0.0 if is_allowed else counter.closes_in(digest)
            except CounterUnavailable as error:
                _log.warning("a rate-limit counter does not answer", extra={"outcome": type(counter).__name__})
                if number == last:
                    raise DatabaseUnavailable("CounterUnavailable") from error
                self._resting_until[number] = time.monotonic() + VALKEY_REST_SECONDS
                continue
            return Verdict(is_allowed, 0 if is_allowed else max(1, math.ceil(left)))
        raise AssertionError("unreachable")


class Buckets:
    """How often each client may ask this process: as many as `per_second`, after `BURST_SECONDS` of silence so many
    times as much at once. With several processes each allows that. Safe to use from several threads.

    For whoever is known already: each key ever taken from stays until it is full again.
    """

    def __init__(self, per_second: int) -> None:
        self._interval = 1.0 / per_second
        # For each key the moment at which its bucket will be full (GCRA, ITU-T I.371).
        self._full_at: dict[UUID, float] = {}
        self._lock = threading.Lock()

    def take(self, key: UUID) -> bool:
        """Take one from the bucket of `key`; return False when it is empty."""
        now = time.monotonic()
        with self._lock:
            full_at = max(now, self._full_at.get(key, 0.0)) + self._interval
            if full_at > now + BURST_SECONDS:
                return False
            if len(self._full_at) >= _MOST_BUCKETS:
                self._full_at = {each: moment for each, moment in self._full_at.items() if moment > now}
            self._full_at[key] = full_at
        return True


def limiter(hot_path: HotPath, valkey_url: str | None, *, secret: bytes) -> Limiter:
    """Return the limiter of one process: Valkey first when it has an address, then the database."""
    counters: list[Counter] = [ValkeyCounter(valkey_url)] if valkey_url else []
    return Limiter(*counters, SqlCounter(hot_path), secret=secret)
