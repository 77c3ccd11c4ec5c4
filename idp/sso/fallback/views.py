"""The pages behind "I cannot use my phone", /signin/HANDLE/code/...

.../other      what this person can do, each way in one sentence
.../recovery   a code from the sheet of recovery codes
.../sms        a code sent to the telephone the citizen has proven, where the operator has a gateway
.../used       how many are left, and the way to set up a new phone
"""

from flask import Blueprint, Response, request

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import contact_proofs, contacts
from idp.citizens.contact_proofs import Channel, Purpose
from idp.citizens.credentials import means_of, passkey, recovery
from idp.core import web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.i18n import LANGUAGES
from idp.core.levels import Method
from idp.core.web import see_other
from idp.notify import notices
from idp.notify.notices import Notice
from idp.sso.forms import FieldError, code_problems, field_error
from idp.sso.request import ResponseMode
from idp.sso.steps import Need, Step, second_factor
from idp.sso.steps.second_factor import Ways
from idp.sso.views import (
    Arrival,
    answer_of_the_other_click,
    arrive,
    failure_page,
    page,
    profile_of,
    raised,
    retry,
    step_page,
    throttled,
)

blueprint = Blueprint("fallback", __name__)
# Enough to know which telephone to look for, and nothing to call.
_SHOWN_DIGITS = 2


@blueprint.get("/signin/<handle>/code/other")
@step_page(Step.CODE)
def other(arrival: Arrival) -> Response:
    """List what can be done without the phone."""
    ways = second_factor.ways(arrival.situation, means_of)
    return page(
        arrival,
        "sso/other.html",
        ways=ways,
        has_key=ways.by_key and passkey.is_offered(arrival.services.settings),
        phone_end=(_phone(arrival, ways) or "")[-_SHOWN_DIGITS:],
        code_url=f"{arrival.path}/code",
        recovery_url=f"{arrival.path}/code/recovery",
        sms_url=f"{arrival.path}/code/sms",
        is_own=arrival.visit.request.response_mode is ResponseMode.OWN_PAGE,
    )


def _phone(arrival: Arrival, ways: Ways) -> str | None:
    """Return the telephone a code can be sent to, None where that would not help or cannot be."""
    if not ways.takes_sms or not arrival.services.settings.has_sms:
        return None
    return contacts.proven(profile_of(arrival).claims, Channel.SMS)


@blueprint.route("/signin/<handle>/code/sms", methods=["GET", "POST"], endpoint="sms")
@step_page(Step.CODE)
def sms(arrival: Arrival) -> Response:
    """Send a code to the proven telephone, ask for it, or check it."""
    assert arrival.standing is not None
    ways = second_factor.ways(arrival.situation, means_of)
    phone = _phone(arrival, ways)
    if phone is None:
        return see_other(f"{arrival.path}/code/other")
    if request.method != "POST":
        return _sms_page(arrival, phone, [])
    posted = web.form_parameters()
    if posted.get("decision") == "send":
        return _send(arrival, phone)
    if problems := code_problems(posted.get("code", "")):
        return _sms_page(arrival, phone, problems, status=400)
    # Bound to the session: one person's code is never another's, whoever signs in on these pages meanwhile.
    checked = contact_proofs.check(
        arrival.standing.session_id, Purpose.SECOND_FACTOR, posted["code"], keyring=arrival.services.keyring
    )
    if checked.outcome is contact_proofs.Outcome.THROTTLED:
        wait = checked.retry_after or 1
        return retry(_sms_page(arrival, phone, [throttled("totp", wait)], status=429), wait)
    if checked.outcome is contact_proofs.Outcome.LATE:
        return answer_of_the_other_click(arrival.visit.handle) or _sms_page(
            arrival, phone, [field_error("code", "sms.error.late")], status=400
        )
    if checked.outcome is not contact_proofs.Outcome.ACCEPTED or checked.target != phone:
        return _sms_page(arrival, phone, [field_error("code", "sms.error.refused")], status=400)
    citizen_id = arrival.standing.citizen_id
    record(db.session, Event.SMS_ACCEPTED, citizen_id=citizen_id, detail={"fallback": True})
    notices.owe(citizen_id, Notice.SMS_USED, keyring=arrival.services.keyring)
    return raised(arrival, {Method.SMS}, settles=ways.code_settles)


def _send(arrival: Arrival, phone: str) -> Response:
    assert arrival.standing is not None
    begun = contact_proofs.begin(
        arrival.standing.session_id,
        Purpose.SECOND_FACTOR,
        Channel.SMS,
        phone,
        language=web.current_language(),
        address=web.remote_address(),
        keyring=arrival.services.keyring,
        citizen_id=arrival.standing.citizen_id,
        agency={language: arrival.client.name(language) for language in LANGUAGES},
    )
    if isinstance(begun, contact_proofs.Throttled):
        wait = begun.retry_after
        problem = field_error("", "sms.error.sends", minutes=max(1, -(-wait // 60)))
        return retry(_sms_page(arrival, phone, [problem], status=429), wait)
    return see_other(f"{arrival.path}/code/sms")


def _sms_page(arrival: Arrival, phone: str, problems: list[FieldError], *, status: int = 200) -> Response:
    return page(
        arrival,
        "sso/sms.html",
        status=status,
        errors=problems,
        phone_end=phone[-_SHOWN_DIGITS:],
        other_url=f"{arrival.path}/code/other",
    )


@blueprint.route("/signin/<handle>/code/recovery", methods=["GET", "POST"], endpoint="recovery")
@step_page(Step.CODE)
def recovery_code(arrival: Arrival) -> Response:
    """Ask for a recovery code, or check it."""
    assert arrival.standing is not None
    ways = second_factor.ways(arrival.situation, means_of)
    if not ways.by_recovery:
        return see_other(f"{arrival.path}/code/other")
    if request.method != "POST":
        return _recovery_page(arrival, [])
    typed = web.form_parameters().get("code", "")
    if problems := _problems(typed):
        return _recovery_page(arrival, problems, status=400)
    result = recovery.spend(arrival.standing.citizen_id, typed, keyring=arrival.services.keyring)
    if result.outcome is recovery.Outcome.THROTTLED:
        wait = result.retry_after or 1
        return retry(_recovery_page(arrival, [throttled("totp", wait)], status=429), wait)
    if result.is_spent and (answer := answer_of_the_other_click(arrival.visit.handle)) is not None:
        return answer
    if result.outcome is not recovery.Outcome.ACCEPTED:
        return _recovery_page(arrival, [field_error("code", "recovery.error.refused")], status=400)
    return raised(arrival, {Method.RECOVERY}, settles=True, leads_to=f"{arrival.path}/code/used")


def _problems(typed: str) -> list[FieldError]:
    if not typed.strip():
        return [field_error("code", "recovery.error.missing")]
    # What cannot be a code at all is not worth one of ten guesses.
    return [] if recovery.canonical(typed) else [field_error("code", "recovery.error.format")]


def _recovery_page(arrival: Arrival, problems: list[FieldError], *, status: int = 200) -> Response:
    return page(arrival, "sso/recovery.html", status=status, errors=problems, other_url=f"{arrival.path}/code/other")


@blueprint.get("/signin/<handle>/code/used")
def used(handle: str) -> Response:
    """Say how many recovery codes are left to somebody who has just used one, and where to set up a new phone.

    Not the dispatcher's step: it has moved on. Whoever comes by the address alone is sent to it.
    """
    try:
        arrival = arrive(handle)
        standing = arrival.standing
        is_due = isinstance(arrival.decision, Need) and arrival.decision.step is Step.LOGIN
        if standing is None or arrival.visit.is_finished or is_due or Method.RECOVERY not in standing.amr:
            return arrival.keep_cookies(see_other(arrival.path))
        remaining = recovery.left(standing.citizen_id)
        db.session.rollback()
        shown = page(arrival, "sso/recovery_used.html", left=remaining, next_url=arrival.path)
        return arrival.keep_cookies(shown)
    except Failure as failure:
        if failure.entry.code.startswith("OP-"):
            raise
        return failure_page(failure, handle)
