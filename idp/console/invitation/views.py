"""Accepting an invitation.

/console/invitation/SECRET    what is offered; whoever signed in with a passkey accepts it by a click

The link signs nobody in. An account needs a confirmed identity: staff must be somebody. The address may be opened in
any order, before and after: what is over says so, and whoever is staff already is told.
"""

import re

from flask import Blueprint, Response, request

from idp.console.views import HOME, Visitor, visitor_here
from idp.core import errors
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.levels import Level
from idp.core.web import render, see_other
from idp.sso.services import services
from idp.staff import invitations, members
from idp.staff.invitations import UnknownInvitation
from idp.staff.members import AlreadyStaff
from idp.staff.rights import Role

blueprint = Blueprint("console_invitation", __name__)
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


@blueprint.route("/console/invitation/<secret>", methods=["GET", "POST"])
def accept(secret: str) -> Response:
    """Show what is offered and to whom it can be given; give it once."""
    visitor = visitor_here(services())
    role = invitations.find(secret) if _SECRET.fullmatch(secret) else None
    if role is None:
        raise Failure(errors.INVITATION_OVER)
    state = _state(visitor)
    if request.method != "POST" or visitor is None or state != "accept":
        return see_other(request.path) if request.method == "POST" else _page(visitor, role, state)
    if not visitor.is_own_form():
        raise Failure(errors.FORM_EXPIRED)
    try:
        invitations.accept(secret, visitor.standing.citizen_id)
    except UnknownInvitation:
        db.session.rollback()
        raise Failure(errors.INVITATION_OVER) from None
    except AlreadyStaff:
        db.session.rollback()
        return see_other(request.path)
    db.session.commit()
    return see_other(f"{HOME}?done=joined")


def _state(visitor: Visitor | None) -> str:
    """Return what the page is about: accept, or what stands in the way."""
    if visitor is None or not visitor.is_with_key:
        return "sign-in"
    if members.on_duty(visitor.standing.citizen_id) is not None:
        return "already"
    return "weak" if visitor.standing.level < Level.LOA2 else "accept"


def _page(visitor: Visitor | None, role: Role, state: str) -> Response:
    return render(
        "console/invitation.html",
        role=role.value,
        state=state,
        action=f"{HOME}/signin" if state == "sign-in" else request.path,
        wanted=request.path,
        csrf="" if visitor is None else visitor.form_token(request.path),
    )
