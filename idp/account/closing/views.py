"""The page of closing, /account/close, and the click that keeps the account, /account/keep."""

import math
from datetime import timedelta

from flask import Blueprint, Response, request

from idp.account.views import HOME, Here, own_page, page
from idp.account.words import day
from idp.citizens import closing
from idp.core.database import database_now, db
from idp.core.web import form_parameters, see_other

blueprint = Blueprint("closing", __name__)
PATH = "/account/close"
KEEP = "/account/keep"
_YEAR = 365.25


@blueprint.route(PATH, methods=["GET", "POST"])
@own_page
def close(here: Here) -> Response:
    """Say what closing means and ask, or say when it will be and offer to keep the account."""
    citizen_id, session_id = here.standing.citizen_id, here.standing.session_id
    wait = timedelta(days=here.services.settings.closing_wait)
    if request.method == "POST":
        if form_parameters().get("decision") == "close":
            closing.ask(citizen_id, session_id=session_id, wait=wait, keyring=here.services.keyring)
        db.session.commit()
        return see_other(PATH)
    closes_at = closing.waiting(citizen_id)
    now = database_now()
    db.session.rollback()
    if closes_at is not None:
        return page(
            here,
            "account/closing.html",
            closes_on=day(closes_at),
            keep_csrf=here.form_token(KEEP),
            days=max(0, math.ceil((closes_at - now) / timedelta(days=1))),
        )
    return page(
        here,
        "account/close.html",
        closes_on=day(now + wait),
        days=wait.days,
        history_years=f"{here.services.settings.closed_history_days / _YEAR:.1f}".removesuffix(".0"),
    )


@blueprint.route(KEEP, methods=["GET", "POST"])
@own_page
def keep(here: Here) -> Response:
    """Take the wish back: one click, without signing in anew, because nothing is lost by it."""
    if request.method == "POST":
        closing.take_back(here.standing.citizen_id, session_id=here.standing.session_id)
        db.session.commit()
    return see_other(HOME)
