"""The draft of an enrolment: what is known so far, which step is next, and its sealed row.

The draft alone says which step is next; a page only asks. Going back is possible, and what depended on an answer that
changes is forgotten with it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.citizens import birthdate
from idp.citizens.applicants.models import Enrolment, draft_place
from idp.citizens.assurance import Proofing
from idp.citizens.birthdate import BirthDate
from idp.citizens.models import insert
from idp.core.database import database_now, db
from idp.core.ids import new_id
from idp.core.keyring import Keyring

LIFETIME: Final = timedelta(hours=1)
"""Longest time from the first step to the last."""


class Step(StrEnum):
    """A page of an enrolment; the value is the last part of its path. KNOWN and WAITING are ends without an account."""

    PERSON = "person"
    CONTACT = "contact"
    PROOF = "contact-code"
    KNOWN = "known"
    WAITING = "waiting"
    PASSWORD = "password"  # noqa: S105 (the name of a page)
    SECOND_FACTOR = "second-factor"
    APP = "app"
    PASSKEY = "passkey"
    CODES = "codes"


class SecondFactor(StrEnum):
    """What the applicant chose beside the password."""

    APP = "app"
    PASSKEY = "passkey"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Declared:
    """Who the applicant says to be: number (canonical), name (cleaned) and birth date."""

    scheme: str
    number: str = field(repr=False)
    full_name: str = field(repr=False)
    birth: BirthDate = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the applicant is to us, and how far that is proven: MATCHED as the register has it, less as declared.

    `former_number` is the number that was declared, where the register has replaced it. `is_respelled`: the register
    writes name or birth date otherwise than they were typed. `checked_at` is when it said so.
    """

    proofing: Proofing
    scheme: str
    number: str = field(repr=False)
    full_name: str = field(repr=False)
    birth: BirthDate = field(repr=False)
    former_number: str | None = field(default=None, repr=False)
    is_respelled: bool = False
    checked_at: datetime | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Return every number of the person that we know of, the present one first."""
        return (self.number,) if self.former_number is None else (self.number, self.former_number)


@dataclass(frozen=True, slots=True)
class Draft:
    """An enrolment so far. `version` 0 is one that was not kept yet.

    `was_warned`: the applicant was asked once to look again at what they declared. `channel` and `target` are the
    contact. `totp_step` is the time step of the code that confirmed the app. `codes` are the recovery codes as shown.
    """

    id: UUID
    bound_to: UUID
    version: int = 0
    spent_at: datetime | None = None
    declared: Declared | None = None
    was_warned: bool = False
    identity: Identity | None = None
    channel: str | None = None
    target: str | None = field(default=None, repr=False)
    is_contact_proven: bool = False
    is_known: bool = False
    waiting_reference: str | None = None
    waiting_until: str | None = None
    password_record: str | None = field(default=None, repr=False)
    needs_second_factor: bool = False
    second_factor: SecondFactor | None = None
    totp_secret: str | None = field(default=None, repr=False)
    totp_step: int | None = None
    passkey: Mapping[str, Any] | None = field(default=None, repr=False)
    codes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_matched(self) -> bool:
        """Tell whether the register confirmed the identity."""
        return self.identity is not None and self.identity.proofing >= Proofing.MATCHED

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the pages that may be shown now, in order; the last one is what is next."""
        reached = [Step.PERSON]
        if self.identity is None:
            return tuple(reached)
        reached.append(Step.CONTACT)
        if self.target is None:
            return tuple(reached)
        if not self.is_contact_proven:
            return (*reached, Step.PROOF)
        if self.is_known:
            return (*reached, Step.KNOWN)
        if not self.is_matched:
            return (*reached, Step.WAITING)
        reached.append(Step.PASSWORD)
        if self.password_record is None:
            return tuple(reached)
        reached.append(Step.SECOND_FACTOR)
        if self.second_factor is None:
            return tuple(reached)
        if self.second_factor is SecondFactor.APP and self.totp_step is None:
            return (*reached, Step.APP)
        if self.second_factor is SecondFactor.PASSKEY and self.passkey is None:
            return (*reached, Step.PASSKEY)
        return (*reached, Step.CODES)

    @property
    def next_step(self) -> Step:
        """Return the step that is next."""
        return self.steps[-1]

    def with_person(self, declared: Declared, identity: Identity | None, *, was_warned: bool = False) -> "Draft":
        """Return the draft of who was declared now. What was proven for somebody else is forgotten."""
        return Draft(self.id, self.bound_to, self.version, declared=declared, identity=identity, was_warned=was_warned)

    def with_contact(self, channel: str, target: str) -> "Draft":
        """Return the draft with a contact that is to be proven. What its proof led to before is led to only once."""
        return replace(self, channel=channel, target=target, is_contact_proven=False)

    def with_password(self, record: str, *, needs_second_factor: bool) -> "Draft":
        """Return the draft with the record of a password; a short one takes back the choice to go without more."""
        second = self.second_factor
        if needs_second_factor and second is SecondFactor.LATER:
            second = None
        return replace(self, password_record=record, needs_second_factor=needs_second_factor, second_factor=second)

    def with_second_factor(self, chosen: SecondFactor, *, totp_secret: str | None = None) -> "Draft":
        """Return the draft with a choice of second factor, which begins anew."""
        return replace(self, second_factor=chosen, totp_secret=totp_secret, totp_step=None, passkey=None)


def begin(bound_to: UUID) -> Draft:
    """Return an empty draft for an interaction. It is stored with its first step."""
    return Draft(new_id(), bound_to)


def read(bound_to: UUID, *, keyring: Keyring) -> Draft:
    """Return the draft of an interaction: as it was kept, spent, or new. Ends its transaction."""
    row = db.session.scalar(
        sa.select(Enrolment).where(Enrolment.bound_to == bound_to), execution_options={"populate_existing": True}
    )
    draft = begin(bound_to) if row is None else _of_row(row, keyring)
    # Read before: a row that is looked at after the end of its transaction opens another one.
    db.session.rollback()
    return draft


def _of_row(row: Enrolment, keyring: Keyring) -> Draft:
    if row.spent_at is not None:
        return Draft(row.id, row.bound_to, row.version, spent_at=row.spent_at)
    return _of_document(json.loads(keyring.unseal(row.draft, draft_place(row.id))), row)


def keep(draft: Draft, *, keyring: Keyring) -> bool:
    """Store a draft in the caller's transaction. False when another post on these pages was faster; nothing is written.

    Only the draft that was read is replaced, so that of two clicks one counts and the other is shown what it led to.
    """
    sealed = keyring.seal(json.dumps(_document(draft), ensure_ascii=False), draft_place(draft.id))
    if draft.version == 0:
        now = database_now()
        kept = db.session.execute(
            insert(Enrolment)
            .values(
                id=draft.id, bound_to=draft.bound_to, draft=sealed, version=1, created_at=now, expires_at=now + LIFETIME
            )
            .on_conflict_do_nothing(index_elements=["bound_to"])
            .returning(Enrolment.id)
        )
    else:
        kept = db.session.execute(
            sa.update(Enrolment)
            .where(Enrolment.id == draft.id, Enrolment.version == draft.version, Enrolment.spent_at.is_(None))
            .values(draft=sealed, version=draft.version + 1)
            .returning(Enrolment.id),
            execution_options={"synchronize_session": False},
        )
    return kept.first() is not None


def spend(draft: Draft) -> bool:
    """Spend a draft in the caller's transaction, once; what was in it is gone with that. False when it was spent."""
    spent = db.session.execute(
        sa.update(Enrolment)
        .where(Enrolment.id == draft.id, Enrolment.version == draft.version, Enrolment.spent_at.is_(None))
        .values(draft="", spent_at=database_now())
        .returning(Enrolment.id),
        execution_options={"synchronize_session": False},
    )
    return spent.first() is not None


def declared_document(declared: Declared) -> dict[str, str]:
    """Return what was declared as JSON."""
    return {
        "scheme": declared.scheme,
        "number": declared.number,
        "full_name": declared.full_name,
        "birth": declared.birth.iso(),
    }


def declared_of(document: Mapping[str, Any]) -> Declared:
    """Read what `declared_document` wrote."""
    return Declared(document["scheme"], document["number"], document["full_name"], birthdate.parse(document["birth"]))


_PLAIN: Final = (
    *("was_warned", "channel", "target", "is_contact_proven", "is_known", "waiting_reference", "waiting_until"),
    *("password_record", "needs_second_factor", "totp_secret", "totp_step", "passkey"),
)


def _document(draft: Draft) -> dict[str, Any]:
    document: dict[str, Any] = {name: getattr(draft, name) for name in _PLAIN}
    document["codes"] = list(draft.codes)
    document["second_factor"] = draft.second_factor.value if draft.second_factor else None
    document["declared"] = declared_document(draft.declared) if draft.declared else None
    identity = draft.identity
    document["identity"] = identity and {
        "proofing": identity.proofing.value,
        "scheme": identity.scheme,
        "number": identity.number,
        "full_name": identity.full_name,
        "birth": identity.birth.iso(),
        "former_number": identity.former_number,
        "is_respelled": identity.is_respelled,
        "checked_at": identity.checked_at.isoformat() if identity.checked_at else None,
    }
    return document


def _of_document(document: Mapping[str, Any], row: Enrolment) -> Draft:
    identity = document["identity"]
    return Draft(
        id=row.id,
        bound_to=row.bound_to,
        version=row.version,
        declared=declared_of(document["declared"]) if document["declared"] else None,
        identity=identity
        and Identity(
            Proofing(identity["proofing"]),
            identity["scheme"],
            identity["number"],
            identity["full_name"],
            birthdate.parse(identity["birth"]),
            identity["former_number"],
            identity["is_respelled"],
            datetime.fromisoformat(identity["checked_at"]) if identity["checked_at"] else None,
        ),
        second_factor=SecondFactor(document["second_factor"]) if document["second_factor"] else None,
        codes=tuple(document["codes"]),
        **{name: document[name] for name in _PLAIN},
    )
