"""The one door to time.

The database decides whether a one-time thing has expired (see `core.database`); everything else asks here, so
that a reader finds every use of the worker's own clock by searching for this module.
"""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return datetime.now(UTC)


def epoch(instant: datetime) -> int:
    """Return `instant` as whole seconds since 1970-01-01T00:00:00Z, the form of every time in a JWT (RFC 7519, 2)."""
    return int(instant.timestamp())
