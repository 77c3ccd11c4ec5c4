"""The pages of a forgotten password, /signin/HANDLE/forgotten and below.

They stand beside the page of number and password: served while the dispatcher asks for that page and no longer. Each
asks first how far this interaction has come, so that an address typed out of order leads to where the person is; the
number can be typed anew at any time. Each post ends with a redirect.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request

from idp.citizens import contact_proofs
from idp.citizens.contact_proofs import Channel, Outcome, Purpose, Throttled
from idp.citizens.credentials import choice, hashing, password, recovery, totp
from idp.core import web
from idp.core.web import see_other
from idp.sso.forgotten import reset
from idp.sso.forgotten.reset import Asker, Reset, Stage, Ways
from idp.sso.forms import LONGEST_NUMBER, FieldError, NewPasswordForm, code_problems, field_error
from idp.sso.steps import Step
from idp.sso.views import RESET, Arrival, page, retry, step_page, throttled

blueprint = Blueprint("forgotten", __name__)
PATH = "/signin/<handle>/forgotten"
Paged = Callable[[Arrival, Reset], Response]


def _path(arrival: Arrival, stage: Stage) -> str:
    if stage is Stage.DONE:
        return f"{arrival.path}/login?done={RESET}"
    return f"{arrival.path}/forgotten" + (f"/{stage}" if stage else "")


def _asker(arrival: Arrival) -> Asker:
    return Asker(web.current_language(), web.remote_address(), arrival.client.names)


def _at(stage: Stage) -> Callable[[Paged], Callable[[Arrival], Response]]:
    """Guard a page: whoever is at another stage is led there."""

    def guard(view: Paged) -> Callable[[Arrival], Response]:
        @wraps(view)
        def guarded(arrival: Arrival) -> Response:
            under_way = reset.read(arrival.visit.id)
            if under_way is None:
                return see_other(_path(arrival, Stage.NUMBER))
            if under_way.stage is not stage:
                return see_other(_path(arrival, under_way.stage))
            return view(arrival, under_way)

        return guarded

    return guard


def _page(arrival: Arrival, template: str, problems: list[FieldError], *, status: int = 200, **more: Any) -> Response:
    return page(
        arrival, f"sso/{template}.html", status=status, errors=problems, back=f"{arrival.path}/login",
        first=_path(arrival, Stage.NUMBER), **more,
    )  # fmt: skip


@blueprint.route(PATH, methods=["GET", "POST"], endpoint="number")
@step_page(Step.LOGIN)
def number(arrival: Arrival) -> Response:
    """Ask for the number, and send a code if there is somewhere to send it."""
    if request.method != "POST":
        return _page(arrival, "forgotten", [], number="")
    typed = web.form_parameters().get("number", "")
    if not typed.strip() or len(typed) > LONGEST_NUMBER:
        missing = "missing" if not typed.strip() else "length"
        problem = field_error("number", f"login.error.number-{missing}")
        return _page(arrival, "forgotten", [problem], status=400, number=typed[:LONGEST_NUMBER])
    provider = arrival.services
    settings, keyring = provider.settings, provider.keyring
    begun = reset.start(
        arrival.visit.id,
        typed,
        _asker(arrival),
        settings=settings,
        keyring=keyring,
        hot_path=provider.hot_path,
    )
    if isinstance(begun, Throttled):
        problem = throttled("totp", begun.retry_after)
        return retry(_page(arrival, "forgotten", [problem], status=429, number=typed), begun.retry_after)
    return see_other(_path(arrival, Stage.CODE))


@blueprint.route(f"{PATH}/code", methods=["GET", "POST"], endpoint="code")
@step_page(Step.LOGIN)
@_at(Stage.CODE)
def code(arrival: Arrival, under_way: Reset) -> Response:
    """Say that a code was sent if there is somewhere to send it, and ask for it."""
    if request.method != "POST":
        return _code_page(arrival, [])
    posted = web.form_parameters()
    settings, keyring = arrival.services.settings, arrival.services.keyring
    if (decision := posted.get("decision")) in ("again", "sms"):
        channel = Channel.SMS if decision == "sms" else None
        begun = reset.send(under_way, channel, _asker(arrival), settings=settings, keyring=keyring)
        if isinstance(begun, Throttled):
            wait = begun.retry_after
            return retry(_code_page(arrival, [throttled("totp", wait)], status=429), wait)
        return see_other(request.path)
    typed = posted.get("code", "")
    if problems := code_problems(typed):
        return _code_page(arrival, problems, status=400)
    checked = contact_proofs.check(under_way.id, Purpose.RESET, typed, keyring=keyring, counted_as=under_way.account)
    if checked.outcome is Outcome.THROTTLED:
        wait = checked.retry_after or 1
        return retry(_code_page(arrival, [throttled("totp", wait)], status=429), wait)
    if checked.outcome is Outcome.REFUSED:
        return _code_page(arrival, [field_error("code", "contacts.code.refused")], status=400)
    if checked.outcome is Outcome.LATE:
        return _late(arrival)
    reset.mark_proven(under_way)
    return see_other(_path(arrival, Stage.FACTOR))


def _late(arrival: Arrival) -> Response:
    """Answer a code that is over; or the other half of a double click, whose code has just been spent."""
    now_at = reset.read(arrival.visit.id)
    if now_at is not None and now_at.stage is not Stage.CODE:
        return see_other(_path(arrival, now_at.stage))
    return _code_page(arrival, [field_error("code", "contacts.code.refused")], status=400)


def _code_page(arrival: Arrival, problems: list[FieldError], *, status: int = 200) -> Response:
    settings = arrival.services.settings
    return _page(
        arrival, "forgotten_code", problems, status=status, may_choose_sms=settings.has_sms and settings.has_mail
    )


@blueprint.route(f"{PATH}/factor", methods=["GET", "POST"], endpoint="factor")
@step_page(Step.LOGIN)
@_at(Stage.FACTOR)
def factor(arrival: Arrival, under_way: Reset) -> Response:
    """Ask for the second factor too, or say where to go on without one."""
    assert under_way.citizen_id is not None
    ways = reset.ways(under_way.citizen_id)
    if not (ways.by_code or ways.by_recovery):
        return _page(arrival, "forgotten_end", [], has_passkey=ways.by_passkey)
    if request.method != "POST":
        return _page(arrival, "forgotten_factor", [], ways=ways)
    posted = web.form_parameters()
    if ways.by_recovery and posted.get("means") == "recovery":
        return _judge_recovery(arrival, under_way, under_way.citizen_id, ways, posted.get("recovery", ""))
    if not ways.by_code:
        return see_other(request.path)
    typed = posted.get("code", "")
    if problems := code_problems(typed):
        return _page(arrival, "forgotten_factor", problems, status=400, ways=ways)
    result = totp.verify(under_way.citizen_id, typed, keyring=arrival.services.keyring)
    if result.outcome is totp.Outcome.ACCEPTED:
        return _confirmed(arrival, under_way)
    return _not_confirmed(arrival, ways, "code", "totp.error.refused", result.retry_after)


def _judge_recovery(arrival: Arrival, under_way: Reset, citizen_id: UUID, ways: Ways, typed: str) -> Response:
    if not recovery.canonical(typed):
        problem = field_error("recovery", "forgotten.recovery.format")
        return _page(arrival, "forgotten_factor", [problem], status=400, ways=ways)
    result = recovery.spend(citizen_id, typed, keyring=arrival.services.keyring)
    if result.outcome is recovery.Outcome.ACCEPTED:
        return _confirmed(arrival, under_way)
    return _not_confirmed(arrival, ways, "recovery", "forgotten.recovery.refused", result.retry_after)


def _confirmed(arrival: Arrival, under_way: Reset) -> Response:
    reset.mark_confirmed(under_way)
    return see_other(_path(arrival, Stage.PASSWORD))


def _not_confirmed(arrival: Arrival, ways: Ways, name: str, message: str, wait: int | None) -> Response:
    """Answer a factor that was not accepted; or the other half of a double click, which has just confirmed."""
    now_at = reset.read(arrival.visit.id)
    if now_at is not None and now_at.stage is Stage.PASSWORD:
        return see_other(_path(arrival, Stage.PASSWORD))
    if wait is not None:
        return retry(_page(arrival, "forgotten_factor", [throttled("totp", wait)], status=429, ways=ways), wait)
    return _page(arrival, "forgotten_factor", [field_error(name, message)], status=400, ways=ways)


@blueprint.route(f"{PATH}/password", methods=["GET", "POST"], endpoint="password")
@step_page(Step.LOGIN)
@_at(Stage.PASSWORD)
def new_password(arrival: Arrival, under_way: Reset) -> Response:
    """Ask for the new password; once it is kept, lead back to where it is used."""
    assert under_way.citizen_id is not None
    settings, keyring = arrival.services.settings, arrival.services.keyring
    names = (*arrival.client.names.values(), *arrival.client.agency_names.values())
    standards = choice.standards(under_way.citizen_id, names=names, keyring=keyring)
    if request.method != "POST":
        return _page(arrival, "forgotten_password", [], least=standards.least)
    form = NewPasswordForm.read(web.form_parameters())
    if problems := form.problems(standards, settings):
        return _page(arrival, "forgotten_password", problems, status=400, least=standards.least)
    try:
        stored = password.make_hash(form.password, owner=under_way.citizen_id, settings=settings, keyring=keyring)
    except hashing.Busy:
        busy = [field_error("", "error.OP-002.message")]
        return _page(arrival, "forgotten_password", busy, status=503, least=standards.least)
    reset.finish(under_way, under_way.citizen_id, stored, keyring=keyring)
    # Whatever came of it: that leads to where the person is, as after the other half of a double click.
    now_at = reset.read(arrival.visit.id)
    return see_other(_path(arrival, Stage.NUMBER if now_at is None else now_at.stage))
