"""The page of the rights, /account/rights, and the form for each that is asked for in words."""

from flask import Blueprint, Response, request

from idp.account.views import Here, own_page, page
from idp.account.words import day
from idp.citizens import rights
from idp.citizens.rights import Asked, Right, TooManyOpen
from idp.core.database import db
from idp.core.web import form_parameters, see_other
from idp.sso.forms import FieldError, field_error

blueprint = Blueprint("rights", __name__)
PATH = "/account/rights"


@blueprint.get(PATH)
@own_page
def overview(here: Here) -> Response:
    """Say which rights there are and how long each takes, and list what was asked for."""
    settings = here.services.settings
    asked = rights.of(here.standing.citizen_id, keyring=here.services.keyring)
    db.session.rollback()
    return page(
        here,
        "account/rights.html",
        answer_days=settings.rights_answer_days,
        rows=[(right.value, f"{PATH}/{right.value}", rights.days_of(right, settings)) for right in Right],
        asked=[_shown(each) for each in asked],
    )


@blueprint.route(f"{PATH}/<right>", methods=["GET", "POST"])
@own_page
def ask(here: Here, right: str) -> Response:
    """Ask for the words of a request, or keep it."""
    if right not in {each.value for each in Right}:
        return see_other(PATH)
    wanted = Right(right)
    if request.method != "POST":
        return _form(here, wanted, "", [])
    # As browsers send line ends; what is said stays as it was typed.
    words = form_parameters().get("words", "").replace("\r\n", "\n").strip()
    if not words:
        return _form(here, wanted, "", [field_error("words", "rights.error.missing")], status=400)
    if len(words) > rights.LONGEST:
        problem = field_error("words", "rights.error.length", most=rights.LONGEST)
        return _form(here, wanted, words, [problem], status=400)
    try:
        rights.ask(
            here.standing.citizen_id,
            wanted,
            words,
            session_id=here.standing.session_id,
            settings=here.services.settings,
            keyring=here.services.keyring,
        )
    except TooManyOpen:
        db.session.rollback()
        problem = field_error("", "rights.error.open", most=rights.MOST_OPEN)
        return _form(here, wanted, words, [problem], status=400)
    db.session.commit()
    return see_other(PATH)


def _form(here: Here, right: Right, words: str, problems: list[FieldError], *, status: int = 200) -> Response:
    settings = here.services.settings
    return page(
        here,
        "account/rights_ask.html",
        status=status,
        right=right.value,
        words=words,
        errors=problems,
        answer_days=settings.rights_answer_days,
        days=rights.days_of(right, settings),
    )


def _shown(asked: Asked) -> dict[str, str]:
    return {
        "right": asked.right.value,
        "state": asked.state.value,
        "reference": asked.reference,
        "asked_on": day(asked.asked_at),
        "answer_due_on": day(asked.answer_due_at),
        "done_due_on": day(asked.done_due_at),
        "answered_on": day(asked.answered_at) if asked.answered_at is not None else "",
        "words": asked.words,
        "answer": asked.answer,
    }
