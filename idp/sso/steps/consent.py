"""The citizen's consent, or the notice of the law, before anything is sent for the first time."""

from idp.agencies.metadata import Basis
from idp.core import errors
from idp.sso.request import Prompt, ResponseMode
from idp.sso.situation import Situation
from idp.sso.steps import Need, Step


def need(situation: Situation) -> Need | None:
    """Tell whether the citizen must be asked or told: at the first visit, for anything new, or on prompt=consent.

    What was told under a law was never agreed to, so a client that changes its basis starts anew. The provider's own
    pages receive nothing that is not here already.
    """
    standing = situation.standing
    if standing is None or situation.request.response_mode is ResponseMode.OWN_PAGE:
        return None
    is_remembered = (
        standing.agreed is not None
        and standing.agreed_basis == situation.client.basis
        and situation.request.disclosed <= standing.agreed
    )
    if is_remembered and (situation.progress.has_agreed or Prompt.CONSENT not in situation.request.prompt):
        return None
    step = Step.CONSENT if situation.client.basis is Basis.CONSENT else Step.NOTICE
    return Need(step, errors.CONSENT_REQUIRED)
