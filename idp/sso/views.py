"""The pages of a login, /signin/HANDLE/STEP.

Every page asks the dispatcher first: a step that is not the next one answers with a redirect to where the citizen
is, whatever was typed into the address bar. Every post ends with a redirect back to the dispatcher, /signin/HANDLE,
which `oidc` owns because it may have to issue the code.
"""

import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request

from idp.agencies.clients import Client
from idp.audit.events import Event
from idp.citizens import claims
from idp.citizens.credentials import means_of, passkey, password, totp
from idp.citizens.credentials.passkey import PasskeyRefused
from idp.citizens.models import Citizen
from idp.core import asked, clock, errors, web
from idp.core.database import db
from idp.core.errors import Failure
from idp.core.keyring import Keyring, Purpose
from idp.core.levels import Method
from idp.core.web import Back, render, see_other
from idp.notify import notices
from idp.notify.notices import Notice
from idp.sso import consent, devices, dispatch, interaction, known_device, opening, session
from idp.sso.federation import choices
from idp.sso.forms import FieldError, LoginForm, code_problems, field_error
from idp.sso.interaction import Visit
from idp.sso.own_pages import own_client
from idp.sso.request import AuthorizationRequest, ResponseMode
from idp.sso.services import Services, services
from idp.sso.situation import Progress, Situation, Standing, asked_of, read_standing
from idp.sso.steps import Need, Step, second_factor
from idp.sso.steps.second_factor import Ways
from idp.upstream import reconcile, refusal

blueprint = Blueprint("sso", __name__)
SESSION_COOKIE = "sid"
LAST_PROVIDER = "idp"
RESET = "reset"
"""What `done` says on the page of number and password when a new password has just been chosen."""
OFFICER_COOKIE = "officer"
"""Where an officer's own session waits while they help somebody else sign in with this browser."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request to a page of a login: its interaction, client, session, and what the dispatcher says is next."""

    services: Services
    visit: Visit
    client: Client
    standing: Standing | None
    progress: Progress
    decision: dispatch.Decision
    renewed: session.Opened | None

    def is_at(self, step: Step) -> bool:
        """Tell whether `step` is what the dispatcher asks for now."""
        return not self.visit.is_finished and isinstance(self.decision, Need) and self.decision.step is step

    @property
    def is_first(self) -> bool:
        """Tell whether nobody is or was signed in, neither in this browser nor on these pages."""
        return self.standing is None and self.visit.session_id is None

    @property
    def situation(self) -> Situation:
        """Return what the dispatcher decided from."""
        return Situation(self.visit.request, self.client, self.standing, self.progress)

    @property
    def session_secret(self) -> str | None:
        """Return the session's secret that this browser holds, or has just been given."""
        if self.renewed is not None:
            return self.renewed.secret
        return request.cookies.get(web.cookie_name(SESSION_COOKIE, self.services.settings))

    @property
    def agency(self) -> str:
        """Return the portal's name in the language of the page."""
        return self.client.name(web.current_language())

    @property
    def path(self) -> str:
        """Return the dispatcher's path for this interaction."""
        return path_of(self.visit.handle)

    @property
    def csrf(self) -> str:
        """Return the token its forms carry."""
        return csrf_token(self.services.keyring, self.visit.flow_secret)

    @property
    def shown_to(self) -> str:
        """Return the token that ties a page about a person to that person's session.

        Somebody else may sign in on another tab while the page is open; what was shown to one is not agreed by the
        other. Empty without a session.
        """
        if self.standing is None:
            return ""
        return self.services.keyring.tag(Purpose.FORM, self._shown_to)

    def is_shown_to(self, given: str) -> bool:
        """Tell whether a form carries the token of `shown_to`, in constant time."""
        if self.standing is None:
            return given == ""
        return self.services.keyring.fits(Purpose.FORM, self._shown_to, given)

    @property
    def _shown_to(self) -> bytes:
        assert self.standing is not None
        return f"{self.visit.flow_secret}|{self.standing.session_id}".encode()

    @property
    def form_action(self) -> str | None:
        """Return the origin a form may end at, besides ours: Chromium holds form-action against redirects too."""
        return None if self.stays_here else web.origin_of(self.visit.request.redirect_uri)

    @property
    def stays_here(self) -> bool:
        """Tell whether the pages end with us, because the answer reaches nobody through this browser."""
        return self.visit.request.response_mode in (ResponseMode.OTHER_DEVICE, ResponseMode.OWN_PAGE)

    def keep_cookies(self, response: Response) -> Response:
        """Put the renewed session secret on the answer, if this request is the second half of a double click.

        A page that authenticated has set a newer one, which stays.
        """
        name = web.cookie_name(SESSION_COOKIE, self.services.settings)
        is_set = any(cookie.startswith(f"{name}=") for cookie in response.headers.getlist("Set-Cookie"))
        if self.renewed is not None and not is_set:
            web.set_cookie(response, SESSION_COOKIE, self.renewed.secret, self.services.settings)
        return response


def path_of(handle: str) -> str:
    """Return where the dispatcher of an interaction lives."""
    return f"/signin/{handle}"


def csrf_token(keyring: Keyring, flow_secret: str) -> str:
    """Return the form token of an interaction: an HMAC of its flow cookie, so that only its own pages know it."""
    return keyring.tag(Purpose.FORM, flow_secret.encode())


def arrive(handle: str) -> Arrival:
    """Read the state behind a request to an interaction's page.

    Raises Failure with a page of its own for a lost cookie, an expired interaction, a suspended client, or one whose
    record no longer allows what this request asks.
    """
    provider = services()
    settings = provider.settings
    visit = interaction.visit(handle, flow_secret(handle), keyring=provider.keyring, hot_path=provider.hot_path)
    client = _client_of(visit, provider)
    web.prefer_languages(visit.request.ui_locales)
    secret = request.cookies.get(web.cookie_name(SESSION_COOKIE, settings))
    standing = read_standing(provider.hot_path, secret, client)
    renewed = None
    if standing is None and secret and visit.session_id is not None:
        renewed = session.take_over(secret, visit.session_id, keyring=provider.keyring)
        if renewed is not None:
            standing = read_standing(provider.hot_path, renewed.secret, client)
    if standing is not None and standing.locale is not None:
        web.prefer_languages((*visit.request.ui_locales, standing.locale))
    if standing is not None and standing.is_shared:
        web.keep_no_language()
    visit = replace(visit, request=asked_of(visit.request, standing))
    progress = visit.progress(standing)
    decision = dispatch.decide(
        Situation(visit.request, client, standing, progress),
        settings=settings,
        means_of=means_of,
        providers=provider.providers,
    )
    return Arrival(provider, visit, client, standing, progress, decision, renewed)


def _client_of(visit: Visit, provider: Services) -> Client:
    asked = visit.request
    if visit.client_id is None:
        return own_client(provider.settings)
    client = provider.clients.by_row_id(visit.client_id)
    if client is None or not client.is_active:
        raise Failure(errors.SUSPENDED_CLIENT)
    is_answerable = asked.response_mode is ResponseMode.OTHER_DEVICE or asked.redirect_uri in client.redirect_uris
    if not is_answerable or not set(asked.scopes) <= set(client.scopes):
        raise Failure(errors.FLOW_EXPIRED)
    return client


def enter_for_ourselves(asked: AuthorizationRequest, provider: Services) -> Response:
    """Open the pages of a sign-in to one of our own pages, and send the browser there."""
    opened = interaction.open_interaction(
        asked, None, settings=provider.settings, keyring=provider.keyring, hot_path=provider.hot_path
    )
    return enter(opened, provider)


def enter(opened: interaction.Opened, provider: Services) -> Response:
    """Send the browser to the pages of an interaction just opened, with its flow cookie."""
    settings = provider.settings
    response = see_other(path_of(opened.handle))
    for name in interaction.surplus(list(request.cookies)):
        web.drop_cookie(response, name.removeprefix("__Host-"), settings)
    web.set_cookie(
        response,
        interaction.cookie_name(opened.handle),
        opened.flow_secret,
        settings,
        max_age=settings.interaction_lifetime,
    )
    return response


def flow_secret(handle: str) -> str | None:
    """Return the flow cookie this browser sent for `handle`."""
    return request.cookies.get(web.cookie_name(interaction.cookie_name(handle), services().settings))


def failure_page(failure: Failure, handle: str) -> Response:
    """Return the page of a failure in a login, with the way back to the portal that the interaction knows."""
    provider = services()
    client_id = interaction.find_client(handle)
    client = provider.clients.by_row_id(client_id) if client_id is not None else None
    back = None
    # From the client's record, never from the request; a client of devices alone may have no address.
    if client is not None:
        asked.by(client.client_id)
    if client is not None and (client.client_uri or client.redirect_uris):
        home = client.client_uri or web.origin_of(min(client.redirect_uris)) + "/"
        back = Back("link", home, client.name(web.current_language()))
    return web.error_page(failure.entry, reference=web.reference(), back=back)


def step_page(step: Step) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Guard a page: only the step the dispatcher asks for is served, only posts with the form token are acted on."""

    def guard(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def guarded(handle: str, **parts: str) -> Response:
            try:
                arrival = arrive(handle)
                if not arrival.is_at(step):
                    return arrival.keep_cookies(see_other(arrival.path))
                if request.method == "POST":
                    _check_form_token(arrival)
                return arrival.keep_cookies(view(arrival, **parts))
            except Failure as failure:
                if failure.entry.code.startswith("OP-"):
                    raise
                return failure_page(failure, handle)

        return guarded

    return guard


def _check_form_token(arrival: Arrival) -> None:
    if web.is_from_elsewhere():
        raise Failure(errors.FORM_EXPIRED)
    given = web.form_parameters().get("csrf", "")
    if not arrival.services.keyring.fits(Purpose.FORM, arrival.visit.flow_secret.encode(), given):
        raise Failure(errors.FORM_EXPIRED)


def page(
    arrival: Arrival, template: str, *, status: int = 200, leads_to: Iterable[str] = (), **context: Any
) -> Response:
    """Return a page of a login, with what every one of them needs. `leads_to`: origins its forms lead to besides."""
    ends = dict.fromkeys((*((arrival.form_action,) if arrival.form_action else ()), *leads_to))
    return render(
        template,
        status=status,
        form_action=" ".join(ends) or None,
        agency=arrival.agency,
        logo_url=arrival.client.logo_path,
        action=request.path,
        cancel_action=f"{arrival.path}/cancel",
        csrf=arrival.csrf,
        shown_to=arrival.shown_to,
        elsewhere=arrival.visit.request.response_mode is ResponseMode.OTHER_DEVICE,
        **context,
    )


def retry(response: Response, seconds: int) -> Response:
    """Return an answer that says when to come back."""
    response.headers["Retry-After"] = str(seconds)
    return response


# --- number and password ----------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/login", methods=["GET", "POST"], endpoint="login")
@step_page(Step.LOGIN)
def login(arrival: Arrival) -> Response:
    """Ask for number and password, or check them."""
    if request.method != "POST":
        if (hinted := _hinted(arrival)) is not None and "choose" not in web.query_parameters():
            return see_other(f"{arrival.path}/upstream/{hinted}")
        is_reset = web.query_parameters().get("done") == RESET
        return _login_page(arrival, LoginForm(arrival.visit.request.login_hint or ""), [], is_reset=is_reset)
    posted = web.form_parameters()
    if answer := posted.get("passkey"):
        return _sign_in_with_passkey(arrival, answer, is_shared=bool(posted.get("shared")))
    form = LoginForm.read(posted)
    if problems := form.problems():
        return _login_page(arrival, form, problems, status=400)
    settings = arrival.services.settings
    result = password.verify(
        form.number,
        form.password,
        address=web.remote_address(),
        settings=settings,
        keyring=arrival.services.keyring,
        hot_path=arrival.services.hot_path,
    )
    if result.outcome is password.Outcome.BUSY:
        busy = _login_page(arrival, form, [field_error("", "error.OP-002.message")], status=503)
        return retry(busy, result.retry_after or 1)
    if result.outcome is password.Outcome.THROTTLED:
        wait = result.retry_after or 1
        return retry(_login_page(arrival, form, [throttled("login", wait)], status=429), wait)
    if result.citizen_id is None:
        return _login_page(arrival, form, [field_error("", "login.error.refused")], status=400)
    citizen_id, methods = result.citizen_id, frozenset({Method.PASSWORD})
    proven = opening.read_proven(citizen_id, hot_path=arrival.services.hot_path) if arrival.is_first else None
    if proven is not None:
        response = signed_in_at_once(arrival, citizen_id, methods, proven=proven, is_shared=form.is_shared)
        if response is not None:
            return response
    return signed_in(arrival, citizen_id, methods, is_shared=form.is_shared)


def signed_in_at_once(
    arrival: Arrival,
    citizen_id: UUID,
    methods: frozenset[Method],
    *,
    proven: opening.Proven,
    brought: opening.Brought | None = None,
    is_shared: bool = False,
) -> Response | None:
    """Do what `signed_in` does by one statement, for an arrival that is the first; None where it has to be done there.

    Commits.
    """
    provider = arrival.services
    origin, greeting = _origin(), _greeting(arrival, citizen_id)
    opened = opening.open_at_once(
        citizen_id,
        methods,
        interaction_id=arrival.visit.id,
        flow_secret=arrival.visit.flow_secret,
        origin=origin,
        is_shared=is_shared,
        new_device=None
        if greeting.is_known
        else lambda key: known_device.facts(arrival.client, device=origin.device, session_id=key),
        proven=proven,
        brought=brought,
        settings=provider.settings,
        keyring=provider.keyring,
        hot_path=provider.hot_path,
    )
    if opened is None:
        return None
    return _with_session(arrival, opened, greeting, is_shared=is_shared)


def _sign_in_with_passkey(arrival: Arrival, answer: str, *, is_shared: bool) -> Response:
    """Sign in whoever's passkey it is; guesses at passwords never stand in its way."""
    try:
        accepted = passkey.finish(
            answer,
            passkey.Purpose.SIGN_IN,
            citizen_id=None,
            bound_to=arrival.visit.id,
            settings=arrival.services.settings,
        )
    except PasskeyRefused as refused:
        return _login_page(arrival, LoginForm(is_shared=is_shared), [passkey_error(refused)], status=400)
    return signed_in(arrival, accepted.citizen_id, accepted.methods, is_shared=is_shared)


def passkey_error(refused: PasskeyRefused) -> FieldError:
    """Return what a person reads when a passkey was not accepted: that it took too long, or only that it was not."""
    return field_error("", "passkey.error.late" if refused.is_late else "passkey.error.refused")


def signed_in(
    arrival: Arrival,
    citizen_id: UUID,
    methods: AbstractSet[Method],
    *,
    is_shared: bool = False,
    is_new_account: bool = False,
    vouched: session.Vouched | None = None,
    note: Callable[[UUID], None] | None = None,
) -> Response:
    """Open the session of a citizen who has just authenticated, or made an account, and return to the dispatcher.

    Commits, and with it what the caller wrote. `vouched` is what a provider of identities answers for, `note` writes
    more about the session in the same transaction.
    """
    settings, keyring = arrival.services.settings, arrival.services.keyring
    # Read again, and held: another click on this page may have signed in while the password was being hashed.
    joined = interaction.lock(arrival.visit.id)
    origin, greeting = _origin(), _greeting(arrival, citizen_id)
    opened = session.open_session(
        citizen_id,
        methods,
        flow_secret=arrival.visit.flow_secret,
        previous=arrival.standing.session_id if arrival.standing else None,
        joined=joined,
        origin=origin,
        vouched=vouched,
        is_shared=is_shared,
        settings=settings,
        keyring=keyring,
    )
    # Of the first device of all nobody needs to be told, and of the other half of a double click nobody again.
    if not (greeting.is_known or is_new_account or opened.session_id == joined):
        facts = known_device.facts(arrival.client, device=origin.device, session_id=opened.session_id)
        notices.owe(citizen_id, Notice.NEW_DEVICE, keyring=keyring, to=None, **facts)
    is_highest = session.is_highest(methods, vouched)
    interaction.mark_authenticated(arrival.visit.id, opened.session_id, with_bound_key=is_highest)
    if note is not None:
        note(opened.session_id)
    db.session.commit()
    return _with_session(arrival, opened, greeting, is_shared=is_shared)


def _origin() -> devices.Origin:
    return devices.origin(request.headers.get("User-Agent", ""), web.remote_address())


def _greeting(arrival: Arrival, citizen_id: UUID) -> known_device.Greeting:
    cookie = request.cookies.get(web.cookie_name(known_device.COOKIE, arrival.services.settings), "")
    return known_device.meet(cookie, citizen_id, keyring=arrival.services.keyring)


def _with_session(
    arrival: Arrival, opened: session.Opened, greeting: known_device.Greeting, *, is_shared: bool
) -> Response:
    """Return to the dispatcher with the cookies of a session just opened."""
    settings = arrival.services.settings
    response = see_other(arrival.path)
    web.set_cookie(response, SESSION_COOKIE, opened.secret, settings)
    if is_shared:
        # Whoever uses the device next must not find out that this citizen was here, nor look like them.
        web.keep_no_language()
    else:
        web.set_cookie(response, known_device.COOKIE, greeting.cookie, settings, max_age=known_device.COOKIE_SECONDS)
    return response


def _login_page(
    arrival: Arrival, form: LoginForm, problems: list[FieldError], *, status: int = 200, is_reset: bool = False
) -> Response:
    settings = arrival.services.settings
    options = None
    # While passwords queue up, one more page must not cost a write.
    if passkey.is_offered(settings) and status != errors.BUSY.status:
        options = passkey.begin_sign_in(bound_to=arrival.visit.id, settings=settings)
    offered = _offered(arrival)
    return page(
        arrival,
        "sso/login.html",
        status=status,
        leads_to=[origin for provider in arrival.services.providers.all() for origin in provider.form_actions],
        choices=offered,
        upstream_action=f"{arrival.path}/upstream/",
        form=form,
        errors=problems or (_refused_there(arrival) if offered else []),
        reauthentication=arrival.standing is not None,
        enrolment_url=f"{arrival.path}/enrol",
        is_shared=form.is_shared or (arrival.standing is not None and arrival.standing.is_shared),
        is_reset=is_reset,
        forgotten=f"{arrival.path}/forgotten",
        counter_path=None if arrival.stays_here else f"{arrival.path}/counter",
        assist_path=f"{arrival.path}/assist" if _has_officer(arrival) else None,
        passkey_options=options,
        with_script=options is not None,
    )


def _offered(arrival: Arrival) -> tuple[choices.Choice, ...]:
    given = arrival.services
    return choices.choices(
        given.providers.all(),
        arrival.visit.request,
        arrival.client,
        last=request.cookies.get(web.cookie_name(LAST_PROVIDER, given.settings), ""),
        language=web.current_language(),
        now=clock.now(),
    )


def _hinted(arrival: Arrival) -> str | None:
    """Return the provider that the portal named and the citizen has not been at yet; None when they choose."""
    hint = arrival.visit.request.idp_hint
    provider = arrival.services.providers.find(hint) if hint else None
    if provider is None or choices.shut(provider, arrival.visit.request, arrival.client, now=clock.now()):
        return None
    return provider.slug if reconcile.latest(arrival.visit.id, hot_path=arrival.services.hot_path) is None else None


def _refused_there(arrival: Arrival) -> list[FieldError]:
    """Return why the last visit to a provider on these pages came to nothing, in words of ours."""
    latest = reconcile.latest(arrival.visit.id, hot_path=arrival.services.hot_path)
    provider = arrival.services.providers.by_id(latest[0]) if latest is not None else None
    told = refusal.told(latest[1] or "") if latest is not None else None
    if told is None or provider is None:
        return []
    name, agency = provider.name(web.current_language()), arrival.agency
    return [field_error("upstream-choices", f"upstream.refused.{told}", provider=name, agency=agency)]


def _has_officer(arrival: Arrival) -> bool:
    """Tell whether an officer has left their own session with this browser; whether it is good, the page asks."""
    name = web.cookie_name(OFFICER_COOKIE, arrival.services.settings)
    return not arrival.stays_here and bool(request.cookies.get(name))


def throttled(form: str, seconds: int) -> FieldError:
    """Return what a person reads who tried too often."""
    if form == "login" and seconds < 60:  # noqa: PLR2004 (a minute)
        return field_error("", "login.error.wait-seconds", seconds=seconds)
    return field_error("", f"{form}.error.throttled", minutes=max(1, -(-seconds // 60)))


# --- second factor ----------------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/code", methods=["GET", "POST"], endpoint="code")
@step_page(Step.CODE)
def code(arrival: Arrival) -> Response:
    """Ask for a one-time code or a passkey, or check it."""
    assert arrival.standing is not None
    ways = second_factor.ways(arrival.situation, means_of)
    if not ways.has_page:
        return see_other(f"{arrival.path}/code/other")
    if request.method != "POST":
        return _code_page(arrival, ways, [])
    posted = web.form_parameters()
    if ways.by_key and (answer := posted.get("passkey")):
        return _confirm_with_passkey(arrival, ways, answer)
    if ways.by_settling and posted.get("decision") == "settle":
        interaction.mark_settled(arrival.visit, arrival.standing.session_id)
        db.session.commit()
        return see_other(arrival.path)
    if not ways.by_code:
        return _code_page(arrival, ways, [])
    return _confirm_with_code(arrival, ways, posted.get("code", ""))


def _confirm_with_passkey(arrival: Arrival, ways: Ways, answer: str) -> Response:
    assert arrival.standing is not None
    try:
        accepted = passkey.finish(
            answer,
            passkey.Purpose.CONFIRM,
            citizen_id=arrival.standing.citizen_id,
            bound_to=arrival.visit.id,
            settings=arrival.services.settings,
        )
    except PasskeyRefused as refused:
        return _code_page(arrival, ways, [passkey_error(refused)], status=400)
    return raised(arrival, accepted.methods)


def _confirm_with_code(arrival: Arrival, ways: Ways, typed: str) -> Response:
    assert arrival.standing is not None
    if problems := code_problems(typed):
        return _code_page(arrival, ways, problems, status=400)
    result = totp.verify(arrival.standing.citizen_id, typed, keyring=arrival.services.keyring)
    if result.outcome is totp.Outcome.THROTTLED:
        wait = result.retry_after or 1
        return retry(_code_page(arrival, ways, [throttled("totp", wait)], status=429), wait)
    if result.is_spent and (answer := answer_of_the_other_click(arrival.visit.handle)) is not None:
        return answer
    if result.outcome is not totp.Outcome.ACCEPTED:
        return _code_page(arrival, ways, [field_error("code", "totp.error.refused")], status=400)
    return raised(arrival, {Method.ONE_TIME_CODE}, settles=ways.code_settles)


def raised(
    arrival: Arrival, methods: AbstractSet[Method], *, settles: bool = False, leads_to: str | None = None
) -> Response:
    """Raise the session by what was just proven and go on, by `leads_to` if given.

    `settles`: it is less than was wished for, and meant to be enough.
    """
    assert arrival.standing is not None
    settings = arrival.services.settings
    renewed = session.raise_session(
        arrival.standing.session_id,
        methods,
        old_secret=arrival.session_secret or "",
        settings=settings,
        keyring=arrival.services.keyring,
    )
    if renewed is None:
        return see_other(arrival.path)
    interaction.mark_raised(arrival.visit, renewed.session_id, with_bound_key=Method.HARDWARE_KEY in methods)
    if settles:
        interaction.mark_settled(arrival.visit, renewed.session_id)
    db.session.commit()
    response = see_other(leads_to or arrival.path)
    web.set_cookie(response, SESSION_COOKIE, renewed.secret, settings)
    return response


def answer_of_the_other_click(handle: str) -> Response | None:
    """Return the way on when another click on this page has just spent the code; None when nobody did.

    The two clicks may be judged at the same moment in two workers: the first has spent the code and is about to raise
    the session, and its answer is the one the browser throws away.
    """
    for _ in range(10):
        arrival = arrive(handle)
        if not arrival.is_at(Step.CODE):
            return arrival.keep_cookies(see_other(arrival.path))
        time.sleep(0.1)
    return None


def _code_page(arrival: Arrival, ways: Ways, problems: list[FieldError], *, status: int = 200) -> Response:
    assert arrival.standing is not None
    settings = arrival.services.settings
    options = None
    if ways.by_key and passkey.is_offered(settings):
        options = passkey.begin_confirmation(
            arrival.standing.citizen_id,
            device_bound=ways.needs_bound_key,
            bound_to=arrival.visit.id,
            settings=settings,
        )
    return page(
        arrival,
        "sso/totp.html",
        status=status,
        errors=problems,
        step_up=not arrival.progress.has_authenticated,
        ways=ways,
        other_url=f"{arrival.path}/code/other",
        passkey_options=options,
        with_script=options is not None,
    )


# --- which account ----------------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/account", methods=["GET", "POST"], endpoint="account")
@step_page(Step.ACCOUNT)
def account(arrival: Arrival) -> Response:
    """Ask whether to go on with the account of the session, or act on the answer."""
    assert arrival.standing is not None
    if request.method != "POST":
        return page(arrival, "sso/select_account.html", full_name=profile_of(arrival).full_name)
    if not is_same_person(arrival):
        return see_other(request.path)
    response = see_other(arrival.path)
    if web.form_parameters().get("decision") == "continue":
        interaction.mark_selected(arrival.visit, arrival.standing.session_id)
    else:
        session.end(arrival.standing.session_id, reason="other account")
        web.drop_cookie(response, SESSION_COOKIE, arrival.services.settings)
    db.session.commit()
    return response


def profile_of(arrival: Arrival) -> claims.Profile:
    """Return the profile of who is signed in."""
    assert arrival.standing is not None
    citizen = db.session.get_one(Citizen, arrival.standing.citizen_id)
    profile = claims.profile_of(citizen, arrival.services.keyring)
    db.session.rollback()
    return profile


# --- consent and notice -----------------------------------------------------------------------------------------


@blueprint.route("/signin/<handle>/consent", methods=["GET", "POST"], endpoint="consent")
@step_page(Step.CONSENT)
def ask_consent(arrival: Arrival) -> Response:
    """Show what would be sent and ask, or act on the answer."""
    if request.method != "POST":
        return _consent_page(arrival, "sso/consent.html")
    decision = web.form_parameters().get("decision")
    if not is_same_person(arrival):
        return see_other(request.path)
    if decision == "deny":
        return _deny(arrival, Event.CONSENT_REFUSED)
    if decision != "allow":
        return see_other(request.path)
    return _agree(arrival)


@blueprint.route("/signin/<handle>/notice", methods=["GET", "POST"], endpoint="notice")
@step_page(Step.NOTICE)
def show_notice(arrival: Arrival) -> Response:
    """Show what the law lets the agency receive, or note that it was read."""
    if request.method != "POST":
        legal_basis = arrival.client.legal_basis(web.current_language())
        return _consent_page(arrival, "sso/notice.html", legal_basis=legal_basis)
    if not is_same_person(arrival):
        return see_other(request.path)
    return _agree(arrival)


def is_same_person(arrival: Arrival) -> bool:
    """Tell whether the form posted stood on a page that was shown to who is signed in now."""
    return arrival.is_shown_to(web.form_parameters().get("shown_to", ""))


def _consent_page(arrival: Arrival, template: str, **context: Any) -> Response:
    assert arrival.standing is not None
    profile = profile_of(arrival)
    asked = consent.items(
        arrival.visit.request,
        arrival.client,
        profile,
        arrival.standing,
        lasting=timedelta(seconds=arrival.services.settings.refresh_absolute),
        language=web.current_language(),
    )
    has_new = any(item.new for item in asked) and not all(item.new for item in asked)
    shown = [item for item in asked if item.new] if has_new else asked
    return page(
        arrival,
        template,
        full_name=profile.full_name,
        policy_url=arrival.client.policy_uri(web.current_language()),
        tos_url=arrival.client.tos_uri(web.current_language()),
        purpose_items=[replace(item, new=item.new and has_new) for item in shown],
        remembered_items=[item for item in asked if not item.new] if has_new else [],
        anonymous=not arrival.visit.request.disclosed,
        **context,
    )


def _agree(arrival: Arrival) -> Response:
    assert arrival.standing is not None
    consent.agree(
        arrival.visit,
        arrival.client,
        arrival.standing,
        language=web.current_language(),
        keyring=arrival.services.keyring,
    )
    return see_other(arrival.path)


# --- turning back -----------------------------------------------------------------------------------------------


@blueprint.post("/signin/<handle>/cancel", endpoint="cancel")
def cancel(handle: str) -> Response:
    """Take the citizen back to the portal, which is told access_denied."""
    try:
        arrival = arrive(handle)
        _check_form_token(arrival)
        if arrival.visit.is_finished:
            return arrival.keep_cookies(see_other(arrival.path))
        return arrival.keep_cookies(_deny(arrival, Event.SIGN_IN_ABANDONED))
    except Failure as failure:
        return failure_page(failure, handle)


def _deny(arrival: Arrival, event: Event) -> Response:
    interaction.deny(arrival.visit, event, citizen_id=arrival.standing.citizen_id if arrival.standing else None)
    return see_other(arrival.path)


def refusal_page(arrival: Arrival, entry: errors.Entry) -> Response:
    """Return the page that explains why this login ends, with the button back to the portal if there is one."""
    asked.by(arrival.client.client_id)
    if arrival.stays_here:
        return web.error_page(entry, reference=web.reference())
    back = Back("form", f"{arrival.path}/cancel", arrival.agency, arrival.csrf)
    return web.error_page(entry, reference=web.reference(), back=back, form_action=arrival.form_action)
