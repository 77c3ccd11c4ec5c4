"""The endpoints of OpenID Connect, and the dispatcher's path of a login.

A view reads parameters, calls one act and answers; JSON errors for portals are made here.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from functools import cache

from flask import Blueprint, Response, request

from idp.agencies.clients import Client
from idp.core import asked, errors, web
from idp.core.errors import Entry, Failure, ProtocolFailure
from idp.core.parameters import Parameters
from idp.core.settings import Settings
from idp.core.web import form_parameters, json_answer, query_parameters, render, see_other
from idp.keys import proof
from idp.keys.certificate import CertificateRefused, from_header
from idp.oidc import authorize, checks, discovery, introspection, pushed, revocation, sender, token, userinfo
from idp.oidc.caller import Caller
from idp.oidc.responses import PortalAnswer, describe, with_error
from idp.sso.request import AuthorizationRequest
from idp.sso.services import Services, services
from idp.sso.views import SESSION_COOKIE, arrive, enter, failure_page, refusal_page

log = logging.getLogger("idp.oidc")
blueprint = Blueprint("oidc", __name__)
MACHINE_PATHS = frozenset(
    {
        "/token",
        "/par",
        "/userinfo",
        "/introspect",
        "/revoke",
        "/jwks",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    }
)
_token_endpoint = token.TokenEndpoint()
# What a proof may be signed with, in a challenge (RFC 9449, 7.1).
_PROOF_ALGORITHMS = f'algs="{" ".join(proof.ALGORITHMS)}"'


def machine_error(entry: Entry) -> Response:
    """Return a failure as the JSON of RFC 6749, 5.2, for whatever went wrong at an endpoint for programs."""
    return _json_error(entry, None, {})


def _json_error(entry: Entry, challenge: str | None, more: Mapping[str, str]) -> Response:
    asked.refuse(entry)
    error = entry.oauth_error or "invalid_request"
    description = describe(entry, web.reference()) if entry.description else f"{entry.code} {web.reference()}"
    headers = {"Pragma": "no-cache", **more}
    if entry in (errors.CLIENT_THROTTLED, errors.DECOUPLED_THROTTLED):
        headers["Retry-After"] = "60"
    if entry is errors.CLIENT_TOO_OFTEN:
        headers["Retry-After"] = "1"
    if entry is errors.TOKEN_MISSING:
        # RFC 6750, 3.1: a request that says nothing about authentication gets no error code.
        headers["WWW-Authenticate"] = f'Bearer realm="userinfo", DPoP realm="userinfo", {_PROOF_ALGORITHMS}'
    elif challenge in ("Bearer", "DPoP"):
        detail = f'error="{error}", error_description="{description}"'
        if challenge == "DPoP":
            detail = f"{detail}, {_PROOF_ALGORITHMS}"
        headers["WWW-Authenticate"] = f'{challenge} realm="userinfo", {detail}'
    elif challenge is not None:
        headers["WWW-Authenticate"] = f'{challenge} realm="token"'
    return json_answer({"error": error, "error_description": description}, entry.status, headers)


@blueprint.errorhandler(ProtocolFailure)
def on_protocol_failure(failure: ProtocolFailure) -> Response:
    """Answer a program whose request was refused."""
    log.info("refused", extra={"code": failure.entry.code, "endpoint": request.endpoint})
    return _json_error(failure.entry, failure.challenge, failure.headers)


def machine_form() -> Parameters:
    """Return the parameters that a program posted. Raises ProtocolFailure, with 413 for too much (RFC 9126, 2.3)."""
    try:
        return form_parameters()
    except Failure as failure:
        is_too_large = failure.entry is errors.REQUEST_TOO_LARGE
        raise ProtocolFailure(failure.entry if is_too_large else errors.FORM_INVALID) from failure


def caller() -> Caller:
    """Return who sends the current request, as far as the transport says it."""
    settings = services().settings
    passed = web.passed_certificate(settings)
    try:
        certificate = None if passed is None else from_header(passed.header)
    except CertificateRefused:
        log.warning("the proxy passed something that is no certificate", extra={"endpoint": request.endpoint})
        certificate = None
    origin = settings.mtls_origin if settings.mtls_origin and web.is_for_certificates(settings) else settings.issuer
    # Werkzeug would walk over all headers of the request. Several of one name come joined by a comma.
    environ = request.environ
    proof_header = environ.get("HTTP_DPOP")
    return Caller(
        method=request.method,
        address=origin + request.path,
        authorization=environ.get("HTTP_AUTHORIZATION"),
        proofs=() if proof_header is None else (proof_header,),
        certificate=certificate,
        is_certificate_verified=certificate is not None and passed is not None and passed.is_verified,
    )


def _session_secret(provider: Services) -> str | None:
    return request.cookies.get(web.cookie_name(SESSION_COOKIE, provider.settings))


# --- authorization ----------------------------------------------------------------------------------------------


@blueprint.route("/authorize", methods=["GET", "POST"])
def authorization() -> Response:
    """Take an authorization request, by GET or POST (OpenID Connect Core 1.0, 3.1.2.1)."""
    provider = services()
    parameters = form_parameters() if request.method == "POST" else query_parameters()
    web.prefer_languages(tuple(parameters.get("ui_locales", "").split()))
    draft = checks.Draft(parameters, provider)
    try:
        checked, client = _checked(draft, provider)
    except ProtocolFailure as failure:
        log.info(
            "refused", extra={"code": failure.entry.code, "endpoint": "authorize", "client": draft.client.client_id}
        )
        return portal_answer(_refusal(draft, failure.entry, provider))
    secret = _session_secret(provider)
    if request.method == "POST" and secret is None:
        # A cross-site post carries no SameSite=Lax cookie; the redirect to the pages will.
        outcome: authorize.ToPortal | authorize.ToPages = authorize.open_pages(checked, client, provider=provider)
    else:
        outcome = authorize.begin(checked, client, secret, provider=provider, reference=web.reference())
    if isinstance(outcome, authorize.ToPortal):
        return portal_answer(outcome.answer)
    return enter(outcome.opened, provider)


def _checked(draft: checks.Draft, provider: Services) -> tuple[AuthorizationRequest, Client]:
    """Return the checked request and its client. Raises Failure, or ProtocolFailure once the portal may be told."""
    request_uri = draft.parameters.get("request_uri", "")
    if request_uri.startswith(pushed.PREFIX) and "request_uri" not in draft.parameters.repeated:
        # Whatever else stands in the address is ignored: it was not what the client pushed (RFC 9126, 4).
        checks.client_is_known(draft)
        return pushed.find(request_uri, draft.client, provider=provider), draft.client
    client = checks.check_client(draft)
    web.prefer_languages(tuple(draft.parameters.get("ui_locales", "").split()))
    return checks.check_request(draft), client


def _refusal(draft: checks.Draft, entry: Entry, provider: Services) -> PortalAnswer:
    parameters = draft.parameters
    state = parameters.get("state") if "state" not in parameters.repeated else None
    if state is not None and len(state) > checks.LONGEST_VALUE:
        state = None
    return with_error(
        parameters["redirect_uri"],
        entry,
        mode=draft.response_mode,
        state=state,
        client=draft.client,
        provider=provider,
        reference=web.reference(),
    )


def portal_answer(answer: PortalAnswer) -> Response:
    """Return the answer to an authorization request as a redirect, or as the page whose form carries it."""
    asked.by(answer.client.client_id)
    if answer.refused is not None:
        asked.refuse(answer.refused)
    if not answer.is_posted:
        return see_other(answer.location)
    return render(
        "oidc/form_post.html",
        form_action=web.origin_of(answer.redirect_uri),
        with_script=True,
        agency=answer.client.name(web.current_language()),
        action=answer.redirect_uri,
        fields=answer.parameters,
    )


@blueprint.get("/signin/<handle>")
def resume(handle: str) -> Response:
    """Send the citizen of an interaction to the next step, or back to the portal with the code."""
    provider = services()
    try:
        arrival = arrive(handle)
        outcome = authorize.resume(
            arrival.visit,
            arrival.client,
            arrival.standing,
            arrival.session_secret,
            provider=provider,
            reference=web.reference(),
        )
        if isinstance(outcome, authorize.ToPortal):
            response = portal_answer(outcome.answer)
        elif isinstance(outcome, authorize.ToStep):
            response = see_other(f"{arrival.path}/{outcome.step}")
        elif isinstance(outcome, authorize.ToOwnPage):
            response = see_other(outcome.path)
        elif isinstance(outcome, authorize.ToOtherDevice):
            response = render("decoupled/end.html", agency=arrival.agency, is_approved=outcome.is_approved)
        elif outcome.entry is errors.FLOW_FINISHED:
            response = failure_page(Failure(outcome.entry), handle)
        else:
            response = refusal_page(arrival, outcome.entry)
        return arrival.keep_cookies(response)
    except Failure as failure:
        return failure_page(failure, handle)


# --- token, UserInfo, keys, metadata ----------------------------------------------------------------------------


@blueprint.post("/token")
def token_endpoint() -> Response:
    """Redeem a code (RFC 6749, 3.2)."""
    form = machine_form()
    provider, sent_by = services(), caller()
    document = _token_endpoint.answer(form, caller=sent_by, provider=provider, reference=web.reference())
    return json_answer(document, headers={"Pragma": "no-cache", **sender.nonce_header(sent_by, provider=provider)})


@blueprint.post("/par")
def pushed_request_endpoint() -> Response:
    """Keep an authorization request that the client brings itself (RFC 9126, 2)."""
    form = machine_form()
    provider, sent_by = services(), caller()
    document = pushed.push(form, caller=sent_by, provider=provider)
    return json_answer(document, 201, sender.nonce_header(sent_by, provider=provider))


@blueprint.post("/introspect")
def introspection_endpoint() -> Response:
    """Say whether an access token is still good (RFC 7662, 2)."""
    form = machine_form()
    answer = introspection.answer(form, caller=caller(), accept=request.headers.get("Accept", ""), provider=services())
    if answer.is_jwt:
        return Response(answer.body, mimetype=introspection.JWT_MEDIA_TYPE)
    return Response(answer.body, mimetype="application/json")


@blueprint.post("/revoke")
def revocation_endpoint() -> Response:
    """End a token of the client that asks (RFC 7009, 2)."""
    form = machine_form()
    revocation.revoke(form, caller=caller(), provider=services(), reference=web.reference())
    return Response(status=200)


@blueprint.route("/userinfo", methods=["GET", "POST"])
def userinfo_endpoint() -> Response:
    """Return the claims of the citizen an access token stands for."""
    if b"access_token=" in request.query_string or (request.method == "POST" and "access_token" in request.form):
        raise ProtocolFailure(errors.TOKEN_TWICE, challenge="Bearer")
    answer = userinfo.answer(caller(), provider=services())
    if isinstance(answer, str):
        return Response(answer, mimetype="application/jwt")
    return json_answer(answer)


@blueprint.get("/jwks")
def jwks() -> Response:
    """Return the public keys (RFC 7517, 5)."""
    keys = services().signing_keys
    return web.published(keys.jwks(), keys.etag)


@blueprint.get("/.well-known/oauth-authorization-server")
@blueprint.get("/.well-known/openid-configuration")
def configuration() -> Response:
    """Return the provider's metadata."""
    return web.published(*_metadata(services().settings))


@cache
def _metadata(settings: Settings) -> tuple[bytes, str]:
    body = json.dumps(discovery.document(settings), indent=1).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


# --- the front door ---------------------------------------------------------------------------------------------


@blueprint.get("/")
def home() -> Response:
    """Tell somebody who typed the address what this is."""
    return render("home.html")
