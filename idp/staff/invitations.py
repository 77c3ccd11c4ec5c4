"""Invitations: a mail with a link by which somebody with an account becomes staff, once and within three days.

The link shows what is offered and signs nobody in. Spent or withdrawn, an invitation is deleted, and the address with
it: what is left is the member, and the events.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import actor, record
from idp.citizens.contact_forms import canonical
from idp.citizens.models import Citizen, CitizenState
from idp.core.database import Instant, Model, database_now, db
from idp.core.ids import digest, new_id, new_secret
from idp.core.keyring import Keyring, Place
from idp.notify import notices
from idp.notify.channels import Channel
from idp.notify.notices import Addressee, Notice
from idp.staff import members
from idp.staff.members import StaffMember
from idp.staff.rights import NATIONAL, Role

LIFE: Final = timedelta(hours=72)


class StaffInvitation(Model):
    """An invitation that nobody has accepted yet."""

    __tablename__ = "staff_invitation"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True, doc="SHA-256 of the secret in the link")
    role: Mapped[str] = mapped_column(sa.String(32))
    agency: Mapped[str | None] = mapped_column(
        sa.String(64), doc="Slug of the agency to work for; None: national staff"
    )
    mail: Mapped[str] = mapped_column(sa.Text, doc="Sealed address it went to")
    invited_by: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="The member who invited; None at the terminal")
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


EXPIRING = (("staff_invitation", "expires_at", 0),)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An invitation that can still be accepted."""

    id: UUID
    role: Role
    mail: str = field(repr=False)
    expires_at: datetime


class UnknownInvitation(LookupError):
    """There is no such invitation, or no longer."""


def invite(mail: str, role: Role, *, language: str, keyring: Keyring, by: UUID | None = None) -> None:
    """Invite whoever reads `mail` to national staff; the caller commits. `by` is the member who invites.

    The mail is owed in the same transaction. Raises ContactRefused for what is no address, ValueError for the role of
    an agency's staff. Events: invited.
    """
    if role not in NATIONAL:
        raise ValueError(role)
    address, secret, now = canonical(Channel.MAIL, mail), new_secret(), database_now()
    row = StaffInvitation(
        id=(invitation_id := new_id()),
        digest=digest(secret),
        role=role.value,
        agency=None,
        mail=keyring.seal(address, _place(invitation_id)),
        invited_by=by,
        created_at=now,
        expires_at=now + LIFE,
    )
    db.session.add(row)
    notices.owe(
        None,
        Notice.STAFF_INVITED,
        keyring=keyring,
        to=Addressee(Channel.MAIL, address, language),
        invitation=secret,
        role=role.value,
    )
    record(
        db.session,
        Event.STAFF_INVITED,
        detail={"invitation": invitation_id.hex, "role": role.value, **actor(by)},
    )


def find(secret: str) -> Role | None:
    """Return the role an invitation offers, None when it is over; leaves no transaction open. Nothing is used up."""
    role = db.session.scalar(
        sa.select(StaffInvitation.role).where(StaffInvitation.digest == digest(secret), *_can_be_accepted())
    )
    db.session.rollback()
    return None if role is None else Role(role)


def accept(secret: str, citizen_id: UUID) -> UUID:
    """Spend an invitation and make the citizen a member; the caller commits. Return the member's key.

    One statement decides between two who hold the link. Raises UnknownInvitation, and AlreadyStaff, upon which the
    caller rolls back and the invitation stays. Events: joined.
    """
    spent = db.session.execute(
        sa.delete(StaffInvitation)
        .where(StaffInvitation.digest == digest(secret), *_can_be_accepted())
        .returning(StaffInvitation.role, StaffInvitation.invited_by)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if spent is None:
        raise UnknownInvitation
    return members.join(citizen_id, Role(spent.role), by=spent.invited_by)


def withdraw(invitation_id: UUID, *, by: UUID | None = None) -> None:
    """Take an invitation back; the caller commits. Raises UnknownInvitation. Events: withdrawn."""
    gone = db.session.execute(
        sa.delete(StaffInvitation)
        .where(StaffInvitation.id == invitation_id, StaffInvitation.expires_at > database_now())
        .returning(StaffInvitation.role)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if gone is None:
        raise UnknownInvitation
    record(
        db.session,
        Event.STAFF_INVITATION_WITHDRAWN,
        detail={"invitation": invitation_id.hex, "role": gone.role, **actor(by)},
    )


def waiting(keyring: Keyring) -> tuple[Waiting, ...]:
    """Return every invitation that can be accepted, the newest first; leaves no transaction open."""
    rows = db.session.scalars(
        sa.select(StaffInvitation)
        .where(*_can_be_accepted())
        .order_by(StaffInvitation.created_at.desc(), StaffInvitation.id)
    )
    found = tuple(
        Waiting(row.id, Role(row.role), keyring.unseal(row.mail, _place(row.id)), row.expires_at) for row in rows
    )
    db.session.rollback()
    return found


def _can_be_accepted() -> tuple[sa.ColumnElement[bool], ...]:
    """Return what an invitation must be. One whose sender works here no longer is worth nothing: somebody who was ended
    would come back by their own."""
    sender = (
        sa.select(StaffMember.id)
        .join(Citizen, Citizen.id == StaffMember.citizen_id)
        .where(
            StaffMember.id == StaffInvitation.invited_by,
            StaffMember.ended_at.is_(None),
            Citizen.state == CitizenState.ACTIVE,
        )
        .correlate(StaffInvitation)
    )
    return (
        StaffInvitation.expires_at > database_now(),
        sa.or_(StaffInvitation.invited_by.is_(None), sender.exists()),
    )


def _place(invitation_id: UUID) -> Place:
    return Place(StaffInvitation.__tablename__, "mail", invitation_id.hex)
