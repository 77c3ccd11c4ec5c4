"""The making of an account at the end of an enrolment: all of it in one transaction, or nothing.

The index of numbers is unique, so that of two enrolments of one person exactly one wins.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import contacts, person_key
from idp.citizens.applicants import draft as drafts
from idp.citizens.applicants import waiting
from idp.citizens.applicants.draft import Draft, Identity, SecondFactor
from idp.citizens.assurance import RegistryStatus
from idp.citizens.claims import Profile
from idp.citizens.credentials import passkey, password, recovery, totp
from idp.citizens.credentials.passkey import PasskeyRefused
from idp.citizens.lookup import find_number, new_number
from idp.citizens.models import Citizen, CitizenState
from idp.citizens.verification import keep_profile
from idp.core.database import database_now, db
from idp.core.keyring import Keyring
from idp.notify import notices
from idp.notify.channels import Channel
from idp.notify.notices import Notice

_APP = "app"


class Spent(Exception):
    """The draft was spent, or moved on, before: by another click."""


class NumberTaken(Exception):
    """Somebody has an account with a number of this person. Nothing was written."""


def holder_of(identity: Identity, *, keyring: Keyring) -> UUID | None:
    """Return whose account has a number of this person, present or former; None when nobody's has."""
    for number in identity.numbers:
        found = find_number(identity.scheme, number, keyring=keyring)
        if found is not None:
            return found.citizen_id
    return None


def as_known(draft: Draft, *, keyring: Keyring) -> Draft:
    """Return a draft whose contact is proven, at its end if this person has an account already.

    The holder of the account is owed a notice, in the caller's transaction; nothing else of the account is touched.
    """
    assert draft.identity is not None
    if draft.is_known:
        # Told already: another address of the applicant is no news to the holder.
        return draft
    holder = holder_of(draft.identity, keyring=keyring)
    if holder is None:
        return draft
    record(db.session, Event.ENROLMENT_OF_ANOTHER, citizen_id=holder, detail={"enrolment": draft.id.hex})
    notices.owe(holder, Notice.ENROLMENT_REPEATED, keyring=keyring)
    return replace(draft, is_known=True)


def make(draft: Draft, *, language: str, passkey_name: str, keyring: Keyring) -> UUID:
    """Make the account of a draft that has come to its end, in the caller's transaction; return the citizen's key.

    Raises Spent, NumberTaken, and PasskeyRefused for a passkey that somebody has, after a rollback. Side effects: the
    draft is spent; citizen, numbers, credentials, events and notices are added; who waited with these details waits no
    more.
    """
    identity = draft.identity
    assert identity is not None
    assert draft.is_matched
    assert draft.is_contact_proven
    assert draft.declared is not None
    if not drafts.spend(draft):
        db.session.rollback()
        raise Spent
    now = database_now()
    if holder_of(identity, keyring=keyring) is not None:
        db.session.rollback()
        raise NumberTaken
    try:
        _write_citizen(draft, identity, language=language, keyring=keyring, now=now)
        _write_means(draft, passkey_name=passkey_name, keyring=keyring, now=now)
    except PasskeyRefused:
        db.session.rollback()
        raise
    except IntegrityError:
        db.session.rollback()
        # Without the cause: it quotes the row.
        raise NumberTaken from None
    waiting.forget(draft.declared, keyring=keyring)
    record(db.session, Event.CITIZEN_ENROLLED, citizen_id=draft.id, outcome="self", detail={"enrolment": draft.id.hex})
    notices.owe(draft.id, Notice.ACCOUNT_OPENED, keyring=keyring)
    return draft.id


def _write_citizen(draft: Draft, identity: Identity, *, language: str, keyring: Keyring, now: datetime) -> None:
    citizen = Citizen(
        id=draft.id,
        state=CitizenState.ACTIVE,
        proofing=identity.proofing,
        registry_status=RegistryStatus.ACTIVE,
        registry_checked_at=identity.checked_at,
        registry_asked_at=identity.checked_at,
        profile="",
        data_key=person_key.new(draft.id, keyring),
        created_at=now,
        updated_at=now,
    )
    db.session.add(citizen)
    db.session.flush()
    profile = Profile({**claims_of(draft), "locale": language}, identity.birth)
    keep_profile(citizen, profile, before=None, keyring=keyring, now=now)
    db.session.flush()
    present = new_number(citizen.id, identity.scheme, identity.number, keyring=keyring, now=now)
    db.session.add(present)
    db.session.flush()
    if identity.former_number is not None:
        former = new_number(citizen.id, identity.scheme, identity.former_number, keyring=keyring, now=now)
        former.valid_to, former.replaced_by_id = now, present.id
        db.session.add(former)
        db.session.flush()


def claims_of(draft: Draft) -> dict[str, Any]:
    """Return the claims that the account of a draft begins with."""
    identity = draft.identity
    assert identity is not None
    assert draft.channel is not None
    address, is_proven = contacts.CLAIMS[Channel(draft.channel)]
    return {
        "name": identity.full_name,
        "birthdate": identity.birth.claim(),
        "identification_number": identity.number,
        "identification_number_scheme": identity.scheme,
        address: draft.target,
        is_proven: draft.is_contact_proven,
    }


def _write_means(draft: Draft, *, passkey_name: str, keyring: Keyring, now: datetime) -> None:
    assert draft.password_record is not None
    password.store(draft.id, draft.password_record, now=now)
    if draft.second_factor is SecondFactor.APP:
        assert draft.totp_secret is not None
        totp.add(draft.id, draft.totp_secret, label=_APP, keyring=keyring, now=now, last_step=draft.totp_step)
    if draft.second_factor is SecondFactor.PASSKEY:
        assert draft.passkey is not None
        made = passkey.Made.of_document(draft.passkey)
        passkey.keep(draft.id, made, name=passkey_name, bound_to=draft.bound_to, keyring=keyring)
    recovery.store(draft.id, draft.codes, keyring=keyring, now=now)
