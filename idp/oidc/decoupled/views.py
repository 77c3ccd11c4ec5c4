"""The two endpoints that ask, and the pages where a citizen meets what was asked.

    /device                    type the code of another device, then the confirmation
    /approvals                 what portals have put before the citizen who is signed in
    /signin/HANDLE/confirm     who asks, what for, the code to compare: yes, or this was not me

Everything after the yes is an ordinary sign-in. A code in the address only fills in the field: whoever sends a link
must not be able to spare somebody the questions (RFC 8628, 3.3.1 and 5.4).
"""

import hmac
from dataclasses import dataclass, replace

from flask import Blueprint, Response, request

from idp.agencies.clients import Client
from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import subjects
from idp.citizens.credentials import throttle
from idp.core import errors, user_codes, web
from idp.core.database import db
from idp.core.errors import Failure, ProtocolFailure
from idp.core.ids import digest
from idp.core.keyring import Purpose
from idp.core.scopes import PERSON_CLAIMS
from idp.core.web import form_parameters, json_answer, query_parameters, render, see_other, translate
from idp.oidc.decoupled import backchannel, device, pending
from idp.oidc.decoupled.models import Kind
from idp.oidc.decoupled.pending import Pending
from idp.oidc.views import caller, machine_form, on_protocol_failure
from idp.sso import interaction
from idp.sso.forms import FieldError, field_error
from idp.sso.own_pages import own_client, own_request
from idp.sso.services import Services, services
from idp.sso.situation import Standing, read_standing
from idp.sso.steps import Step
from idp.sso.steps.login import is_of_shut_door
from idp.sso.views import SESSION_COOKIE, Arrival, enter, is_same_person, page, profile_of, step_page

blueprint = Blueprint("decoupled", __name__)
blueprint.register_error_handler(ProtocolFailure, on_protocol_failure)
MACHINE_PATHS = frozenset({"/device_authorization", "/bc-authorize"})
# Of user codes typed, right or wrong: only what is counted before it is judged stops a guesser. The phones of a mobile
# network share few addresses; with ten thousand codes waiting, this many guesses hit one in twenty thousand times
# (RFC 8628, 5.1), and what is hit is a device that would then be the guesser's own sign-in.
ENTRIES_FROM_ONE_ADDRESS = 120
ENTRIES_IN_ONE_SESSION = 10
_WINDOW = 600
_MINUTE = 60


# --- for programs -----------------------------------------------------------------------------------------------


@blueprint.post("/device_authorization")
def device_authorization() -> Response:
    """Take a device authorization request (RFC 8628, 3.1)."""
    return json_answer(device.answer(machine_form(), caller=caller(), provider=services()))


@blueprint.post("/bc-authorize")
def backchannel_authentication() -> Response:
    """Take a backchannel authentication request (CIBA Core 1.0, 7.1)."""
    return json_answer(backchannel.answer(machine_form(), caller=caller(), provider=services()))


# --- a code from another device ---------------------------------------------------------------------------------


@blueprint.get("/device")
def ask_user_code() -> Response:
    """Ask for the code that another device shows; the address may bring it along."""
    return _device_page(query_parameters().get("user_code", "")[: user_codes.LONGEST_TYPED], [])


@blueprint.post("/device")
def take_user_code() -> Response:
    """Find the request of a code, and open the pages for it."""
    if web.is_from_elsewhere():
        raise Failure(errors.FORM_EXPIRED)
    provider = services()
    typed = form_parameters().get("user_code", "").strip()
    if not typed:
        return _device_page("", [field_error("user_code", "device.error.missing")], status=400)
    if wait := _too_often(provider):
        minutes = -(-wait // _MINUTE)
        response = _device_page("", [field_error("", "device.error.throttled", minutes=minutes)], status=429)
        response.headers["Retry-After"] = str(wait)
        return response
    code = user_codes.read(typed)
    found = pending.by_user_code(code, keyring=provider.keyring) if code is not None else None
    if found is None or found.is_over:
        problem = field_error("user_code", "device.error.unknown")
    elif found.is_answered:
        problem = field_error("user_code", "device.error.answered")
    else:
        client = _client_of(found, provider)
        opened = interaction.open_interaction(
            found.request, client.id, settings=provider.settings, keyring=provider.keyring, hot_path=provider.hot_path
        )
        return enter(opened, provider)
    return _device_page(typed[: user_codes.LONGEST_TYPED], [problem], status=400)


def _too_often(provider: Services) -> int:
    """Count one code typed; return the seconds to wait, 0 when it may be judged."""
    network = throttle.network(web.remote_address())
    verdicts = [
        provider.limiter.hit("user-code address", network, amount=ENTRIES_FROM_ONE_ADDRESS, per_seconds=_WINDOW)
    ]
    if secret := _session_secret(provider):
        # Signed in, a guesser with many addresses is one guesser.
        key = digest(secret).hex()
        verdicts.append(
            provider.limiter.hit("user-code session", key, amount=ENTRIES_IN_ONE_SESSION, per_seconds=_WINDOW)
        )
    return max(verdict.retry_after for verdict in verdicts)


def _device_page(user_code: str, problems: list[FieldError], *, status: int = 200) -> Response:
    return render("decoupled/device.html", status=status, user_code=user_code, errors=problems, action="/device")


def _client_of(found: Pending, provider: Services) -> Client:
    client = provider.clients.by_row_id(found.client_id)
    if client is None or not client.is_active:
        raise Failure(errors.SUSPENDED_CLIENT)
    return client


def _session_secret(provider: Services) -> str | None:
    return request.cookies.get(web.cookie_name(SESSION_COOKIE, provider.settings))


# --- yes, or this was not me ------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/confirm", methods=["GET", "POST"])
@step_page(Step.CONFIRMATION)
def confirm(arrival: Arrival) -> Response:
    """Show who asks, what for, and the code to compare; or act on the answer."""
    found = pending.by_digest(arrival.visit.request.decoupled, keyring=arrival.services.keyring)
    if found is None or found.is_over:
        raise Failure(errors.REQUEST_EXPIRED)
    if found.is_answered:
        raise Failure(errors.REQUEST_ANSWERED)
    if request.method != "POST":
        return _confirmation_page(arrival, found)
    if not is_same_person(arrival):
        return see_other(request.path)
    citizen_id = arrival.standing.citizen_id if arrival.standing is not None else None
    if form_parameters().get("decision") != "continue":
        interaction.deny(arrival.visit, Event.SIGN_IN_ABANDONED, citizen_id=citizen_id)
        return see_other(arrival.path)
    interaction.mark_confirmed(arrival.visit)
    record(db.session, Event.DEVICE_CONFIRMED, citizen_id=citizen_id, client_id=arrival.client.id)
    db.session.commit()
    return see_other(arrival.path)


def _confirmation_page(arrival: Arrival, found: Pending) -> Response:
    language, asked = web.current_language(), arrival.visit.request
    texts = (arrival.client.purpose(scope, language) for scope in asked.scopes)
    purposes = list(dict.fromkeys(text for text in texts if text))
    return page(
        arrival,
        "decoupled/confirm.html",
        is_device=found.kind is Kind.DEVICE,
        shown=found.shown,
        agency_name=arrival.client.agency_name(language),
        purposes=purposes,
        sent=[translate(f"claim.{name}") for name in PERSON_CLAIMS if name in asked.disclosed],
        minutes=_minutes(found),
        full_name=profile_of(arrival).full_name if arrival.standing is not None else None,
    )


def _minutes(found: Pending) -> int:
    return int((found.read_at - found.asked_at).total_seconds()) // _MINUTE


# --- what portals put before a citizen ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """One waiting request on the page; `token` names it in this session and no other."""

    agency: str
    agency_name: str
    shown: str
    minutes: int
    token: str


@blueprint.get("/approvals")
def approvals() -> Response:
    """List the requests that wait for the citizen who is signed in, or offer to sign in."""
    provider = services()
    standing = _standing(provider)
    if standing is None:
        return render("decoupled/approvals.html", rows=None, action="/approvals/signin")
    language = web.current_language()
    rows = []
    for found in pending.open_for(standing.citizen_id, keyring=provider.keyring):
        client = provider.clients.by_row_id(found.client_id)
        if client is not None and client.is_active:
            token = _token(standing, found, provider)
            rows.append(_Row(client.name(language), client.agency_name(language), found.shown, _minutes(found), token))
    return render("decoupled/approvals.html", rows=rows, action="/approvals")


@blueprint.post("/approvals/signin")
def sign_in_for_approvals() -> Response:
    """Sign in to see what waits, without any portal."""
    if web.is_from_elsewhere():
        raise Failure(errors.FORM_EXPIRED)
    provider = services()
    opened = interaction.open_interaction(
        own_request("/approvals"),
        None,
        settings=provider.settings,
        keyring=provider.keyring,
        hot_path=provider.hot_path,
    )
    return enter(opened, provider)


@blueprint.get("/approvals/signin")
def sign_in_by_address() -> Response:
    """Somebody typed the address or changed the language of the last page."""
    return see_other("/approvals")


@blueprint.post("/approvals")
def open_approval() -> Response:
    """Open the pages of the request that was chosen, bound to the citizen it waits for."""
    provider = services()
    standing = _standing(provider)
    given = form_parameters().get("token", "")
    if web.is_from_elsewhere():
        raise Failure(errors.FORM_EXPIRED)
    if standing is not None:
        for found in pending.open_for(standing.citizen_id, keyring=provider.keyring):
            if hmac.compare_digest(given.encode(), _token(standing, found, provider).encode()):
                client = _client_of(found, provider)
                sub = subjects.subject(standing.citizen_id, client.sector, keyring=provider.keyring)
                opened = interaction.open_interaction(
                    replace(found.request, hinted_sub=sub),
                    client.id,
                    settings=provider.settings,
                    keyring=provider.keyring,
                    hot_path=provider.hot_path,
                )
                return enter(opened, provider)
    # Answered, expired, or shown to somebody who has signed out since: the list says what there is.
    return see_other("/approvals")


def _standing(provider: Services) -> Standing | None:
    own = own_client(provider.settings)
    standing = read_standing(provider.hot_path, _session_secret(provider), own)
    if standing is None or not standing.is_active or is_of_shut_door(standing, own, provider.providers):
        return None
    return standing


def _token(standing: Standing, found: Pending, provider: Services) -> str:
    message = b"approval " + standing.session_id.bytes + found.digest
    return provider.keyring.tag(Purpose.FORM, message)
