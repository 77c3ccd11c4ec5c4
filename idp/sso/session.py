"""The session: opened, raised and ended; its secret renewed at every authentication.

A session is one row; the browser holds a secret of which the row keeps the digest. Each authentication gives the
browser a new secret, so that one planted or stolen before is worth nothing after it (ASVS 7.2.4).

    loa1  idle and absolute life, the idle one moving on with use
    loa2  a short absolute life from the authentication, never extended (FranceConnect's habit)

On a device that others use (`is_shared`) the idle life is short at either level, and nothing outlives the session.

A session is never at loa3: a portal that asks for it sees the key used on the pages of its own login (`situation`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import assurance
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.models import Citizen
from idp.core.database import database_now, db
from idp.core.ids import digest, is_same, new_id
from idp.core.keyring import Keyring, Purpose
from idp.core.levels import Level, Method
from idp.core.settings import Settings
from idp.sso import outbox
from idp.sso.devices import NOWHERE, Origin, SessionOrigin
from idp.sso.models import Disclosure, PasswordReset, SsoSession

# The two posts of a double click arrive within this time of each other.
DOUBLE_CLICK = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Vouched:
    """What an identity provider answers for: the level, the methods it asserts, and when it saw the person."""

    provider_id: UUID
    level: Level
    amr: tuple[str, ...]
    authenticated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just opened or renewed, and the secret for the browser's cookie, told this once."""

    session_id: UUID
    secret: str


def open_session(
    citizen_id: UUID,
    methods: Iterable[Method],
    *,
    flow_secret: str,
    previous: UUID | None,
    joined: UUID | None,
    origin: Origin = NOWHERE,
    vouched: Vouched | None = None,
    is_shared: bool = False,
    settings: Settings,
    keyring: Keyring,
) -> Opened:
    """Open a session after an authentication on the pages of the flow `flow_secret`; the caller commits.

    `previous` is the session the browser came with: the same citizen signing in again keeps its row, and with it the
    agencies that share it; somebody else ends it. `joined` is a session that these pages have already opened: when it
    is the other half of a double click, both get the same secret. `is_shared`, on a device that others use, stays so
    until the session ends. Events: session opened.
    """
    citizen = db.session.get_one(Citizen, citizen_id)
    row = db.session.get(SsoSession, joined, with_for_update=True) if joined is not None else None
    now = database_now()
    if row is not None and row.citizen_id == citizen_id and _is_just_opened(row, vouched, now):
        secret = derived(keyring, "open", flow_secret, row.id)
        if row.digest == digest(secret):
            return Opened(row.id, secret)
    for kept in dict.fromkeys((joined, previous)):
        row = db.session.get(SsoSession, kept) if kept is not None else None
        if row is not None and (row.citizen_id != citizen_id or row.mandate_id is not None):
            # Somebody else's, or one in which somebody else sat beside.
            end(row.id, reason="replaced")
            row = None
        if row is not None and row.ended_at is None:
            break
        row = None
    if row is None:
        row = SsoSession(id=new_id(), citizen_id=citizen_id, opened_at=now, is_shared=False)
        db.session.add(row)
        db.session.add(
            SessionOrigin(
                session_id=row.id, citizen_id=citizen_id, opened_at=now, device=origin.device, network=origin.network
            )
        )
    else:
        row.previous_digest, row.renewed_at = row.digest, now
    row.authenticated_at = now
    row.provider_id = row.provider_level = row.provider_amr = None
    if vouched is not None:
        row.provider_id, row.provider_level = vouched.provider_id, int(vouched.level)
        row.provider_amr = " ".join(vouched.amr)
        # Its own session may be older than this visit, and portals that ask for a fresh sign-in must see that.
        row.authenticated_at = vouched.authenticated_at or now
    row.is_shared = row.is_shared or is_shared
    secret = derived(keyring, "open", flow_secret, row.id)
    _renew(row, citizen, frozenset(methods) | _vouched(row), now, settings, secret)
    record(
        db.session,
        Event.SESSION_OPENED,
        citizen_id=citizen_id,
        session_id=row.id,
        detail={"level": row.level},
    )
    return Opened(row.id, secret)


def _is_just_opened(row: SsoSession, vouched: Vouched | None, now: datetime) -> bool:
    """Tell whether this is the session that the other half of a double click opened, by the same door.

    Later, or by another door, somebody signs in again: what they came by before is over, or shut meanwhile.
    """
    return (
        row.ended_at is None
        and row.mandate_id is None
        and min(row.idle_expires_at, row.expires_at) > now
        and (row.renewed_at or row.opened_at) > now - DOUBLE_CLICK
        and row.provider_id == (vouched.provider_id if vouched is not None else None)
    )


def derived(keyring: Keyring, act: str, old_secret: str, session_id: UUID) -> str:
    """Return the secret that an authentication gives: new, but the same for both halves of a double click.

    Two clicks send two posts with the same cookies, and which answer the browser keeps is anybody's guess. Whoever
    knows the old secret cannot compute the new one without the key; whoever sends it again within DOUBLE_CLICK, with
    the flow cookie, is the same browser.
    """
    message = f"session {act} {old_secret} {session_id}".encode("utf-8", "surrogatepass")
    return keyring.tag(Purpose.FORM, message)


def raise_session(
    session_id: UUID, methods: Iterable[Method], *, old_secret: str, settings: Settings, keyring: Keyring
) -> Opened | None:
    """Add `methods` to a live session and give it a new secret; the caller commits. None if it has ended,
    or an officer helped to open it.

    A passkey is a whole authentication and moves `auth_time`; after a code it stays that of the password, because a
    code alone must not satisfy a portal's max_age.
    """
    row = db.session.get(SsoSession, session_id, with_for_update=True)
    if row is None or row.ended_at is not None or row.mandate_id is not None:
        return None
    citizen = db.session.get_one(Citizen, row.citizen_id)
    now = database_now()
    row.previous_digest, row.renewed_at = row.digest, now
    added = frozenset(methods)
    used = _methods(row) | added
    if assurance.level_of_means(added) >= Level.LOA2:
        row.authenticated_at = now
    secret = derived(keyring, "raise", old_secret, row.id)
    _renew(row, citizen, used, now, settings, secret)
    record(
        db.session,
        Event.SESSION_RAISED,
        citizen_id=row.citizen_id,
        session_id=row.id,
        detail={"level": row.level},
    )
    return Opened(row.id, secret)


def reassess(session_id: UUID, *, settings: Settings) -> None:
    """Weigh a live session again, because the register has just spoken about its citizen; commit.

    Whoever signed in before the register first confirmed them proved nothing at that time and does now. The secret
    stays: nobody authenticated.
    """
    row = db.session.get(SsoSession, session_id, with_for_update=True)
    if row is not None and row.ended_at is None:
        citizen = db.session.get_one(Citizen, row.citizen_id)
        level = _carried(citizen, _methods(row))
        if level >= Level.LOA2 > row.level:
            row.expires_at = min(row.expires_at, database_now() + timedelta(seconds=settings.session_high))
            row.idle_expires_at = min(row.idle_expires_at, row.expires_at) if row.is_shared else row.expires_at
        row.level = int(level)
    db.session.commit()


def _renew(
    row: SsoSession, citizen: Citizen, used: frozenset[Method], now: datetime, settings: Settings, secret: str
) -> None:
    level = _carried(citizen, used)
    row.level = int(level)
    row.own_amr = None if row.provider_id is None else " ".join(assurance.amr(used))
    row.amr = amr_told(used, (row.provider_amr or "").split())
    lives = lives_of(level, now, is_shared=row.is_shared, settings=settings)
    row.idle_expires_at, row.expires_at = lives.idle_expires_at, lives.expires_at
    row.digest = digest(secret)


def amr_told(used: frozenset[Method], asserted: Iterable[str]) -> str:
    """Return the words of `amr`: those a provider of identities asserted, then those of what was used here."""
    return " ".join(dict.fromkeys((*asserted, *assurance.amr(used))))


def is_highest(methods: Iterable[Method], vouched: Vouched | None) -> bool:
    """Tell whether these pages may answer with loa3: a device-bound passkey, or a provider that vouches for it."""
    return Method.HARDWARE_KEY in methods or (vouched is not None and vouched.level >= Level.LOA3)


@dataclass(frozen=True, slots=True)
class Lives:
    """When a session ends unless it is used, and when it ends in any case."""

    idle_expires_at: datetime
    expires_at: datetime


def lives_of(level: Level, now: datetime, *, is_shared: bool, settings: Settings) -> Lives:
    """Return how long an authentication at `now` lets a session at `level` live."""
    if level >= Level.LOA2:
        expires_at = idle_expires_at = now + timedelta(seconds=settings.session_high)
    else:
        expires_at = now + timedelta(seconds=settings.session_absolute)
        idle_expires_at = now + timedelta(seconds=settings.session_idle)
    if is_shared:
        idle_expires_at = min(idle_expires_at, now + timedelta(seconds=settings.session_shared_idle))
    return Lives(idle_expires_at, expires_at)


def _methods(row: SsoSession) -> frozenset[Method]:
    """Return what the sign-ins of a session used: methods of ours, and what a provider vouches for."""
    words = row.amr if row.provider_id is None else row.own_amr or ""
    return assurance.known_methods(words.split()) | _vouched(row)


def _vouched(row: SsoSession) -> frozenset[Method]:
    return assurance.vouching(Level(row.provider_level or Level.NONE))


def _carried(citizen: Citizen, used: frozenset[Method]) -> Level:
    return carried(citizen.proofing, citizen.registry_status, used)


def carried(proofing: Proofing, registry_status: RegistryStatus, used: frozenset[Method]) -> Level:
    """Return the level that a session carries from portal to portal."""
    return min(assurance.proven(proofing, registry_status, used), Level.LOA2)


def take_over(secret: str, session_id: UUID, *, keyring: Keyring) -> Opened | None:
    """Return the session that the other half of a double click has just raised; None when this is not one.

    Known by the secret just replaced, by the flow cookie its interaction was checked with, and by coming at once.
    """
    statement = sa.select(SsoSession.digest).where(
        SsoSession.id == session_id,
        SsoSession.previous_digest == digest(secret),
        SsoSession.ended_at.is_(None),
        SsoSession.renewed_at > database_now() - DOUBLE_CLICK,
    )
    current = db.session.scalar(statement)
    db.session.rollback()
    renewed = derived(keyring, "raise", secret, session_id)
    return Opened(session_id, renewed) if current is not None and is_same(digest(renewed), current) else None


def opened_here(session_id: UUID, flow_secret: str, *, keyring: Keyring) -> Opened | None:
    """Return the session that the other half of a double click has just opened on the pages of the flow; else None.

    For pages that cannot authenticate a second time: what they opened the session with is spent.
    """
    statement = sa.select(SsoSession.digest).where(
        SsoSession.id == session_id,
        SsoSession.ended_at.is_(None),
        SsoSession.authenticated_at > database_now() - DOUBLE_CLICK,
    )
    current = db.session.scalar(statement)
    db.session.rollback()
    secret = derived(keyring, "open", flow_secret, session_id)
    return Opened(session_id, secret) if current is not None and is_same(digest(secret), current) else None


def end(session_id: UUID, *, reason: str) -> bool:
    """End a session; the caller commits. False if it had ended already.

    Its codes and access tokens stop with it: the statements that spend and read them look at the session. The clients
    it reached are owed a word, whatever the reason: that is written in the same transaction (see `outbox`).
    """
    ended = db.session.execute(
        sa.update(SsoSession)
        .where(SsoSession.id == session_id, SsoSession.ended_at.is_(None))
        .values(ended_at=database_now())
        .returning(SsoSession.citizen_id)
    ).scalar_one_or_none()
    if ended is None:
        return False
    record(db.session, Event.SESSION_ENDED, citizen_id=ended, session_id=session_id, outcome=reason)
    outbox.owe(session_id, ended, clients_reached(session_id))
    return True


def end_all(citizen_id: UUID, *, reason: str, but: UUID | None = None) -> tuple[UUID, ...]:
    """End every session of a citizen, `but` one if given; the caller commits. Return those ended now.

    Also those whose time is over: portals may keep theirs longer, and learn of the end only if they are told. With them
    goes a password reset under way, which may have begun with an address, or by somebody, that is out now.
    """
    db.session.execute(
        sa.update(PasswordReset)
        .where(PasswordReset.citizen_id == citizen_id, PasswordReset.finished_at.is_(None))
        .values(expires_at=database_now()),
        execution_options={"synchronize_session": False},
    )
    spared = sa.true() if but is None else SsoSession.id != but
    keys = db.session.scalars(
        sa.select(SsoSession.id)
        .where(SsoSession.citizen_id == citizen_id, SsoSession.ended_at.is_(None), spared)
        .order_by(SsoSession.id)
    ).all()
    return tuple(key for key in keys if end(key, reason=reason))


def clients_reached(session_id: UUID) -> tuple[UUID, ...]:
    """Return the row ids of the clients this session signed in to, in order of the first time."""
    first = sa.func.min(Disclosure.at)
    rows = db.session.execute(
        sa.select(Disclosure.client_id)
        .join(SsoSession, SsoSession.id == session_id)
        # Citizen and time are what the ledger is indexed by.
        .where(Disclosure.citizen_id == SsoSession.citizen_id, Disclosure.at >= SsoSession.opened_at)
        .where(Disclosure.session_id == session_id)
        .group_by(Disclosure.client_id)
        .order_by(first)
    )
    return tuple(row.client_id for row in rows)
