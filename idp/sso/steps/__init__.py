"""The steps of a login, in the order the dispatcher asks them.

Each module answers one question: is this step needed, and why? It says so with a `Need`: the page that would settle
it, and the error a portal gets when `prompt=none` forbids pages. A step knows nothing of the others.
"""

from dataclasses import dataclass
from enum import StrEnum

from idp.core.errors import Entry


class Step(StrEnum):
    """A page of the login; the value is the last part of its path, /signin/HANDLE/STEP."""

    CONFIRMATION = "confirm"
    LOGIN = "login"
    ACCOUNT = "account"
    CODE = "code"
    CONSENT = "consent"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Need:
    """A step that must be taken: its page, and the error when no page may be shown."""

    step: Step
    error: Entry


@dataclass(frozen=True, slots=True)
class RegistryDue:
    """The national register must be asked about the citizen again before going on; no page."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The login cannot go on. `is_for_portal`: the portal is told at once, no page explains it first."""

    entry: Entry
    is_for_portal: bool = False
