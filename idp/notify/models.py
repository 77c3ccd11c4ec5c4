"""The table of what is to be sent: notices, and codes."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Model
from idp.core.keyring import Place


class NoticeState(StrEnum):
    """How far a notice has come. All but the first are final; NOT_SENT was given up at once, its `outcome` says why."""

    PENDING = "pending"
    SENT = "sent"
    NOT_SENT = "not sent"
    GIVEN_UP = "given up"


class OwedNotice(Model):
    """The duty to tell one citizen of one thing that happened, or to send a code to one address.

    Written in the transaction of the act. Whoever takes a row moves `due_at` on by a lease, so that the row of a worker
    that was killed is taken again. For a citizen, address and language are looked up when it is sent, and the address
    is not kept. An address that is in no account (`recipient`) is named in the row, with the language, until it went.
    """

    __tablename__ = "notice"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID | None] = mapped_column(sa.Uuid, index=True, doc="None for somebody without an account")
    kind: Mapped[str] = mapped_column(sa.String(32))
    facts: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON: what the words of this kind need")
    recipient: Mapped[str | None] = mapped_column(sa.Text, doc="Sealed address, None for those of the account")
    channel: Mapped[str | None] = mapped_column(sa.String(16), doc="How it goes; None until that is known")
    language: Mapped[str | None] = mapped_column(sa.String(8), doc="In which language it goes; None until known")
    state: Mapped[str] = mapped_column(sa.String(16))
    outcome: Mapped[str | None] = mapped_column(sa.String(32), doc="Of the last attempt: a word, never an address")
    attempts: Mapped[int] = mapped_column(sa.Integer)
    created_at: Mapped[datetime] = mapped_column(Instant)
    due_at: Mapped[datetime | None] = mapped_column(Instant, index=True, doc="Next attempt; None once finished")
    stale_at: Mapped[datetime | None] = mapped_column(Instant, doc="When its code is over; None for a notice")
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


EXPIRING = (("notice", "expires_at", 0),)


def recipient_place(notice_id: UUID) -> Place:
    """Return where the address of a notice is sealed."""
    return Place(OwedNotice.__tablename__, "recipient", notice_id.hex)


def facts_place(notice_id: UUID) -> Place:
    """Return where the facts of a notice are sealed."""
    return Place(OwedNotice.__tablename__, "facts", notice_id.hex)
