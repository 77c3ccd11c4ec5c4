"""Time limits of the database for tests that ask who wins, not how soon."""

from idp.core import database


def wait_long() -> None:
    """Let statements of this process wait a minute: a race is started in processes of its own, which call this first.

    Twenty of them at one row of a busy machine, or of one that stands still for some seconds, wait longer than a
    citizen may.
    """
    database.STATEMENT_TIMEOUT_MS = database.LOCK_TIMEOUT_MS = 60_000
    database.SQLITE_BUSY_SECONDS = 60.0
