"""Enrolment: from citizen documents to accounts.

Owns the import, all or nothing, and what of a document becomes an account: never more than the register confirms.
Leaves the form of a document to `documents`, the reading of the register to `verification`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.claims import Profile, profile_of
from idp.citizens.credentials import password, totp
from idp.citizens.documents import CitizenDocument, Row, parse_all
from idp.citizens.lookup import find_number, new_number, reindex
from idp.citizens.models import Citizen, CitizenState
from idp.citizens.names import NameMatch, same_name
from idp.citizens.registry import PopulationRegistry, Reason
from idp.citizens.registry import table as embedded_register
from idp.citizens.verification import RecheckOutcome, Said, ask, keep_profile, rectify, settle
from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.core.levels import Level
from idp.core.settings import Settings

_IMPORTED_TOTP = "import"


@dataclass(frozen=True, slots=True)
class EnrolmentResult:
    """What became of one document. `outcome` is what the register said; the rest is the account as it is now."""

    citizen_id: UUID
    is_new: bool
    outcome: RecheckOutcome
    proofing: Proofing
    registry_status: RegistryStatus


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that takes time or asks others, done before the transaction that writes."""

    document: CitizenDocument = field(repr=False)
    citizen_id: UUID
    profile: Profile = field(repr=False)
    said: Said | None
    password_record: str | None = field(repr=False)


def enrol(
    document: CitizenDocument, *, settings: Settings, keyring: Keyring, registry: PopulationRegistry
) -> EnrolmentResult:
    """Make the account of one document, or bring the account with its number to it.

    Side effects: as `import_documents`.
    """
    return _enrol_all((document,), settings=settings, keyring=keyring, registry=registry)[0]


def import_documents(
    rows: Sequence[Row], *, settings: Settings, keyring: Keyring, registry: PopulationRegistry
) -> tuple[EnrolmentResult, ...]:
    """Enrol the people of all `rows`, in order, or nobody.

    A number that is known updates its citizen: the document replaces the profile, credentials it does not name
    stay, `sub` never changes. Raises DocumentsRefused naming every problem of every row. Side effects: accounts,
    numbers, credentials and audit events in one transaction; in the sandbox the people first enter the embedded
    register, which stays written when that transaction fails.
    """
    documents = parse_all(rows, settings=settings, today=clock.now().date())
    return _enrol_all(documents, settings=settings, keyring=keyring, registry=registry)


def _enrol_all(
    documents: Sequence[CitizenDocument], *, settings: Settings, keyring: Keyring, registry: PopulationRegistry
) -> tuple[EnrolmentResult, ...]:
    if settings.is_sandbox:
        embedded_register.write((person for document in documents for person in document.people), keyring=keyring)
    prepared = [_prepare(document, settings=settings, keyring=keyring, registry=registry) for document in documents]
    now = clock.now()
    try:
        results = tuple(_write(each, keyring=keyring, now=now) for each in prepared)
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    return results


def _prepare(
    document: CitizenDocument, *, settings: Settings, keyring: Keyring, registry: PopulationRegistry
) -> _Prepared:
    known = find_number(document.scheme, document.number, keyring=keyring)
    citizen_id = new_id() if known is None else known.citizen_id
    db.session.commit()
    profile = _profile(document)
    return _Prepared(
        document=document,
        citizen_id=citizen_id,
        profile=profile,
        said=ask(profile, reason=Reason.ENROLMENT, registry=registry),
        password_record=None
        if document.password is None
        else password.make_hash(document.password, owner=citizen_id, settings=settings, keyring=keyring),
    )


def _write(prepared: _Prepared, *, keyring: Keyring, now: datetime) -> EnrolmentResult:
    document, said, profile = prepared.document, prepared.said, prepared.profile
    citizen = db.session.get(Citizen, prepared.citizen_id, populate_existing=True, with_for_update=True)
    is_new = citizen is None
    before = None if citizen is None else profile_of(citizen, keyring)
    if citizen is None:
        citizen = _new_citizen(prepared, keyring=keyring, now=now)
    was = None if before is None else (citizen.proofing, citizen.registry_status)
    if before is not None:
        profile = _as_known(profile, before, citizen, said, keyring=keyring)
    _prove(citizen, prepared, before)
    outcome, profile = settle(citizen, profile, said, keyring=keyring, now=now)
    is_written = keep_profile(citizen, profile, before=before, keyring=keyring, now=now)
    if prepared.password_record is not None:
        password.store(citizen.id, prepared.password_record, now=now)
    if document.totp_secret is not None:
        totp.add(citizen.id, document.totp_secret, label=_IMPORTED_TOTP, keyring=keyring, now=now)
    if is_new:
        record(db.session, Event.CITIZEN_ENROLLED, citizen_id=citizen.id, outcome=outcome.value)
    elif is_written or was != (citizen.proofing, citizen.registry_status):
        record(db.session, Event.CITIZEN_UPDATED, citizen_id=citizen.id, outcome=outcome.value)
    return EnrolmentResult(citizen.id, is_new, outcome, citizen.proofing, citizen.registry_status)


def _profile(document: CitizenDocument) -> Profile:
    claims = {
        **document.claims,
        "name": document.full_name,
        "birthdate": document.birth.claim(),
        "identification_number": document.number,
        "identification_number_scheme": document.scheme,
    }
    return Profile(claims, document.birth)


def _new_citizen(prepared: _Prepared, *, keyring: Keyring, now: datetime) -> Citizen:
    document = prepared.document
    citizen = Citizen(
        id=prepared.citizen_id,
        state=CitizenState.ACTIVE,
        proofing=Proofing.WELL_FORMED,
        registry_status=RegistryStatus.PENDING,
        data_key=person_key.new(prepared.citizen_id, keyring),
        profile="",
        created_at=now,
        updated_at=now,
    )
    db.session.add(citizen)
    db.session.flush()
    db.session.add(new_number(citizen.id, document.scheme, document.number, keyring=keyring, now=now))
    db.session.flush()
    return citizen


def _as_known(profile: Profile, before: Profile, citizen: Citizen, said: Said | None, *, keyring: Keyring) -> Profile:
    """Return the profile of a document for a person we know: with their present number and proven spelling."""
    number = find_number(profile.scheme, profile.number, keyring=keyring)
    if number is not None and number.citizen_id == citizen.id:
        reindex(number, profile.scheme, profile.number, keyring=keyring)
        if number.valid_to is not None:
            profile = replace(profile, claims={**profile.claims, "identification_number": before.number})
    if said is None and _is_same_person(profile, before):
        return rectify(profile, full_name=before.full_name, birth=before.birth)
    return profile


def _prove(citizen: Citizen, prepared: _Prepared, before: Profile | None) -> None:
    """Set how far the identity is proven: what the document claims, as far as the register confirms it."""
    document, said = prepared.document, prepared.said
    is_known = before is not None and _is_same_person(prepared.profile, before)
    if said is None and is_known:
        # A silent register takes nothing from an account, and a file alone adds nothing to it.
        return
    if said is None or not said.is_person:
        citizen.proofing = Proofing.WELL_FORMED if document.findings else Proofing.CONSISTENT
        citizen.registry_status = RegistryStatus.PENDING
        return
    was_bound = is_known and citizen.proofing is Proofing.BOUND and document.level is Level.NONE
    citizen.proofing = Proofing.BOUND if was_bound or document.level > Level.LOA1 else Proofing.MATCHED


def _is_same_person(profile: Profile, before: Profile) -> bool:
    is_same_name = same_name(profile.full_name, before.full_name) is not NameMatch.DIFFERENT
    return is_same_name and profile.birth.agrees_with(before.birth)
