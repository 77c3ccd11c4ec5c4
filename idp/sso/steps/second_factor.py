"""A second factor, when the level asked is above what this login has proven.

A recovery code is a second factor that proves no level (`assurance.level_of_means`): with it the citizen goes on at
loa1 where the portal only wished for more, and gets into their own space. What is essential it cannot meet.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from idp.citizens import assurance
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core import errors
from idp.core.levels import Level, Method
from idp.sso.federation import choices
from idp.sso.request import ResponseMode
from idp.sso.situation import Situation, Standing, level_here
from idp.sso.steps import Need, Refusal, Step
from idp.upstream.directory import ProviderDirectory

MeansOf = Callable[[UUID], frozenset[Method]]


def reachable(standing: Standing, means_of: MeansOf) -> Level:
    """Return the highest level the citizen of `standing` could prove with the credentials enrolled."""
    return assurance.reachable(
        Proofing(standing.proofing),
        RegistryStatus(standing.registry_status),
        # More than the session carries is true only where it was proven.
        means_of(standing.citizen_id) | assurance.vouching(min(assurance.vouched(standing.methods), Level.LOA2)),
    )


def reachable_by_provider(situation: Situation, providers: ProviderDirectory) -> Level:
    """Return the highest level that signing in by a provider could bring, NONE where the citizen has just tried.

    What is only wished for sends nobody to another door than the one they came by.
    """
    standing, request = situation.standing, situation.request
    if standing is None or standing.is_assisted or situation.progress.has_authenticated:
        return Level.NONE
    fitting = (
        provider
        for provider in providers.all()
        if choices.shut(provider, request, situation.client, now=standing.now) is None
        and (provider.id == standing.provider_id or (request.is_level_essential and provider.is_displayed))
    )
    return max((choices.reach(provider) for provider in fitting), default=Level.NONE)


def need(situation: Situation, means_of: MeansOf, providers: ProviderDirectory) -> Need | Refusal | None:
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
    # With an officer's help there is no more than what was proven: no code of the citizen raises it.
    reach = standing.level if standing.is_assisted else reachable(standing, means_of)
    by_provider = min(reachable_by_provider(situation, providers), request.level)
    if by_provider > max(min(reach, request.level), proven):
        return Need(Step.LOGIN, errors.INTERACTION_REQUIRED)
    if reach < request.level and request.is_level_essential:
        return Refusal(errors.LEVEL_UNREACHABLE, is_for_portal=True)
    if situation.progress.has_settled and not request.is_level_essential:
        reach = min(reach, _settled_for(standing))
    if min(reach, request.level) > proven:
        return Need(Step.CODE, errors.INTERACTION_REQUIRED)
    return None


def _settled_for(standing: Standing) -> Level:
    """Return how far a citizen wants to go who goes on with less: whoever used a recovery code has nothing better."""
    used = _used(standing)
    return Level.LOA1 if Method.RECOVERY in used and assurance.level_of_means(used) < Level.LOA2 else Level.LOA2


def _used(standing: Standing) -> frozenset[Method]:
    return standing.methods


@dataclass(frozen=True, slots=True)
class Ways:
    """How the citizen can answer this step.

    `needs_bound_key`: of their passkeys only those bound to a device help. `code_settles`: a code proves less than is
    wished for, and typing it says that this is enough. `by_settling`: so much is proven already. `by_recovery`: a
    recovery code helps; `recovery_elsewhere`: it does not help here, and does in the citizen's own space. `takes_sms`:
    so would a code by SMS, for whoever has a proven telephone. It is for people who have a better factor and not at
    hand: no account reaches more because it has a telephone.
    """

    by_code: bool
    by_key: bool
    needs_bound_key: bool = False
    code_settles: bool = False
    by_settling: bool = False
    by_recovery: bool = False
    recovery_elsewhere: bool = False
    takes_sms: bool = False

    @property
    def has_page(self) -> bool:
        """Tell whether anything can be done on the page of this step itself."""
        return self.by_code or self.by_key or self.by_settling


def ways(situation: Situation, means_of: MeansOf) -> Ways:
    """Return the ways to answer this step, when `need` has asked for it."""
    standing, request = situation.standing, situation.request
    assert standing is not None
    means, used = means_of(standing.citizen_id), _used(standing)
    has_code = Method.ONE_TIME_CODE in means and Method.ONE_TIME_CODE not in used
    is_second_proven = assurance.level_of_means(used) >= Level.LOA2
    is_wish = request.response_mode is ResponseMode.OWN_PAGE or not request.is_level_essential
    lacks_second = Method.PASSWORD in used and not is_second_proven
    # A sheet of codes is not a better factor: whoever takes over the telephone may have reset the password by it.
    takes_sms = lacks_second and assurance.level_of_means(used | means) >= Level.LOA2
    has_recovery = Method.RECOVERY in means and lacks_second
    by_recovery = has_recovery and is_wish and Method.RECOVERY not in used
    found = Ways(
        by_code=has_code,
        by_key=bool(means & {Method.HARDWARE_KEY, Method.SOFTWARE_KEY}),
        # A code from the sheet was typed already, for another portal: it is not worth a second one.
        by_settling=is_wish and Method.RECOVERY in used and not is_second_proven,
        by_recovery=by_recovery,
        recovery_elsewhere=has_recovery and not is_wish,
        takes_sms=takes_sms,
    )
    if request.level < Level.LOA3 or situation.progress.has_settled or reachable(standing, means_of) < Level.LOA3:
        return found
    return replace(
        found,
        by_code=is_wish and has_code and not is_second_proven,
        by_key=True,
        needs_bound_key=True,
        code_settles=is_wish,
        takes_sms=is_wish and takes_sms,
        by_settling=found.by_settling or (is_wish and is_second_proven),
    )


def _need_of_own_page(standing: Standing, level: Level, means_of: MeansOf) -> Need | None:
    """Ask for the factors the citizen has, whatever is known of the identity: it is their own space that is guarded."""
    used = _used(standing)
    proven = assurance.level_at_home(used)
    if proven >= level:
        return None
    has = assurance.level_at_home(used | means_of(standing.citizen_id))
    return Need(Step.CODE, errors.INTERACTION_REQUIRED) if min(has, level) > proven else None
