"""The page of the devices, /account/sessions."""

import hmac
import time
from collections.abc import Iterable
from typing import cast
from uuid import UUID

import flask
from flask import Blueprint, Response

from idp.account.sessions import devices
from idp.account.sessions.devices import Device
from idp.account.views import Here, own_page, page
from idp.account.words import moment
from idp.core import web
from idp.core.keyring import Purpose
from idp.core.web import form_parameters, see_other
from idp.oidc.logout import backchannel, outcome
from idp.oidc.logout.backchannel import WAIT_SECONDS, BackChannel
from idp.sso.services import Services
from idp.sso.views import SESSION_COOKIE

blueprint = Blueprint("sessions", __name__)
PATH = "/account/sessions"
_OTHERS, _EVERYWHERE = "others", "everywhere"


@blueprint.route(PATH, methods=["GET", "POST"])
@own_page
def sessions(here: Here) -> Response:
    """List the devices that are signed in, or sign out of one, of the others, or everywhere."""
    standing = here.standing
    if flask.request.method == "POST":
        return _sign_out(here)
    live = devices.live(standing.citizen_id)
    return page(
        here,
        "account/sessions.html",
        rows=[_shown(here, device) for device in live],
        has_others=any(device.session_id != standing.session_id for device in live),
        ended=[
            (device.device, moment(device.ended_at)) for device in devices.ended(standing.citizen_id) if device.ended_at
        ],
    )


def _shown(here: Here, device: Device) -> dict[str, object]:
    return {
        "device": device.device,
        "network": device.network,
        "opened_at": moment(device.opened_at),
        "level": f"loa{device.level}",
        "is_this": device.session_id == here.standing.session_id,
        "is_shared": device.is_shared,
        "not_me_url": f"/account/history/{device.session_id.hex}",
        "which": _token(here, device.session_id),
    }


def _token(here: Here, session_id: UUID) -> str:
    """Return the name of a session in the forms of this one: no row key leaves the house."""
    message = b"session " + here.standing.session_id.bytes + session_id.bytes
    return here.services.keyring.tag(Purpose.FORM, message)


def _sign_out(here: Here) -> Response:
    standing, which = here.standing, form_parameters().get("which", "")
    if which == _EVERYWHERE:
        tell(devices.end_all(standing.citizen_id), provider=here.services)
        response = see_other("/logout")
        web.drop_cookie(response, SESSION_COOKIE, here.services.settings)
        return response
    if which == _OTHERS:
        tell(devices.end_others(standing.citizen_id, standing.session_id), provider=here.services)
    for device in devices.live(standing.citizen_id):
        is_chosen = hmac.compare_digest(which.encode(), _token(here, device.session_id).encode())
        if is_chosen and device.session_id != standing.session_id:
            tell(devices.end(standing.citizen_id, device.session_id), provider=here.services)
    # A form from before, of another session or of one that has ended meanwhile: the list says what there is.
    return see_other(PATH)


def tell(ended: Iterable[UUID], *, provider: Services) -> None:
    """Try to tell the agencies at once, for a moment in all; who has not heard by then is told by the runner."""
    channel = cast(BackChannel, flask.current_app.extensions[backchannel.EXTENSION])
    deadline = time.monotonic() + WAIT_SECONDS
    for session_id in ended:
        clients = outcome.clients_reached(session_id, provider=provider)
        channel.notify(session_id, clients, within=max(0.0, deadline - time.monotonic()))
