"""Recovery codes: ten codes on a sheet of paper, each of which stands in once for a second factor that is lost.

Owns how a code is written and read, the set of a citizen, and that a code counts once. Leaves to `assurance` what one
is worth (never more than loa1) and to the pages when one may be typed.

A code is eighteen signs in groups of three, CFH-347-..., 80 bits. Its 22 signs are digits and consonants that no
handwriting confuses and no Vietnamese keyboard changes: Telex turns vowels, D and W into other letters, and its tone
keys, like the digits of VNI, act after a vowel only. What people write instead (O for 0, I or L for 1, S for 5, ...) is
read as what stands on the sheet. Kept is an HMAC under the pepper; 80 random bits need no slow hash besides.
"""

import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.credentials import pending, throttle
from idp.citizens.credentials.pending import Kind
from idp.citizens.models import RecoveryCode, RecoverySheet, insert
from idp.core import clock
from idp.core.database import db
from idp.core.keyring import Keyring, Purpose
from idp.notify import notices
from idp.notify.notices import Notice

CODES: Final = 10
"""Codes of one sheet."""

LONGEST_TYPED: Final = 128
_ALPHABET: Final = "0123456789CFHJKMNPRTVX"
_SIGNS: Final = 18
_GROUP: Final = 3
_READ_AS: Final = str.maketrans("OQDILSZBGU", "000115286V")


class Outcome(Enum):
    """How an attempt ended. THROTTLED: it was not judged."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """The end of an attempt. `left` counts the codes that remain, with ACCEPTED only; `retry_after` with THROTTLED.

    `is_spent` with REFUSED only: the code is right and was accepted before, as in the second half of a double click.
    """

    outcome: Outcome
    left: int = 0
    retry_after: int | None = None
    is_spent: bool = False


def new_codes() -> tuple[str, ...]:
    """Return ten codes as they stand on the sheet. Nothing is stored."""
    return tuple(_grouped("".join(secrets.choice(_ALPHABET) for _ in range(_SIGNS))) for _ in range(CODES))


def store(citizen_id: UUID, codes: Iterable[str], *, keyring: Keyring, now: datetime) -> None:
    """Give a citizen these `codes` instead of all they had, in the caller's transaction; event and notice with them."""
    key_id = keyring.key(Purpose.PEPPER).id
    digests = [_digest(citizen_id, canonical(code), key_id=key_id, keyring=keyring) for code in codes]
    values = {"made_at": now, "failures": 0, "disabled_at": None}
    # The sheet first, as in `spend`: whoever holds it is waited for, and of two new sets one remains whole.
    sheet = insert(RecoverySheet).values(citizen_id=citizen_id, **values)
    db.session.execute(sheet.on_conflict_do_update(index_elements=["citizen_id"], set_=values))
    db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.citizen_id == citizen_id))
    db.session.execute(
        sa.insert(RecoveryCode),
        [{"citizen_id": citizen_id, "digest": digest, "key_id": key_id, "used_at": None} for digest in digests],
    )
    record(db.session, Event.RECOVERY_CODES_MADE, citizen_id=citizen_id, detail={"codes": len(digests)})
    notices.owe(citizen_id, Notice.RECOVERY_CODES_MADE, keyring=keyring)


def spend(citizen_id: UUID, typed: str, *, keyring: Keyring) -> RecoveryResult:
    """Judge a code of a citizen who has proven something else already, and use it up if it is right.

    Case, spaces and dashes do not count. Side effects: counters before the judgement; after it counters, event and, for
    a code that was used, notice; each committed at once.
    """
    now = clock.now()
    series = throttle.key(throttle.SERIES, "recovery", citizen_id.hex, keyring=keyring)
    wait = throttle.count(throttle.SERIES, series, now=now)
    if wait is not None:
        db.session.rollback()
        return RecoveryResult(Outcome.THROTTLED, retry_after=wait)
    failures = _count(citizen_id)
    db.session.commit()
    # One digest for each pepper that still reads: a sheet in a drawer outlives a rotation.
    digests = [
        _digest(citizen_id, canonical(typed), key_id=key_id, keyring=keyring)
        for key_id in keyring.key_ids(Purpose.PEPPER)
    ]
    is_spent = False
    if 0 < failures <= throttle.DISABLED_AT:
        # Rows are locked in the order of counting: series, sheet, code.
        throttle.forgive(series)
        if _is_forgiven(citizen_id) and _use(citizen_id, digests, now):
            return _accept(citizen_id, keyring=keyring)
        db.session.rollback()
        is_spent = _is_known(citizen_id, digests)
    return _refuse(citizen_id, failures, now, is_spent=is_spent, keyring=keyring)


def left(citizen_id: UUID) -> int:
    """Return how many codes of a citizen can still be used, in the caller's transaction."""
    usable = (
        sa.select(sa.func.count())
        .select_from(RecoveryCode)
        .join(RecoverySheet, RecoverySheet.citizen_id == RecoveryCode.citizen_id)
        .where(
            RecoveryCode.citizen_id == citizen_id,
            RecoveryCode.used_at.is_(None),
            RecoverySheet.disabled_at.is_(None),
        )
    )
    return db.session.scalar(usable) or 0


def has_sheet(citizen_id: UUID) -> bool:
    """Tell whether a citizen was given codes, be they used up or disabled, in the caller's transaction."""
    return bool(db.session.scalar(sa.select(sa.exists().where(RecoverySheet.citizen_id == citizen_id))))


def begin(*, bound_to: UUID, keyring: Keyring) -> tuple[str, ...]:
    """Return the codes that the session `bound_to` is shown, new ones at first. They count once confirmed. Commits."""
    return tuple(pending.offer(Kind.CODES, " ".join(new_codes()), bound_to=bound_to, keyring=keyring).split())


def finish(citizen_id: UUID, *, bound_to: UUID, keyring: Keyring) -> bool:
    """Let the codes that were shown count, and none before them; the caller commits. False when none wait."""
    shown = pending.take(Kind.CODES, bound_to=bound_to, keyring=keyring)
    if shown is None:
        return False
    store(citizen_id, shown.split(), keyring=keyring, now=clock.now())
    return True


def remove(citizen_id: UUID, *, keyring: Keyring) -> bool:
    """Take all codes from a citizen, in the caller's transaction; False when there were none. Event and notice."""
    sheet = sa.delete(RecoverySheet).where(RecoverySheet.citizen_id == citizen_id).returning(RecoverySheet.citizen_id)
    if db.session.execute(sheet, execution_options={"synchronize_session": False}).first() is None:
        return False
    db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.citizen_id == citizen_id))
    record(db.session, Event.RECOVERY_CODES_REMOVED, citizen_id=citizen_id)
    notices.owe(citizen_id, Notice.RECOVERY_CODES_REMOVED, keyring=keyring)
    return True


def canonical(typed: str) -> str:
    """Return a code as its digest is made of, whatever was typed; empty for what cannot be one."""
    signs = unicodedata.normalize("NFKC", typed[:LONGEST_TYPED]).upper()
    code = "".join(sign for sign in signs if sign.isalnum()).translate(_READ_AS)
    return code if len(code) == _SIGNS and all(sign in _ALPHABET for sign in code) else ""


def _grouped(code: str) -> str:
    return "-".join(code[start : start + _GROUP] for start in range(0, _SIGNS, _GROUP))


def _digest(citizen_id: UUID, code: str, *, key_id: str, keyring: Keyring) -> bytes:
    # The owner is part of it: whoever can write to the database must not move their own code to another account.
    message = b"recovery code\0" + citizen_id.bytes + code.encode()
    return keyring.hmac(Purpose.PEPPER, message, key_id=key_id)


def _count(citizen_id: UUID) -> int:
    """Count one failure on the sheet of a citizen and return how many there are; 0 without a usable sheet."""
    sheet = RecoverySheet
    counted = db.session.execute(
        sa.update(sheet)
        .where(sheet.citizen_id == citizen_id, sheet.disabled_at.is_(None))
        .values(failures=sheet.failures + 1)
        .returning(sheet.failures),
        execution_options={"synchronize_session": False},
    ).first()
    return 0 if counted is None else int(counted.failures)


def _is_forgiven(citizen_id: UUID) -> bool:
    sheet = RecoverySheet
    forgiven = db.session.execute(
        sa.update(sheet)
        .where(sheet.citizen_id == citizen_id, sheet.disabled_at.is_(None))
        .values(failures=0)
        .returning(sheet.citizen_id),
        execution_options={"synchronize_session": False},
    )
    return forgiven.first() is not None


def _use(citizen_id: UUID, digests: list[bytes], now: datetime) -> bool:
    """Use a code up; False when there is none, or another click was faster."""
    code = RecoveryCode
    used = db.session.execute(
        sa.update(code)
        .where(code.citizen_id == citizen_id, code.digest.in_(digests), code.used_at.is_(None))
        .values(used_at=now)
        .returning(code.citizen_id),
        execution_options={"synchronize_session": False},
    )
    return used.first() is not None


def _is_known(citizen_id: UUID, digests: list[bytes]) -> bool:
    code = RecoveryCode
    known = sa.select(code.used_at).where(code.citizen_id == citizen_id, code.digest.in_(digests))
    return db.session.execute(known).first() is not None


def _accept(citizen_id: UUID, *, keyring: Keyring) -> RecoveryResult:
    remaining = left(citizen_id)
    record(db.session, Event.RECOVERY_CODE_ACCEPTED, citizen_id=citizen_id, detail={"left": remaining})
    notices.owe(citizen_id, Notice.RECOVERY_CODE_USED, keyring=keyring, left=str(remaining))
    db.session.commit()
    return RecoveryResult(Outcome.ACCEPTED, left=remaining)


def _refuse(citizen_id: UUID, failures: int, now: datetime, *, is_spent: bool, keyring: Keyring) -> RecoveryResult:
    sheet = RecoverySheet
    disabled = db.session.execute(
        sa.update(sheet)
        .where(
            sheet.citizen_id == citizen_id,
            sheet.disabled_at.is_(None),
            sa.literal(failures) >= throttle.DISABLED_AT,
        )
        .values(disabled_at=now)
        .returning(sheet.citizen_id),
        execution_options={"synchronize_session": False},
    ).first()
    record(db.session, Event.RECOVERY_CODE_REFUSED, citizen_id=citizen_id, outcome="refused")
    if disabled is not None:
        record(db.session, Event.CREDENTIAL_DISABLED, citizen_id=citizen_id, detail={"kind": "recovery"})
        notices.owe(citizen_id, Notice.RECOVERY_CODES_DISABLED, keyring=keyring)
    db.session.commit()
    return RecoveryResult(Outcome.REFUSED, is_spent=is_spent)
