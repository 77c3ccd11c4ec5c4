"""The one door to time.

The database decides whether a one-time thing has expired (see `core.database`); everything else asks here, so
that a reader finds every use of the worker's own clock by searching for this module.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

# One time for everybody in the country, and no summer time: no table of zones is needed.
VIETNAM: Final = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")


def now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return datetime.now(UTC)


def epoch(instant: datetime) -> int:
    """Return `instant` as whole seconds since 1970-01-01T00:00:00Z, the form of every time in a JWT (RFC 7519, 2)."""
    return int(instant.timestamp())


def day(instant: datetime) -> str:
    """Return the day of an instant in Viet Nam."""
    return instant.astimezone(VIETNAM).strftime("%d/%m/%Y")


def on_the_wall(instant: datetime) -> str:
    """Return `instant` as a clock on the wall in Viet Nam showed it, to the minute."""
    return instant.astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M")
