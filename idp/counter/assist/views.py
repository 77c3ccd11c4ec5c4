"""Helping a citizen sign in at a service: /signin/HANDLE/assist.

The officer has laid their own session aside (`/counter/help`); the citizen types one code of their own. Both are
needed at this moment, and a mandate that covers the service. What is opened is the citizen's, short, at loa1 at most,
and says in every token who sat beside.
"""

from uuid import UUID

from flask import Blueprint, Response, request

from idp.citizens import counter_acts, mandates, numbers
from idp.citizens.counter_acts import Act
from idp.citizens.credentials import recovery, totp
from idp.citizens.lookup import find_number
from idp.citizens.mandates import Known
from idp.citizens.models import Citizen, CitizenState
from idp.citizens.numbers import NumberUnreadable
from idp.core import errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.i18n import LANGUAGES
from idp.core.keyring import Keyring
from idp.core.settings import Settings
from idp.core.web import form_parameters, see_other
from idp.counter.views import Desk, find_desk, is_with_key
from idp.notify import notices
from idp.notify.notices import Notice
from idp.sso import assisted, devices, interaction
from idp.sso.forms import LONGEST_NUMBER, FieldError, field_error
from idp.sso.steps import Step
from idp.sso.views import SESSION_COOKIE, Arrival, page, step_page

blueprint = Blueprint("counter_assist", __name__)
_TRIES, _WINDOW = 40, 3_600


@blueprint.route("/signin/<handle>/assist", methods=["GET", "POST"])
@step_page(Step.LOGIN)
def assist(arrival: Arrival) -> Response:
    """Ask for the citizen's number and one code of theirs, or open the session they share."""
    desk = find_desk(arrival.services)
    if desk is None or arrival.stays_here:
        raise Failure(errors.NOT_FOUND)
    if not is_with_key(desk):
        return _assist_page(arrival, desk, "", [], is_stale=True)
    if request.method != "POST":
        return _assist_page(arrival, desk, "", [])
    posted = form_parameters()
    number, typed = posted.get("number", "").strip()[:LONGEST_NUMBER], posted.get("code", "").strip()
    problems = [] if number else [field_error("number", "counter.error.number")]
    if not typed or len(typed) > recovery.LONGEST_TYPED:
        problems.append(field_error("code", "counter.error.own-code-missing"))
    if not problems and desk.is_throttled("assist", amount=_TRIES, seconds=_WINDOW):
        problems.append(field_error("", "counter.error.throttled"))
    if problems:
        return _assist_page(arrival, desk, number, problems, status=400)
    citizen_id = citizen_of(number, settings=arrival.services.settings, keyring=arrival.services.keyring)
    mandate = _mandate(arrival, desk, citizen_id)
    db.session.rollback()
    if citizen_id is None or mandate is None:
        return _assist_page(arrival, desk, number, [field_error("number", "assist.no-mandate")], status=400)
    if not is_own_code(citizen_id, typed, keyring=arrival.services.keyring):
        return _other_click(arrival, desk) or _assist_page(
            arrival, desk, number, [field_error("code", "counter.error.own-code")], status=400
        )
    return _help(arrival, desk, mandate)


def citizen_of(number: str, *, settings: Settings, keyring: Keyring) -> UUID | None:
    """Return whose account a number as typed belongs to, None for nobody's and for one that cannot be read."""
    scheme = numbers.scheme(settings.number_scheme, test_numbers=settings.is_sandbox)
    try:
        found = find_number(scheme.name, scheme.canonical(number), keyring=keyring)
    except NumberUnreadable:
        return None
    return None if found is None else found.citizen_id


def is_own_code(citizen_id: UUID, typed: str, *, keyring: Keyring) -> bool:
    """Spend a code that only the citizen has: of the sheet, or of an app or card. Commits by itself."""
    if recovery.canonical(typed):
        return recovery.spend(citizen_id, typed, keyring=keyring).outcome is recovery.Outcome.ACCEPTED
    return totp.verify(citizen_id, typed, keyring=keyring).outcome is totp.Outcome.ACCEPTED


def _mandate(arrival: Arrival, desk: Desk, citizen_id: UUID | None) -> Known | None:
    # Nobody helps themselves: two people are what this is worth.
    if citizen_id is None or citizen_id == desk.officer.citizen_id:
        return None
    citizen = db.session.get_one(Citizen, citizen_id, populate_existing=True)
    if citizen.state is not CitizenState.ACTIVE:
        return None
    keyring = arrival.services.keyring
    return mandates.live(citizen_id, desk.officer.counter, arrival.client.client_id, keyring=keyring)


def _help(arrival: Arrival, desk: Desk, mandate: Known) -> Response:
    settings, keyring = arrival.services.settings, arrival.services.keyring
    joined = interaction.lock(arrival.visit.id)
    opened = assisted.open_session(
        mandate,
        desk.officer,
        flow_secret=arrival.visit.flow_secret,
        previous=arrival.standing.session_id if arrival.standing else None,
        joined=joined,
        origin=devices.origin(request.headers.get("User-Agent", ""), web.remote_address()),
        settings=settings,
        keyring=keyring,
    )
    counter_acts.note(
        Act.HELPED,
        officer=desk.officer,
        citizen_id=mandate.citizen_id,
        reference=mandate.reference,
        session_id=opened.session_id,
        client_id=arrival.client.id,
    )
    notices.owe(
        mandate.citizen_id,
        Notice.HELPED,
        keyring=keyring,
        agency={language: arrival.client.name(language) for language in LANGUAGES},
        counter=dict(desk.officer.names),
        reference=mandate.reference,
    )
    interaction.mark_authenticated(arrival.visit.id, opened.session_id)
    db.session.commit()
    return _with_session(arrival, opened.secret)


def _other_click(arrival: Arrival, desk: Desk) -> Response | None:
    opened = assisted.of_the_other_click(
        interaction.lock(arrival.visit.id),
        actor_id=desk.officer.citizen_id,
        flow_secret=arrival.visit.flow_secret,
        keyring=arrival.services.keyring,
    )
    db.session.rollback()
    return None if opened is None else _with_session(arrival, opened.secret)


def _with_session(arrival: Arrival, secret: str) -> Response:
    response = see_other(arrival.path)
    web.set_cookie(response, SESSION_COOKIE, secret, arrival.services.settings)
    return response


def _assist_page(
    arrival: Arrival,
    desk: Desk,
    number: str,
    problems: list[FieldError],
    *,
    is_stale: bool = False,
    status: int = 200,
) -> Response:
    return page(
        arrival,
        "counter/assist.html",
        status=status,
        errors=problems,
        number=number,
        counter=desk.officer.counter_name(web.current_language()),
        is_stale=is_stale,
        login_path=f"{arrival.path}/login",
    )
