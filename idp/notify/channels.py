"""The channels by which a message reaches a person, and the port through which each is sent."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class Channel(StrEnum):
    """How a person is reached. SMS costs money with each message, and a SIM is more easily taken over than a mailbox:
    it is for those who chose it, or have nothing else."""

    MAIL = "mail"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class Letter:
    """One message in one language: plain text, an HTML document that says the same, and a text message in `short`."""

    language: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    short: str = field(repr=False)


class NotCarried(Exception):
    """A message did not go. `outcome` is a word without any address; `is_final` tells that it never will."""

    def __init__(self, outcome: str, *, is_final: bool = False) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.is_final = is_final


class Sender(Protocol):
    """One channel, as this house sends by it."""

    def send(self, letter: Letter, *, to: str, message_id: UUID) -> None:
        """Send what `letter` says on this channel to the address `to`; raises NotCarried.

        The same message tried again has the same `message_id`.
        """
