r"""The wait for a silent register: who waits, what the register said at last, and the word to them.

    proven contact, silent register --begin--> waits --asked with growing pauses--> answered, a word owed
                                                 \------ its time is over -------> deleted

The word says neither what the register said nor who it is about, and has no link: the applicant goes to an agency and
types the same details, and then the answer that came is used.
"""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import birthdate, verification
from idp.citizens.applicants.draft import Declared, Draft, declared_document, declared_of
from idp.citizens.applicants.models import WaitingEnrolment, answer_place, applicant_place
from idp.citizens.assurance import RegistryStatus
from idp.citizens.claims import Profile
from idp.citizens.names import name_exact
from idp.citizens.registry import FieldMatch, PopulationRegistry, Reason
from idp.citizens.verification import Said
from idp.core import clock
from idp.core.database import HotPath, Query, db
from idp.core.ids import new_id, new_reference
from idp.core.keyring import Keyring, Purpose
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.channels import Channel
from idp.notify.notices import Addressee, Notice

PAUSES: Final = (60, 300, 900, 3_600, 14_400, 21_600)
"""Seconds between one question and the next; the last one from then on."""
_LEASE: Final = timedelta(seconds=60)
# Looking first: taking is a write, and mostly there is nothing.
ANY_DUE = Query("SELECT 1 AS due FROM waiting_enrolment WHERE due_at <= {now} AND expires_at > {now} LIMIT 1")


@dataclass(frozen=True, slots=True)
class _Taken:
    """Somebody who waits, and how they are told."""

    id: UUID
    declared: Declared = field(repr=False)
    reader: Addressee
    attempts: int


def begin(draft: Draft, *, language: str, settings: Settings, keyring: Keyring) -> tuple[str, datetime]:
    """Let the applicant of `draft` wait, in the caller's transaction; return the reference and until when.

    Under one address, the last one proven: an enrolment waits once.
    """
    assert draft.declared is not None
    if draft.waiting_reference is not None:
        _forget(_same(draft.declared, keyring=keyring).where(WaitingEnrolment.reference == draft.waiting_reference))
    waiting_id, now = new_id(), clock.now()
    key = keyring.key(Purpose.NUMBER_INDEX)
    document = {
        "declared": declared_document(draft.declared),
        "channel": draft.channel,
        "target": draft.target,
        "language": language,
    }
    until = now + timedelta(seconds=settings.enrolment_wait)
    row = WaitingEnrolment(
        id=waiting_id,
        reference=new_reference(),
        index_key_id=key.id,
        details_index=_index(draft.declared, key.id, keyring=keyring),
        applicant=keyring.seal(json.dumps(document, ensure_ascii=False), applicant_place(waiting_id)),
        attempts=0,
        created_at=now,
        due_at=now + timedelta(seconds=PAUSES[0]),
        expires_at=until,
    )
    db.session.add(row)
    record(db.session, Event.ENROLMENT_WAITS, detail={"enrolment": draft.id.hex, "waiting": waiting_id.hex})
    return row.reference, until


def answered(declared: Declared, *, settings: Settings, keyring: Keyring) -> tuple[Said, datetime] | None:
    """Return what the register said about exactly these details while somebody waited, and when; None for nothing.

    As long as an answer about an account would count too, and then no longer. Ends its transaction.
    """
    oldest = clock.now() - timedelta(seconds=settings.registry_recheck)
    row = db.session.scalars(
        _same(declared, keyring=keyring)
        .where(WaitingEnrolment.answer.is_not(None), WaitingEnrolment.answered_at > oldest)
        .order_by(WaitingEnrolment.answered_at.desc())
        .limit(1)
    ).first()
    answer = None
    if row is not None and row.answer is not None and row.answered_at is not None:
        answer = _said(json.loads(keyring.unseal(row.answer, answer_place(row.id)))), row.answered_at
    db.session.rollback()
    return answer


def forget(declared: Declared, *, keyring: Keyring) -> None:
    """Delete everybody who waits with these details, in the caller's transaction: the account is there."""
    _forget(_same(declared, keyring=keyring))


def _forget(chosen: sa.Select[tuple[WaitingEnrolment]]) -> None:
    for row in db.session.scalars(chosen).all():
        db.session.delete(row)


def ask_register(declared: Declared, *, registry: PopulationRegistry) -> Said | None:
    """Ask the register about an applicant; None when it did not answer."""
    claims = {
        "name": declared.full_name,
        "birthdate": declared.birth.claim(),
        "identification_number": declared.number,
        "identification_number_scheme": declared.scheme,
    }
    return verification.ask(Profile(claims, declared.birth), reason=Reason.ENROLMENT, registry=registry)


def _same(declared: Declared, *, keyring: Keyring) -> sa.Select[tuple[WaitingEnrolment]]:
    row = WaitingEnrolment
    wanted = [
        sa.and_(row.index_key_id == key_id, row.details_index == _index(declared, key_id, keyring=keyring))
        for key_id in keyring.key_ids(Purpose.NUMBER_INDEX)
    ]
    return sa.select(row).where(sa.or_(*wanted))


def _index(declared: Declared, key_id: str, *, keyring: Keyring) -> str:
    details = ("applicant", declared.scheme, declared.number, name_exact(declared.full_name), declared.birth.iso())
    return keyring.hmac(Purpose.NUMBER_INDEX, "\0".join(details).encode(), key_id=key_id).hex()


class WaitingEnrolments:
    """The asking by one worker process. `place` is where the ORM may be used outside a request."""

    name = "enrolments"
    idle_seconds = 2.0

    def __init__(
        self,
        *,
        hot_path: HotPath,
        keyring: Keyring,
        registry: PopulationRegistry,
        place: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._hot_path = hot_path
        self._keyring = keyring
        self._registry = registry
        self._place = place

    def run_due(self, stop: threading.Event) -> int:
        """Ask about everybody who is due, until nobody is or `stop` is set; return how many were asked about.

        One after the other: a register that comes back is not met by all who waited at once. Raises
        DatabaseUnavailable.
        """
        asked = 0
        while not stop.is_set() and self._hot_path.one(ANY_DUE, {}) is not None:
            with self._place():
                taken = self._take()
                if taken is None:
                    break
                asked += 1
                self._conclude(taken, ask_register(taken.declared, registry=self._registry))
        return asked

    def close(self) -> None:
        """Return at once: nothing is under way beside `run_due`."""

    def _take(self) -> _Taken | None:
        row, now = WaitingEnrolment, clock.now()
        due = sa.select(row).where(row.due_at <= now, row.expires_at > now).order_by(row.due_at).limit(1)
        found = db.session.scalars(due.with_for_update(skip_locked=True)).first()
        if found is None:
            db.session.rollback()
            return None
        found.due_at, found.attempts = now + _LEASE, found.attempts + 1
        waiting_id, sealed, attempts = found.id, found.applicant, found.attempts
        # Before it is opened: a row that cannot be read must not stand in the way of those behind it.
        db.session.commit()
        document = json.loads(self._keyring.unseal(sealed, applicant_place(waiting_id)))
        reader = Addressee(Channel(document["channel"]), document["target"], document["language"])
        return _Taken(waiting_id, declared_of(document["declared"]), reader, attempts)

    def _conclude(self, taken: _Taken, said: Said | None) -> None:
        """Keep the answer and owe the word about it, both or neither; without one, ask again later."""
        now = clock.now()
        if said is None:
            pause = PAUSES[min(taken.attempts, len(PAUSES) - 1)]
            self._change(taken, due_at=now + timedelta(seconds=pause))
            db.session.commit()
            return
        answer = self._keyring.seal(json.dumps(_answer(said), ensure_ascii=False), answer_place(taken.id))
        if self._change(taken, answer=answer, answered_at=now, due_at=None):
            detail: dict[str, str | int | bool] = {"waiting": taken.id.hex, "status": said.status.value}
            detail |= {name: match.value for name, match in said.fields.items()}
            record(db.session, Event.ENROLMENT_ANSWERED, detail=detail)
            notices.owe(None, Notice.ENROLMENT_ANSWERED, keyring=self._keyring, to=taken.reader)
        db.session.commit()

    @staticmethod
    def _change(taken: _Taken, **values: object) -> bool:
        """Write to the row taken; False for one that somebody else has taken since, because the lease ran out."""
        row = WaitingEnrolment
        changed = db.session.execute(
            sa.update(row).where(row.id == taken.id, row.attempts == taken.attempts).values(values).returning(row.id),
            execution_options={"synchronize_session": False},
        )
        return changed.first() is not None


def _answer(said: Said) -> dict[str, Any]:
    return {
        "status": said.status.value,
        "is_person": said.is_person,
        "is_rectified": said.is_rectified,
        "full_name": said.full_name,
        "birth": said.birth.iso() if said.birth else None,
        "new_number": said.new_number,
        "fields": {name: match.value for name, match in said.fields.items()},
    }


def _said(document: dict[str, Any]) -> Said:
    return Said(
        RegistryStatus(document["status"]),
        is_person=document["is_person"],
        is_rectified=document["is_rectified"],
        full_name=document["full_name"],
        birth=birthdate.parse(document["birth"]) if document["birth"] else None,
        new_number=document["new_number"],
        fields={name: FieldMatch(match) for name, match in document["fields"].items()},
    )
