"""How far somebody has come who forgot their password: one row for each interaction, every step a guarded statement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from idp.audit.events import Event
from idp.citizens import contact_proofs
from idp.citizens.assurance import RegistryStatus
from idp.citizens.claims import profile_of
from idp.citizens.contact_proofs import Begun, Channel, Purpose, Throttled
from idp.citizens.contacts import proven
from idp.citizens.credentials import choice, means_of, password, recovery, throttle
from idp.citizens.credentials.throttle import Rule
from idp.citizens.models import Citizen, CitizenState, Passkey, TotpCredential, insert
from idp.core import clock
from idp.core.database import HotPath, database_now, db
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.core.levels import Method
from idp.core.settings import Settings
from idp.sso import session
from idp.sso.models import PasswordReset

LIFETIME: Final = timedelta(minutes=30)
_NOBODY: Final = UUID(int=0)
_PER_NUMBER: Final = Rule("reset-number", window=timedelta(hours=1), limit=10)
_HERE: Final = Rule("reset-here", window=timedelta(minutes=10), limit=5)
_REASON: Final = "password reset"


class Stage(StrEnum):
    """The page somebody is at; the value is the last part of its path, empty for the first. DONE has none."""

    NUMBER = ""
    CODE = "code"
    FACTOR = "factor"
    PASSWORD = "password"  # noqa: S105 (the name of a page)
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset under way. `citizen_id` is None for a number that leads nowhere."""

    id: UUID
    citizen_id: UUID | None
    account: str = field(repr=False)
    stage: Stage


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, for the message: the language of the page, the network, and the name of the agency by language."""

    language: str
    address: str = field(repr=False)
    agency: Mapping[str, str]


def read(interaction_id: UUID) -> Reset | None:
    """Return the reset on the pages of an interaction, None when there is none. Leaves no transaction open."""
    row = db.session.scalar(
        sa.select(PasswordReset)
        .where(PasswordReset.interaction_id == interaction_id, PasswordReset.expires_at > database_now())
        .execution_options(populate_existing=True)
    )
    found = None if row is None else Reset(row.id, row.citizen_id, row.account, _stage(row))
    db.session.rollback()
    return found


def _stage(row: PasswordReset) -> Stage:
    if row.finished_at is not None:
        return Stage.DONE
    if row.proven_at is None or row.citizen_id is None:
        return Stage.CODE
    return Stage.FACTOR if row.confirmed_at is None and _has_factor(row.citizen_id) else Stage.PASSWORD


def _has_factor(citizen_id: UUID) -> bool:
    """Tell whether an account has more than a password: also what too many wrong guesses have disabled."""
    code = sa.exists().where(TotpCredential.citizen_id == citizen_id, TotpCredential.confirmed_at.is_not(None))
    key = sa.exists().where(Passkey.citizen_id == citizen_id, Passkey.ended_at.is_(None))
    return bool(db.session.scalar(sa.select(sa.or_(code, key))))


def start(
    interaction_id: UUID, number_text: str, asker: Asker, *, settings: Settings, keyring: Keyring, hot_path: HotPath
) -> Begun | Throttled:
    """Begin anew with a number as typed, and send a code if it leads to a proven contact.

    What was proven for another number is forgotten. Takes the same statements for every number. Side effects: counters,
    the reset, what `contact_proofs.begin` does; committed.
    """
    citizen_id, account = password.account_of(number_text, settings=settings, keyring=keyring, hot_path=hot_path)
    now = clock.now()
    for rule, key in (
        (_HERE, throttle.key(_HERE, interaction_id.hex, keyring=keyring)),
        (_PER_NUMBER, throttle.key(_PER_NUMBER, account, keyring=keyring)),
    ):
        wait = throttle.count(rule, key, now=now)
        if wait is not None:
            db.session.rollback()
            return Throttled(wait)
    values = {
        "id": new_id(),
        "citizen_id": citizen_id if _is_usable(citizen_id or _NOBODY) else None,
        "account": throttle.key(_PER_NUMBER, account, keyring=keyring),
        "proven_at": None,
        "confirmed_at": None,
        "finished_at": None,
        "expires_at": database_now() + LIFETIME,
    }
    statement = insert(PasswordReset).values(interaction_id=interaction_id, **values)
    db.session.execute(statement.on_conflict_do_update(index_elements=["interaction_id"], set_=values))
    db.session.commit()
    reset = read(interaction_id)
    return Throttled(1) if reset is None else send(reset, None, asker, settings=settings, keyring=keyring)


def _is_usable(citizen_id: UUID) -> bool:
    usable = sa.exists().where(
        Citizen.id == citizen_id,
        Citizen.state == CitizenState.ACTIVE,
        Citizen.registry_status.not_in((RegistryStatus.LOCKED, RegistryStatus.DECEASED)),
    )
    return bool(db.session.scalar(sa.select(usable)))


def send(
    reset: Reset, channel: Channel | None, asker: Asker, *, settings: Settings, keyring: Keyring
) -> Begun | Throttled:
    """Send a code to the proven contact on `channel`, or to mail before text message; to nobody where there is none.

    The code is bound to the reset, not to the interaction: no code for one number is right for another. It is counted
    by account: who has used up the messages to an address elsewhere must not see here whose address it is.
    """
    known = _contacts(reset.citizen_id or _NOBODY, settings=settings, keyring=keyring)
    chosen = channel or next(iter(known), Channel.MAIL)
    if chosen not in known:
        return contact_proofs.begin_for_nobody(
            reset.id,
            Purpose.RESET,
            chosen,
            language=asker.language,
            address=asker.address,
            keyring=keyring,
            counted_as=reset.account,
            agency=asker.agency,
        )
    return contact_proofs.begin(
        reset.id,
        Purpose.RESET,
        chosen,
        known[chosen],
        language=asker.language,
        address=asker.address,
        keyring=keyring,
        agency=asker.agency,
        counted_as=reset.account,
        citizen_id=reset.citizen_id,
    )


def _contacts(citizen_id: UUID, *, settings: Settings, keyring: Keyring) -> dict[Channel, str]:
    citizen = db.session.get(Citizen, citizen_id)
    claims = {} if citizen is None else profile_of(citizen, keyring).claims
    db.session.rollback()
    offered = [(Channel.MAIL, settings.has_mail), (Channel.SMS, settings.has_sms)]
    return {channel: address for channel, is_sent in offered if is_sent and (address := proven(claims, channel))}


def mark_proven(reset: Reset) -> None:
    """Note that the code came back; commit."""
    _mark(reset, PasswordReset.proven_at.is_(None), proven_at=database_now())


def mark_confirmed(reset: Reset) -> None:
    """Note that the second factor was shown; commit."""
    _mark(reset, PasswordReset.proven_at.is_not(None), confirmed_at=database_now())


def _mark(reset: Reset, condition: sa.ColumnElement[bool], **values: object) -> None:
    row = PasswordReset
    db.session.execute(
        sa.update(row).where(row.id == reset.id, row.expires_at > database_now(), condition).values(values),
        execution_options={"synchronize_session": False},
    )
    db.session.commit()


@dataclass(frozen=True, slots=True)
class Ways:
    """What an account has beside a password that can be shown now. A passkey needs no password, and so no reset."""

    by_code: bool
    by_recovery: bool
    by_passkey: bool


def ways(citizen_id: UUID) -> Ways:
    """Return how the owner of an account can show more than a code from their mail. Leaves no transaction open."""
    means = means_of(citizen_id)
    codes_left = recovery.left(citizen_id)
    db.session.rollback()
    return Ways(
        by_code=Method.ONE_TIME_CODE in means,
        by_recovery=codes_left > 0,
        by_passkey=bool(means & {Method.HARDWARE_KEY, Method.SOFTWARE_KEY}),
    )


def drop(citizen_id: UUID) -> None:
    """Let every reset for an account come to nothing, however far it is; the caller commits."""
    db.session.execute(
        sa.delete(PasswordReset).where(PasswordReset.citizen_id == citizen_id),
        execution_options={"synchronize_session": False},
    )


def finish(reset: Reset, citizen_id: UUID, stored: str, *, keyring: Keyring) -> bool:
    """Spend the reset and make `stored` the password; False when it was spent, or is not at its end.

    Side effects, in one transaction: the reset is over, the password set and enabled, every session ended, the notice
    owed, the event written.
    """
    choice.hold(citizen_id)
    row = PasswordReset
    needed = row.confirmed_at.is_not(None) if _has_factor(citizen_id) else sa.true()
    spent = db.session.execute(
        sa.update(row)
        .where(
            row.id == reset.id,
            row.citizen_id == citizen_id,
            row.proven_at.is_not(None),
            row.finished_at.is_(None),
            row.expires_at > database_now(),
            needed,
        )
        .values(finished_at=database_now())
        .returning(row.id),
        execution_options={"synchronize_session": False},
    ).first()
    if spent is None or not _is_usable(citizen_id):
        db.session.rollback()
        return False
    choice.keep(citizen_id, stored, Event.PASSWORD_RESET, keyring=keyring)
    session.end_all(citizen_id, reason=_REASON)
    db.session.commit()
    return True
