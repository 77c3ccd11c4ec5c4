"""How sure we are who signed in: the weaker of what is known about the identity and of the means used.

Owns the ladder of identity proofing, what the register last said, and the arithmetic of levels; pure, no storage.
Sources: shared vietnam.md, 1 (four states) and 2 (table of levels).
"""

from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum
from functools import total_ordering

from idp.core.levels import Level, Method


@total_ordering
class Proofing(Enum):
    """How far an identity is proven, ordered from the least.

    WELL_FORMED: the number has the shape of its scheme. CONSISTENT: it also agrees with birth date and gender.
    MATCHED: the register holds number, name and birth date together. BOUND: an officer tied the living person to
    that record.
    """

    WELL_FORMED = "well_formed"
    CONSISTENT = "consistent"
    MATCHED = "matched"
    BOUND = "bound"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Proofing):
            return NotImplemented
        ladder = tuple(Proofing)
        return ladder.index(self) < ladder.index(other)


class RegistryStatus(StrEnum):
    """What the register last said about a citizen; PENDING when it has never answered."""

    ACTIVE = "active"
    DECEASED = "deceased"
    LOCKED = "locked"
    REPLACED = "replaced"
    MISMATCH = "mismatch"
    NOT_FOUND = "not_found"
    PENDING = "pending"


_BY_PROOFING = {Proofing.MATCHED: Level.LOA1, Proofing.BOUND: Level.LOA3}


def reachable(proofing: Proofing, registry_status: RegistryStatus, means: frozenset[Method]) -> Level:
    """Return the highest level this account could prove with all the `means` it has."""
    return proven(proofing, registry_status, means)


def level_of_identity(proofing: Proofing, registry_status: RegistryStatus) -> Level:
    """Return the highest level that what is known of the person supports, whatever the means.

    NONE unless the register's last word is ACTIVE.
    """
    if registry_status is not RegistryStatus.ACTIVE:
        return Level.NONE
    return _BY_PROOFING.get(proofing, Level.NONE)


def proven(proofing: Proofing, registry_status: RegistryStatus, methods: Iterable[Method]) -> Level:
    """Return the level a sign-in with `methods` proves: the weaker of identity and means.

    What a provider of identities vouches for is the person as well as the means: that it has seen somebody counts for
    its own sign-in, and adds nothing to credentials of ours, which somebody else may have set.
    NONE unless the register's last word is ACTIVE.
    """
    identity = level_of_identity(proofing, registry_status)
    if identity is Level.NONE:
        return Level.NONE
    used = frozenset(methods)
    return max(min(identity, level_of_means(used)), vouched(used))


_VOUCHED = {
    Method.VOUCHED_LOA3: Level.LOA3,
    Method.VOUCHED_LOA2: Level.LOA2,
    Method.VOUCHED_LOA1: Level.LOA1,
}


def vouching(level: Level) -> frozenset[Method]:
    """Return the method that stands for what a provider of identities vouches for at `level`."""
    return frozenset(method for method, known in _VOUCHED.items() if known is level)


def vouched(used: frozenset[Method]) -> Level:
    """Return what a provider of identities vouches for; NONE without one, and with an officer's help."""
    if Method.ASSISTED in used:
        return Level.NONE
    return max((level for method, level in _VOUCHED.items() if method in used), default=Level.NONE)


def level_of_means(methods: Iterable[Method]) -> Level:
    """Return the level that `methods` are worth, whoever uses them.

    A passkey is two factors by itself, because none is accepted without the PIN or the finger that unlocks it. loa3
    needs one that is bound to its device, which a password and a one-time code are not (vietnam.md, 2). A recovery code
    adds nothing to the password: the sheet may have been copied years ago, and the level comes back with a new factor.
    With an officer's help it is loa1, whatever else was used: two people were at the keys.
    """
    used = frozenset(methods)
    if Method.ASSISTED in used:
        return Level.LOA1
    if Method.HARDWARE_KEY in used:
        return Level.LOA3
    if Method.SOFTWARE_KEY in used:
        return max(Level.LOA2, vouched(used))
    # A code alone is not a sign-in of ours, so it proves nothing without a password, ours or a provider's.
    by_provider = vouched(used)
    if Method.PASSWORD not in used and by_provider is Level.NONE:
        return Level.NONE
    return max(Level.LOA2 if used & _SECOND_FACTORS else Level.LOA1, by_provider)


def level_at_home(methods: Iterable[Method]) -> Level:
    """Return what `methods` are worth on a citizen's own pages: there password and recovery code are two factors.

    Or whoever lost their phone could never set up another. Agencies are told `level_of_means` of it, and no more.
    """
    used = frozenset(methods)
    is_recovered = {Method.PASSWORD, Method.RECOVERY} <= used
    return max(level_of_means(used), Level.LOA2 if is_recovered else Level.NONE)


def may_enrol(proofing: Proofing, methods: Iterable[Method]) -> bool:
    """Tell whether a sign-in with `methods` may add a way to sign in to an account.

    On an account that an officer has bound, a new factor reaches higher levels: whoever stole its password alone must
    not get there by adding one (NIST SP 800-63B-4, 4.1.2).
    """
    return proofing is not Proofing.BOUND or level_at_home(methods) >= Level.LOA2


def may_enrol_key(proofing: Proofing, methods: Iterable[Method]) -> bool:
    """Tell the same of a passkey, which may reach loa3: neither a recovery code nor an SMS is the way to that."""
    used = frozenset(methods) - {Method.SMS}
    return proofing is not Proofing.BOUND or level_of_means(used) >= Level.LOA2


_SECOND_FACTORS = frozenset({Method.ONE_TIME_CODE, Method.SMS})

_NAMED = (
    Method.PASSWORD,
    Method.ONE_TIME_CODE,
    Method.SMS,
    Method.RECOVERY,
    Method.HARDWARE_KEY,
    Method.SOFTWARE_KEY,
    Method.USER_PRESENT,
    Method.ASSISTED,
)


def known_methods(words: Iterable[str]) -> frozenset[Method]:
    """Return the methods among `words`; what only providers of identities assert is none of ours."""
    return frozenset(Method(word) for word in words if word in _WORDS)


_WORDS = frozenset(method.value for method in Method)


def amr(methods: Iterable[Method]) -> tuple[str, ...]:
    """Return the `amr` values for a sign-in with `methods`: each, and `mfa` when they are two factors (RFC 8176).

    Two factors that are worth a level: a password and a recovery code are not called so.
    """
    used = frozenset(methods)
    named = tuple(method.value for method in _NAMED if method in used)
    # What a provider vouches for is in its own words; they are two factors with one of ours besides.
    is_ours = not used.isdisjoint(set(_NAMED) - {Method.RECOVERY})
    return (*named, Method.MULTIPLE.value) if is_ours and level_of_means(used) >= Level.LOA2 else named


_NATIONAL_AUTH_LEVELS = {Level.LOA1: 1, Level.LOA2: 2, Level.LOA3: 2}


def national_levels(level: Level, methods: Iterable[Method]) -> Mapping[str, int]:
    """Return the claims that tell a sign-in at `level` with `methods` in the terms of Decree 69/2024, those known.

    vn_auth_level: 1 for one factor, 2 for two (article 20). Never more, because 3 and 4 need a biometric that a server
    compared; a finger that unlocks a passkey is not one. vn_account_level: 2 where the sign-in proves a person whom an
    officer has seen, else nothing: a number matched in the register is less than the law's level 1, and a level of the
    account that this sign-in does not prove would be read as if it did.
    """
    found = {"vn_account_level": 2} if level >= Level.LOA2 else {}
    auth = _NATIONAL_AUTH_LEVELS.get(level_of_means(methods))
    return found if auth is None else {**found, "vn_auth_level": auth}
