"""Sign in with number and password."""

from datetime import timedelta

from idp.core import errors
from idp.sso.request import Prompt
from idp.sso.situation import Situation
from idp.sso.steps import Need, Refusal, Step

NEEDED = Need(Step.LOGIN, errors.LOGIN_REQUIRED)


def need(situation: Situation) -> Need | Refusal | None:
    """Tell whether credentials must be asked (OpenID Connect Core 1.0, 3.1.2.1: prompt, max_age, id_token_hint)."""
    request, standing = situation.request, situation.standing
    if standing is None:
        return NEEDED
    if not standing.is_active:
        # Another account may sign in; whoever has just proven to be this one is told why it goes no further.
        return Refusal(errors.ACCOUNT_UNUSABLE) if situation.progress.has_authenticated else NEEDED
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
