"""The pages of the agencies, /account/agencies and one below it for each client."""

from typing import Any

from flask import Blueprint, Response, request

from idp.account.agencies import connections
from idp.account.agencies.connections import Connection, Item
from idp.account.agencies.withdrawal import withdraw
from idp.account.views import Here, own_page, page
from idp.account.words import day, moment
from idp.core import web
from idp.core.scopes import OFFLINE_ACCESS
from idp.core.web import form_parameters, see_other, translate

blueprint = Blueprint("agencies", __name__)
PATH = "/account/agencies"


@blueprint.get(PATH)
@own_page
def agencies(here: Here) -> Response:
    """List the clients the citizen is connected to."""
    language, clients = web.current_language(), here.services.clients
    citizen_id = here.standing.citizen_id
    found = [
        (client.name(language), client.agency_name(language), f"{PATH}/{client.client_id}", is_consent)
        for client, is_consent in connections.connections(citizen_id, clients=clients)
    ]
    return page(
        here,
        "account/agencies.html",
        by_consent=sorted((name, agency, url) for name, agency, url, is_consent in found if is_consent),
        by_law=sorted((name, agency, url) for name, agency, url, is_consent in found if not is_consent),
        withdrawn=[
            (each.client.name(language), moment(each.at)) for each in connections.withdrawn(citizen_id, clients=clients)
        ],
    )


@blueprint.route(f"{PATH}/<client_id>", methods=["GET", "POST"])
@own_page
def agency(here: Here, client_id: str) -> Response:
    """Show what is in force with one client, or take it back, whole or in part."""
    language, citizen_id = web.current_language(), here.standing.citizen_id
    client = here.services.clients.find(client_id)
    found = connections.connection(citizen_id, client, language=language) if client is not None else None
    if client is None or found is None:
        # Never connected, or no more: the list says what there is, and not whether such a client exists.
        return see_other(PATH)
    if request.method != "POST":
        return page(
            here, "account/agency.html", **_shown(found, language, here.services.settings.rights_restriction_days)
        )
    form = form_parameters()
    decision, claim = form.get("decision"), form.get("claim")
    if decision == "all" or (decision == "item" and claim):
        chosen = None if decision == "all" else claim
        withdraw(citizen_id, client, chosen, session_id=here.standing.session_id, language=language)
    return see_other(PATH if decision == "all" else request.path)


def _shown(found: Connection, language: str, days: int) -> dict[str, Any]:
    return {
        "name": found.client.name(language),
        "agency": found.client.agency_name(language),
        "is_consent": found.is_consent,
        "since": day(found.since),
        "legal_basis": found.legal_basis,
        "items": [
            (item.claim, _label(item), item.purpose, day(item.since) if item.since else "") for item in found.items
        ],
        "days": days,
        "lasting": [
            (moment(each.given_at), moment(each.used_at) if each.used_at else "", moment(each.expires_at))
            for each in found.lasting
        ],
        "policy_url": found.client.policy_uri(language),
        "tos_url": found.client.tos_uri(language),
        "logo_url": found.client.logo_path,
    }


def _label(item: Item) -> str:
    return translate("history.lasting" if item.claim == OFFLINE_ACCESS else f"claim.{item.claim}")
