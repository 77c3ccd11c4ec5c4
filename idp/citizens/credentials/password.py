"""Signing in with number and password.

Owns the check and the record of it. Unknown number, wrong password, disabled credential and an account without a
password take the same path, the same statements and the same hash, and get the same answer (ASVS 6.3.8).
"""

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import numbers
from idp.citizens.credentials import hashing, throttle
from idp.citizens.lookup import find_number
from idp.citizens.models import PasswordCredential, insert
from idp.citizens.numbers import NumberUnreadable
from idp.core import clock
from idp.core.database import db
from idp.core.keyring import Keyring
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.notices import Notice

_NOBODY = UUID(int=0)
_BUSY_SECONDS = 5


class Outcome(Enum):
    """How an attempt ended. THROTTLED and BUSY: it was not judged and the same password may be right later."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    THROTTLED = "throttled"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class PasswordResult:
    """The end of an attempt. `citizen_id` with ACCEPTED only, `retry_after` (seconds) with THROTTLED and BUSY only."""

    outcome: Outcome
    citizen_id: UUID | None = None
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What was counted before the password is judged; `stored` fits nothing unless there is a usable credential."""

    citizen_id: UUID | None
    stored: str = field(repr=False)
    failures: int
    pair: str
    address: str

    @property
    def is_usable(self) -> bool:
        """Tell whether a right password would be accepted."""
        return 0 < self.failures <= throttle.DISABLED_AT


def verify(number_text: str, password: str, *, address: str, settings: Settings, keyring: Keyring) -> PasswordResult:
    """Judge one attempt to sign in from network `address`; the number is taken as typed, spaces and dots included.

    Says nothing about the state of the account: the caller asks for it once the person is known. Side effects:
    counters before the hash, counters and an audit event after it, each committed at once; a record of old costs or
    with an old pepper is made anew. No transaction is open while a password waits or is hashed.
    """
    queue = hashing.queue(settings)
    try:
        with queue.place():
            attempt = _count(number_text, address=address, settings=settings, keyring=keyring)
            if isinstance(attempt, PasswordResult):
                return attempt
            owner = attempt.citizen_id or _NOBODY
            is_too_long = len(password) > hashing.MAX_LENGTH * 4 or len(hashing.normal(password)) > hashing.MAX_LENGTH
            # A password that cannot be one still costs a hash, or its length would tell nothing but its cost would.
            tried = "" if is_too_long else password
            is_right = queue.run(lambda: hashing.is_right(tried, attempt.stored, owner=owner, keyring=keyring))
            if not is_right or is_too_long or not attempt.is_usable or attempt.citizen_id is None:
                return _refuse(attempt, keyring=keyring)
            renewed = None
            if hashing.is_outdated(attempt.stored, keyring=keyring):
                renewed = queue.run(lambda: hashing.make(password, owner=owner, keyring=keyring))
            return _accept(attempt, attempt.citizen_id, renewed, keyring=keyring)
    except hashing.Busy:
        return PasswordResult(Outcome.BUSY, retry_after=_BUSY_SECONDS)


def set_password(citizen_id: UUID, password: str, *, settings: Settings, keyring: Keyring) -> None:
    """Give a citizen a password, replacing and enabling what was there. Commits.

    Raises ValueError for a length outside 8 to 128 characters, Busy when too many passwords are being hashed.
    """
    stored = make_hash(password, owner=citizen_id, settings=settings, keyring=keyring)
    store(citizen_id, stored, now=clock.now())
    db.session.commit()


def make_hash(password: str, *, owner: UUID, settings: Settings, keyring: Keyring) -> str:
    """Return the record for a password, hashed in turn. Raises ValueError and Busy as `set_password` does."""
    if not hashing.MIN_LENGTH <= len(hashing.normal(password)) <= hashing.MAX_LENGTH:
        raise ValueError(f"a password has {hashing.MIN_LENGTH} to {hashing.MAX_LENGTH} characters")
    queue = hashing.queue(settings)
    with queue.place():
        return queue.run(lambda: hashing.make(password, owner=owner, keyring=keyring))


def store(citizen_id: UUID, stored: str, *, now: datetime) -> None:
    """Write the record of a password in the caller's transaction."""
    values = {"hash": stored, "set_at": now, "disabled_at": None, "failures": 0}
    statement = insert(PasswordCredential).values(citizen_id=citizen_id, **values)
    db.session.execute(statement.on_conflict_do_update(index_elements=["citizen_id"], set_=values))


def _count(number_text: str, *, address: str, settings: Settings, keyring: Keyring) -> _Attempt | PasswordResult:
    now = clock.now()
    citizen_id, account = _account(number_text, settings=settings, keyring=keyring)
    network = throttle.network(address)
    pair = throttle.key(throttle.PAIR, account, network, keyring=keyring)
    whole_address = throttle.key(throttle.ADDRESS, network, keyring=keyring)
    wait = throttle.count(throttle.PAIR, pair, now=now)
    if wait is None:
        credential = PasswordCredential
        counted = db.session.execute(
            sa.update(credential)
            .where(credential.citizen_id == (citizen_id or _NOBODY), credential.disabled_at.is_(None))
            .values(failures=credential.failures + 1)
            .returning(credential.hash, credential.failures),
            execution_options={"synchronize_session": False},
        ).first()
        wait = throttle.count(throttle.ADDRESS, whole_address, now=now)
    if wait is not None:
        db.session.rollback()
        return PasswordResult(Outcome.THROTTLED, retry_after=wait)
    db.session.commit()
    stored, failures = (hashing.nobodys(keyring), 0) if counted is None else counted
    return _Attempt(citizen_id, stored, failures, pair, whole_address)


def _account(number_text: str, *, settings: Settings, keyring: Keyring) -> tuple[UUID | None, str]:
    """Return whose number it is, and the name under which attempts on it are counted."""
    scheme = numbers.scheme(settings.number_scheme, test_numbers=settings.is_sandbox)
    try:
        number = scheme.canonical(number_text)
    except NumberUnreadable:
        return None, "unreadable:" + unicodedata.normalize("NFKC", number_text[: hashing.MAX_LENGTH])
    found = find_number(scheme.name, number, keyring=keyring)
    # By citizen where there is one: a former number must not give a second set of guesses.
    return (None, f"number:{number}") if found is None else (found.citizen_id, f"citizen:{found.citizen_id}")


def _refuse(attempt: _Attempt, *, keyring: Keyring) -> PasswordResult:
    now = clock.now()
    credential = PasswordCredential
    disabled = db.session.execute(
        sa.update(credential)
        .where(
            credential.citizen_id == (attempt.citizen_id or _NOBODY),
            credential.disabled_at.is_(None),
            sa.literal(attempt.failures) >= throttle.DISABLED_AT,
        )
        .values(disabled_at=now)
        .returning(credential.citizen_id),
        execution_options={"synchronize_session": False},
    ).first()
    record(db.session, Event.PASSWORD_REFUSED, citizen_id=attempt.citizen_id, outcome="refused")
    if disabled is not None and attempt.citizen_id is not None:
        record(db.session, Event.CREDENTIAL_DISABLED, citizen_id=attempt.citizen_id, detail={"kind": "password"})
        notices.owe(attempt.citizen_id, Notice.PASSWORD_DISABLED, keyring=keyring)
    db.session.commit()
    return PasswordResult(Outcome.REFUSED)


def _accept(attempt: _Attempt, citizen_id: UUID, renewed: str | None, *, keyring: Keyring) -> PasswordResult:
    credential = PasswordCredential
    values: dict[str, object] = {"failures": 0} if renewed is None else {"failures": 0, "hash": renewed}
    # Rows are locked in the order of counting, pair before credential: the other way round would deadlock.
    throttle.forgive(attempt.pair)
    # Only while the credential is the one that was judged: a password changed meanwhile must not be undone.
    kept = db.session.execute(
        sa.update(credential)
        .where(
            credential.citizen_id == citizen_id,
            credential.hash == attempt.stored,
            credential.disabled_at.is_(None),
        )
        .values(**values)
        .returning(credential.citizen_id),
        execution_options={"synchronize_session": False},
    ).first()
    if kept is None:
        db.session.rollback()
        return _refuse(attempt, keyring=keyring)
    throttle.withdraw(attempt.address)
    record(db.session, Event.PASSWORD_ACCEPTED, citizen_id=citizen_id)
    db.session.commit()
    return PasswordResult(Outcome.ACCEPTED, citizen_id=citizen_id)
