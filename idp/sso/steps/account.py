"""Choose between the account of the running session and another one."""

from idp.core import errors
from idp.sso.request import Prompt
from idp.sso.situation import Situation
from idp.sso.steps import Need, Step


def need(situation: Situation) -> Need | None:
    """Tell whether the portal asked for a choice (`prompt=select_account`) that has not been made yet."""
    if Prompt.SELECT_ACCOUNT not in situation.request.prompt:
        return None
    if situation.progress.has_selected or situation.progress.has_authenticated:
        return None
    return Need(Step.ACCOUNT, errors.SELECTION_REQUIRED)
