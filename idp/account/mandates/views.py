"""Help at counters, /account/mandates and /account/mandates/ID/end."""

from uuid import UUID

from flask import Blueprint, Response, request

from idp.account.views import Here, own_page, page
from idp.account.words import day, moment
from idp.citizens import counter_acts, mandates
from idp.citizens.mandates import Known
from idp.core import errors
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.web import current_language, query_parameters, see_other
from idp.sso import assisted

blueprint = Blueprint("account_mandates", __name__)
PATH = "/account/mandates"


@blueprint.get(PATH)
@own_page
def listed(here: Here) -> Response:
    """List who may help, and what officers have done."""
    known = mandates.of_citizen(here.standing.citizen_id, keyring=here.services.keyring)
    acts = counter_acts.of_citizen(here.standing.citizen_id)
    db.session.rollback()
    language = current_language()
    return page(
        here,
        "account/mandates.html",
        live=[_row(here, each, language) for each in known if each.is_live],
        ended=[
            (each.counter_name(language), moment(each.ended_at or each.valid_to), each.reference)
            for each in known
            if not each.is_live
        ],
        acts=[(each.act, moment(each.at), each.counter_name(language), each.reference) for each in acts],
        is_done=query_parameters().get("done") == "ended",
    )


def _row(here: Here, known: Known, language: str) -> dict[str, object]:
    found = [here.services.clients.find(client_id) for client_id in known.services]
    return {
        "counter": known.counter_name(language),
        "services": [client.name(language) for client in found if client is not None],
        "is_any": known.is_any,
        "purpose": known.purpose,
        "since": day(known.valid_from),
        "until": day(known.valid_to),
        "reference": known.reference,
        "path": f"{PATH}/{known.id}/end",
    }


@blueprint.route(f"{PATH}/<uuid:mandate_id>/end", methods=["GET", "POST"])
@own_page
def end(here: Here, mandate_id: UUID) -> Response:
    """Ask whether to end a mandate, or end it, and every sign-in under it."""
    citizen_id, keyring = here.standing.citizen_id, here.services.keyring
    known = {each.id: each for each in mandates.of_citizen(citizen_id, keyring=keyring) if each.is_live}
    db.session.rollback()
    if request.method != "POST":
        if mandate_id not in known:
            raise Failure(errors.NOT_FOUND)
        return page(here, "account/mandate_end.html", counter=known[mandate_id].counter_name(current_language()))
    if mandates.end(mandate_id, citizen_id=citizen_id, officer=None, keyring=keyring):
        assisted.end_under(mandate_id, citizen_id)
    db.session.commit()
    return see_other(f"{PATH}?done=ended")
