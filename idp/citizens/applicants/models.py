"""Tables of people who have no account yet. Both expire, and hold what was typed sealed."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Model
from idp.core.keyring import Place


class Enrolment(Model):
    """One enrolment under way, bound to the pages of one sign-in. Its key becomes that of the citizen.

    Spent by one statement that empties the draft; the row stays until it expires, for the other half of a double click.
    """

    __tablename__ = "enrolment"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    bound_to: Mapped[UUID] = mapped_column(sa.Uuid, unique=True, doc="The interaction")
    draft: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON, see draft.Draft; empty once spent")
    version: Mapped[int] = mapped_column(sa.Integer, doc="Counts the steps: of two posts at once one is kept")
    spent_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class WaitingEnrolment(Model):
    """An applicant about whom the register has not answered yet, with a proven contact.

    Whoever takes a due row moves `due_at` on by a lease, as with notices.
    """

    __tablename__ = "waiting_enrolment"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    reference: Mapped[str] = mapped_column(sa.String(16), doc="For the telephone; opens nothing")
    index_key_id: Mapped[str] = mapped_column(sa.String(32))
    details_index: Mapped[str] = mapped_column(sa.String(64), index=True, doc="Hex HMAC of all that was declared")
    applicant: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON: what was declared, the contact, the language")
    answer: Mapped[str | None] = mapped_column(sa.Text, doc="Sealed JSON of what the register said; None until then")
    attempts: Mapped[int] = mapped_column(sa.Integer, doc="Of asking, then of telling")
    created_at: Mapped[datetime] = mapped_column(Instant)
    answered_at: Mapped[datetime | None] = mapped_column(Instant)
    due_at: Mapped[datetime | None] = mapped_column(Instant, index=True, doc="Next attempt; None once told")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


EXPIRING = (("enrolment", "expires_at", 0), ("waiting_enrolment", "expires_at", 0))


def draft_place(enrolment_id: UUID) -> Place:
    """Return where the draft of an enrolment is sealed."""
    return Place(Enrolment.__tablename__, "draft", enrolment_id.hex)


def applicant_place(waiting_id: UUID) -> Place:
    """Return where the applicant of a waiting enrolment is sealed."""
    return Place(WaitingEnrolment.__tablename__, "applicant", waiting_id.hex)


def answer_place(waiting_id: UUID) -> Place:
    """Return where the register's answer about a waiting enrolment is sealed."""
    return Place(WaitingEnrolment.__tablename__, "answer", waiting_id.hex)
