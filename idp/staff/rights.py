"""Roles, acts, and which role may do which: the whole table, so that nothing follows from anything else."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What somebody does here. The last three are for the staff of an agency, and open no page yet."""

    OWNER = "owner"
    ONBOARDING_OFFICER = "onboarding-officer"
    SECOND_APPROVER = "second-approver"
    SUPPORT = "support"
    AUDITOR = "auditor"
    AGENCY_ADMIN = "agency-admin"
    DEVELOPER = "developer"
    READER = "reader"


class Act(StrEnum):
    """What a page of the console is for."""

    HOME = "home"
    PROVIDERS_READ = "providers-read"
    PROVIDERS_CHANGE = "providers-change"
    PROVIDERS_CUT = "providers-cut"
    STAFF_READ = "staff-read"
    STAFF_CHANGE = "staff-change"


NATIONAL: Final = (Role.OWNER, Role.ONBOARDING_OFFICER, Role.SECOND_APPROVER, Role.SUPPORT, Role.AUDITOR)
"""The roles of national staff, in the order of a choice."""

RIGHTS: Final[Mapping[Role, frozenset[Act]]] = {
    Role.OWNER: frozenset(Act),
    Role.ONBOARDING_OFFICER: frozenset({Act.HOME, Act.PROVIDERS_READ, Act.PROVIDERS_CHANGE, Act.PROVIDERS_CUT}),
    Role.SECOND_APPROVER: frozenset({Act.HOME, Act.PROVIDERS_READ, Act.PROVIDERS_CUT}),
    # An incident is told to support first, and waits for nobody.
    Role.SUPPORT: frozenset({Act.HOME, Act.PROVIDERS_READ, Act.PROVIDERS_CUT}),
    Role.AUDITOR: frozenset({Act.HOME, Act.PROVIDERS_READ, Act.STAFF_READ}),
    Role.AGENCY_ADMIN: frozenset(),
    Role.DEVELOPER: frozenset(),
    Role.READER: frozenset(),
}


def may(role: Role, act: Act) -> bool:
    """Tell whether a role may do an act; what the table does not say is not allowed."""
    return act in RIGHTS.get(role, frozenset())
