"""The pages of a logout: the question, and what came of it."""

from collections.abc import Sequence
from typing import cast

import flask
from flask import Blueprint, Response, request

from idp.agencies.clients import Client
from idp.core import errors, web
from idp.core.errors import Failure
from idp.core.web import form_parameters, query_parameters, render, see_other
from idp.oidc.logout import backchannel, outcome
from idp.oidc.logout import request as logout
from idp.oidc.logout.backchannel import BackChannel
from idp.oidc.logout.outcome import Outcome, Told
from idp.sso.federation import logout as federation
from idp.sso.federation.logout import FarewellForm
from idp.sso.services import Services, services
from idp.sso.views import SESSION_COOKIE

blueprint = Blueprint("logout", __name__)
_HANDLE = "result"
_AGAIN = "again"
# So long the frames have before the browser goes on to the portal.
_FRAME_SECONDS = 4


def _back_channel() -> BackChannel:
    return cast(BackChannel, flask.current_app.extensions[backchannel.EXTENSION])


def _session_secret(provider: Services) -> str | None:
    return request.cookies.get(web.cookie_name(SESSION_COOKIE, provider.settings))


@blueprint.route("/logout", methods=["GET", "POST"])
def logout_endpoint() -> Response:
    """Take a logout request, by GET or POST (RP-Initiated Logout 1.0, 2), and ask the citizen to confirm it."""
    provider = services()
    parameters = form_parameters() if request.method == "POST" else query_parameters()
    checked = logout.check(parameters, provider=provider)
    web.prefer_languages(checked.ui_locales)
    sealed = logout.seal(checked, provider.keyring)
    if request.method == "POST":
        # A cross-site post carries no SameSite=Lax cookie; the redirect to our own page will.
        return see_other(f"/logout?{logout.RESUMED}={sealed}")
    secret = _session_secret(provider)
    session_id = logout.open_session(secret, provider=provider)
    if session_id is None:
        return _nothing_to_end(checked)
    language = web.current_language()
    return render(
        "oidc/logout.html",
        form_action=web.origin_of(checked.address) if checked.address else None,
        action="/logout/confirm",
        csrf=logout.form_token(sealed, secret, provider.keyring),
        hidden={logout.RESUMED: sealed},
        agencies=[client.name(language) for client in outcome.clients_reached(session_id, provider=provider)],
        stay_url=checked.client.client_uri if checked.client else None,
    )


@blueprint.post("/logout/confirm")
def confirm_logout() -> Response:
    """End the session, tell the services, and go back to the portal or to the page that says how it went."""
    provider = services()
    secret = _session_secret(provider)
    form = form_parameters()
    if logout.RESUMED not in form:
        raise Failure(errors.FORM_EXPIRED)
    checked = logout.check(form, provider=provider)
    web.prefer_languages(checked.ui_locales)
    is_confirmed = not web.is_from_elsewhere() and logout.is_confirmed(form, secret, provider.keyring)
    session_id = logout.open_session(secret, provider=provider)
    if session_id is not None and not is_confirmed:
        raise Failure(errors.FORM_EXPIRED)
    if session_id is None and is_confirmed:
        session_id = logout.session_just_ended(secret, provider=provider)
    if session_id is None:
        # A reload, or a post without the cookie: there is nothing left to end, nor a cookie to drop.
        return _nothing_to_end(checked)
    clients = outcome.clients_reached(session_id, provider=provider)
    logout.end(session_id)
    _back_channel().notify(session_id, clients)
    known = outcome.outcome_of(session_id, clients, provider=provider)
    is_all = not known.has_frames and not known.has_open_ends and not federation.has_farewell(session_id)
    if checked.location is not None and is_all:
        response = see_other(checked.location)
    else:
        response = see_other(f"/logout/done?{_HANDLE}={outcome.seal(session_id, checked, provider=provider)}")
    web.drop_cookie(response, SESSION_COOKIE, provider.settings)
    return response


@blueprint.get("/logout/confirm")
def confirm_logout_by_address() -> Response:
    """Somebody typed the address or changed the language of the last page: start from the question."""
    return see_other("/logout")


@blueprint.get("/logout/done")
def done() -> Response:
    """Say which services have confirmed, with frames for those that are told through the browser."""
    provider = services()
    parameters = query_parameters()
    handle = parameters.get(_HANDLE, "")
    found = outcome.unseal(handle, provider=provider)
    if found is None:
        return see_other("/logout")
    session_id, checked = found
    web.prefer_languages(checked.ui_locales)
    clients = outcome.clients_reached(session_id, provider=provider)
    known = outcome.outcome_of(session_id, clients, provider=provider)
    is_first_look = _AGAIN not in parameters
    farewell = federation.farewell(session_id, handle, language=web.current_language(), provider=provider)
    # Only where nothing is left to read or to do (WCAG 2.2.1); the button is there for browsers that do not obey.
    moves_on = checked.location is not None and is_first_look and not known.has_open_ends and farewell is None
    response = _signed_out(
        checked,
        known,
        frames=[(service.client, service.frame) for service in known.services if service.frame and is_first_look],
        again_url=f"/logout/done?{_HANDLE}={handle}&{_AGAIN}=1" if known.number(Told.WAITING) else None,
        moves_on=moves_on,
        farewell=farewell,
    )
    if moves_on:
        response.headers["Refresh"] = f"{_FRAME_SECONDS};url={checked.location}"
    return response


@blueprint.get("/upstream/<slug>/signed-out")
def signed_out_upstream(slug: str) -> Response:
    """Take a browser back from the sign-out of the provider it came by, to the page that says how ours went."""
    handle = query_parameters().get("state", "")
    found = outcome.unseal(handle, provider=services())
    if found is None:
        return see_other("/logout")
    session_id, checked = found
    federation.forget(session_id)
    # A form of ours began this, and one of the provider may have: their policies do not know the portal.
    return web.onward(see_other(checked.location or f"/logout/done?{_HANDLE}={handle}&{_AGAIN}=1"))


def _nothing_to_end(checked: logout.LogoutRequest) -> Response:
    if checked.location is not None:
        return see_other(checked.location)
    return _signed_out(checked, Outcome())


def _signed_out(
    checked: logout.LogoutRequest,
    known: Outcome,
    *,
    frames: Sequence[tuple[Client, str]] = (),
    again_url: str | None = None,
    moves_on: bool = False,
    farewell: FarewellForm | None = None,
) -> Response:
    client, language = checked.client, web.current_language()
    return render(
        "oidc/signed_out.html",
        form_action=web.origin_of(farewell.action) if farewell else None,
        frame_sources=[web.origin_of(address) for _, address in frames],
        frames=[(framed.name(language), address) for framed, address in frames],
        services=[
            (service.client.name(language), service.client.client_uri, service.told) for service in known.services
        ],
        confirmed=known.number(Told.CONFIRMED),
        is_asked=known.number(Told.CONFIRMED, Told.WAITING, Told.UNCONFIRMED) > 0,
        is_waiting=known.number(Told.WAITING) > 0,
        is_left_open=known.number(Told.UNCONFIRMED, Told.UNTOLD) > 0,
        again_url=again_url,
        back_url=checked.location,
        home_url=client.client_uri if client else None,
        agency=client.name(language) if client else None,
        moves_on=moves_on,
        farewell=farewell,
    )
