"""The authorization endpoint: from a checked request to a code, a page, or an error.

begin    a new request: code at once if nothing is needed, else the pages
resume   the dispatcher's path: where the citizen is, after every step
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from idp.agencies.clients import Client
from idp.audit.events import Event
from idp.citizens import subjects
from idp.citizens.credentials import means_of
from idp.core import errors
from idp.core.database import db
from idp.core.errors import Entry
from idp.core.ids import digest, new_id, new_secret
from idp.core.levels import Level, level_of
from idp.core.settings import Settings
from idp.oidc import rechecks
from idp.oidc.decoupled import approval
from idp.oidc.responses import PortalAnswer, with_code, with_error
from idp.oidc.statements import (
    ISSUE_CODE,
    ISSUE_CODE_AFTER_PAGES,
    ISSUE_CODE_AND_TOUCH,
    ISSUE_PUSHED_CODE,
    ISSUE_PUSHED_CODE_AFTER_PAGES,
    SPEND_PUSHED,
    WITHDRAW_CODE,
)
from idp.sso import dispatch, interaction, session
from idp.sso.interaction import Visit
from idp.sso.request import AuthorizationRequest, Prompt, ResponseMode
from idp.sso.services import Services
from idp.sso.situation import Progress, Situation, Standing, asked_of, level_here, read_standing
from idp.sso.steps import Need, Refusal, RegistryDue, Step

# The idle life of a session moves on when this part of it has passed, so that a warm login rarely writes it.
_NOTICEABLE = 0.1
_ENDING = frozenset(
    {errors.ACCOUNT_UNUSABLE, errors.ACCOUNT_LOCKED, errors.IDENTITY_UNCONFIRMED, errors.REGISTRY_SILENT}
)


@dataclass(frozen=True, slots=True)
class ToPortal:
    """Send the browser back to the portal."""

    answer: PortalAnswer


@dataclass(frozen=True, slots=True)
class ToPages:
    """Send the browser to the pages of an interaction just opened."""

    opened: interaction.Opened


@dataclass(frozen=True, slots=True)
class ToStep:
    """Send the browser to the step that is next."""

    step: Step


@dataclass(frozen=True, slots=True)
class ToOtherDevice:
    """Say that the answer waits for the device that asked."""

    is_approved: bool


@dataclass(frozen=True, slots=True)
class ToOwnPage:
    """Send the browser, signed in, to a page of ours."""

    path: str


@dataclass(frozen=True, slots=True)
class ToRefusal:
    """Show why the login ends."""

    entry: Entry


def begin(
    request: AuthorizationRequest, client: Client, session_secret: str | None, *, provider: Services, reference: str
) -> ToPortal | ToPages:
    """Answer a checked request: with a code when the session answers every step, else with pages or an error."""
    standing = read_standing(provider.hot_path, session_secret, client)
    request = asked_of(request, standing)
    standing, decision = _settle(Situation(request, client, standing, Progress()), session_secret, provider)
    if decision is None and standing is not None:
        code = new_secret()
        touches = _is_noticeably_used(standing, provider)
        change = ISSUE_CODE_AND_TOUCH if touches else ISSUE_CODE
        values = _code_values(
            request, client, standing, code, level=standing.level, provider=provider, reference=reference
        )
        if request.pushed:
            change, values["touches"] = ISSUE_PUSHED_CODE, touches
        if provider.hot_path.apply(change, values) is not None:
            return ToPortal(_with_code(request, client, code, provider))
        # Signed out in another tab since the standing was read, or another tab was faster with the pushed request.
        decision = Need(Step.LOGIN, errors.LOGIN_REQUIRED)
    if Prompt.NONE in request.prompt or (isinstance(decision, Refusal) and decision.is_for_portal):
        _end_if_refused(decision, standing)
        return ToPortal(_with_error(request, client, _error_of(decision), provider, reference))
    return ToPages(
        interaction.open_interaction(
            request, client.id, settings=provider.settings, keyring=provider.keyring, hot_path=provider.hot_path
        )
    )


def open_pages(request: AuthorizationRequest, client: Client, *, provider: Services) -> ToPages:
    """Store a request that arrived by a cross-site post, without the session cookie; its pages decide (B15)."""
    return ToPages(
        interaction.open_interaction(
            request, client.id, settings=provider.settings, keyring=provider.keyring, hot_path=provider.hot_path
        )
    )


def resume(
    visit: Visit,
    client: Client,
    standing: Standing | None,
    session_secret: str | None,
    *,
    provider: Services,
    reference: str,
) -> ToPortal | ToStep | ToOtherDevice | ToOwnPage | ToRefusal:
    """Say where the citizen of an interaction goes next, issuing the code when nothing is missing."""
    visit = replace(visit, request=asked_of(visit.request, standing))
    request = visit.request
    situation = Situation(request, client, standing, visit.progress(standing))
    standing, decision = _settle(situation, session_secret, provider)
    if decision is None and standing is not None:
        return _finish(visit, client, standing, provider=provider, reference=reference)
    if visit.is_finished:
        return ToRefusal(errors.FLOW_FINISHED)
    if isinstance(decision, Refusal) and request.response_mode is ResponseMode.OTHER_DEVICE:
        return _refuse_elsewhere(visit, decision, standing)
    if isinstance(decision, Refusal) and decision.is_for_portal and request.response_mode is ResponseMode.OWN_PAGE:
        return ToOwnPage(request.redirect_uri)
    if Prompt.NONE in request.prompt or (isinstance(decision, Refusal) and decision.is_for_portal):
        return ToPortal(_with_error(request, client, _error_of(decision), provider, reference))
    if isinstance(decision, Refusal):
        _end_if_refused(decision, standing)
        return ToRefusal(decision.entry)
    return ToStep(decision.step if isinstance(decision, Need) else Step.LOGIN)


def _end_if_refused(decision: dispatch.Decision, standing: Standing | None) -> None:
    if isinstance(decision, Refusal) and decision.entry in _ENDING and standing is not None:
        session.end(standing.session_id, reason="refused")
        db.session.commit()


def _settle(
    situation: Situation, session_secret: str | None, provider: Services
) -> tuple[Standing | None, dispatch.Decision]:
    """Decide, asking the register once on the way if it is due."""
    decision = dispatch.decide(situation, settings=provider.settings, means_of=means_of, providers=provider.providers)
    if isinstance(decision, RegistryDue) and situation.standing is not None:
        # This session is told why, and ends with the page that tells it.
        rechecks.recheck(situation.standing.citizen_id, provider=provider, but=situation.standing.session_id)
        session.reassess(situation.standing.session_id, settings=provider.settings)
        standing = read_standing(provider.hot_path, session_secret, situation.client)
        situation = Situation(situation.request, situation.client, standing, situation.progress)
        decision = dispatch.decide(
            situation, settings=provider.settings, means_of=means_of, providers=provider.providers
        )
    return situation.standing, decision


def _refuse_elsewhere(visit: Visit, refusal: Refusal, standing: Standing | None) -> ToOtherDevice | ToRefusal:
    """Let the device that waits know what ends this login, unless the right person may still come or come again."""
    if refusal.entry is errors.LOGIN_REQUIRED:
        return ToRefusal(errors.REQUEST_OF_ANOTHER)
    if refusal.entry is errors.REGISTRY_SILENT:
        return ToRefusal(refusal.entry)
    answered = approval.deny(
        visit,
        citizen_id=standing.citizen_id if standing is not None else None,
        session_id=standing.session_id if standing is not None else None,
    )
    if answered is not None:
        return ToRefusal(answered)
    return ToOtherDevice(is_approved=False) if refusal.entry is errors.DENIED else ToRefusal(refusal.entry)


def _finish(
    visit: Visit, client: Client, standing: Standing, *, provider: Services, reference: str
) -> ToPortal | ToOtherDevice | ToOwnPage | ToRefusal:
    """Issue the code of an interaction, once.

    Coming here again (reload, double click) is answered with a new code as long as the first was never redeemed: the
    browser threw the first answer away.
    """
    if visit.request.response_mode is ResponseMode.OWN_PAGE:
        interaction.finish(visit)
        return ToOwnPage(visit.request.redirect_uri)
    level = level_here(standing, visit.progress(standing))
    if visit.request.response_mode is ResponseMode.OTHER_DEVICE:
        values = _code_values(visit.request, client, standing, "", level=level, provider=provider, reference=reference)
        refused = approval.approve(visit, values, provider=provider)
        return ToOtherDevice(is_approved=True) if refused is None else ToRefusal(refused)
    replaced = b""
    if visit.is_finished and visit.code_digest is not None:
        replaced = visit.code_digest
        if provider.hot_path.apply(WITHDRAW_CODE, {"digest": replaced}) is None:
            return ToRefusal(errors.FLOW_FINISHED)
    code = new_secret()
    values = _code_values(visit.request, client, standing, code, level=level, provider=provider, reference=reference)
    values |= {"interaction_id": visit.id, "replaced": replaced}
    change = ISSUE_PUSHED_CODE_AFTER_PAGES if visit.request.pushed else ISSUE_CODE_AFTER_PAGES
    if provider.hot_path.apply(change, values) is None:
        # Another click finished first, and its redirect is the one that counts.
        return ToRefusal(errors.FLOW_FINISHED)
    return ToPortal(_with_code(visit.request, client, code, provider))


def _code_values(
    request: AuthorizationRequest,
    client: Client,
    standing: Standing,
    code: str,
    *,
    level: Level,
    provider: Services,
    reference: str,
) -> dict[str, object]:
    settings = provider.settings
    sub = standing.sub or subjects.subject(standing.citizen_id, client.sector, keyring=provider.keyring)
    lifetime = settings.lifetime_of_tokens(is_high=level >= Level.LOA2)
    if standing.is_assisted:
        # Nothing bought with an officer's help is good for longer than the help.
        lifetime = min(lifetime, standing.expires_at - standing.now)
    return {
        "digest": digest(code),
        "client_id": client.id,
        "session_id": standing.session_id,
        "sub": sub,
        "redirect_uri": request.redirect_uri,
        "code_challenge": request.code_challenge,
        "nonce": request.nonce,
        "scope": " ".join(request.scopes),
        "claims": " ".join(request.claims),
        "id_token_claims": " ".join(request.id_token_claims),
        "acr": answered_acr(request.acr_values, level),
        "token_lifetime": max(1, int(lifetime.total_seconds())),
        "lifetime": settings.code_lifetime,
        "idle": idle_life(standing, settings),
        "disclosure_id": new_id(),
        "basis": client.basis.value,
        "disclosed": " ".join(sorted(request.disclosed)),
        "resource": request.resource,
        "confirmation": request.confirmation,
        "pushed": bytes.fromhex(request.pushed),
        "event_id": new_id(),
        "event_name": Event.CODE_ISSUED.value,
        "reference": reference,
    }


def answered_acr(acr_values: tuple[str, ...], proven: Level) -> str:
    """Return the `acr` to answer: of the portal's own words the highest that was proven, else what was proven."""
    met = [(level, word) for word in acr_values if (level := level_of(word)) is not None and level <= proven]
    return max(met, key=lambda pair: pair[0])[1] if met else proven.acr


def _is_noticeably_used(standing: Standing, provider: Services) -> bool:
    if standing.level >= Level.LOA2 or standing.is_assisted:
        return False
    idle = timedelta(seconds=idle_life(standing, provider.settings))
    return standing.idle_expires_at - standing.now < idle * (1 - _NOTICEABLE)


def idle_life(standing: Standing, settings: Settings) -> int:
    """Return the seconds a session lives on from a use: few on a shared device."""
    return min(settings.session_idle, settings.session_shared_idle) if standing.is_shared else settings.session_idle


def _with_code(request: AuthorizationRequest, client: Client, code: str, provider: Services) -> PortalAnswer:
    return with_code(
        request.redirect_uri,
        code,
        mode=request.response_mode,
        state=request.state,
        client=client,
        provider=provider,
    )


def _with_error(
    request: AuthorizationRequest, client: Client, entry: Entry, provider: Services, reference: str
) -> PortalAnswer:
    if request.pushed:
        provider.hot_path.apply(SPEND_PUSHED, {"digest": bytes.fromhex(request.pushed)})
    return with_error(
        request.redirect_uri,
        entry,
        mode=request.response_mode,
        state=request.state,
        client=client,
        provider=provider,
        reference=reference,
    )


def _error_of(decision: dispatch.Decision) -> Entry:
    if isinstance(decision, Need):
        return decision.error
    return decision.entry if isinstance(decision, Refusal) else errors.LOGIN_REQUIRED
