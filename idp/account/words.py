"""How the pages write what a row holds."""

from datetime import datetime

from idp.core.clock import VIETNAM, on_the_wall


def moment(instant: datetime) -> str:
    """Return an instant as a clock on the wall in Viet Nam showed it, to the minute."""
    return on_the_wall(instant)


def day(instant: datetime) -> str:
    """Return the day of an instant in Viet Nam."""
    return instant.astimezone(VIETNAM).strftime("%d/%m/%Y")
