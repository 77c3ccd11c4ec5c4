"""The way to a provider and back: /signin/HANDLE/upstream/SLUG, /upstream/SLUG/callback, and its word of a logout."""

from collections.abc import Mapping

from flask import Blueprint, Response, request
from sqlalchemy.exc import IntegrityError

from idp.core import clock, errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.parameters import Parameters
from idp.core.web import query_parameters, see_other
from idp.sso import opening, session
from idp.sso.federation import choices, logout
from idp.sso.services import services
from idp.sso.steps import Step
from idp.sso.views import (
    LAST_PROVIDER,
    Arrival,
    arrive,
    failure_page,
    page,
    path_of,
    signed_in,
    signed_in_at_once,
    step_page,
)
from idp.upstream import familiar, reconcile
from idp.upstream.login import Found, Journey
from idp.upstream.record import Provider
from idp.upstream.refusal import Reason, UpstreamRefused

blueprint = Blueprint("federation", __name__)
MACHINE_PATHS = frozenset({"/upstream/jwks"})
_KEPT_SECONDS = 34_560_000
_ONCE = frozenset({"state", "code", "iss", "error"})


@blueprint.route("/signin/<handle>/upstream/<slug>", methods=["GET", "POST"])
@step_page(Step.LOGIN)
def leave(arrival: Arrival, slug: str) -> Response:
    """Go to a provider, by way of its notice when it has one."""
    provider = arrival.services.providers.find(slug)
    if provider is None:
        return see_other(arrival.path)
    if choices.shut(provider, arrival.visit.request, arrival.client, now=clock.now()) is not None:
        # A forged post, or a provider that was closed while its button was on the page: the page says why.
        return see_other(arrival.path)
    is_post = request.method == "POST"
    is_read = is_post and web.form_parameters().get("notice") == "read"
    if provider.notice and not is_read:
        return see_other(request.path) if is_post else _notice_page(arrival, provider)
    if not is_post and not is_hinted(arrival, provider):
        return see_other(arrival.path)
    upstream = arrival.services.upstream
    wish = choices.wish(arrival.visit.request, is_step_up=arrival.standing is not None, language=web.current_language())
    departure = upstream.prepare(provider, wish, interaction_id=arrival.visit.id, handle=arrival.visit.handle)
    try:
        return see_other(upstream.address(provider, wish, departure))
    except UpstreamRefused as refused:
        reconcile.note_refusal(refused.reason, login_id=departure.id, slug=slug, client_id=arrival.visit.client_id)
        return see_other(arrival.path)


def is_hinted(arrival: Arrival, provider: Provider) -> bool:
    """Tell whether the portal has named this provider and the citizen has not been there yet on these pages."""
    return (
        provider.slug == arrival.visit.request.idp_hint
        and reconcile.latest(arrival.visit.id, hot_path=arrival.services.hot_path) is None
    )


def _notice_page(arrival: Arrival, provider: Provider) -> Response:
    language = web.current_language()
    return page(
        arrival,
        "sso/leaving.html",
        leads_to=provider.form_actions,
        provider=provider.name(language),
        notice=provider.words(provider.notice, language),
        back_url=f"{arrival.path}/login?choose=1",
    )


@blueprint.get("/upstream/jwks")
def jwks() -> Response:
    """Return the public keys that providers know us by and encrypt to, apart from those that clients read."""
    published = services().signing_keys.for_providers()
    return web.published(published.jwks, published.etag)


@blueprint.get("/upstream/<slug>/callback")
def callback(slug: str) -> Response:
    """Take a browser that comes back from a provider, whatever the provider has given it."""
    return web.onward(_come_back(slug))


def _come_back(slug: str) -> Response:
    given = services()
    parameters = query_parameters()
    state = parameters.get("state", "")
    journey = given.upstream.spend(state) if state and "state" not in parameters.repeated else None
    if journey is None:
        handle = given.upstream.handle_of_spent(state) if state else None
        if handle is None:
            raise Failure(errors.RETURN_UNKNOWN)
        # The other click, or a reload: the pages know how far the first one came.
        return see_other(path_of(handle))
    provider = given.providers.find(slug)
    try:
        arrival = arrive(journey.handle)
    except Failure as failure:
        # Without the flow cookie this is another browser, or one that took too long: no code of its is redeemed.
        reconcile.note_refusal(Reason.BROWSER, login_id=journey.id, slug=slug, client_id=None)
        return failure_page(failure, journey.handle)
    if not arrival.is_at(Step.LOGIN):
        return arrival.keep_cookies(see_other(arrival.path))
    try:
        found = _answer(arrival, journey, provider, parameters)
        return arrival.keep_cookies(_reconciled(arrival, journey, provider, found))
    except UpstreamRefused as refused:
        db.session.rollback()
        reconcile.note_refusal(refused.reason, login_id=journey.id, slug=slug, client_id=arrival.visit.client_id)
        return arrival.keep_cookies(see_other(arrival.path))


def _answer(arrival: Arrival, journey: Journey, provider: Provider | None, parameters: Parameters) -> Found:
    if provider is None or provider.id != journey.provider_id:
        raise UpstreamRefused(Reason.MIXED_UP)
    if choices.closed(provider, arrival.visit.request, arrival.client, now=clock.now()) is not None:
        raise UpstreamRefused(Reason.CLOSED)
    if parameters.repeated & _ONCE:
        raise UpstreamRefused(Reason.CODE_MISSING)
    return arrival.services.upstream.come_back(journey, parameters, provider=provider)


def _reconciled(arrival: Arrival, journey: Journey, provider: Provider | None, found: Found) -> Response:
    assert provider is not None
    # A session at a level that an incident keeps from this agency would be asked to sign in again, and again.
    level = min(found.asserted.level, provider.believed(clock.now(), arrival.client))
    vouched = session.Vouched(provider.id, level, found.asserted.amr, found.asserted.authenticated_at)
    response = _as_before(arrival, journey, provider, found, vouched)
    if response is None:
        response = _looked_over(arrival, journey, provider, found, vouched)
    web.set_cookie(response, LAST_PROVIDER, provider.slug, arrival.services.settings, max_age=_KEPT_SECONDS)
    return response


def _as_before(
    arrival: Arrival, journey: Journey, provider: Provider, found: Found, vouched: session.Vouched
) -> Response | None:
    """Sign in whom the provider has brought before, where nothing about them is new; None where it has to be seen."""
    given = arrival.services
    if not arrival.is_first:
        return None
    known = familiar.recognise(found, provider=provider, keyring=given.keyring, hot_path=given.hot_path)
    if known is None:
        return None
    return signed_in_at_once(
        arrival,
        known.citizen_id,
        frozenset(),
        proven=opening.Proven(known.proofing, known.registry_status, known.now),
        brought=opening.Brought(
            vouched,
            known.version,
            lambda key: familiar.noted(
                found, key, now=known.now, journey=journey, provider=provider, keyring=given.keyring
            ),
        ),
    )


def _looked_over(
    arrival: Arrival, journey: Journey, provider: Provider, found: Found, vouched: session.Vouched
) -> Response:
    given = arrival.services
    for is_last_try in (False, True):
        try:
            citizen_id = reconcile.reconcile(
                found,
                provider=provider,
                settings=given.settings,
                keyring=given.keyring,
                registry=given.registry,
            )
            return signed_in(
                arrival,
                citizen_id,
                frozenset(),
                vouched=vouched,
                note=lambda session_id, citizen_id=citizen_id: reconcile.note_session(  # type: ignore[misc]
                    found, session_id, citizen_id, journey=journey, provider=provider, keyring=given.keyring
                ),
            )
        except IntegrityError:
            # The same person came by another tab at the same moment; the second look finds what that one made.
            db.session.rollback()
            if is_last_try:
                raise
    raise AssertionError("a second try returns or raises")


# --- what a provider tells us ------------------------------------------------------------------------------------


@blueprint.post("/upstream/<slug>/backchannel-logout")
def backchannel_logout(slug: str) -> Response:
    """End the sessions that a provider says are over (OpenID Connect Back-Channel Logout 1.0, 2.7 and 2.8)."""
    given = services()
    try:
        form: Mapping[str, str] = web.form_parameters()
        logout.receive(slug, form.get("logout_token", ""), provider=given)
    except (UpstreamRefused, Failure):
        return web.json_answer({"error": "invalid_request"}, status=400)
    return web.json_answer({})
