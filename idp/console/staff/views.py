"""The pages about staff.

/console/staff                        who is here, and which invitations wait
/console/staff/invite                 send one
/console/staff/KEY/end                end somebody's work
/console/staff/invitation/KEY         take an invitation back
"""

from uuid import UUID

from flask import Blueprint, Response, request

from idp.citizens.claims import profile_of
from idp.citizens.contact_forms import LONGEST, ContactRefused, canonical
from idp.citizens.models import Citizen
from idp.console.views import HOME, Desk, page, staff_page
from idp.core import clock, errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.keyring import Keyring, SealBroken
from idp.core.web import form_parameters, query_parameters, see_other
from idp.notify.channels import Channel
from idp.sso.forms import FieldError, field_error
from idp.staff import invitations, members
from idp.staff.invitations import UnknownInvitation
from idp.staff.members import LastOwner, OnDuty, UnknownMember
from idp.staff.rights import NATIONAL, Act, Role

blueprint = Blueprint("console_staff", __name__)
_LIST = f"{HOME}/staff"
_DONE = frozenset({"invited", "ended", "withdrawn"})
# Mails in an hour: the console is no way to write to people.
_TRIES, _WINDOW = 20, 3_600


@blueprint.get("/console/staff")
@staff_page(Act.STAFF_READ)
def listed(desk: Desk) -> Response:
    """List the members, and the invitations nobody has accepted yet."""
    can_change = desk.member.may(Act.STAFF_CHANGE)
    keyring = desk.services.keyring
    rows = [
        {
            "name": _name(each, keyring),
            "role": each.role.value,
            "since": clock.on_the_wall(each.joined_at),
            "is_self": each.id == desk.member.id,
            "path": f"{_LIST}/{each.id}/end" if can_change else "",
        }
        for each in members.listed()
    ]
    waiting = [
        {
            "mail": each.mail,
            "role": each.role.value,
            "until": clock.on_the_wall(each.expires_at),
            "path": f"{_LIST}/invitation/{each.id}" if can_change else "",
        }
        for each in invitations.waiting(keyring)
    ]
    done = query_parameters().get("done")
    return page(
        desk,
        "console/staff.html",
        rows=rows,
        waiting=waiting,
        can_change=can_change,
        done=done if done in _DONE else None,
    )


@blueprint.route("/console/staff/invite", methods=["GET", "POST"])
@staff_page(Act.STAFF_CHANGE)
def invite(desk: Desk) -> Response:
    """Ask for an address and a role, and send the mail."""
    posted = form_parameters() if request.method == "POST" else {}
    mail, role = posted.get("mail", "").strip(), posted.get("role", "")
    problems = _problems(desk, mail, role) if request.method == "POST" else []
    if request.method == "POST" and not problems:
        keyring, language = desk.services.keyring, web.current_language()
        invitations.invite(mail, Role(role), language=language, keyring=keyring, by=desk.member.id)
        db.session.commit()
        return see_other(f"{_LIST}?done=invited")
    return page(
        desk,
        "console/staff_invite.html",
        status=400 if problems else 200,
        errors=problems,
        mail=mail[: LONGEST * 2],
        role=role,
        roles=[each.value for each in NATIONAL],
    )


def _problems(desk: Desk, mail: str, role: str) -> list[FieldError]:
    found = []
    try:
        canonical(Channel.MAIL, mail)
    except ContactRefused:
        found.append(field_error("mail", "console.staff.error.mail"))
    if role not in {each.value for each in NATIONAL}:
        found.append(field_error("role", "console.staff.error.role"))
    limiter, member = desk.services.limiter, desk.member.id.hex
    if not found and not limiter.hit("console invite", member, amount=_TRIES, per_seconds=_WINDOW).is_allowed:
        found.append(field_error("", "console.error.throttled"))
    return found


@blueprint.route("/console/staff/<uuid:member_id>/end", methods=["GET", "POST"])
@staff_page(Act.STAFF_CHANGE)
def end(desk: Desk, member_id: UUID) -> Response:
    """Ask whether to end somebody's work, and end it; the last owner stays."""
    ended = next((each for each in members.listed() if each.id == member_id), None)
    if ended is None:
        raise Failure(errors.NOT_FOUND)
    problems = []
    if request.method == "POST":
        try:
            members.end(member_id, by=desk.member.id)
        except UnknownMember:
            db.session.rollback()
            return see_other(_LIST)
        except LastOwner:
            db.session.rollback()
            problems.append(field_error("", "console.staff.error.last-owner"))
        else:
            db.session.commit()
            # Whoever ended themselves finds nothing here any more.
            return see_other("/" if member_id == desk.member.id else f"{_LIST}?done=ended")
    return page(
        desk,
        "console/staff_end.html",
        status=400 if problems else 200,
        errors=problems,
        name=_name(ended, desk.services.keyring),
        role=ended.role.value,
        is_self=member_id == desk.member.id,
    )


@blueprint.route("/console/staff/invitation/<uuid:invitation_id>", methods=["GET", "POST"])
@staff_page(Act.STAFF_CHANGE)
def withdraw(desk: Desk, invitation_id: UUID) -> Response:
    """Ask whether to take an invitation back, and take it back."""
    found = next((each for each in invitations.waiting(desk.services.keyring) if each.id == invitation_id), None)
    if found is None:
        raise Failure(errors.NOT_FOUND)
    if request.method != "POST":
        return page(desk, "console/staff_withdraw.html", mail=found.mail, role=found.role.value)
    try:
        invitations.withdraw(invitation_id, by=desk.member.id)
    except UnknownInvitation:
        db.session.rollback()
        return see_other(_LIST)
    db.session.commit()
    return see_other(f"{_LIST}?done=withdrawn")


def _name(member: OnDuty, keyring: Keyring) -> str:
    """Return a member's name; empty for one whose account was erased."""
    citizen = db.session.get(Citizen, member.citizen_id, populate_existing=True)
    try:
        name = "" if citizen is None else profile_of(citizen, keyring).full_name
    except SealBroken:
        name = ""
    db.session.rollback()
    return name
