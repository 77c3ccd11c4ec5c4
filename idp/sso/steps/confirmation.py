"""The explicit yes of whoever is at this browser to a request that came from another device."""

from idp.core import errors
from idp.sso.request import ResponseMode
from idp.sso.situation import Situation
from idp.sso.steps import Need, Step


def need(situation: Situation) -> Need | None:
    """Tell whether the request came from elsewhere and nobody here has said yes to it yet (RFC 8628, 3.3 and 5.4).

    A running session does not count as one: whoever was talked into opening a link must see what it asks.
    """
    if situation.request.response_mode is not ResponseMode.OTHER_DEVICE or situation.progress.has_confirmed:
        return None
    return Need(Step.CONFIRMATION, errors.INTERACTION_REQUIRED)
