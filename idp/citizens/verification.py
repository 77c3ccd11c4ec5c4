"""What the register's answer does to an account.

Owns asking (with a deadline, outside any transaction), reading the answer, and the re-check of an account that
signs in. A silent register changes nothing that was proven; an answer always does. Fails closed: whatever is not a
clear match leaves the account without a level until a later answer lifts it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import assurance, birthdate, numbers, person_key
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.birthdate import BirthDate
from idp.citizens.claims import Profile, profile_of, seal_profile
from idp.citizens.credentials import means_of
from idp.citizens.lookup import current_number, find_number, new_number
from idp.citizens.models import Citizen
from idp.citizens.names import name_exact
from idp.citizens.numbers import Gender, NumberUnreadable
from idp.citizens.registry import (
    DEADLINE_SECONDS,
    Attribute,
    FieldMatch,
    Outcome,
    PopulationRegistry,
    Reason,
    RegistryFailure,
    RegistryQuery,
)
from idp.core import clock
from idp.core.database import database_now, db
from idp.core.ids import new_handle
from idp.core.keyring import Keyring
from idp.core.levels import Level
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.notices import Notice

_log = logging.getLogger(__name__)

STOPPING = frozenset({RegistryStatus.DECEASED, RegistryStatus.LOCKED, RegistryStatus.REPLACED})
"""Words of the register that end what is open: the account is not merely unproven, it must not be used."""
_NAME_PARTS = ("family_name", "middle_name", "given_name")


class RecheckOutcome(StrEnum):
    """What a re-check found. All but CONFIRMED, RECTIFIED, REPLACED and SILENT leave the account without a level."""

    CONFIRMED = "confirmed"
    RECTIFIED = "rectified"
    SILENT = "silent"
    DECEASED = "deceased"
    LOCKED = "locked"
    REPLACED = "replaced"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Said:
    """What the register said about one person, read.

    `is_person` tells that number, name and birth date belong together there. `full_name` and `birth` are the
    register's own, given then only. `is_ambiguous`: it knows several who could be meant. `new_number` is canonical.
    `fields` says how name and birth date compared: for the event alone, never for a page or a log.
    """

    status: RegistryStatus
    is_person: bool = False
    is_rectified: bool = False
    is_ambiguous: bool = False
    full_name: str | None = field(default=None, repr=False)
    birth: BirthDate | None = field(default=None, repr=False)
    new_number: str | None = field(default=None, repr=False)
    fields: Mapping[str, FieldMatch] = field(default_factory=dict)


_STATUS = {
    Outcome.MATCH: RegistryStatus.ACTIVE,
    Outcome.MATCH_RECTIFIED: RegistryStatus.ACTIVE,
    Outcome.DECEASED: RegistryStatus.DECEASED,
    Outcome.LOCKED: RegistryStatus.LOCKED,
    Outcome.REPLACED: RegistryStatus.REPLACED,
    Outcome.NOT_FOUND: RegistryStatus.NOT_FOUND,
    # An officer has to look at these; until then they prove nothing.
    Outcome.NEAR: RegistryStatus.MISMATCH,
    Outcome.NAME_VARIANT: RegistryStatus.MISMATCH,
    Outcome.AMBIGUOUS: RegistryStatus.MISMATCH,
}
_IS_PERSON = frozenset({Outcome.MATCH, Outcome.MATCH_RECTIFIED, Outcome.DECEASED, Outcome.LOCKED, Outcome.REPLACED})


def ask(profile: Profile, *, reason: Reason, registry: PopulationRegistry) -> Said | None:
    """Ask the register about the person of `profile`; None when it did not answer.

    The caller holds no transaction: a slow register must not hold a lock.
    """
    query = RegistryQuery(
        scheme=profile.scheme,
        number=profile.number,
        full_name=profile.full_name,
        birth=profile.birth,
        gender=_gender(profile.claims),
        reason=reason,
        request_id=new_handle(),
        want=frozenset({Attribute.FULL_NAME, Attribute.BIRTHDATE}),
    )
    try:
        answer = registry.check(query, deadline=DEADLINE_SECONDS)
        if answer.outcome is Outcome.BAD_REQUEST:
            _log.error("the register refuses our question", extra={"outcome": "bad_request"})
            return None
        if answer.outcome not in _IS_PERSON:
            is_ambiguous = answer.outcome is Outcome.AMBIGUOUS
            return Said(_STATUS[answer.outcome], is_ambiguous=is_ambiguous, fields=answer.fields)
        known_birth = answer.attributes.get(Attribute.BIRTHDATE)
        return Said(
            _STATUS[answer.outcome],
            is_person=True,
            is_rectified=answer.outcome is Outcome.MATCH_RECTIFIED,
            full_name=answer.attributes.get(Attribute.FULL_NAME),
            birth=birthdate.parse(known_birth) if known_birth else None,
            new_number=_canonical(profile.scheme, answer.replaced_by),
            fields=answer.fields,
        )
    except (RegistryFailure, birthdate.BirthDateRefused) as failure:
        _log.warning("the register did not answer", extra={"outcome": type(failure).__name__})
        return None


def rectify(profile: Profile, *, full_name: str | None, birth: BirthDate | None) -> Profile:
    """Return `profile` with name and birth date as the register has them, where it gave them.

    Parts of a name which the register's spelling does not contain are dropped: better none than a wrong one.
    """
    claims = dict(profile.claims)
    known_birth = birth or profile.birth
    claims["birthdate"] = known_birth.claim()
    if full_name is not None:
        claims["name"] = full_name
        whole = name_exact(full_name)
        for part in _NAME_PARTS:
            if part in claims and name_exact(str(claims[part])) not in whole:
                del claims[part]
    return Profile(claims, known_birth)


def keep_profile(
    citizen: Citizen, profile: Profile, *, before: Profile | None, keyring: Keyring, now: datetime
) -> bool:
    """Seal `profile` into the account unless it says the same as `before`; tell whether it was written."""
    unchanging = {} if before is None else {"updated_at": before.claims["updated_at"]}
    if before is not None and {**profile.claims, **unchanging} == before.claims and profile.birth == before.birth:
        return False
    stamped = Profile({**profile.claims, "updated_at": clock.epoch(now)}, profile.birth)
    citizen.profile = seal_profile(stamped, person_key.ensure(citizen.id, keyring=keyring))
    citizen.locale = stamped.claims.get("locale")
    citizen.updated_at = now
    return True


def is_due(
    registry_checked_at: datetime | None, registry_asked_at: datetime | None, *, settings: Settings, now: datetime
) -> bool:
    """Tell whether a citizen who signs in has to be asked about again.

    Not within `registry_retry` of a question without answer, so that a silent register is not asked at every click.
    """
    asked_in_vain = registry_asked_at
    if registry_checked_at is not None and registry_asked_at is not None and registry_asked_at <= registry_checked_at:
        asked_in_vain = None
    if asked_in_vain is not None and now - asked_in_vain < timedelta(seconds=settings.registry_retry):
        return False
    return registry_checked_at is None or now - registry_checked_at >= timedelta(seconds=settings.registry_recheck)


def recheck(
    citizen_id: UUID,
    *,
    settings: Settings,
    keyring: Keyring,
    registry: PopulationRegistry,
    heed: Callable[[RegistryStatus], object] = lambda status: None,
) -> RecheckOutcome:
    """Ask the register about a citizen again and bring the account to what it says.

    `heed` is told the new status before the commit: what follows from it elsewhere happens with it or not at all.
    Side effects: the account, its number history, a notice when its level or number changed or it was stopped, and its
    audit events, committed together. Raises LookupError for an unknown citizen.
    """
    citizen = _citizen(citizen_id)
    asked = profile_of(citizen, keyring)
    db.session.commit()
    said = ask(asked, reason=Reason.SIGN_IN, registry=registry)
    citizen = _citizen(citizen_id)
    profile = profile_of(citizen, keyring)
    if _identity(profile) != _identity(asked):
        # Somebody corrected the account meanwhile; the answer was about the person as they were.
        db.session.commit()
        return recheck(citizen_id, settings=settings, keyring=keyring, registry=registry, heed=heed)
    was, level = citizen.registry_status, _reachable(citizen)
    now = database_now()
    outcome, settled = settle(citizen, profile, said, keyring=keyring, now=now)
    keep_profile(citizen, settled, before=profile, keyring=keyring, now=now)
    if said is not None and said.is_person and citizen.proofing < Proofing.MATCHED:
        citizen.proofing = Proofing.MATCHED
    record(
        db.session,
        Event.REGISTRY_ASKED,
        citizen_id=citizen_id,
        outcome=outcome.value,
        detail={"was": was.value, "is": citizen.registry_status.value, **_compared(said)},
    )
    _tell(citizen, was=was, level=level, keyring=keyring)
    heed(citizen.registry_status)
    db.session.commit()
    return outcome


def _reachable(citizen: Citizen) -> Level:
    return assurance.reachable(citizen.proofing, citizen.registry_status, means_of(citizen.id))


def _tell(citizen: Citizen, *, was: RegistryStatus, level: Level, keyring: Keyring) -> None:
    """Owe the citizen a notice when the register's word changed what the account is worth.

    Who was never matched has no level yet; the first answer is part of their way in and no news.
    """
    if citizen.registry_status in STOPPING:
        if citizen.registry_status is not was:
            notices.owe(citizen.id, Notice.ACCOUNT_STOPPED, keyring=keyring)
    elif was is not RegistryStatus.PENDING and _reachable(citizen) is not level:
        notices.owe(citizen.id, Notice.LEVEL_CHANGED, keyring=keyring)


def settle(
    citizen: Citizen, profile: Profile, said: Said | None, *, keyring: Keyring, now: datetime
) -> tuple[RecheckOutcome, Profile]:
    """Write what the register `said` into status and numbers of the account; return the outcome and the new profile.

    The caller seals the profile, decides on the proofing, records and commits.
    """
    citizen.registry_asked_at = now
    if said is None:
        return RecheckOutcome.SILENT, profile
    citizen.registry_checked_at = now
    citizen.registry_status = said.status
    if not said.is_person:
        return RecheckOutcome.DIFFERS, profile
    profile = rectify(profile, full_name=said.full_name, birth=said.birth)
    if said.status is RegistryStatus.ACTIVE:
        return (RecheckOutcome.RECTIFIED if said.is_rectified else RecheckOutcome.CONFIRMED), profile
    if said.status is RegistryStatus.REPLACED and _take_number(citizen, profile, said, keyring=keyring, now=now):
        # The register named the living record of the same person; the next check asks there.
        citizen.registry_status = RegistryStatus.ACTIVE
        profile = replace(profile, claims={**profile.claims, "identification_number": said.new_number})
    return RecheckOutcome(said.status.value), profile


def _take_number(citizen: Citizen, profile: Profile, said: Said, *, keyring: Keyring, now: datetime) -> bool:
    """Make the new number the citizen's current one; False when it cannot be, and an officer has to look."""
    number = said.new_number
    holder = None if number is None else find_number(profile.scheme, number, keyring=keyring)
    if number is None or (holder is not None and (holder.citizen_id != citizen.id or holder.valid_to is not None)):
        # No number, somebody else's, or one this person already gave up.
        record(db.session, Event.NUMBER_REPLACED, citizen_id=citizen.id, outcome="conflict")
        return False
    if holder is None:
        former = current_number(citizen.id)
        successor = new_number(citizen.id, profile.scheme, number, keyring=keyring, now=now)
        db.session.add(successor)
        db.session.flush()
        if former is not None:
            former.valid_to, former.replaced_by_id = now, successor.id
        record(db.session, Event.NUMBER_REPLACED, citizen_id=citizen.id)
        # Or the next form that shows the new number would be the first its owner hears of it.
        notices.owe(citizen.id, Notice.NUMBER_REPLACED, keyring=keyring)
    return True


def _compared(said: Said | None) -> dict[str, str]:
    return {} if said is None else {name: match.value for name, match in said.fields.items()}


def _citizen(citizen_id: UUID) -> Citizen:
    citizen = db.session.get(Citizen, citizen_id, populate_existing=True, with_for_update=True)
    if citizen is None:
        raise LookupError("no such citizen")
    return citizen


def _identity(profile: Profile) -> tuple[str, str, str, BirthDate]:
    return profile.scheme, profile.number, profile.full_name, profile.birth


def _gender(claims: Mapping[str, Any]) -> Gender | None:
    value = claims.get("gender")
    return Gender(value) if value in {gender.value for gender in Gender} else None


def _canonical(scheme: str, number: str | None) -> str | None:
    if number is None:
        return None
    try:
        return numbers.scheme(scheme, test_numbers=True).canonical(number)
    except NumberUnreadable:
        _log.error("the register gave a number that is none", extra={"outcome": "malformed"})
        return None
