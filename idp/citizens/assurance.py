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

    NONE unless the register's last word is ACTIVE. Two factors give loa2 at most: loa3 needs a key bound to a
    device, which a password and a one-time code are not (vietnam.md, 2).
    """
    if registry_status is not RegistryStatus.ACTIVE:
        return Level.NONE
    return min(_BY_PROOFING.get(proofing, Level.NONE), _level_of_means(frozenset(methods)))


def amr(methods: Iterable[Method]) -> tuple[str, ...]:
    """Return the `amr` values for a sign-in with `methods`: each method, and `mfa` when there are two (RFC 8176)."""
    used = frozenset(methods)
    order = (Method.PASSWORD, Method.ONE_TIME_CODE)
    named = tuple(method.value for method in order if method in used)
    return (*named, Method.MULTIPLE.value) if len(named) > 1 else named


def _level_of_means(methods: frozenset[Method]) -> Level:
    # A one-time code alone is not a sign-in of ours, so it proves nothing without the password.
    if Method.PASSWORD not in methods:
        return Level.NONE
    return Level.LOA2 if Method.ONE_TIME_CODE in methods else Level.LOA1
