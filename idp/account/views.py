"""The way into the citizen's own space, and its first page.

    /account           who is signed in, how sure we are, and what can be done here
    /account/number    the number whole, for whoever asks to see it, and those it replaced
    /account/signin    sign in without any portal, and come back to the page that was asked for

Every page of the room is guarded by `own_page`: it is served to a living session alone, and a form is acted on only
with the token of this session and this page.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import Blueprint, Response, request

from idp.account import overview
from idp.account.words import day, moment
from idp.citizens import assurance, closing
from idp.citizens.credentials import means_of, recovery
from idp.core import errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.keyring import Purpose
from idp.core.levels import Level, Method
from idp.core.web import form_parameters, render, see_other
from idp.sso.own_pages import own_client, own_request
from idp.sso.services import Services, services
from idp.sso.situation import Standing, read_standing
from idp.sso.steps.login import is_of_shut_door
from idp.sso.views import SESSION_COOKIE, enter_for_ourselves

blueprint = Blueprint("account", __name__)
HOME = "/account"
# The address comes back in a form: whatever it says, it leads to a page of this room.
_OWN_PATH = re.compile(r"/account(?:/[a-z0-9-]{1,64}){0,3}")
# Pages that hand out everything at once, or change how to sign in: whoever finds a browser left open must not get them.
_FRESH_PAGES = (
    "/account/apps",
    "/account/close",
    "/account/contacts",
    "/account/data",
    "/account/passkeys",
    "/account/password",
    "/account/providers",
    "/account/recovery",
    "/account/ways",
)
_FRESH = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Here:
    """A citizen on a page of the own space, signed in."""

    services: Services
    standing: Standing

    @property
    def methods(self) -> frozenset[Method]:
        """Return the methods this sign-in used."""
        return self.standing.methods

    def form_token(self, page: str) -> str:
        """Return the token of the forms on `page`: for this session and that page alone."""
        return self.services.keyring.tag(Purpose.FORM, self._form(page))

    def is_token(self, given: str, page: str) -> bool:
        """Tell whether `given` is the token of a form on `page`, in constant time."""
        return self.services.keyring.fits(Purpose.FORM, self._form(page), given)

    def _form(self, page: str) -> bytes:
        return f"account|{self.standing.session_id}|{page}".encode()


def own_page(view: Callable[..., Response]) -> Callable[..., Response]:
    """Guard a page of the own space: serve it to a living session, act on its forms alone, else offer to sign in."""

    @wraps(view)
    def guarded(**arguments: str) -> Response:
        provider = services()
        standing = standing_here(provider)
        if standing is None:
            return _sign_in_page(is_again=False) if request.method == "GET" else see_other(request.path)
        here = Here(provider, standing)
        if standing.locale is not None:
            web.prefer_languages((standing.locale,))
        if _is_for_the_fresh(request.path) and not _is_fresh(here):
            return _again_page(here) if request.method == "GET" else see_other(request.path)
        if request.method == "POST" and not _is_own_form(here):
            raise Failure(errors.FORM_EXPIRED)
        return view(here, **arguments)

    return guarded


def _is_own_form(here: Here) -> bool:
    return not web.is_from_elsewhere() and here.is_token(form_parameters().get("csrf", ""), request.path)


def page(here: Here, template: str, *, status: int = 200, **context: Any) -> Response:
    """Return a page of the own space, with what every one of them needs."""
    return render(template, status=status, action=request.path, csrf=here.form_token(request.path), **context)


def standing_here(provider: Services) -> Standing | None:
    """Return who is signed in with this browser and may be, None for nobody."""
    secret = request.cookies.get(web.cookie_name(SESSION_COOKIE, provider.settings))
    standing = read_standing(provider.hot_path, secret, own_client(provider.settings))
    if standing is not None and standing.is_shared:
        web.keep_no_language()
    if standing is None or not standing.is_active:
        return None
    return None if is_of_shut_door(standing, own_client(provider.settings), provider.providers) else standing


def _is_for_the_fresh(path: str) -> bool:
    return any(path == fresh or path.startswith(f"{fresh}/") for fresh in _FRESH_PAGES)


def _is_fresh(here: Here) -> bool:
    """Tell whether the citizen has just signed in, with two factors where the account has them."""
    standing = here.standing
    # By the factors, not the level: a second factor guards the account of somebody whom no officer has seen yet, too.
    is_enough = assurance.level_at_home(here.methods) >= _needed(here)
    return is_enough and standing.now - standing.authenticated_at <= _FRESH


def _needed(here: Here) -> Level:
    """Return what the pages for the fresh ask for: two factors of an account that has them, usable or not."""
    has = here.methods | means_of(here.standing.citizen_id, even_disabled=True)
    return min(Level.LOA2, assurance.level_at_home(has))


# --- the way in ---------------------------------------------------------------------------------------------------


def _sign_in_page(*, is_again: bool, is_blocked: bool = False) -> Response:
    return render(
        "account/sign_in.html",
        action=f"{HOME}/signin",
        wanted=request.path,
        is_again=is_again,
        is_blocked=is_blocked,
    )


def _again_page(here: Here) -> Response:
    """Ask to sign in again; tell whoever cannot come further by that where to go."""
    usable = assurance.level_at_home(here.methods | means_of(here.standing.citizen_id))
    return _sign_in_page(is_again=True, is_blocked=usable < _needed(here))


@blueprint.post("/account/signin")
def sign_in() -> Response:
    """Open the pages that sign in, for the page of ours that the form names."""
    if web.is_from_elsewhere():
        raise Failure(errors.FORM_EXPIRED)
    provider = services()
    given = form_parameters().get("page", "")
    wanted = given if _OWN_PATH.fullmatch(given) else HOME
    asked = own_request(wanted)
    if _is_for_the_fresh(wanted):
        asked = replace(own_request(wanted, level=Level.LOA2), max_age=int(_FRESH.total_seconds()))
    return enter_for_ourselves(asked, provider)


@blueprint.get("/account/signin")
def sign_in_by_address() -> Response:
    """Somebody typed the address or changed the language of the last page."""
    return see_other(HOME)


# --- the first page -----------------------------------------------------------------------------------------------


@blueprint.get("/account")
@own_page
def home(here: Here) -> Response:
    """Say who is signed in and how sure we are, and lead to everything else."""
    found = overview.read(here.standing, keyring=here.services.keyring)
    left = recovery.left(here.standing.citizen_id) if Method.RECOVERY in here.methods else None
    closes_at = closing.waiting(here.standing.citizen_id)
    db.session.rollback()
    return page(
        here,
        "account/home.html",
        person=found,
        signed_in_at=moment(found.signed_in_at),
        groups=_groups(found),
        is_shared=here.standing.is_shared,
        closes_on=day(closes_at) if closes_at is not None else "",
        keep_csrf=here.form_token("/account/keep"),
        codes_left=left,
    )


def _groups(found: overview.Overview) -> list[tuple[str, list[tuple[str, str, int]]]]:
    """Return the pages of the room under their headings: message id, address, and how many things wait there."""
    return [
        (
            "use",
            [
                ("history", "/account/history", 0),
                ("agencies", "/account/agencies", 0),
                ("sessions", "/account/sessions", 0),
                ("approvals", "/approvals", found.waiting),
            ],
        ),
        (
            "ways",
            [
                ("ways", "/account/ways", 0),
                ("providers", "/account/providers", 0),
                ("contacts", "/account/contacts", 0),
                ("mandates", "/account/mandates", 0),
                ("language", "/account/language", 0),
            ],
        ),
        ("data", [("data", "/account/data", 0), ("rights", "/account/rights", 0)]),
        ("end", [("lock", "/account/lock", 0), ("close", "/account/close", 0)]),
    ]


@blueprint.get("/account/number")
@own_page
def number(here: Here) -> Response:
    """Show the number whole, and those it replaced."""
    found = overview.read(here.standing, keyring=here.services.keyring)
    formers = overview.former_numbers(here.standing.citizen_id, keyring=here.services.keyring)
    return page(here, "account/number.html", person=found, formers=[(text, day(at)) for text, at in formers])
