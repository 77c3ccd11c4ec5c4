"""The citizen's pages at a counter, on their own telephone or on a screen that stands there.

/signin/HANDLE/counter             the code to show the officer, and how far it has come
/signin/HANDLE/counter/confirm     sign in, and the account is bound: only its owner can let that happen
/signin/HANDLE/counter/password    choose a password for a new account, or instead of everything lost
/signin/HANDLE/counter/codes       the recovery codes, until they have been taken home

Each is served only while this sign-in is at its first step, and only for what an officer has allowed; every other
address leads to the first. Nothing is asked of the citizen that the officer would have to see.
"""

from collections.abc import Callable
from functools import wraps

from flask import Blueprint, Response, request
from sqlalchemy.exc import IntegrityError

from idp.citizens import binding, pairing
from idp.citizens.binding import AccountTaken
from idp.citizens.counter_acts import Act
from idp.citizens.credentials import hashing, means_of, password, recovery, rules, throttle, totp
from idp.citizens.pairing import Paired
from idp.core import clock, errors, user_codes, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.levels import Method
from idp.core.web import form_parameters, see_other
from idp.oidc import endings
from idp.sso import interaction
from idp.sso.forms import FieldError, LoginForm, code_problems, field_error
from idp.sso.steps import Step
from idp.sso.views import Arrival, page, retry, signed_in, step_page

blueprint = Blueprint("counter_citizen", __name__)
# From one network; a mobile operator puts many people behind one address.
_CODES, _WINDOW = 300, 600
# For the code, for a second officer, for the citizen, and for copying the recovery codes.
_PHASES = 4
_PAGES = {Act.BIND: "confirm", Act.NEW: "password", Act.REPLACE: "password"}


def _place(arrival: Arrival) -> str:
    return f"{arrival.path}/counter"


@blueprint.route("/signin/<handle>/counter", methods=["GET", "POST"])
@step_page(Step.LOGIN)
def code(arrival: Arrival) -> Response:
    """Explain, and show the code once it was asked for; lead on when an officer has allowed something."""
    if arrival.stays_here:
        return see_other(arrival.path)
    paired = _of(arrival)
    if request.method == "POST":
        return _show_code(arrival)
    if paired is not None and paired.handout:
        return see_other(f"{_place(arrival)}/codes")
    if paired is not None and paired.is_allowed and not paired.is_used and paired.act in _PAGES:
        return see_other(f"{_place(arrival)}/{_PAGES[paired.act]}")
    keyring = arrival.services.keyring
    return page(
        arrival,
        "counter/code.html",
        errors=[],
        state=_state(paired),
        code=user_codes.display(pairing.code_of(paired.id, keyring=keyring)) if paired is not None else "",
        login_path=f"{arrival.path}/login",
        again_path=_place(arrival),
    )


def _of(arrival: Arrival) -> Paired | None:
    found = pairing.of_interaction(arrival.visit.id, keyring=arrival.services.keyring)
    db.session.rollback()
    return found


def _state(paired: Paired | None) -> str:
    if paired is None:
        return "none"
    if paired.is_used:
        return "unlocked" if paired.act is Act.UNLOCK else "done"
    if paired.act is Act.REPLACE:
        return "second"
    return "shown" if paired.officer_id is None else "seen"


def _show_code(arrival: Arrival) -> Response:
    provider, network = arrival.services, throttle.network(web.remote_address())
    settings = provider.settings
    verdict = provider.limiter.hit("counter shown", network, amount=_CODES, per_seconds=_WINDOW)
    if not verdict.is_allowed:
        raise Failure(errors.TOO_MANY_REQUESTS, retry_after=verdict.retry_after)
    # People are at work for this sign-in, so it may take longer than one alone.
    seconds = _PHASES * settings.counter_pairing + settings.interaction_lifetime
    pairing.show(arrival.visit.id, lifetime=settings.counter_pairing, keyring=provider.keyring)
    interaction.keep_open(arrival.visit, seconds=seconds)
    db.session.commit()
    response = see_other(_place(arrival))
    name = interaction.cookie_name(arrival.visit.handle)
    web.set_cookie(response, name, arrival.visit.flow_secret, settings, max_age=seconds)
    return response


def _allowed(*acts: Act) -> Callable[[Callable[[Arrival, Paired], Response]], Callable[[Arrival], Response]]:
    """Guard a page: it is served only for one of `acts` that an officer has allowed and that was not used yet."""

    def guard(view: Callable[[Arrival, Paired], Response]) -> Callable[[Arrival], Response]:
        @wraps(view)
        def guarded(arrival: Arrival) -> Response:
            paired = _of(arrival)
            if paired is None or not paired.is_allowed or paired.is_used or paired.act not in acts:
                return see_other(_place(arrival))
            return view(arrival, paired)

        return guarded

    return guard


# --- bound: the owner signs in ------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/counter/confirm", methods=["GET", "POST"])
@step_page(Step.LOGIN)
@_allowed(Act.BIND)
def confirm(arrival: Arrival, paired: Paired) -> Response:
    """Ask for number, password and, where the account has one, a code; then bind the account and sign in.

    An officer sees a face and a card, never who holds the account: somebody may have made it with a stranger's data.
    Whoever cannot sign in to it gets new keys instead.
    """
    assert paired.citizen_id is not None
    needs_code = Method.ONE_TIME_CODE in means_of(paired.citizen_id)
    if request.method != "POST":
        return _confirm_page(arrival, LoginForm(), [], needs_code=needs_code)
    posted = form_parameters()
    form = LoginForm.read(posted)
    problems = form.problems() + (code_problems(posted.get("code", "")) if needs_code else [])
    if problems:
        return _confirm_page(arrival, form, problems, needs_code=needs_code, status=400)
    settings, keyring = arrival.services.settings, arrival.services.keyring
    result = password.verify(
        form.number,
        form.password,
        address=web.remote_address(),
        settings=settings,
        keyring=keyring,
        hot_path=arrival.services.hot_path,
    )
    if result.retry_after is not None:
        busy = [field_error("", "counter.error.throttled")]
        return retry(_confirm_page(arrival, form, busy, needs_code=needs_code, status=429), result.retry_after)
    if result.citizen_id is None:
        refused = [field_error("", "login.error.refused")]
        return _confirm_page(arrival, form, refused, needs_code=needs_code, status=400)
    if result.citizen_id != paired.citizen_id:
        other = [field_error("number", "counter.confirm.other")]
        return _confirm_page(arrival, form, other, needs_code=needs_code, status=400)
    methods = {Method.PASSWORD}
    if needs_code:
        verdict = totp.verify(result.citizen_id, posted.get("code", ""), keyring=keyring)
        if verdict.outcome is not totp.Outcome.ACCEPTED:
            wrong = [field_error("code", "totp.error.refused")]
            return _confirm_page(arrival, form, wrong, needs_code=needs_code, status=400)
        methods.add(Method.ONE_TIME_CODE)
    if not pairing.use(paired.id, Act.BIND):
        db.session.rollback()
        return see_other(_place(arrival))
    binding.bind(paired, keyring=keyring)
    return signed_in(arrival, result.citizen_id, methods)


def _confirm_page(
    arrival: Arrival, form: LoginForm, problems: list[FieldError], *, needs_code: bool, status: int = 200
) -> Response:
    return page(arrival, "counter/confirm.html", status=status, form=form, errors=problems, needs_code=needs_code)


# --- a new account, or new keys -----------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/counter/password", methods=["GET", "POST"])
@step_page(Step.LOGIN)
@_allowed(Act.NEW, Act.REPLACE)
def choose_password(arrival: Arrival, paired: Paired) -> Response:
    """Ask for a password, then make the account, or replace what was lost and sign out everywhere."""
    if request.method != "POST":
        return _password_page(arrival, paired, [])
    posted = form_parameters()
    chosen, settings, keyring = posted.get("password", ""), arrival.services.settings, arrival.services.keyring
    if problems := _password_problems(arrival, paired, chosen, posted.get("again", "")):
        return _password_page(arrival, paired, problems, status=400)
    citizen_id = paired.citizen_id or binding.new_citizen_id()
    try:
        # Before anything is held: hashing waits its turn.
        stored = password.make_hash(chosen, owner=citizen_id, settings=settings, keyring=keyring)
    except hashing.Busy:
        busy = [field_error("", "error.OP-002.message")]
        return retry(_password_page(arrival, paired, busy, status=503), 5)
    assert paired.act is not None
    if not pairing.use(paired.id, paired.act):
        db.session.rollback()
        return see_other(_place(arrival))
    try:
        if paired.act is Act.NEW:
            binding.make(paired, stored, citizen_id=citizen_id, keyring=keyring)
        else:
            binding.replace(paired, stored, settings=settings, keyring=keyring)
            endings.end_everything(citizen_id, reason="credentials replaced")
        codes = recovery.new_codes()
        recovery.store(citizen_id, codes, keyring=keyring, now=clock.now())
        pairing.hand_out(paired.id, codes, lifetime=settings.counter_pairing, keyring=keyring)
        db.session.commit()
    except (AccountTaken, IntegrityError):
        db.session.rollback()
        return _password_page(arrival, paired, [field_error("", "counter.password.taken")], status=409)
    return see_other(f"{_place(arrival)}/codes")


def _password_problems(arrival: Arrival, paired: Paired, chosen: str, again: str) -> list[FieldError]:
    assert paired.identity is not None
    if not chosen:
        return [field_error("password", "password.error.missing")]
    words = (*rules.words_about(paired.identity.claims(), paired.identity.birth), arrival.agency)
    weakness = rules.judge(chosen, words=words, has_second_factor=False, settings=arrival.services.settings)
    if weakness is not None:
        return [field_error("password", weakness.message, least=weakness.least, most=weakness.most)]
    return [] if chosen == again else [field_error("again", "password.error.differs")]


def _password_page(arrival: Arrival, paired: Paired, problems: list[FieldError], *, status: int = 200) -> Response:
    return page(
        arrival,
        "counter/password.html",
        status=status,
        errors=problems,
        is_new=paired.act is Act.NEW,
        # The sheet of recovery codes is for a loss, and is no second factor.
        least=rules.least_length(has_second_factor=False),
    )


@blueprint.route("/signin/<handle>/counter/codes", methods=["GET", "POST"])
@step_page(Step.LOGIN)
def codes(arrival: Arrival) -> Response:
    """Show the recovery codes until the citizen has them; then ask to sign in with the new password."""
    paired = _of(arrival)
    if paired is None or not paired.handout:
        return see_other(_place(arrival))
    if request.method != "POST":
        return page(arrival, "counter/codes.html", errors=[], codes=paired.handout)
    pairing.take_home(paired.id)
    db.session.commit()
    return see_other(f"{arrival.path}/login")
