"""How sure we are who signed in: the weaker of what is known about the identity and of the means used.

Owns the ladder of identity proofing, what the register last said, and the arithmetic of levels; pure, no storage.
Sources: shared vietnam.md, 1 (four states) and 2 (table of levels).
"""

from collections.abc import Iterable
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


def proven(proofing: Proofing, registry_status: RegistryStatus, methods: Iterable[Method]) -> Level:
    """Return the level a sign-in with `methods` proves: the weaker of identity and means.

    NONE unless the register's last word is ACTIVE.
    """
    if registry_status is not RegistryStatus.ACTIVE:
        return Level.NONE
    return min(_BY_PROOFING.get(proofing, Level.NONE), level_of_means(methods))


def level_of_means(methods: Iterable[Method]) -> Level:
    """Return the level that `methods` are worth, whoever uses them.

    A passkey is two factors by itself, because none is accepted without the PIN or the finger that unlocks it. loa3
    needs one that is bound to its device, which a password and a one-time code are not (vietnam.md, 2).
    """
    used = frozenset(methods)
    if Method.HARDWARE_KEY in used:
        return Level.LOA3
    if Method.SOFTWARE_KEY in used:
        return Level.LOA2
    # A one-time code alone is not a sign-in of ours, so it proves nothing without the password.
    if Method.PASSWORD not in used:
        return Level.NONE
    return Level.LOA2 if Method.ONE_TIME_CODE in used else Level.LOA1


_NAMED = (
    Method.PASSWORD,
    Method.ONE_TIME_CODE,
    Method.HARDWARE_KEY,
    Method.SOFTWARE_KEY,
    Method.USER_PRESENT,
)


def amr(methods: Iterable[Method]) -> tuple[str, ...]:
    """Return the `amr` values for a sign-in with `methods`: each, and `mfa` when they are two factors (RFC 8176)."""
    used = frozenset(methods)
    named = tuple(method.value for method in _NAMED if method in used)
    return (*named, Method.MULTIPLE.value) if level_of_means(used) >= Level.LOA2 else named
