"""Which providers a sign-in page offers, and why one is offered and cannot be used. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from idp.agencies.clients import Client
from idp.core import clock
from idp.core.levels import Level
from idp.sso.request import AuthorizationRequest, Prompt
from idp.upstream.login import Wish
from idp.upstream.record import Condition, Provider


@dataclass(frozen=True, slots=True)
class Choice:
    """One provider on the page. `closed` is the message id of why it cannot be used, None when it can.

    `closed_text` are the operator's own words for that; `since` and `until` when it began and will end.
    """

    slug: str
    name: str
    text: str | None
    logo: str | None
    is_beta: bool
    banner: str | None
    closed: str | None
    closed_text: str | None
    since: str = ""
    until: str = ""


def shut(provider: Provider, request: AuthorizationRequest, client: Client, *, now: datetime) -> str | None:
    """Return the message id of why nobody may leave for `provider` in this sign-in, None when they may.

    Whoever has left already may come back from one that is down: it has answered them, or will be found silent.
    """
    if (reason := closed(provider, request, client, now=now)) is not None:
        return reason
    return "upstream.closed.down" if provider.condition(now) is Condition.DOWN else None


def closed(provider: Provider, request: AuthorizationRequest, client: Client, *, now: datetime) -> str | None:
    """Return the message id of why `provider` is not accepted for this sign-in, None when it is."""
    if not provider.is_open:
        return "upstream.closed.unavailable"
    if not provider.serves(client):
        return "upstream.closed.agency"
    if provider.is_cut(client, request.level, now):
        return "upstream.closed.cut" if provider.cut and provider.cut.until is None else "upstream.closed.cut-until"
    if reach(provider) < least(request):
        return "upstream.closed.level"
    return None


def reach(provider: Provider) -> Level:
    """Return the highest level a sign-in by `provider` can have."""
    named = max((*provider.levels.values(), provider.level_without_acr or Level.NONE))
    return min(named, provider.ceiling)


def least(request: AuthorizationRequest) -> Level:
    """Return the level below which a sign-in is of no use: NONE when the portal only wishes for one."""
    return request.level if request.is_level_essential else Level.NONE


def choices(
    providers: Iterable[Provider],
    request: AuthorizationRequest,
    client: Client,
    *,
    last: str,
    language: str,
    now: datetime,
) -> tuple[Choice, ...]:
    """Return what the page offers: the one used last first, those that cannot be used last."""
    shown = [
        Choice(
            slug=provider.slug,
            name=provider.name(language),
            text=provider.words(provider.descriptions, language),
            logo=provider.logo,
            is_beta=provider.is_beta,
            banner=provider.banner(language, now.date()),
            **_why_shut(provider, shut(provider, request, client, now=now), language),
        )
        for provider in providers
        if provider.is_displayed
    ]
    return tuple(sorted(shown, key=lambda choice: (choice.closed is not None, choice.slug != last)))


def _why_shut(provider: Provider, reason: str | None, language: str) -> dict[str, Any]:
    text, since, until = None, None, None
    if reason is not None and not provider.is_open:
        text = provider.words(provider.unavailable, language)
    elif reason is not None and reason.startswith("upstream.closed.cut") and provider.cut is not None:
        text = provider.words(provider.cut.reasons, language)
        since, until = provider.cut.since, provider.cut.until
    elif reason == "upstream.closed.down" and provider.health is not None:
        since = provider.health.since
    since_text, until_text = (clock.on_the_wall(at) if at is not None else "" for at in (since, until))
    return {"closed": reason, "closed_text": text, "since": since_text, "until": until_text}


def wish(request: AuthorizationRequest, *, is_step_up: bool, language: str) -> Wish:
    """Return what a provider is asked for so that its sign-in answers `request`; nothing in it tells who asks."""
    must_prompt = is_step_up or bool({Prompt.LOGIN, Prompt.SELECT_ACCOUNT} & request.prompt)
    return Wish(
        level=request.level,
        least=least(request),
        max_age=request.max_age,
        must_prompt=must_prompt,
        language=language,
    )
