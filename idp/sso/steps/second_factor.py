"""A one-time code, when the level asked is above what the session has proven."""

from collections.abc import Callable
from uuid import UUID

from idp.citizens import assurance
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core import errors
from idp.core.levels import Level, Method
from idp.sso.situation import Situation, Standing
from idp.sso.steps import Need, Refusal, Step

MeansOf = Callable[[UUID], frozenset[Method]]


def reachable(standing: Standing, means_of: MeansOf) -> Level:
    """Return the highest level the citizen of `standing` could prove with the credentials enrolled."""
    return assurance.reachable(
        Proofing(standing.proofing), RegistryStatus(standing.registry_status), means_of(standing.citizen_id)
    )


def need(situation: Situation, means_of: MeansOf) -> Need | Refusal | None:
    """Tell whether a step-up is needed and possible.

    What is only preferred is brought as far as the account reaches and the token says how far that was; what is
    essential and out of reach is an error (OpenID Connect Core 1.0, 5.5.1.1). `means_of` is asked only when the
    session falls short, so that the warm path stays at one statement.
    """
    standing, request = situation.standing, situation.request
    if standing is None or standing.level >= request.level:
        return None
    reach = reachable(standing, means_of)
    if reach < request.level and request.is_level_essential:
        return Refusal(errors.LEVEL_UNREACHABLE, is_for_portal=True)
    if min(reach, request.level) > standing.level:
        return Need(Step.CODE, errors.INTERACTION_REQUIRED)
    return None
