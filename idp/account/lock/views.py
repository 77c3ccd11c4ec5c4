"""The page of the lock, /account/lock, and what is read after it, /account/lock/done."""

from flask import Blueprint, Response, request

from idp.account.sessions.views import tell
from idp.account.views import Here, own_page, page, standing_here
from idp.citizens import locking
from idp.core import web
from idp.core.database import db
from idp.core.web import render, see_other
from idp.oidc import endings
from idp.sso.services import services
from idp.sso.views import SESSION_COOKIE

blueprint = Blueprint("lock", __name__)
PATH = "/account/lock"
DONE = f"{PATH}/done"
REASON = "locked"


@blueprint.route(PATH, methods=["GET", "POST"])
@own_page
def lock(here: Here) -> Response:
    """Say what locking means, or do it: whoever locks is signed out too."""
    if request.method != "POST":
        return page(here, "account/lock.html")
    citizen_id = here.standing.citizen_id
    locking.lock(citizen_id, keyring=here.services.keyring)
    ended = endings.end_everything(citizen_id, reason=REASON)
    db.session.commit()
    tell(ended, provider=here.services)
    response = see_other(DONE)
    web.drop_cookie(response, SESSION_COOKIE, here.services.settings)
    return response


@blueprint.get(DONE)
def done() -> Response:
    """Say that the account is locked, and how it is opened again: the same for everybody, whoever asks."""
    if standing_here(services()) is not None:
        return see_other(PATH)
    return render("account/locked.html")
