"""The job of closing: the notice before the day, the closing on it, and the end of the history that was kept."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from idp.citizens import closing, erasure
from idp.citizens.closing import Closing
from idp.core.database import database_now, db
from idp.oidc import endings
from idp.sso.services import Services

log = logging.getLogger(__name__)

REASON = "closed"
AGAIN = timedelta(hours=1)
"""How long an account that could not be closed is left alone."""


class Closings:
    """What is due for accounts that are closed, by one worker process. `context` gives the application's."""

    name = "closings"
    idle_seconds = 60.0

    def __init__(self, provider: Services, context: Callable[[], AbstractContextManager[Any]]) -> None:
        self._provider = provider
        self._context = context

    def run_due(self, stop: threading.Event) -> int:
        """Do what is due until nothing is or `stop` is set; return for how many accounts.

        A row is held while its work is done, in one transaction: a worker killed in between has done nothing.
        """
        done = 0
        with self._context():
            while not stop.is_set() and (row := closing.take_due()) is not None:
                done += self._try(row)
            db.session.rollback()
        return done

    def _try(self, row: Closing) -> bool:
        citizen_id = row.citizen_id
        try:
            self._step(row)
            db.session.commit()
        except sa.exc.OperationalError:
            # The database is away, or somebody holds the account: the next look finds it again.
            raise
        except Exception:
            # One account that cannot be closed must not keep all others waiting behind it.
            db.session.rollback()
            log.exception("defect in closing an account")
            closing.put_off(citizen_id, AGAIN)
            db.session.commit()
            return False
        return True

    def close(self) -> None:
        """Return at once: nothing is under way beside `run_due`."""

    def _step(self, row: Closing) -> None:
        now = database_now()
        if row.closed_at is not None:
            erasure.forget_history(row.citizen_id)
            row.due_at = None
        elif now < row.closes_at:
            closing.remind(row, keyring=self._provider.keyring)
        else:
            endings.end_everything(row.citizen_id, reason=REASON)
            erasure.erase(row.citizen_id, now=now)
            row.closed_at = now
            row.due_at = now + timedelta(days=self._provider.settings.closed_history_days)
