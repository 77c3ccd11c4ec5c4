"""What the register's answer means for an applicant.

Everything but a clear match is REFUSED, without a word on the reason: whoever tries names and dates must not learn
which of them was right, that a number exists, or that somebody has died. The reason is in the event. Tries are counted
before the register is asked.
"""

from dataclasses import replace
from datetime import date, datetime
from enum import Enum
from typing import Final
from uuid import UUID

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import numbers
from idp.citizens.applicants import waiting
from idp.citizens.applicants.draft import Declared, Identity
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.credentials import throttle
from idp.citizens.registry import PopulationRegistry
from idp.citizens.verification import Said
from idp.core import clock
from idp.core.database import db
from idp.core.keyring import Keyring
from idp.core.limits import Limiter
from idp.core.settings import Settings

DAY: Final = 86_400
TRIES_FROM_ONE_NETWORK_ON_A_NUMBER: Final = 6
"""In a day: enough to try spellings, far too few for a birth date."""
TRIES_ON_A_NUMBER: Final = 24
"""In a day, from anywhere. More than one network has, so that nobody spends the tries of a person at home by a few."""
TRIES_FROM_ONE_NETWORK: Final = 60
"""In an hour, over all numbers: a school's computer room enrols, a list of numbers finds nothing."""
_HOUR: Final = 3_600


class Answer(Enum):
    """What the register's word is worth here."""

    MATCHED = "matched"
    REFUSED = "refused"
    SILENT = "silent"


def wait_for(declared: Declared, *, address: str, limiter: Limiter) -> int | None:
    """Count a try; return the seconds to wait when it must not be made, None when it may.

    Raises DatabaseUnavailable: what cannot be counted is not tried. The caller holds no transaction.
    """
    network = throttle.network(address)
    number = f"{declared.scheme}:{declared.number}"
    limits = (
        ("enrolment of a number from a network", f"{number} {network}", TRIES_FROM_ONE_NETWORK_ON_A_NUMBER, DAY),
        ("enrolment from a network", network, TRIES_FROM_ONE_NETWORK, _HOUR),
        ("enrolment of a number", number, TRIES_ON_A_NUMBER, DAY),
    )
    for name, key, amount, seconds in limits:
        verdict = limiter.hit(name, key, amount=amount, per_seconds=seconds)
        if not verdict.is_allowed:
            return verdict.retry_after
    return None


def proofing_of(declared: Declared, *, today: date, settings: Settings) -> Proofing:
    """Return how far a declared identity holds by itself: WELL_FORMED with something to look at again, or CONSISTENT.

    Neither refuses anybody: the structure of the number has left the law, and records lag behind (vietnam.md, 1).
    """
    scheme = numbers.scheme(declared.scheme, test_numbers=settings.is_sandbox)
    reading = scheme.read(declared.number, on=today)
    doubts = (*reading.findings, *numbers.consistency(reading, declared.birth, None))
    return Proofing.CONSISTENT if reading.well_formed and not doubts else Proofing.WELL_FORMED


def ask(
    declared: Declared,
    proofing: Proofing,
    *,
    enrolment_id: UUID,
    settings: Settings,
    registry: PopulationRegistry,
    keyring: Keyring,
) -> Identity | None:
    """Ask the register about an applicant of `proofing`, unless it has answered for them while they waited.

    Returns the identity to go on with: as the register has it, or as declared when it is silent; None when refused. The
    caller holds no transaction. Side effect: the event, in a transaction that the caller commits.
    """
    asked = declared
    kept = waiting.answered(declared, settings=settings, keyring=keyring)
    said, checked_at = kept or (waiting.ask_register(declared, registry=registry), clock.now())
    if said is not None and said.status is RegistryStatus.REPLACED and said.new_number is not None:
        # Once more, under the new number: an account is made of a living record.
        asked = replace(declared, number=said.new_number)
        said, checked_at = waiting.ask_register(asked, registry=registry), clock.now()
    answer, identity = _judge(declared, asked, said, proofing, checked_at)
    detail: dict[str, str | int | bool] = {"enrolment": enrolment_id.hex, "replaced": asked is not declared}
    if said is not None:
        detail |= {"status": said.status.value, **{name: match.value for name, match in said.fields.items()}}
    record(db.session, Event.ENROLMENT_ASKED, outcome=answer.value, detail=detail)
    return identity


def _judge(
    declared: Declared, asked: Declared, said: Said | None, proofing: Proofing, checked_at: datetime
) -> tuple[Answer, Identity | None]:
    if said is None:
        unproven = Identity(proofing, declared.scheme, declared.number, declared.full_name, declared.birth)
        return Answer.SILENT, unproven
    if not said.is_person or said.status is not RegistryStatus.ACTIVE:
        return Answer.REFUSED, None
    full_name, birth = said.full_name or declared.full_name, said.birth or declared.birth
    return Answer.MATCHED, Identity(
        Proofing.MATCHED,
        declared.scheme,
        asked.number,
        full_name,
        birth,
        former_number=declared.number if asked is not declared else None,
        is_respelled=(full_name, birth) != (declared.full_name, declared.birth),
        checked_at=checked_at,
    )
