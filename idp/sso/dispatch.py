"""The dispatcher: from the stored state of a login to what must happen next.

    decide(situation) --> Need(step)      show this page, or its error when prompt=none
                      --> RegistryDue     ask the register, then decide again
                      --> Refusal(entry)  the login ends here
                      --> None            nothing is missing: issue the code

Steps are asked in order and never call each other; a disabled account, a changed client or a signed-out session is
noticed at every pass because every pass reads the state anew.
"""

from collections.abc import Callable
from uuid import UUID

from idp.core import errors
from idp.core.levels import Method
from idp.core.settings import Settings
from idp.sso.situation import Situation
from idp.sso.steps import Need, Refusal, RegistryDue, account, confirmation, consent, identity, login, second_factor
from idp.upstream.directory import ProviderDirectory

Decision = Need | RegistryDue | Refusal | None


def decide(
    situation: Situation,
    *,
    settings: Settings,
    means_of: Callable[[UUID], frozenset[Method]],
    providers: ProviderDirectory,
) -> Decision:
    """Return what the login of `situation` needs next.

    Pure but for `means_of`, asked only before a step-up, and `providers`, which are in memory.
    """
    if situation.progress.has_denied:
        return Refusal(errors.DENIED, is_for_portal=True)
    return (
        confirmation.need(situation)
        or login.need(situation, providers)
        or account.need(situation)
        or identity.need(situation, settings)
        or second_factor.need(situation, means_of, providers)
        or consent.need(situation)
    )
