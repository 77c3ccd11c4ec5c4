"""A one-time code or a passkey, when the level asked is above what this login has proven."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from idp.citizens import assurance
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core import errors
from idp.core.levels import Level, Method
from idp.sso.request import ResponseMode
from idp.sso.situation import Situation, Standing, level_here
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
    if standing is None:
        return None
    if request.response_mode is ResponseMode.OWN_PAGE:
        return _need_of_own_page(standing, request.level, means_of)
    proven = level_here(standing, situation.progress)
    if proven >= request.level:
        return None
    reach = reachable(standing, means_of)
    if reach < request.level and request.is_level_essential:
        return Refusal(errors.LEVEL_UNREACHABLE, is_for_portal=True)
    if situation.progress.has_settled and not request.is_level_essential:
        reach = min(reach, Level.LOA2)
    if min(reach, request.level) > proven:
        return Need(Step.CODE, errors.INTERACTION_REQUIRED)
    return None


@dataclass(frozen=True, slots=True)
class Ways:
    """How the citizen can answer this step.

    `needs_bound_key`: of their passkeys only those bound to a device help. `code_settles`: a code proves less than is
    wished for, and typing it says that this is enough. `by_settling`: so much is proven already.
    """

    by_code: bool
    by_key: bool
    needs_bound_key: bool = False
    code_settles: bool = False
    by_settling: bool = False


def ways(situation: Situation, means_of: MeansOf) -> Ways:
    """Return the ways to answer this step, when `need` has asked for it."""
    standing, request = situation.standing, situation.request
    assert standing is not None
    means = means_of(standing.citizen_id)
    has_code = Method.ONE_TIME_CODE in means and Method.ONE_TIME_CODE not in standing.amr
    if request.level < Level.LOA3 or situation.progress.has_settled or reachable(standing, means_of) < Level.LOA3:
        return Ways(by_code=has_code, by_key=bool(means & {Method.HARDWARE_KEY, Method.SOFTWARE_KEY}))
    is_wish = not request.is_level_essential
    is_second_proven = assurance.level_of_means(map(Method, standing.amr)) >= Level.LOA2
    return Ways(
        by_code=is_wish and has_code and not is_second_proven,
        by_key=True,
        needs_bound_key=True,
        code_settles=is_wish,
        by_settling=is_wish and is_second_proven,
    )


def _need_of_own_page(standing: Standing, level: Level, means_of: MeansOf) -> Need | None:
    """Ask for the factors the citizen has, whatever is known of the identity: it is their own space that is guarded."""
    used = assurance.level_of_means(map(Method, standing.amr))
    if used >= level:
        return None
    has = assurance.level_of_means(means_of(standing.citizen_id))
    return Need(Step.CODE, errors.INTERACTION_REQUIRED) if min(has, level) > used else None
