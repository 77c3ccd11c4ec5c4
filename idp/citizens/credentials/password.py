"""Signing in with number and password.

Owns the check and the record of it. Unknown number, wrong password, disabled credential and an account without a
password take the same path, the same statements and the same hash, and get the same answer (ASVS 6.3.8).
"""

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import INSERT_EVENT
from idp.audit.record import record
from idp.citizens import numbers
from idp.citizens.credentials import hashing, throttle
from idp.citizens.lookup import holder_of
from idp.citizens.models import PasswordCredential, insert
from idp.citizens.numbers import NumberUnreadable
from idp.core import clock
from idp.core.database import Change, GateShut, HotPath, Query, as_instant, db
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.core.logging import current_reference
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.notices import Notice

_NOBODY = UUID(int=0)
_BUSY_SECONDS = 5

# Over the ORM these cost a third of what the hash does. Both lock address, pair and credential in this order: the two
# halves of a double click must not wait for each other.
COUNT = Change(
    # For the credential it is counted only where it is for address and account.
    gates=(
        throttle.counting(throttle.ADDRESS, prefix="address_"),
        throttle.counting(throttle.PAIR, prefix="pair_", condition="{if_open}"),
    ),
    first="""
    UPDATE password_credential SET failures = failures + 1
    WHERE citizen_id = :citizen_id AND disabled_at IS NULL AND {if_open}
    """,
    returning=("hash", "failures"),
    # A flood must not keep the disk from those who are signed in. What a crash would forget is a second of guesses;
    # of right passwords nothing, for their acceptance is awaited and comes after this.
    is_awaited=False,
)
_ADDRESS_GATE: Final = 0
READ_BLOCKED = Query("SELECT blocked_until FROM credential_throttle WHERE key = :key")
# One attempt is taken back, and nothing of what others did.
WITHDRAW = Change(
    first="""
    UPDATE credential_throttle SET failures = failures - 1, blocked_until = NULL
    WHERE key = :address_key AND failures > 0
    """
)
ACCEPT = Change(
    before=(WITHDRAW.first, "DELETE FROM credential_throttle WHERE key = :pair_key AND {in_order}"),
    # Only while the credential is the one that was judged: a password changed meanwhile must not be undone.
    first="""
    UPDATE password_credential SET failures = 0, hash = :renewed
    WHERE citizen_id = :citizen_id AND hash = :stored AND disabled_at IS NULL AND {in_order}
    """,
    returning=("citizen_id",),
    then=(
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, NULL, NULL, 'done', "
        "CAST(:reference AS text) {from_first}",
    ),
)
REFUSE = Change(
    first=INSERT_EVENT + "VALUES (:event_id, {now}, :event_name, :citizen_id, NULL, NULL, 'refused', :reference)",
    is_awaited=False,
)


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


def verify(
    number_text: str, password: str, *, address: str, settings: Settings, keyring: Keyring, hot_path: HotPath
) -> PasswordResult:
    """Judge one attempt to sign in from network `address`; the number is taken as typed, spaces and dots included.

    Says nothing about the state of the account: the caller asks for it once the person is known. Side effects:
    counters before the hash, counters and an audit event after it, each committed at once; a record of old costs or
    with an old pepper is made anew. No transaction is open while a password waits or is hashed; the caller has none.
    Raises DatabaseUnavailable.
    """
    queue = hashing.queue(settings)
    try:
        with queue.place():
            attempt = _count(number_text, address=address, settings=settings, keyring=keyring, hot_path=hot_path)
            if isinstance(attempt, PasswordResult):
                return attempt
            owner = attempt.citizen_id or _NOBODY
            is_too_long = len(password) > hashing.MAX_LENGTH * 4 or len(hashing.normal(password)) > hashing.MAX_LENGTH
            # A password that cannot be one still costs a hash, or its length would tell nothing but its cost would.
            tried = "" if is_too_long else password
            is_right = queue.run(lambda: hashing.is_right(tried, attempt.stored, owner=owner, keyring=keyring))
            if not is_right or is_too_long or not attempt.is_usable or attempt.citizen_id is None:
                return _refuse(attempt, keyring=keyring, hot_path=hot_path)
            renewed = None
            if hashing.is_outdated(attempt.stored, keyring=keyring):
                renewed = queue.run(lambda: hashing.make(password, owner=owner, keyring=keyring))
            return _accept(attempt, attempt.citizen_id, renewed, keyring=keyring, hot_path=hot_path)
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


def _count(
    number_text: str, *, address: str, settings: Settings, keyring: Keyring, hot_path: HotPath
) -> _Attempt | PasswordResult:
    now = clock.now()
    citizen_id, account = account_of(number_text, settings=settings, keyring=keyring, hot_path=hot_path)
    network = throttle.network(address)
    pair = throttle.key(throttle.PAIR, account, network, keyring=keyring)
    whole_address = throttle.key(throttle.ADDRESS, network, keyring=keyring)
    values = {
        "citizen_id": citizen_id or _NOBODY,
        "address_key": whole_address,
        **throttle.moments(throttle.ADDRESS, now, prefix="address_"),
        "pair_key": pair,
        **throttle.moments(throttle.PAIR, now, prefix="pair_"),
    }
    try:
        counted = hot_path.apply(COUNT, values)
    except GateShut as shut:
        if shut.gate == _ADDRESS_GATE:
            return _throttled(whole_address, now, hot_path)
        # Not judged, so not counted for the address either.
        hot_path.apply(WITHDRAW, {"address_key": whole_address})
        return _throttled(pair, now, hot_path)
    stored, failures = (hashing.nobodys(keyring), 0) if counted is None else (counted["hash"], counted["failures"])
    return _Attempt(citizen_id, stored, failures, pair, whole_address)


def _throttled(row_key: str, now: datetime, hot_path: HotPath) -> PasswordResult:
    row = hot_path.one(READ_BLOCKED, {"key": row_key})
    until = None if row is None or row["blocked_until"] is None else as_instant(row["blocked_until"])
    return PasswordResult(Outcome.THROTTLED, retry_after=throttle.seconds_until(until, now=now))


def account_of(number_text: str, *, settings: Settings, keyring: Keyring, hot_path: HotPath) -> tuple[UUID | None, str]:
    """Return whose number it is, and the name under which attempts on it are counted."""
    scheme = numbers.scheme(settings.number_scheme, test_numbers=settings.is_sandbox)
    try:
        number = scheme.canonical(number_text)
    except NumberUnreadable:
        return None, "unreadable:" + unicodedata.normalize("NFKC", number_text[: hashing.MAX_LENGTH])
    citizen_id = holder_of(scheme.name, number, keyring=keyring, hot_path=hot_path)
    # By citizen where there is one: a former number must not give a second set of guesses.
    return (None, f"number:{number}") if citizen_id is None else (citizen_id, f"citizen:{citizen_id}")


def _refuse(attempt: _Attempt, *, keyring: Keyring, hot_path: HotPath) -> PasswordResult:
    if attempt.citizen_id is not None and attempt.failures >= throttle.DISABLED_AT:
        _disable(attempt.citizen_id, keyring=keyring)
    else:
        hot_path.apply(REFUSE, {**_event(Event.PASSWORD_REFUSED), "citizen_id": attempt.citizen_id})
    return PasswordResult(Outcome.REFUSED)


def _disable(citizen_id: UUID, *, keyring: Keyring) -> None:
    """Record a refusal after so many that the credential is disabled, unless it is already."""
    credential = PasswordCredential
    disabled = db.session.execute(
        sa.update(credential)
        .where(credential.citizen_id == citizen_id, credential.disabled_at.is_(None))
        .values(disabled_at=clock.now())
        .returning(credential.citizen_id),
        execution_options={"synchronize_session": False},
    ).first()
    record(db.session, Event.PASSWORD_REFUSED, citizen_id=citizen_id, outcome="refused")
    if disabled is not None:
        record(db.session, Event.CREDENTIAL_DISABLED, citizen_id=citizen_id, detail={"kind": "password"})
        notices.owe(citizen_id, Notice.PASSWORD_DISABLED, keyring=keyring)
    db.session.commit()


def _accept(
    attempt: _Attempt, citizen_id: UUID, renewed: str | None, *, keyring: Keyring, hot_path: HotPath
) -> PasswordResult:
    judged = {
        **_event(Event.PASSWORD_ACCEPTED),
        "citizen_id": citizen_id,
        "stored": attempt.stored,
        "renewed": renewed or attempt.stored,
        "address_key": attempt.address,
        "pair_key": attempt.pair,
    }
    if hot_path.apply(ACCEPT, judged) is None:
        return _refuse(attempt, keyring=keyring, hot_path=hot_path)
    return PasswordResult(Outcome.ACCEPTED, citizen_id=citizen_id)


def _event(event: Event) -> dict[str, object]:
    return {"event_id": new_id(), "event_name": event.value, "reference": current_reference()}
