"""The national register: whether a number, a name and a birth date belong together, and whether the record is alive.

Owns the port `PopulationRegistry` and its values, and the choice of an adapter by name; `table` is the embedded one,
`http` asks another house.
Leaves to `citizens.verification` what an answer does to an account. Modelled on the Vietnamese population database
and the French RNIPP (shared vietnam.md, 3): a register is asked about one known person, never searched, and an
answer carries only the attributes asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from typing import Final, Protocol, cast, runtime_checkable

from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import Gender
from idp.core.keyring import Keyring
from idp.core.settings import Settings

DEADLINE_SECONDS: Final = 5.0
"""Longest time a sign-in waits for the register."""

_OURS: Final = frozenset({"table", "http"})


class Outcome(StrEnum):
    """How a register answers.

    MATCH_RECTIFIED: one person, spelled otherwise or known less precisely there; the register's form wins. NEAR:
    the number exists, the rest does not fit. NAME_VARIANT: only another name of the person fits. BAD_REQUEST: the
    register did not judge the question; it says nothing about the person.
    """

    MATCH = "match"
    MATCH_RECTIFIED = "match_rectified"
    AMBIGUOUS = "ambiguous"
    NEAR = "near"
    NOT_FOUND = "not_found"
    NAME_VARIANT = "name_variant"
    DECEASED = "deceased"
    LOCKED = "locked"
    REPLACED = "replaced"
    BAD_REQUEST = "bad_request"


class FieldMatch(StrEnum):
    """How one field compares. FOLD: the same once accents are dropped, or in every part that both sides know."""

    MATCH = "match"
    FOLD = "fold"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


class Attribute(StrEnum):
    """What may be asked of a register. It cannot name more than an account needs, so nothing more can be copied."""

    FULL_NAME = "full_name"
    BIRTHDATE = "birthdate"


class Reason(StrEnum):
    """Why a register is asked; it has to account for every question."""

    ENROLMENT = "enrolment"
    SIGN_IN = "sign_in"
    COUNTER = "counter"


class RegistryFailure(Exception):
    """No answer about the person. Adapters raise its four kinds and nothing else."""


class Timeout(RegistryFailure):
    """The register did not answer within the deadline."""


class Unavailable(RegistryFailure):
    """The register cannot be reached, or says that it is out of order."""


class Malformed(RegistryFailure):
    """The register answered something that is no answer."""


class NotAuthorised(RegistryFailure):
    """The register does not accept us, or not for this reason."""


@dataclass(frozen=True, slots=True)
class RegistryQuery:
    """A question about one person.

    `number` is canonical. `request_id` is new for each question and repeated when the same question is sent again.
    """

    scheme: str
    number: str = field(repr=False)
    full_name: str = field(repr=False)
    birth: BirthDate = field(repr=False)
    gender: Gender | None = field(repr=False)
    reason: Reason
    request_id: str
    want: frozenset[Attribute] = frozenset()


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """What the register said.

    `fields` has "name" and "birth" (and "gender" where it compares that). `replaced_by` is the new number, as the
    register writes it, with REPLACED. `attributes` holds only what was wanted, and is empty unless number, name and
    birth date fit: nobody learns a name by trying numbers. `trace_id` is the register's own name for the exchange.
    """

    outcome: Outcome
    fields: Mapping[str, FieldMatch]
    source: str
    as_of: datetime
    trace_id: str
    replaced_by: str | None = field(default=None, repr=False)
    attributes: Mapping[Attribute, str] = field(default_factory=dict, repr=False)


class PopulationRegistry(Protocol):
    """Ask a register about one person.

    The caller holds no database transaction. Asking twice changes nothing. tests/unit/citizens/registry/contract.py
    holds what every adapter must do; passing it is what "supported" means.
    """

    def check(self, query: RegistryQuery, *, deadline: float) -> RegistryAnswer:
        """Return the answer within `deadline` seconds. Raises Timeout, Unavailable, Malformed or NotAuthorised only."""


@runtime_checkable
class Watched(Protocol):
    """An adapter that knows whether its register answers."""

    @property
    def is_answering(self) -> bool:
        """Tell whether questions go out: False while the register is left alone."""


class RegistryFactory(Protocol):
    """Make an adapter. Raises RegistryRefused when the settings do not serve."""

    def __call__(self, settings: Settings, *, keyring: Keyring) -> PopulationRegistry: ...


class RegistryRefused(Exception):
    """No register can be asked with these settings; the message names the file or setting and what to do."""


class UnknownRegistry(RegistryRefused):
    """No register adapter has the name asked for."""


def registry(settings: Settings, *, keyring: Keyring) -> PopulationRegistry:
    """Return the adapter of the settings: `table`, `http`, or a dotted RegistryFactory. Raises RegistryRefused."""
    name = settings.registry
    dotted = f"{__name__}.{name}.registry" if name in _OURS else name
    module, _, attribute = dotted.rpartition(".")
    try:
        factory = cast(RegistryFactory, getattr(import_module(module), attribute))
    except (ImportError, AttributeError, ValueError):
        raise UnknownRegistry(f"IDP_REGISTRY: no register adapter is called {name!r}") from None
    return factory(settings, keyring=keyring)
