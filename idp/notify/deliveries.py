"""Sending what is owed: a notice or a code is taken, put into words, and sent on its channel.

    act --owes--> notice --taken with a lease--> letter --> mail server, SMS gateway   sent
                    ^                                 refused, no address              not sent
                    +------ a growing pause --------- else           given up after a day; a code when it is over

One after the other in the runner's thread (core.runner): server and gateway are the operator's own, and a notice a
second later harms nobody. Codes, for which somebody waits, have a runner of their own beside that of the notices.
"""

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from idp.audit.events import Event
from idp.core import clock
from idp.core.database import DatabaseUnavailable, HotPath, Row, as_instant, as_uuid
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.core.settings import Settings
from idp.notify import codes, letter, mail, refusals, sms, statements
from idp.notify.channels import Channel, Letter, NotCarried, Sender
from idp.notify.mail import MailSender
from idp.notify.models import NoticeState, facts_place, recipient_place
from idp.notify.notices import INVITATION_PATH, Notice

log = logging.getLogger("idp.notify")

PAUSES = (10, 60, 600, 3_600, 10_800, 21_600, 43_200)
"""Seconds between one attempt and the next, a day in all; after the last attempt the notice is given up."""
CODE_PAUSES = (1, 3, 10, 30, 60, 120, 240)
"""Seconds between one attempt and the next for a code, which is over after ten minutes."""
OLDEST = timedelta(days=1)
_SPARE_SECONDS = 30
_EVENTS = {
    NoticeState.SENT: Event.NOTICE_SENT,
    NoticeState.NOT_SENT: Event.NOTICE_NOT_SENT,
    NoticeState.GIVEN_UP: Event.NOTICE_GIVEN_UP,
}


@dataclass(frozen=True, slots=True)
class Contact:
    """How a citizen is reached: the addresses that were proven theirs, and the language they read.

    `by_sms`: they chose to be told by text message what others are told by mail.
    """

    mail: str | None = field(repr=False)
    language: str
    phone: str | None = field(default=None, repr=False)
    by_sms: bool = False

    def ways(self, kind: Notice) -> dict[Channel, str]:
        """Return where a notice of `kind` goes, by channel."""
        known = {Channel.MAIL: self.mail, Channel.SMS: self.phone}
        proven = {channel: address for channel, address in known.items() if address is not None}
        if kind.is_for_all_contacts:
            return proven
        chosen = Channel.SMS if self.by_sms and Channel.SMS in proven else Channel.MAIL
        return {channel: address for channel, address in proven.items() if channel is chosen}


class Contacts(Protocol):
    """Where a citizen is reached: what notices need of the room of citizens."""

    def of(self, citizen_id: UUID) -> Contact | None:
        """Return the contact of a citizen, None for nobody. Raises DatabaseUnavailable."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that is this worker's until its lease runs out. `attempts` counts the one it was taken for.

    `recipient` (sealed), with channel and language, for an address that is in no account.
    """

    id: UUID
    citizen_id: UUID | None
    kind: str
    facts: str = field(repr=False)
    recipient: str | None = field(repr=False)
    channel: Channel | None
    language: str | None
    attempts: int
    created_at: datetime
    stale_at: datetime | None

    @classmethod
    def of(cls, row: Row) -> "Taken":
        """Return the notice in a row of TAKE_DUE."""
        return cls(
            as_uuid(row["id"]),
            as_uuid(row["citizen_id"]) if row["citizen_id"] is not None else None,
            row["kind"],
            row["facts"],
            row["recipient"],
            Channel(row["channel"]) if row["channel"] is not None else None,
            row["language"],
            row["attempts"],
            as_instant(row["created_at"]),
            as_instant(row["stale_at"]) if row["stale_at"] is not None else None,
        )

    @property
    def pauses(self) -> tuple[int, ...]:
        """Return the seconds to leave between its attempts."""
        return PAUSES if self.stale_at is None else CODE_PAUSES

    @property
    def is_over(self) -> bool:
        """Tell whether it says nothing any more.

        Killed workers and machines that were off: an old notice says that something has just happened.
        """
        ends_at = self.stale_at or self.created_at + OLDEST
        return self.attempts > len(self.pauses) + 1 or ends_at <= clock.now()


@dataclass(frozen=True, slots=True)
class _Address:
    channel: Channel
    address: str = field(repr=False)
    language: str


def senders_of(settings: Settings) -> dict[Channel, Sender]:
    """Return the channels there are under `settings`. Raises SettingsRefused for credentials that cannot be used."""
    carrier = mail.carrier_of(settings)
    by_mail = None if carrier is None else MailSender(carrier, sender=settings.mail_from)
    found = {Channel.MAIL: by_mail, Channel.SMS: sms.sender_of(settings)}
    return {channel: sender for channel, sender in found.items() if sender is not None}


class Notices:
    """The sending by one worker process: of notices, or of codes where `are_codes`."""

    idle_seconds = 2.0

    def __init__(
        self,
        *,
        settings: Settings,
        keyring: Keyring,
        hot_path: HotPath,
        contacts: Contacts,
        senders: Mapping[Channel, Sender],
        are_codes: bool = False,
    ) -> None:
        self.name = codes.RUNNER if are_codes else "notices"
        self._chosen = {"are_codes": are_codes}
        self._settings = settings
        self._keyring = keyring
        self._hot_path = hot_path
        self._contacts = contacts
        self._senders = senders
        self._lease = {"lease": max(settings.mail_timeout, settings.sms_timeout) + _SPARE_SECONDS}

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
        if self._hot_path.one(statements.ANY_DUE, self._chosen) is None:
            return None
        row = self._hot_path.apply(statements.TAKE_DUE, self._lease | self._chosen)
        return Taken.of(row) if row is not None else None

    def _deliver(self, taken: Taken) -> None:
        if taken.is_over:
            self._conclude(taken, NoticeState.GIVEN_UP, "out of time")
            return
        address = self._address(taken)
        if address is None:
            self._conclude(taken, NoticeState.NOT_SENT, "no address")
            return
        sender = self._senders.get(address.channel)
        if sender is None:
            self._conclude(taken, NoticeState.NOT_SENT, "no server")
            return
        try:
            sender.send(self._letter(taken, address.language), to=address.address, message_id=taken.id)
        except NotCarried as failed:
            if failed.is_final:
                self._conclude(taken, NoticeState.NOT_SENT, failed.outcome)
            else:
                self._put_off(taken, failed.outcome)
        else:
            self._conclude(taken, NoticeState.SENT, "sent", by=address)

    def _address(self, taken: Taken) -> _Address | None:
        """Return where a row goes; where the citizen is reached on several channels, each gets a row first."""
        if taken.recipient is not None and taken.channel is not None:
            address = self._keyring.unseal(taken.recipient, recipient_place(taken.id))
            return _Address(taken.channel, address, taken.language or self._settings.default_language)
        contact = None if taken.citizen_id is None else self._contacts.of(taken.citizen_id)
        if contact is None:
            return None
        ways = contact.ways(Notice(taken.kind))
        if taken.channel is not None:
            ways = {channel: address for channel, address in ways.items() if channel is taken.channel}
        # A channel that this house does not have takes nothing from another that it has.
        ways = {channel: address for channel, address in ways.items() if channel in self._senders} or ways
        if not ways:
            return None
        first, *others = ways
        if taken.channel is None:
            for other in others:
                self._split(taken, first, other)
        return _Address(first, ways[first], contact.language)

    def _split(self, taken: Taken, first: Channel, other: Channel) -> None:
        other_id = new_id()
        facts = self._keyring.unseal(taken.facts, facts_place(taken.id))
        self._hot_path.apply(
            statements.SPLIT,
            {
                "id": taken.id,
                "channel": first.value,
                "other_id": other_id,
                "other_channel": other.value,
                "other_facts": self._keyring.seal(facts, facts_place(other_id)),
            },
        )

    def _letter(self, taken: Taken, language: str) -> Letter:
        facts = json.loads(self._keyring.unseal(taken.facts, facts_place(taken.id)))
        service = self._settings.service_name
        if taken.stale_at is not None:
            return letter.compose_code(codes.purpose_of(taken.kind), facts, language=language, service_name=service)
        kind, not_me = Notice(taken.kind), None
        if kind not in refusals.NOBODYS_ACT:
            not_me = refusals.link(taken.id, issuer=self._settings.issuer, keyring=self._keyring)
        invitation = None
        if kind is Notice.STAFF_INVITED:
            invitation = f"{self._settings.issuer}{INVITATION_PATH}/{facts['invitation']}"
        return letter.compose(
            kind,
            facts,
            at=taken.created_at,
            language=language,
            service_name=service,
            not_me=not_me,
            invitation=invitation,
        )

    def _put_off(self, taken: Taken, outcome: str) -> None:
        log.warning("notice not sent", extra={"outcome": outcome})
        if taken.attempts > len(taken.pauses):
            self._conclude(taken, NoticeState.GIVEN_UP, outcome)
            return
        pause = taken.pauses[taken.attempts - 1]
        again = {"id": taken.id, "attempts": taken.attempts, "outcome": outcome, "pause": pause}
        self._hot_path.apply(statements.RETRY, again)

    def _conclude(self, taken: Taken, state: NoticeState, outcome: str, *, by: _Address | None = None) -> None:
        event = _EVENTS[state]
        if by is not None and by.channel is Channel.SMS:
            # It costs money, and says how many people have nothing better.
            event = Event.SMS_SENT
        self._hot_path.apply(
            statements.CONCLUDE,
            {
                "id": taken.id,
                "state": state.value,
                "outcome": outcome,
                "channel": None if by is None else by.channel.value,
                "language": None if by is None else by.language,
                "event_id": new_id(),
                "event_name": event.value,
            },
        )
