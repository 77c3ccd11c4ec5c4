"""Members of staff: citizens with an account here who run the provider; they join by invitation."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import actor, record
from idp.citizens.models import Citizen, CitizenState
from idp.core.database import Instant, Model, database_now, db
from idp.core.ids import new_id
from idp.staff.rights import Act, Role, may


class StaffMember(Model):
    """A citizen's work in one role. Rows stay: what was done is told by them."""

    __tablename__ = "staff_member"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"))
    role: Mapped[str] = mapped_column(sa.String(32))
    agency: Mapped[str | None] = mapped_column(sa.String(64), doc="Slug of the agency worked for; None: national staff")
    joined_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        # One person has one role in national staff at a time.
        sa.Index(
            "ix_staff_member_citizen_id",
            "citizen_id",
            unique=True,
            postgresql_where=sa.text("ended_at IS NULL AND agency IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL AND agency IS NULL"),
        ),
    )


@dataclass(frozen=True, slots=True)
class OnDuty:
    """A member of national staff who may act now."""

    id: UUID
    citizen_id: UUID
    role: Role
    joined_at: datetime

    def may(self, act: Act) -> bool:
        """Tell whether the member's role may do `act`."""
        return may(self.role, act)


class AlreadyStaff(Exception):
    """The person works here already; that must end first."""


class UnknownMember(LookupError):
    """There is no such member at work."""


class LastOwner(Exception):
    """Nobody would be left who can invite staff."""


def on_duty(citizen_id: UUID) -> OnDuty | None:
    """Return the member of national staff that a citizen is now, or None; leaves no transaction open."""
    row = db.session.scalar(sa.select(StaffMember).where(StaffMember.citizen_id == citizen_id, *_at_work()))
    known = None if row is None else _on_duty(row)
    db.session.rollback()
    return known


def listed() -> tuple[OnDuty, ...]:
    """Return every member of national staff at work, the longest first; leaves no transaction open."""
    rows = db.session.scalars(sa.select(StaffMember).where(*_at_work()).order_by(StaffMember.joined_at, StaffMember.id))
    found = tuple(map(_on_duty, rows))
    db.session.rollback()
    return found


def join(citizen_id: UUID, role: Role, *, by: UUID | None) -> UUID:
    """Make a citizen a member from now on; the caller commits. `by` is the member who invited, None at the terminal.

    Raises AlreadyStaff, upon which the caller rolls back. Events: joined.
    """
    working = sa.select(StaffMember.id).where(StaffMember.citizen_id == citizen_id, *_at_work())
    if db.session.scalar(working) is not None:
        raise AlreadyStaff
    member = StaffMember(id=new_id(), citizen_id=citizen_id, role=role.value, agency=None, joined_at=database_now())
    db.session.add(member)
    try:
        db.session.flush()
    except IntegrityError:
        # Two invitations accepted at the same moment.
        raise AlreadyStaff from None
    record(
        db.session,
        Event.STAFF_JOINED,
        citizen_id=citizen_id,
        detail={"member": member.id.hex, "role": role.value, **actor(by)},
    )
    return member.id


def end(member_id: UUID, *, by: UUID | None = None) -> Role:
    """End a member's work and return the role it was; the caller commits. `by` as in `join`.

    Every page asks anew, so nothing is done in their name from this moment. Raises UnknownMember, LastOwner.
    Events: ended.
    """
    # All owners are held, so that two who end each other at once do not leave nobody.
    owners = sa.select(StaffMember.id, StaffMember.citizen_id).where(StaffMember.role == Role.OWNER.value, *_at_work())
    held = db.session.execute(owners.order_by(StaffMember.id).with_for_update()).all()
    ended = db.session.execute(
        sa.update(StaffMember)
        .where(StaffMember.id == member_id, *_at_work())
        .values(ended_at=database_now())
        .returning(StaffMember.citizen_id, StaffMember.role)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if ended is None:
        raise UnknownMember(str(member_id))
    if ended.role == Role.OWNER.value and not _can_act([row.citizen_id for row in held if row.id != member_id]):
        raise LastOwner
    record(
        db.session,
        Event.STAFF_ENDED,
        citizen_id=ended.citizen_id,
        detail={"member": member_id.hex, "role": ended.role, **actor(by)},
    )
    return Role(ended.role)


def _can_act(citizens: list[UUID]) -> bool:
    """Tell whether one of these can sign in: an owner whose account was closed or blocked helps nobody."""
    living = sa.select(Citizen.id).where(Citizen.id.in_(citizens), Citizen.state == CitizenState.ACTIVE).limit(1)
    return db.session.scalar(living) is not None


def _at_work() -> tuple[sa.ColumnElement[bool], ...]:
    return StaffMember.ended_at.is_(None), StaffMember.agency.is_(None)


def _on_duty(row: StaffMember) -> OnDuty:
    return OnDuty(row.id, row.citizen_id, Role(row.role), row.joined_at)
