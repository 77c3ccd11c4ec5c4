"""Sign in: with number and password, a passkey, or by a provider of identities."""

from datetime import timedelta

from idp.agencies.clients import Client
from idp.core import errors
from idp.core.levels import Level
from idp.sso.request import Prompt, ResponseMode
from idp.sso.situation import Situation, Standing
from idp.sso.steps import Need, Refusal, Step
from idp.upstream.directory import ProviderDirectory

NEEDED = Need(Step.LOGIN, errors.LOGIN_REQUIRED)


def need(situation: Situation, providers: ProviderDirectory) -> Need | Refusal | None:
    """Tell whether credentials must be asked (OpenID Connect Core 1.0, 3.1.2.1: prompt, max_age, id_token_hint)."""
    request, standing = situation.request, situation.standing
    if standing is None:
        return NEEDED
    if not standing.is_active:
        # Another account may sign in; whoever has just proven to be this one is told why it goes no further.
        entry = errors.ACCOUNT_LOCKED if standing.is_locked else errors.ACCOUNT_UNUSABLE
        return Refusal(entry) if situation.progress.has_authenticated else NEEDED
    if standing.is_assisted and request.response_mode is ResponseMode.OTHER_DEVICE:
        # Two people at one keyboard do not answer for a third device.
        return NEEDED
    if is_of_shut_door(standing, situation.client, providers, level=request.level):
        return NEEDED
    if request.hinted_sub is not None and standing.sub != request.hinted_sub:
        # Somebody else than the portal expects. Asking once is a chance to sign in as the expected person.
        if situation.progress.has_authenticated:
            return Refusal(errors.LOGIN_REQUIRED, is_for_portal=True)
        return NEEDED
    if situation.progress.has_authenticated:
        return None
    if Prompt.LOGIN in request.prompt:
        return NEEDED
    if request.max_age is not None and standing.now - standing.authenticated_at > timedelta(seconds=request.max_age):
        return NEEDED
    return None


def is_of_shut_door(
    standing: Standing, client: Client, providers: ProviderDirectory, *, level: Level = Level.NONE
) -> bool:
    """Tell whether a session came by a provider that is shut now, or shut for this client: it opens nothing.

    Where an incident is about a level, the session's own counts, not only the one that is asked for: less may be asked
    and still more be told.
    """
    if standing.provider_id is None:
        return False
    provider = providers.by_id(standing.provider_id)
    if provider is None or not provider.is_open or not provider.serves(client):
        return True
    return provider.is_cut(client, max(level, standing.level), standing.now)
