"""The pages of a citizen's recovery codes.

/account/recovery        how many are left
/account/recovery/new    a new sheet, shown until its owner says that they have it; then the old one ends
"""

from flask import Blueprint, Response, request

from idp.account.sessions import devices
from idp.account.views import Here, own_page, page
from idp.account.words import day
from idp.citizens import assurance
from idp.citizens.assurance import Proofing
from idp.citizens.credentials import recovery
from idp.core import clock
from idp.core.database import db
from idp.core.web import query_parameters, see_other

blueprint = Blueprint("recovery", __name__)
PATH = "/account/recovery"


@blueprint.get(PATH)
@own_page
def state(here: Here) -> Response:
    """Say how many codes are left, and what was just done."""
    left = recovery.left(here.standing.citizen_id)
    db.session.rollback()
    return page(
        here,
        "account/recovery.html",
        left=left,
        is_done=query_parameters().get("done") == "made",
        may_make=_may_make(here),
    )


def _may_make(here: Here) -> bool:
    return assurance.may_enrol(Proofing(here.standing.proofing), here.methods)


@blueprint.route(f"{PATH}/new", methods=["GET", "POST"])
@own_page
def new(here: Here) -> Response:
    """Show a new sheet, or let its codes count and end what the old ones opened."""
    if not _may_make(here):
        return see_other(PATH)
    citizen_id, session_id, keyring = here.standing.citizen_id, here.standing.session_id, here.services.keyring
    had = recovery.has_sheet(citizen_id)
    db.session.rollback()
    if request.method == "POST":
        if not recovery.finish(citizen_id, bound_to=session_id, keyring=keyring):
            # Confirmed by another click, or left open too long: the page says how many count.
            db.session.rollback()
            return see_other(PATH)
        if had:
            # One transaction: whoever came in with a code of the old sheet is out in the moment it ends.
            devices.end_others(citizen_id, session_id)
        db.session.commit()
        return see_other(f"{PATH}?done=made")
    codes = recovery.begin(bound_to=session_id, keyring=keyring)
    return page(here, "account/recovery_new.html", codes=codes, made_on=day(clock.now()), had=had)
