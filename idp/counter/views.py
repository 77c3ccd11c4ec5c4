"""The way to the officer's desk, and its first pages.

    /counter            what can be done
    /counter/help       lay one's own session aside, to help somebody sign in with this browser
    /counter/history    one's own acts
    /counter/signin     sign in with the own passkey
    /counter/leave      sign out

Every page is guarded by `officer_page`: at each request a living session of a person who is an officer now, opened
with a passkey not long ago. To everybody else there is nothing here, and nothing says that there could be.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import Blueprint, Response, request

from idp.citizens import counter_acts, officers
from idp.citizens.officers import OnDuty
from idp.core import clock, errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.keyring import Purpose
from idp.core.web import form_parameters, query_parameters, render, see_other
from idp.sso import session
from idp.sso.own_pages import own_client, own_request_with_key
from idp.sso.services import Services, services
from idp.sso.situation import Standing, read_standing
from idp.sso.views import OFFICER_COOKIE, SESSION_COOKIE, enter_for_ourselves

blueprint = Blueprint("counter", __name__)
HOME = "/counter"
_OWN_PATH = re.compile(r"/counter(?:/[a-z0-9-]{1,64}){0,3}")
_DONE = frozenset({"mandate-made", "mandate-ended"})


@dataclass(frozen=True, slots=True)
class Desk:
    """An officer at work, and where the secret of their session is kept in this browser."""

    services: Services
    standing: Standing
    officer: OnDuty
    secret: str
    is_aside: bool

    def form_token(self, page: str) -> str:
        """Return the token of the forms on `page`: for this session and that page alone."""
        message = f"counter|{self.standing.session_id}|{page}".encode()
        return self.services.keyring.tag(Purpose.FORM, message)

    def is_throttled(self, act: str, *, amount: int, seconds: int) -> bool:
        """Count one try of this officer at `act`; True when it must not be judged."""
        key = self.officer.id.hex
        return not self.services.limiter.hit(f"counter {act}", key, amount=amount, per_seconds=seconds).is_allowed


def find_desk(provider: Services) -> Desk | None:
    """Return the desk of the officer whose session this browser holds, laid aside or not; None without one.

    Of two the one that can work: whoever signs in again leaves an old session aside.
    """
    found: list[Desk] = []
    for name in (OFFICER_COOKIE, SESSION_COOKIE):
        secret = request.cookies.get(web.cookie_name(name, provider.settings))
        standing = read_standing(provider.hot_path, secret, own_client(provider.settings))
        if secret is None or standing is None or not standing.is_active:
            continue
        officer = officers.on_duty(standing.citizen_id)
        if officer is not None:
            found.append(Desk(provider, standing, officer, secret, is_aside=name == OFFICER_COOKIE))
    return next(filter(is_with_key, found), found[0] if found else None)


def is_with_key(desk: Desk) -> bool:
    """Tell whether the officer has signed in with a passkey of ours, and not too long ago: desks are left open."""
    return desk.standing.is_with_key(within=timedelta(seconds=desk.services.settings.counter_fresh))


def officer_page(view: Callable[..., Response]) -> Callable[..., Response]:
    """Guard a page of the desk: serve it to an officer with a fresh passkey, act on its own forms alone."""

    @wraps(view)
    def guarded(**arguments: Any) -> Response:
        provider = services()
        desk = find_desk(provider)
        if desk is None:
            if _is_anybody(provider):
                raise Failure(errors.NOT_FOUND)
            return _sign_in_page(is_again=False) if request.method == "GET" else see_other(request.path)
        if desk.standing.locale is not None:
            web.prefer_languages((desk.standing.locale,))
        if not is_with_key(desk):
            return _sign_in_page(is_again=True) if request.method == "GET" else see_other(request.path)
        if request.method == "POST" and not _is_own_form(desk):
            raise Failure(errors.FORM_EXPIRED)
        return view(desk, **arguments)

    return guarded


def _is_anybody(provider: Services) -> bool:
    """Tell whether somebody is signed in here who is no officer."""
    secret = request.cookies.get(web.cookie_name(SESSION_COOKIE, provider.settings))
    return read_standing(provider.hot_path, secret, own_client(provider.settings)) is not None


def _is_own_form(desk: Desk) -> bool:
    given = form_parameters().get("csrf", "")
    return not web.is_from_elsewhere() and hmac.compare_digest(given.encode(), desk.form_token(request.path).encode())


def page(desk: Desk, template: str, *, status: int = 200, **context: Any) -> Response:
    """Return a page of the desk, with what every one of them needs."""
    return render(
        template,
        status=status,
        action=request.path,
        csrf=desk.form_token(request.path),
        counter=desk.officer.counter_name(web.current_language()),
        **context,
    )


# --- the way in and out -------------------------------------------------------------------------------------------


def _sign_in_page(*, is_again: bool) -> Response:
    return render("counter/sign_in.html", action=f"{HOME}/signin", wanted=request.path, is_again=is_again)


@blueprint.post("/counter/signin")
def sign_in() -> Response:
    """Open the pages that sign in, anew and with a passkey, for the page of the desk that the form names."""
    if web.is_from_elsewhere():
        raise Failure(errors.FORM_EXPIRED)
    provider = services()
    given = form_parameters().get("page", "")
    wanted = given if _OWN_PATH.fullmatch(given) else HOME
    return enter_for_ourselves(own_request_with_key(wanted), provider)


@blueprint.get("/counter/signin")
@blueprint.get("/counter/leave")
def by_address() -> Response:
    """Somebody typed the address or changed the language of the last page."""
    return see_other(HOME)


@blueprint.post("/counter/leave")
@officer_page
def leave(desk: Desk) -> Response:
    """Sign the officer out, and whoever they have helped in this browser."""
    provider = desk.services
    session.end(desk.standing.session_id, reason="signed out")
    db.session.commit()
    response = see_other("/")
    for name in (OFFICER_COOKIE, SESSION_COOKIE):
        web.drop_cookie(response, name, provider.settings)
    return response


# --- first page, history, helping ---------------------------------------------------------------------------------


@blueprint.get("/counter")
@officer_page
def home(desk: Desk) -> Response:
    """Say where the officer is, and lead to everything else."""
    done = query_parameters().get("done")
    leave_csrf = desk.form_token("/counter/leave")
    return page(desk, "counter/home.html", done=done if done in _DONE else None, leave_csrf=leave_csrf)


@blueprint.get("/counter/history")
@officer_page
def history(desk: Desk) -> Response:
    """List the officer's own acts; citizens are named by the reference alone."""
    lines = counter_acts.of_officer(desk.officer.id)
    db.session.rollback()
    language = web.current_language()
    rows = [
        (line.act, clock.on_the_wall(line.at), line.reference, _service(desk, line.client_id, language))
        for line in lines
    ]
    return page(desk, "counter/history.html", rows=rows)


def _service(desk: Desk, client_id: Any, language: str) -> str:
    client = desk.services.clients.by_row_id(client_id) if client_id is not None else None
    return "" if client is None else client.name(language)


@blueprint.route("/counter/help", methods=["GET", "POST"])
@officer_page
def help_somebody(desk: Desk) -> Response:
    """Lay the officer's session aside, so that the next sign-in in this browser can be the citizen's."""
    if request.method != "POST":
        return page(desk, "counter/help.html", is_ready=desk.is_aside)
    response = see_other("/counter/help")
    if not desk.is_aside:
        settings = desk.services.settings
        web.set_cookie(response, OFFICER_COOKIE, desk.secret, settings)
        web.drop_cookie(response, SESSION_COOKIE, settings)
    return response
