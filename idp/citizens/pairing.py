r"""Pairing: a page in front of a citizen and an officer beside it are brought together by a short code.

    shown --> seen (officer 1) --> act chosen --> allowed --> used (citizen)
                                        \--> confirmed (officer 2) --/

The citizen's page shows the code, the officer types it and what is on the card. Each arrow is one guarded statement,
so that of two officers, two clicks or two tabs one wins. Nothing secret passes the officer: what is allowed is carried
out on the citizen's own page. Leaves what an act does to `binding`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import birthdate
from idp.citizens.birthdate import BirthDate
from idp.citizens.counter_acts import Act
from idp.citizens.officers import Officer, OnDuty
from idp.core import user_codes
from idp.core.database import Instant, Model, database_now, db
from idp.core.ids import new_id, new_reference
from idp.core.keyring import Keyring, Place, Purpose

_USE: Final = "counter"


class Document(StrEnum):
    """Which paper was seen. Neither its number nor a picture is kept."""

    ID_CARD = "id-card"
    PASSPORT = "passport"
    BIRTH_CERTIFICATE = "birth-certificate"


class Pairing(Model):
    """One code in front of one citizen, and how far officers have come with it."""

    __tablename__ = "counter_pairing"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    interaction_id: Mapped[UUID] = mapped_column(sa.Uuid, index=True)
    code_index: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True, doc="Keyed: the code itself is nowhere")
    reference: Mapped[str] = mapped_column(sa.String(16))
    officer_id: Mapped[UUID | None] = mapped_column(sa.Uuid)
    counter: Mapped[str | None] = mapped_column(sa.String(64))
    document: Mapped[str | None] = mapped_column(sa.String(32))
    identity: Mapped[str | None] = mapped_column(sa.Text, doc="Sealed JSON: number, name, birth as the register said")
    citizen_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="The account of that number, when there is one")
    act: Mapped[str | None] = mapped_column(sa.String(32))
    second_officer_id: Mapped[UUID | None] = mapped_column(sa.Uuid)
    allowed_at: Mapped[datetime | None] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)
    handout: Mapped[str | None] = mapped_column(sa.Text, doc="Sealed; recovery codes until they have been taken home")
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


EXPIRING = (("counter_pairing", "expires_at", 0),)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who stands at the counter, as the register writes it."""

    scheme: str
    number: str = field(repr=False)
    full_name: str = field(repr=False)
    birth: BirthDate = field(repr=False)

    def claims(self) -> dict[str, str]:
        """Return the claims of a profile that holds no more than this."""
        return {
            "name": self.full_name,
            "birthdate": self.birth.claim(),
            "identification_number": self.number,
            "identification_number_scheme": self.scheme,
        }


@dataclass(frozen=True, slots=True)
class Paired:
    """A pairing as it stands."""

    id: UUID
    interaction_id: UUID
    reference: str
    officer_id: UUID | None
    counter: str | None
    document: str | None
    identity: Identity | None = field(repr=False)
    citizen_id: UUID | None
    act: Act | None
    second_officer_id: UUID | None
    is_allowed: bool
    is_used: bool
    handout: tuple[str, ...] = field(repr=False)
    expires_at: datetime

    @property
    def trace(self) -> dict[str, str]:
        """Return who let it happen, where, for the detail of an event."""
        assert self.officer_id is not None
        assert self.counter is not None
        second = {} if self.second_officer_id is None else {"second": self.second_officer_id.hex}
        return {"officer": self.officer_id.hex, "counter": self.counter, **second}


def code_of(pairing_id: UUID, *, keyring: Keyring) -> str:
    """Return the code of a pairing without its dash: computed anew each time it is shown, and stored nowhere."""
    number = int.from_bytes(keyring.hmac(Purpose.FORM, b"counter pairing " + pairing_id.bytes))
    signs = []
    for _ in range(user_codes.LENGTH):
        number, place = divmod(number, len(user_codes.ALPHABET))
        signs.append(user_codes.ALPHABET[place])
    return "".join(signs)


def show(interaction_id: UUID, *, lifetime: int, keyring: Keyring) -> Paired:
    """Return the living pairing of an interaction, or make one; the caller commits."""
    known = of_interaction(interaction_id, keyring=keyring)
    if known is not None:
        return known
    key, now = new_id(), database_now()
    row = Pairing(
        id=key,
        interaction_id=interaction_id,
        code_index=user_codes.index(code_of(key, keyring=keyring), keyring=keyring, use=_USE),
        reference=new_reference(),
        created_at=now,
        expires_at=now + timedelta(seconds=lifetime),
    )
    db.session.add(row)
    db.session.flush()
    return _paired(row, keyring)


def of_interaction(interaction_id: UUID, *, keyring: Keyring) -> Paired | None:
    """Return the newest pairing of an interaction that lives, used or not."""
    return _one(Pairing.interaction_id == interaction_id, keyring)


def by_code(code: str, *, keyring: Keyring) -> Paired | None:
    """Return the living pairing of a code, or None."""
    return _one(Pairing.code_index == user_codes.index(code, keyring=keyring, use=_USE), keyring)


def by_id(pairing_id: UUID, *, keyring: Keyring) -> Paired | None:
    """Return a living pairing, or None."""
    return _one(Pairing.id == pairing_id, keyring)


def _one(where: sa.ColumnElement[bool], keyring: Keyring) -> Paired | None:
    row = db.session.scalars(
        sa.select(Pairing)
        .where(where, *_lives())
        .order_by(Pairing.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    ).one_or_none()
    return None if row is None else _paired(row, keyring)


def see(
    pairing_id: UUID, *, officer: OnDuty, identity: Identity, citizen_id: UUID | None, document: Document,
    keyring: Keyring,
) -> bool:  # fmt: skip
    """Note that an officer saw the paper and the face of whoever shows this code; False when another one was faster.

    The caller commits.
    """
    return _move(
        sa.and_(Pairing.id == pairing_id, Pairing.officer_id.is_(None)),
        officer_id=officer.id,
        counter=officer.counter,
        identity=keyring.seal(_text(identity), _place(pairing_id)),
        citizen_id=citizen_id,
        document=document.value,
    )


def choose(pairing_id: UUID, act: Act, *, officer: OnDuty, needs_second: bool, lifetime: int) -> bool:
    """Choose what the citizen may do; False unless `officer` saw them and nothing was chosen before.

    The citizen, or the second officer, has `lifetime` seconds from now. The caller commits. Events: act allowed.
    """
    now = database_now()
    is_moved = _move(
        sa.and_(Pairing.id == pairing_id, Pairing.officer_id == officer.id, Pairing.act.is_(None)),
        act=act.value,
        allowed_at=None if needs_second else now,
        expires_at=now + timedelta(seconds=lifetime),
    )
    if is_moved:
        record(
            db.session,
            Event.COUNTER_ACT_ALLOWED,
            citizen_id=db.session.scalar(sa.select(Pairing.citizen_id).where(Pairing.id == pairing_id)),
            outcome="first" if needs_second else "allowed",
            detail={"act": act.value, **officer.trace},
        )
    return is_moved


def take_second(pairing_id: UUID, *, officer: OnDuty) -> bool:
    """Note that another officer has typed the code of a pairing that waits for one; the caller commits."""
    return _move(_waits_for(pairing_id, officer), second_officer_id=officer.id)


def confirm(pairing_id: UUID, *, officer: OnDuty, lifetime: int) -> bool:
    """Let the act happen as the second officer; False unless this one typed the code. The caller commits.

    Events: act allowed.
    """
    now = database_now()
    is_moved = _move(
        sa.and_(_waits_for(pairing_id, officer), Pairing.second_officer_id == officer.id),
        allowed_at=now,
        expires_at=now + timedelta(seconds=lifetime),
    )
    if is_moved:
        row = db.session.get_one(Pairing, pairing_id, populate_existing=True)
        record(
            db.session,
            Event.COUNTER_ACT_ALLOWED,
            citizen_id=row.citizen_id,
            outcome="second",
            detail={"act": str(row.act), **officer.trace},
        )
    return is_moved


def _waits_for(pairing_id: UUID, officer: OnDuty) -> sa.ColumnElement[bool]:
    # Two people, not two rows of one.
    same_person = sa.select(Officer.id).where(Officer.citizen_id == officer.citizen_id)
    return sa.and_(
        Pairing.id == pairing_id,
        Pairing.act == Act.REPLACE.value,
        Pairing.allowed_at.is_(None),
        Pairing.officer_id.not_in(same_person),
        Pairing.citizen_id != officer.citizen_id,
    )


def use(pairing_id: UUID, act: Act) -> bool:
    """Spend what was allowed; False when it was not, or was spent before. The caller commits it with the act."""
    return _move(
        sa.and_(Pairing.id == pairing_id, Pairing.act == act.value, Pairing.allowed_at.is_not(None)),
        used_at=database_now(),
    )


def hand_out(pairing_id: UUID, codes: Sequence[str], *, lifetime: int, keyring: Keyring) -> None:
    """Keep recovery codes for the page that shows them, until `take_home` or for `lifetime` seconds.

    The caller commits.
    """
    sealed = keyring.seal(" ".join(codes), _place(pairing_id, "handout"))
    until = database_now() + timedelta(seconds=lifetime)
    db.session.execute(sa.update(Pairing).where(Pairing.id == pairing_id).values(handout=sealed, expires_at=until))


def take_home(pairing_id: UUID) -> None:
    """Forget the codes handed out, which the citizen now has, and end the pairing; the caller commits."""
    db.session.execute(
        sa.update(Pairing)
        .where(Pairing.id == pairing_id, Pairing.used_at.is_not(None))
        .values(handout=None, expires_at=database_now())
    )


def _move(where: sa.ColumnElement[bool], **values: object) -> bool:
    moved = db.session.execute(
        sa.update(Pairing).where(where, Pairing.used_at.is_(None), *_lives()).values(**values).returning(Pairing.id),
        execution_options={"synchronize_session": False},
    )
    return moved.first() is not None


def _lives() -> tuple[sa.ColumnElement[bool], ...]:
    """Return what a pairing must be to be worth anything: in its time, and of officers who have not been ended.

    What an officer allowed is not done any more once their work is over: their key may have been a thief's.
    """
    ended = sa.exists().where(
        Officer.id.in_((Pairing.officer_id, Pairing.second_officer_id)), Officer.ended_at.is_not(None)
    )
    return Pairing.expires_at > database_now(), sa.not_(ended)


def _place(pairing_id: UUID, column: str = "identity") -> Place:
    return Place(Pairing.__tablename__, column, pairing_id.hex)


def _text(identity: Identity) -> str:
    document = {
        "scheme": identity.scheme,
        "number": identity.number,
        "name": identity.full_name,
        "birth": identity.birth.iso(),
    }
    return json.dumps(document, ensure_ascii=False)


def _paired(row: Pairing, keyring: Keyring) -> Paired:
    identity = None
    if row.identity is not None:
        said: dict[str, Any] = json.loads(keyring.unseal(row.identity, _place(row.id)))
        identity = Identity(said["scheme"], said["number"], said["name"], birthdate.parse(said["birth"]))
    return Paired(
        id=row.id,
        interaction_id=row.interaction_id,
        reference=row.reference,
        officer_id=row.officer_id,
        counter=row.counter,
        document=row.document,
        identity=identity,
        citizen_id=row.citizen_id,
        act=None if row.act is None else Act(row.act),
        second_officer_id=row.second_officer_id,
        is_allowed=row.allowed_at is not None,
        is_used=row.used_at is not None,
        handout=() if row.handout is None else tuple(keyring.unseal(row.handout, _place(row.id, "handout")).split()),
        expires_at=row.expires_at,
    )
