"""Proving a mail address or a mobile number: a code is sent to it, and typed where it was asked for.

    begin   make a code, bound to one place (interaction, enrolment, session) and one purpose; owe the message
    check   count the try, judge it, spend the code

Owns codes, their life, and the throttle in front of sending and of guessing. Leaves to the rooms what a proven address
is good for: it may serve several people, and is never a name for one.

A code is six digits for ten minutes, kept as an HMAC. Limits: five messages in ten minutes for each place and each
address, ten tries in ten minutes at each place, and fifty wrong ones in twelve hours for each address, whatever the
number of places: a hundred guesses a day at a million codes. Whoever guesses there holds up proofs of that address and
nothing else: no sign-in of a person who has a password or a passkey.
"""

import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import contact_forms
from idp.citizens.credentials import throttle
from idp.citizens.credentials.throttle import Rule
from idp.citizens.models import ContactProof, insert
from idp.core import clock
from idp.core.database import database_now, db
from idp.core.ids import is_same, new_id
from idp.core.keyring import Keyring, Place
from idp.core.keyring import Purpose as KeyPurpose
from idp.notify import codes
from idp.notify.channels import Channel
from idp.notify.codes import CodePurpose as Purpose

__all__ = [
    "Begun", "Channel", "Checked", "Outcome", "Purpose", "Throttled", "Waiting", "begin", "begin_for_nobody", "check",
    "waiting",
]  # fmt: skip

LIFETIME: Final = timedelta(minutes=10)
_DIGITS: Final = 6
# The two halves of a double click are one question: a second code would make the first, which arrives first, wrong.
_ONE_CLICK: Final = timedelta(seconds=2)
_SENDS_HERE: Final = Rule("proof-sends-here", window=timedelta(minutes=10), limit=5)
_SENDS_THERE: Final = Rule("proof-sends-there", window=timedelta(minutes=10), limit=5)
# A mobile operator has thousands of people behind one address.
_SENDS_FROM: Final = Rule("proof-sends-from", window=timedelta(minutes=10), limit=50)
_TRIES_HERE: Final = Rule("proof-tries-here", window=timedelta(minutes=10), limit=10)
_TRIES_THERE: Final = Rule("proof-tries-there", window=timedelta(hours=12), limit=50)


class Outcome(Enum):
    """How a try ended. LATE: no code waits here, it is over or was used. THROTTLED: it was not judged."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LATE = "late"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class Begun:
    """A code is on its way, for `minutes`."""

    minutes: int


_BEGUN: Final = Begun(int(LIFETIME.total_seconds()) // 60)


@dataclass(frozen=True, slots=True)
class Throttled:
    """Nothing was sent: too many messages lately. `retry_after` in seconds."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An address to which a code was sent that waits to be typed."""

    channel: Channel
    target: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """The end of a try. Channel and target (canonical) with ACCEPTED only, `retry_after` (seconds) with THROTTLED."""

    outcome: Outcome
    channel: Channel | None = None
    target: str | None = field(default=None, repr=False)
    retry_after: int | None = None


def begin(
    bound_to: UUID,
    purpose: Purpose,
    channel: Channel,
    target: str,
    *,
    language: str,
    address: str,
    keyring: Keyring,
    citizen_id: UUID | None = None,
    agency: Mapping[str, str] | None = None,
    counted_as: str | None = None,
) -> Begun | Throttled:
    """Send a new code to `target`, as typed or as stored, for somebody who asks from the network `address`.

    It takes the place of one that waits here for the same purpose, unless that went to the same address a moment ago:
    the second half of a double click sends nothing. Tries that were counted stay. `agency` is the name,
    by language, of the service where the person is. `counted_as` is counted where the address would be, for those who
    must not see that the address has been used elsewhere. Raises contact_forms.ContactRefused. Side effects: counters,
    proof, message and event, committed together.
    """
    canonical = contact_forms.canonical(channel, target)
    asked = _Asked(bound_to, purpose, channel, canonical, counted_as, citizen_id=citizen_id, is_for_somebody=True)
    return _begin(asked, language=language, address=address, keyring=keyring, agency=agency)


def begin_for_nobody(
    bound_to: UUID,
    purpose: Purpose,
    channel: Channel,
    *,
    language: str,
    address: str,
    keyring: Keyring,
    counted_as: str,
    agency: Mapping[str, str] | None = None,
) -> Begun | Throttled:
    """Do all that `begin` does, but for sending: no code will be right, and nobody sees the difference.

    `counted_as` as there: it must be the same for the same question.
    """
    asked = _Asked(bound_to, purpose, channel, counted_as, counted_as, citizen_id=None, is_for_somebody=False)
    return _begin(asked, language=language, address=address, keyring=keyring, agency=agency)


@dataclass(frozen=True, slots=True)
class _Asked:
    bound_to: UUID
    purpose: Purpose
    channel: Channel
    target: str = field(repr=False)
    counted_as: str | None
    citizen_id: UUID | None
    is_for_somebody: bool


def _begin(
    asked: _Asked, *, language: str, address: str, keyring: Keyring, agency: Mapping[str, str] | None
) -> Begun | Throttled:
    bound_to, purpose = asked.bound_to, asked.purpose
    now = clock.now()
    # Who may name any address is one place in however many sessions: each text message costs money.
    place = asked.citizen_id if purpose is Purpose.CHANGE and asked.citizen_id is not None else bound_to
    counted = (
        (_SENDS_HERE, throttle.key(_SENDS_HERE, place.hex, keyring=keyring)),
        (_SENDS_THERE, _there(_SENDS_THERE, asked.channel, asked.target, asked.counted_as, keyring)),
        (_SENDS_FROM, throttle.key(_SENDS_FROM, throttle.network(address), keyring=keyring)),
    )
    for rule, key in counted:
        wait = throttle.count(rule, key, now=now)
        if wait is not None:
            db.session.rollback()
            return Throttled(wait)
    proof_id, begun_at = new_id(), database_now()
    # Counting has locked the place: of two at once the second finds here what the first one sent.
    if _is_sent(asked, since=begun_at - _ONE_CLICK, keyring=keyring):
        db.session.commit()
        return _BEGUN
    code = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}"
    digest = _digest(proof_id, code, keyring)
    values = {
        "id": proof_id,
        "citizen_id": asked.citizen_id,
        "channel": asked.channel.value,
        "target": keyring.seal(asked.target, _place(bound_to, purpose)),
        # A digest of nothing: no code has it.
        "code_digest": digest if asked.is_for_somebody else secrets.token_bytes(len(digest)),
        "expires_at": begun_at + LIFETIME,
    }
    statement = insert(ContactProof).values(bound_to=bound_to, purpose=purpose.value, **values)
    db.session.execute(statement.on_conflict_do_update(index_elements=["bound_to", "purpose"], set_=values))
    codes.owe(
        code,
        purpose,
        channel=asked.channel,
        to=asked.target if asked.is_for_somebody else None,
        language=language,
        citizen_id=asked.citizen_id,
        agency=agency,
        now=begun_at,
        stale_at=begun_at + LIFETIME,
        keyring=keyring,
    )
    detail = {"purpose": purpose.value, "channel": asked.channel.value}
    record(db.session, Event.PROOF_SENT, citizen_id=asked.citizen_id, detail=detail)
    db.session.commit()
    codes.wake()
    return _BEGUN


def waiting(bound_to: UUID, purpose: Purpose, *, keyring: Keyring) -> Waiting | None:
    """Return to where the code went that waits here, None when none does. Leaves no transaction open."""
    proof = _living(bound_to, purpose)
    db.session.rollback()
    if proof is None:
        return None
    return Waiting(Channel(proof.channel), keyring.unseal(proof.target, _place(bound_to, purpose)))


def _living(bound_to: UUID, purpose: Purpose) -> ContactProof | None:
    row = ContactProof
    return db.session.scalar(
        sa.select(row)
        .where(row.bound_to == bound_to, row.purpose == purpose.value, row.expires_at > database_now())
        .execution_options(populate_existing=True)
    )


def _is_sent(asked: _Asked, *, since: datetime, keyring: Keyring) -> bool:
    proof = _living(asked.bound_to, asked.purpose)
    if proof is None or proof.expires_at - LIFETIME < since or proof.channel != asked.channel.value:
        return False
    return keyring.unseal(proof.target, _place(asked.bound_to, asked.purpose)) == asked.target


def check(bound_to: UUID, purpose: Purpose, typed: str, *, keyring: Keyring, counted_as: str | None = None) -> Checked:
    """Judge a code typed at the place and for the purpose it was asked for; signs between the digits do not count.

    `counted_as` as for `begin`. Side effects: counters before the judgement, the code spent and an event after it, each
    committed at once.
    """
    proof = _living(bound_to, purpose)
    if proof is None:
        db.session.rollback()
        return Checked(Outcome.LATE)
    channel, target = Channel(proof.channel), keyring.unseal(proof.target, _place(bound_to, purpose))
    here = throttle.key(_TRIES_HERE, bound_to.hex, purpose, keyring=keyring)
    there = _there(_TRIES_THERE, channel, target, counted_as, keyring)
    now = clock.now()
    for rule, key in ((_TRIES_HERE, here), (_TRIES_THERE, there)):
        wait = throttle.count(rule, key, now=now)
        if wait is not None:
            db.session.rollback()
            return Checked(Outcome.THROTTLED, retry_after=wait)
    db.session.commit()
    detail = {"purpose": purpose.value, "channel": channel.value}
    if not is_same(_digest(proof.id, _digits(typed), keyring), proof.code_digest):
        record(db.session, Event.PROOF_REFUSED, citizen_id=proof.citizen_id, outcome="refused", detail=detail)
        db.session.commit()
        return Checked(Outcome.REFUSED)
    # Rows are locked in the order of counting, the throttle before the proof.
    throttle.forgive(here)
    throttle.withdraw(there)
    if not _spend(proof):
        db.session.rollback()
        return Checked(Outcome.LATE)
    record(db.session, Event.PROOF_ACCEPTED, citizen_id=proof.citizen_id, detail=detail)
    db.session.commit()
    return Checked(Outcome.ACCEPTED, channel, target)


def _there(rule: Rule, channel: Channel, target: str, counted_as: str | None, keyring: Keyring) -> str:
    if counted_as is not None:
        return throttle.key(rule, "as", counted_as, keyring=keyring)
    # What follows a plus is the same mailbox almost everywhere.
    local_part, at, domain = target.casefold().rpartition("@")
    return throttle.key(rule, channel, f"{local_part.partition('+')[0]}{at}{domain}", keyring=keyring)


def _spend(proof: ContactProof) -> bool:
    row = ContactProof
    spent = db.session.execute(
        sa.delete(row)
        .where(
            row.bound_to == proof.bound_to,
            row.purpose == proof.purpose,
            row.id == proof.id,
            row.expires_at > database_now(),
        )
        .returning(row.id),
        execution_options={"synchronize_session": False},
    )
    return spent.first() is not None


def _digest(proof_id: UUID, code: str, keyring: Keyring) -> bytes:
    return keyring.hmac(KeyPurpose.TOKEN, b"contact proof " + proof_id.bytes + code.encode())


def _digits(typed: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKC", typed[:64]) if sign.isascii() and sign.isdigit())


def _place(bound_to: UUID, purpose: Purpose) -> Place:
    return Place(ContactProof.__tablename__, "target", f"{bound_to.hex}.{purpose}")
