"""Sending what is owed: a notice is taken, put into words, and carried.

    act --owes--> notice --taken with a lease--> letter --> mail server   sent
                    ^                                 5xx, no address      not sent
                    +------ a growing pause --------- else                 given up after a day

One after the other in the runner's thread (core.runner): the server is the operator's own, and a mail a second later
harms nobody.
"""

import json
import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Protocol
from uuid import UUID

from idp.audit.events import Event
from idp.core import clock
from idp.core.database import DatabaseUnavailable, HotPath, Row, as_instant, as_uuid
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.core.settings import Settings
from idp.notify import letter, mail, statements
from idp.notify.mail import Carrier, NotCarried
from idp.notify.models import NoticeState, facts_place
from idp.notify.notices import Notice

log = logging.getLogger("idp.notify")

MAIL = "mail"
PAUSES = (10, 60, 600, 3_600, 10_800, 21_600, 43_200)
"""Seconds between one attempt and the next, a day in all; after the last attempt the notice is given up."""
OLDEST = timedelta(days=1)
_SPARE_SECONDS = 30
_EVENTS = {
    NoticeState.SENT: Event.NOTICE_SENT,
    NoticeState.NOT_SENT: Event.NOTICE_NOT_SENT,
    NoticeState.GIVEN_UP: Event.NOTICE_GIVEN_UP,
}


@dataclass(frozen=True, slots=True)
class Contact:
    """How a citizen is reached: a `mail` address that was proven theirs, or None, and the language they read."""

    mail: str | None = field(repr=False)
    language: str


class Contacts(Protocol):
    """Where a citizen is reached: what notices need of the room of citizens."""

    def of(self, citizen_id: UUID) -> Contact | None:
        """Return the contact of a citizen, None for nobody. Raises DatabaseUnavailable."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A notice that is this worker's until its lease runs out. `attempts` counts the one it was taken for."""

    id: UUID
    citizen_id: UUID
    kind: str
    facts: str
    attempts: int
    created_at: datetime

    @classmethod
    def of(cls, row: Row) -> "Taken":
        """Return the notice in a row of TAKE_DUE."""
        return cls(
            as_uuid(row["id"]),
            as_uuid(row["citizen_id"]),
            row["kind"],
            row["facts"],
            row["attempts"],
            as_instant(row["created_at"]),
        )


class Notices:
    """The sending of notices by one worker process. `carrier` is None where mail goes nowhere."""

    name = "notices"

    def __init__(
        self, *, settings: Settings, keyring: Keyring, hot_path: HotPath, contacts: Contacts, carrier: Carrier | None
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self._hot_path = hot_path
        self._contacts = contacts
        self._carrier = carrier
        self._lease = {"lease": settings.mail_timeout + _SPARE_SECONDS}

    def run_due(self, stop: threading.Event) -> int:
        """Send every notice that is due, until none is or `stop` is set; return how many were tried.

        Raises DatabaseUnavailable.
        """
        tried = 0
        while not stop.is_set() and (taken := self._take_due()) is not None:
            tried += 1
            try:
                self._deliver(taken)
            except DatabaseUnavailable:
                raise
            except Exception:
                # The row is taken again when its lease runs out, and given up in the end.
                log.exception("defect in a notice")
        return tried

    def close(self) -> None:
        """Return at once: nothing is under way beside `run_due`."""

    def _take_due(self) -> Taken | None:
        if self._hot_path.one(statements.ANY_DUE, {}) is None:
            return None
        row = self._hot_path.apply(statements.TAKE_DUE, self._lease)
        return Taken.of(row) if row is not None else None

    def _deliver(self, taken: Taken) -> None:
        if taken.attempts > len(PAUSES) + 1 or taken.created_at < clock.now() - OLDEST:
            # Killed workers and machines that were off: an old notice says that something has just happened.
            self._conclude(taken, NoticeState.GIVEN_UP, "out of time")
            return
        contact = self._contacts.of(taken.citizen_id)
        if contact is None or contact.mail is None:
            self._conclude(taken, NoticeState.NOT_SENT, "no address")
            return
        if self._carrier is None:
            self._conclude(taken, NoticeState.NOT_SENT, "no server")
            return
        try:
            self._carrier.carry(self._message(taken, contact.mail, contact.language))
        except NotCarried as failed:
            if failed.is_final:
                self._conclude(taken, NoticeState.NOT_SENT, failed.outcome)
            else:
                self._put_off(taken, failed.outcome)
        else:
            self._conclude(taken, NoticeState.SENT, "sent", language=contact.language)

    def _message(self, taken: Taken, address: str, language: str) -> EmailMessage:
        facts = json.loads(self._keyring.unseal(taken.facts, facts_place(taken.id)))
        written = letter.compose(
            Notice(taken.kind),
            facts,
            at=taken.created_at,
            language=language,
            service_name=self._settings.service_name,
        )
        return mail.message(written, to=address, sender=self._settings.mail_from, notice_id=taken.id)

    def _put_off(self, taken: Taken, outcome: str) -> None:
        log.warning("notice not sent", extra={"outcome": outcome})
        if taken.attempts > len(PAUSES):
            self._conclude(taken, NoticeState.GIVEN_UP, outcome)
            return
        pause = PAUSES[taken.attempts - 1]
        again = {"id": taken.id, "attempts": taken.attempts, "outcome": outcome, "pause": pause}
        self._hot_path.apply(statements.RETRY, again)

    def _conclude(self, taken: Taken, state: NoticeState, outcome: str, *, language: str | None = None) -> None:
        self._hot_path.apply(
            statements.CONCLUDE,
            {
                "id": taken.id,
                "state": state.value,
                "outcome": outcome,
                "channel": None if language is None else MAIL,
                "language": language,
                "event_id": new_id(),
                "event_name": _EVENTS[state].value,
            },
        )
