"""The pages of a logout: the question, and what came of it."""

from flask import Blueprint, Response, request

from idp.core import errors, web
from idp.core.errors import Failure
from idp.core.web import form_parameters, query_parameters, render, see_other
from idp.oidc.logout import request as logout
from idp.sso.services import Services, services
from idp.sso.views import SESSION_COOKIE

blueprint = Blueprint("logout", __name__)


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
        return _signed_out(checked, [])
    return render(
        "oidc/logout.html",
        form_action=web.origin_of(checked.address) if checked.address else None,
        action="/logout/confirm",
        csrf=logout.form_token(sealed, secret, provider.keyring),
        hidden={logout.RESUMED: sealed},
        agencies=logout.agencies_reached(session_id, provider=provider, language=web.current_language()),
        stay_url=checked.client.client_uri if checked.client else None,
    )


@blueprint.post("/logout/confirm")
def confirm_logout() -> Response:
    """End the session and go back to the portal, or say that it has ended."""
    provider = services()
    secret = _session_secret(provider)
    form = form_parameters()
    if logout.RESUMED not in form:
        raise Failure(errors.FORM_EXPIRED)
    checked = logout.check(form, provider=provider)
    web.prefer_languages(checked.ui_locales)
    session_id = logout.open_session(secret, provider=provider)
    if session_id is None:
        # A second click, or a reload: there is nothing left to end, nor a cookie to drop.
        return _signed_out(checked, [])
    if web.is_from_elsewhere() or not logout.is_confirmed(form, secret, provider.keyring):
        raise Failure(errors.FORM_EXPIRED)
    agencies = logout.agencies_reached(session_id, provider=provider, language=web.current_language())
    logout.end(session_id)
    response = _signed_out(checked, agencies)
    web.drop_cookie(response, SESSION_COOKIE, provider.settings)
    return response


@blueprint.get("/logout/confirm")
def confirm_logout_by_address() -> Response:
    """Somebody typed the address or changed the language of the last page: start from the question."""
    return see_other("/logout")


def _signed_out(checked: logout.LogoutRequest, agencies: list[str]) -> Response:
    if checked.location is not None:
        return see_other(checked.location)
    client = checked.client
    return render(
        "oidc/signed_out.html",
        agencies=agencies,
        continue_url=client.client_uri if client else None,
        agency=client.name(web.current_language()) if client else None,
    )
