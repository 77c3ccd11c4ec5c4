"""The way into the console, and its first page.

    /console            what this member can do
    /console/signin     sign in with the own passkey
    /console/leave      sign out

Every page is guarded by `staff_page`: at each request a living session of a person who is staff now, opened with a
passkey of ours not long ago, and a role with the right for this page. To everybody else there is nothing here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import Blueprint, Response, request

from idp.core import errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.keyring import Purpose
from idp.core.web import form_parameters, query_parameters, render, see_other
from idp.sso import session
from idp.sso.own_pages import own_client, own_request_with_key
from idp.sso.services import Services, services
from idp.sso.situation import Standing, read_standing
from idp.sso.views import SESSION_COOKIE, enter_for_ourselves
from idp.staff import members
from idp.staff.members import OnDuty
from idp.staff.rights import Act

blueprint = Blueprint("console", __name__)
HOME = "/console"
# The address comes back in a form: whatever it says, it leads to a page of this room. Invitations have long names.
_OWN_PATH = re.compile(r"/console(?:/[A-Za-z0-9_-]{1,64}){0,3}")
_FRESH = timedelta(minutes=15)
_LINKS = ((Act.PROVIDERS_READ, "providers"), (Act.STAFF_READ, "staff"))
LONGEST_TEXT = 60_000
"""Characters of a text that is handed back to whoever must sign in again."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person with a living session here, staff or not."""

    services: Services
    standing: Standing

    @property
    def is_with_key(self) -> bool:
        """Tell whether they signed in with a passkey of ours, and not too long ago."""
        return self.standing.is_with_key(within=_FRESH)

    def form_token(self, page: str) -> str:
        """Return the token of the forms on `page`: for this session and that page alone."""
        return self.services.keyring.tag(Purpose.FORM, self._form(page))

    def is_own_form(self) -> bool:
        """Tell whether the form of this request comes from its own page, made for this session."""
        given = form_parameters().get("csrf", "")
        fits = self.services.keyring.fits(Purpose.FORM, self._form(request.path), given)
        return fits and not web.is_from_elsewhere()

    def _form(self, page: str) -> bytes:
        return f"console|{self.standing.session_id}|{page}".encode()


@dataclass(frozen=True, slots=True)
class Desk:
    """A member of staff at work."""

    visitor: Visitor
    member: OnDuty

    @property
    def services(self) -> Services:
        """Return the services of the provider."""
        return self.visitor.services


def visitor_here(provider: Services) -> Visitor | None:
    """Return who is signed in with this browser, None for nobody or an account that cannot be used."""
    secret = request.cookies.get(web.cookie_name(SESSION_COOKIE, provider.settings))
    standing = read_standing(provider.hot_path, secret, own_client(provider.settings))
    if standing is None or not standing.is_active:
        return None
    if standing.locale is not None:
        web.prefer_languages((standing.locale,))
    return Visitor(provider, standing)


def staff_page(act: Act) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Guard a page: serve it to staff with the right for `act` and a fresh passkey, act on its own forms alone."""

    def guard(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def guarded(**arguments: Any) -> Response:
            visitor = visitor_here(services())
            if visitor is None:
                return _sign_in_page(is_again=False)
            member = members.on_duty(visitor.standing.citizen_id)
            if member is None or not member.may(act):
                raise Failure(errors.NOT_FOUND)
            if not visitor.is_with_key:
                return _sign_in_page(is_again=True)
            if request.method == "POST" and not visitor.is_own_form():
                raise Failure(errors.FORM_EXPIRED)
            return view(Desk(visitor, member), **arguments)

        return guarded

    return guard


def page(desk: Desk, template: str, *, status: int = 200, **context: Any) -> Response:
    """Return a page of the console, with what every one of them needs."""
    return render(template, status=status, action=request.path, csrf=desk.visitor.form_token(request.path), **context)


def typed(text: str) -> str:
    """Return a text as it was typed: forms send the end of a line as two characters."""
    return text.replace("\r\n", "\n")


# --- the way in and out -------------------------------------------------------------------------------------------


def _sign_in_page(*, is_again: bool) -> Response:
    """Offer to sign in. What somebody has written for long is handed back, to be copied before."""
    kept = ""
    if request.method == "POST":
        if not web.is_from_elsewhere():
            kept = typed(form_parameters().get("document", ""))[:LONGEST_TEXT]
        if not kept:
            return see_other(request.path)
    return render(
        "console/sign_in.html",
        status=403 if kept else 200,
        action=f"{HOME}/signin",
        wanted=request.path,
        is_again=is_again,
        kept=kept,
    )


@blueprint.post("/console/signin")
def sign_in() -> Response:
    """Open the pages that sign in, anew and with a passkey, for the page of the console that the form names."""
    if web.is_from_elsewhere():
        raise Failure(errors.FORM_EXPIRED)
    provider = services()
    given = form_parameters().get("page", "")
    wanted = given if _OWN_PATH.fullmatch(given) else HOME
    return enter_for_ourselves(own_request_with_key(wanted), provider)


@blueprint.get("/console/signin")
@blueprint.get("/console/leave")
def by_address() -> Response:
    """Somebody typed the address or changed the language of the last page."""
    return see_other(HOME)


@blueprint.post("/console/leave")
@staff_page(Act.HOME)
def leave(desk: Desk) -> Response:
    """Sign the member out."""
    session.end(desk.visitor.standing.session_id, reason="signed out")
    db.session.commit()
    response = see_other("/")
    web.drop_cookie(response, SESSION_COOKIE, desk.services.settings)
    return response


@blueprint.get("/console")
@staff_page(Act.HOME)
def home(desk: Desk) -> Response:
    """Say in which role the member is here, and lead to what they can do."""
    return page(
        desk,
        "console/home.html",
        role=desk.member.role.value,
        links=[(name, f"{HOME}/{name}") for act, name in _LINKS if desk.member.may(act)],
        has_joined=query_parameters().get("done") == "joined",
        leave_csrf=desk.visitor.form_token(f"{HOME}/leave"),
    )
