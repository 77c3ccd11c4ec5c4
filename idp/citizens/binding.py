"""What an officer who has seen paper and face lets become of an account: bound, made, given new keys, unlocked.

Owns asking the register for the officer, and the four acts as changes of an account. The caller spends the pairing
first, in the same transaction, ends sessions where that is due, and commits. An officer may know what the register
said, deceased and locked included; a citizen's page never says more than that somebody at the counter knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import contact_data, counter_acts, numbers, officers, person_key, verification
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.birthdate import BirthDate
from idp.citizens.claims import Profile, profile_of
from idp.citizens.contacts import proven
from idp.citizens.counter_acts import Act
from idp.citizens.credentials import password
from idp.citizens.lookup import find_number, new_number
from idp.citizens.models import Citizen, CitizenState, Passkey, TotpCredential
from idp.citizens.numbers import NumberUnreadable
from idp.citizens.officers import OnDuty
from idp.citizens.pairing import Identity, Paired
from idp.citizens.registry import PopulationRegistry, Reason
from idp.citizens.verification import Said
from idp.core import clock, i18n
from idp.core.database import database_now, db
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.channels import Channel
from idp.notify.notices import Addressee, Former, Notice


class CardOutcome(StrEnum):
    """What an officer learns of the details on a card; the words are `counter.card.<outcome>` in the catalogues."""

    CONFIRMED = "confirmed"
    UNREADABLE = "unreadable"
    DIFFERS = "differs"
    NOT_FOUND = "not-found"
    DECEASED = "deceased"
    LOCKED = "locked"
    REPLACED = "replaced"
    SILENT = "silent"
    OWN = "own"


_OUTCOMES = {
    RegistryStatus.ACTIVE: CardOutcome.CONFIRMED,
    RegistryStatus.DECEASED: CardOutcome.DECEASED,
    RegistryStatus.LOCKED: CardOutcome.LOCKED,
    RegistryStatus.REPLACED: CardOutcome.REPLACED,
    RegistryStatus.NOT_FOUND: CardOutcome.NOT_FOUND,
    RegistryStatus.MISMATCH: CardOutcome.DIFFERS,
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What the register said about a card. `identity` with CONFIRMED only; `citizen_id` when there is an account."""

    outcome: CardOutcome
    identity: Identity | None = None
    citizen_id: UUID | None = None


class AccountTaken(Exception):
    """The account is not what the officer saw any more: made, bound, stopped or closed since they looked."""


def check_card(
    number: str,
    full_name: str,
    birth: BirthDate,
    *,
    officer: OnDuty,
    settings: Settings,
    keyring: Keyring,
    registry: PopulationRegistry,
) -> Checked:
    """Ask the register about what is printed on a card, and bring the account of that number to its answer; commit.

    The caller holds no transaction. A card that fits nobody touches no account: it may be a slip of the keys. Events:
    card checked.
    """
    scheme = numbers.scheme(settings.number_scheme, test_numbers=settings.is_sandbox)
    try:
        canonical = scheme.canonical(number)
    except NumberUnreadable:
        return Checked(CardOutcome.UNREADABLE)
    typed = Profile(Identity(scheme.name, canonical, full_name, birth).claims(), birth)
    said = verification.ask(typed, reason=Reason.COUNTER, registry=registry)
    known = find_number(scheme.name, canonical, keyring=keyring)
    citizen_id = None if known is None else known.citizen_id
    outcome = CardOutcome.SILENT if said is None else _OUTCOMES[said.status]
    if citizen_id == officer.citizen_id:
        outcome = CardOutcome.OWN
    elif said is not None and said.is_person and citizen_id is not None:
        _bring_to(citizen_id, said, keyring=keyring)
    compared = {} if said is None else {name: match.value for name, match in said.fields.items()}
    record(
        db.session,
        Event.CARD_CHECKED,
        citizen_id=citizen_id,
        outcome=outcome.value,
        detail={**officer.trace, **compared},
    )
    db.session.commit()
    if outcome is not CardOutcome.CONFIRMED or said is None:
        return Checked(outcome)
    whole = verification.rectify(typed, full_name=said.full_name, birth=said.birth)
    return Checked(outcome, Identity(scheme.name, canonical, whole.full_name, whole.birth), citizen_id)


def _bring_to(citizen_id: UUID, said: Said, *, keyring: Keyring) -> None:
    citizen, now = _held(citizen_id), clock.now()
    before = profile_of(citizen, keyring)
    _, settled = verification.settle(citizen, before, said, keyring=keyring, now=now)
    verification.keep_profile(citizen, settled, before=before, keyring=keyring, now=now)
    citizen.proofing = max(citizen.proofing, Proofing.MATCHED)


def _held(citizen_id: UUID) -> Citizen:
    return db.session.get_one(Citizen, citizen_id, populate_existing=True, with_for_update=True)


def names_of(paired: Paired) -> Mapping[str, str]:
    """Return the names of the counter of a pairing, for a notice."""
    assert paired.counter is not None
    return officers.counter_names(frozenset({paired.counter})).get(paired.counter, {})


def possible_acts(citizen_id: UUID | None) -> tuple[Act, ...]:
    """Return what an officer may choose for a person who was seen and confirmed, the likeliest first."""
    if citizen_id is None:
        return (Act.NEW,)
    citizen = db.session.get_one(Citizen, citizen_id)
    if citizen.state is CitizenState.DISABLED:
        return ()
    if citizen.state is CitizenState.LOCKED:
        return (Act.UNLOCK, Act.REPLACE)
    return (Act.REPLACE,) if citizen.proofing is Proofing.BOUND else (Act.BIND, Act.REPLACE)


def needs_second(citizen_id: UUID | None, act: Act, *, settings: Settings) -> bool:
    """Tell whether another officer must look as well: new keys for an account that could reach the highest level."""
    if act is not Act.REPLACE or citizen_id is None or settings.counter_approvals < 2:  # noqa: PLR2004
        return False
    return db.session.get_one(Citizen, citizen_id).proofing is Proofing.BOUND


def announce_replacement(paired: Paired, *, keyring: Keyring) -> None:
    """Owe the person behind the old contact a word before anything is replaced, with the reference to quote."""
    assert paired.citizen_id is not None
    notices.owe(
        paired.citizen_id,
        Notice.REPLACEMENT_BEGUN,
        keyring=keyring,
        counter=names_of(paired),
        reference=paired.reference,
    )


# --- the acts -----------------------------------------------------------------------------------------------------


def bind(paired: Paired, *, keyring: Keyring) -> None:
    """Bind an account to the person who was seen, and who has just signed in to it. Events: identity bound."""
    citizen = _held(_citizen_of(paired))
    was = citizen.proofing
    citizen.proofing = Proofing.BOUND
    _done(Act.BIND, Event.IDENTITY_BOUND, citizen.id, paired, was=was.value)
    if was is not Proofing.BOUND:
        _tell(citizen.id, Notice.LEVEL_RAISED, paired, keyring=keyring)


def make(paired: Paired, password_record: str, *, citizen_id: UUID, keyring: Keyring) -> None:
    """Make the account of the person who was seen, bound at once, with the password they chose.

    Raises AccountTaken. Events: citizen enrolled.
    """
    seen = paired.identity
    assert seen is not None
    if find_number(seen.scheme, seen.number, keyring=keyring) is not None:
        raise AccountTaken
    now = clock.now()
    citizen = Citizen(
        id=citizen_id,
        state=CitizenState.ACTIVE,
        proofing=Proofing.BOUND,
        registry_status=RegistryStatus.ACTIVE,
        registry_checked_at=now,
        registry_asked_at=now,
        data_key=person_key.new(citizen_id, keyring),
        profile="",
        created_at=now,
        updated_at=now,
    )
    db.session.add(citizen)
    db.session.flush()
    verification.keep_profile(citizen, Profile(seen.claims(), seen.birth), before=None, keyring=keyring, now=now)
    db.session.add(new_number(citizen.id, seen.scheme, seen.number, keyring=keyring, now=now))
    db.session.flush()
    password.store(citizen.id, password_record, now=now)
    _done(Act.NEW, Event.CITIZEN_ENROLLED, citizen.id, paired)


def replace(paired: Paired, password_record: str, *, settings: Settings, keyring: Keyring) -> UUID:
    """End every old way to sign in, and begin anew with the password just chosen; return whose account it is.

    The account is bound, and open if its owner had locked it: paper and face were seen.
    The caller ends the sessions. Events: credentials replaced.
    """
    citizen = _held(_citizen_of(paired))
    is_usable = citizen.state in (CitizenState.ACTIVE, CitizenState.LOCKED)
    if not is_usable or (paired.second_officer_id is None and needs_second(citizen.id, Act.REPLACE, settings=settings)):
        # Stopped or closed, or bound since one officer alone allowed this.
        raise AccountTaken
    former = _take_contacts(citizen, keyring=keyring)
    now = database_now()
    citizen.proofing = Proofing.BOUND
    if citizen.state is CitizenState.LOCKED:
        # Locked because the old ways in were in doubt, and those are gone.
        citizen.state = CitizenState.ACTIVE
        record(db.session, Event.ACCOUNT_UNLOCKED, citizen_id=citizen.id, detail=paired.trace)
    # Gone, not disabled: what guesses have disabled still guards an account.
    db.session.execute(sa.delete(TotpCredential).where(TotpCredential.citizen_id == citizen.id))
    db.session.execute(
        sa.update(Passkey).where(Passkey.citizen_id == citizen.id, Passkey.ended_at.is_(None)).values(ended_at=now)
    )
    password.store(citizen.id, password_record, now=now)
    _done(Act.REPLACE, Event.CREDENTIALS_REPLACED, citizen.id, paired)
    for each in former or (None,):
        _tell(citizen.id, Notice.REPLACEMENT_DONE, paired, keyring=keyring, to=each)
    return citizen.id


def _take_contacts(citizen: Citizen, *, keyring: Keyring) -> list[Former]:
    """Forget mail and telephone, which are ways back in, and return those that were proven, to be told.

    Whoever took the account over may have put their own there, and would set the new password anew within minutes.
    """
    language = i18n.negotiate(chosen=citizen.locale, default=i18n.DEFAULT_LANGUAGE)
    claims = profile_of(citizen, keyring).claims
    former = []
    for channel in Channel:
        if (address := proven(claims, channel)) is not None:
            former.append(Former(channel, address, language))
        contact_data.remove(citizen.id, channel, language=language, keyring=keyring)
        db.session.flush()
    return former


def unlock(paired: Paired, *, keyring: Keyring) -> bool:
    """Open an account that its owner had locked; False when it is not locked. Events: account unlocked."""
    citizen = _held(_citizen_of(paired))
    if citizen.state is not CitizenState.LOCKED:
        return False
    citizen.state = CitizenState.ACTIVE
    _done(Act.UNLOCK, Event.ACCOUNT_UNLOCKED, citizen.id, paired)
    _tell(citizen.id, Notice.UNLOCKED, paired, keyring=keyring)
    return True


def new_citizen_id() -> UUID:
    """Return the key of an account to be made: its password is hashed for it before it exists."""
    return new_id()


def _citizen_of(paired: Paired) -> UUID:
    assert paired.citizen_id is not None
    return paired.citizen_id


def _done(act: Act, event: Event, citizen_id: UUID, paired: Paired, **more: str) -> None:
    assert paired.officer_id is not None
    assert paired.counter is not None
    record(db.session, event, citizen_id=citizen_id, detail={**paired.trace, "reference": paired.reference, **more})
    counter_acts.note_for(
        act,
        officer_id=paired.officer_id,
        counter=paired.counter,
        citizen_id=citizen_id,
        reference=paired.reference,
    )
    if paired.second_officer_id is not None:
        counter_acts.note_for(
            Act.REPLACE_CONFIRMED,
            officer_id=paired.second_officer_id,
            counter=paired.counter,
            citizen_id=citizen_id,
            reference=paired.reference,
        )


def _tell(citizen_id: UUID, kind: Notice, paired: Paired, *, keyring: Keyring, to: Addressee | None = None) -> None:
    notices.owe(citizen_id, kind, keyring=keyring, to=to, counter=names_of(paired), reference=paired.reference)
