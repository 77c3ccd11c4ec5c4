"""How the pages write what a row holds."""

from datetime import datetime, timedelta, timezone
from typing import Final

# Viet Nam has one time for everybody and no summer time, so no table of zones is needed.
VIETNAM: Final = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")


def moment(instant: datetime) -> str:
    """Return an instant as a clock on the wall in Viet Nam showed it, to the minute."""
    return instant.astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M")


def day(instant: datetime) -> str:
    """Return the day of an instant in Viet Nam."""
    return instant.astimezone(VIETNAM).strftime("%d/%m/%Y")
