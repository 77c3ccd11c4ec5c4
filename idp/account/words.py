"""How the pages write what a row holds."""

from datetime import datetime

from idp.core import clock


def moment(instant: datetime) -> str:
    """Return an instant as a clock on the wall in Viet Nam showed it, to the minute."""
    return clock.on_the_wall(instant)


def day(instant: datetime) -> str:
    """Return the day of an instant in Viet Nam."""
    return clock.day(instant)
