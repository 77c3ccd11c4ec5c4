"""Tables of citizens, their numbers, credentials, subjects, throttles, and of the embedded register.

Values about a person are sealed text (`core.keyring`, bound to table, column and row); what must be found again is
a keyed index beside it. Housekeeping deletes `credential_throttle` rows once `expires_at` has passed.
"""

from datetime import datetime
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core.database import Instant, Model, db
from idp.core.keyring import Place


class CitizenState(StrEnum):
    """Whether an account may be used at all, whatever the register says. DISABLED is an act of ours."""

    ACTIVE = "active"
    DISABLED = "disabled"


def _text(words: type[Enum]) -> sa.Enum:
    """Return a column type that stores the value of an enum as text, so that the hot path reads plain words."""
    return sa.Enum(
        words,
        native_enum=False,
        create_constraint=False,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


class Citizen(Model):
    """One person. The key means nothing; number, name and everything else about the person is in `profile`."""

    __tablename__ = "citizen"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    state: Mapped[CitizenState] = mapped_column(_text(CitizenState))
    proofing: Mapped[Proofing] = mapped_column(_text(Proofing))
    registry_status: Mapped[RegistryStatus] = mapped_column(_text(RegistryStatus))
    registry_checked_at: Mapped[datetime | None] = mapped_column(Instant, doc="Last real answer of the register")
    registry_asked_at: Mapped[datetime | None] = mapped_column(Instant, doc="Last time it was asked, answer or not")
    profile: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON, see citizens.claims")
    locale: Mapped[str | None] = mapped_column(sa.String(16))
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(sa.Integer)

    # Two acts on one citizen at the same time: the later one fails instead of undoing the earlier one.
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 (SQLAlchemy's own form)


class CitizenNumber(Model):
    """One identification number a citizen has or had. The current one has no `valid_to`."""

    __tablename__ = "citizen_number"
    __table_args__ = (sa.UniqueConstraint("index_key_id", "number_index"),)

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), index=True)
    scheme: Mapped[str] = mapped_column(sa.String(64))
    number: Mapped[str] = mapped_column(sa.Text, doc="Sealed, canonical")
    index_key_id: Mapped[str] = mapped_column(sa.String(32))
    number_index: Mapped[str] = mapped_column(sa.String(64), doc="Hex HMAC of `scheme:canonical`")
    valid_from: Mapped[datetime] = mapped_column(Instant)
    valid_to: Mapped[datetime | None] = mapped_column(Instant)
    replaced_by_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("citizen_number.id"))


class PasswordCredential(Model):
    """The password of one citizen."""

    __tablename__ = "password_credential"

    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), primary_key=True)
    hash: Mapped[str] = mapped_column(sa.Text, doc="See citizens.credentials.hashing")
    set_at: Mapped[datetime] = mapped_column(Instant)
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(sa.Integer, default=0, doc="Wrong ones since the last right one")


class TotpCredential(Model):
    """One authenticator app or code card of a citizen (RFC 6238)."""

    __tablename__ = "totp_credential"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), index=True)
    label: Mapped[str] = mapped_column(sa.String(64))
    secret: Mapped[str] = mapped_column(sa.Text, doc="Sealed base32")
    last_step: Mapped[int | None] = mapped_column(sa.BigInteger, doc="Time step of the last accepted code")
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant, doc="None until a first code proved the app works")
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(sa.Integer, default=0, doc="Wrong ones since the last right one")


class PairwiseSubject(Model):
    """The `sub` of one citizen for one sector. Written once, never changed."""

    __tablename__ = "pairwise_subject"
    __table_args__ = (sa.UniqueConstraint("sector", "sub"),)

    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), primary_key=True)
    sector: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    sub: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)


class CredentialThrottle(Model):
    """Attempts counted under one key: an HMAC of account, address or both. Written before an attempt is judged."""

    __tablename__ = "credential_throttle"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(sa.Integer)
    window_ends_at: Mapped[datetime] = mapped_column(Instant)
    blocked_until: Mapped[datetime | None] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True, doc="When the row means nothing any more")


class RegistryPerson(Model):
    """One record of the embedded register (`registry.table`)."""

    __tablename__ = "registry_person"
    __table_args__ = (sa.UniqueConstraint("index_key_id", "number_index"),)

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    index_key_id: Mapped[str] = mapped_column(sa.String(32))
    number_index: Mapped[str] = mapped_column(sa.String(64), doc="Hex HMAC of `scheme:canonical`")
    answer: Mapped[str] = mapped_column(sa.String(16), doc="How the register answers about this person")
    record: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON: full_name, birthdate, gender, replaced_by")
    updated_at: Mapped[datetime] = mapped_column(Instant)


def profile_place(citizen_id: UUID) -> Place:
    """Return where the profile of a citizen is sealed."""
    return Place(Citizen.__tablename__, "profile", citizen_id.hex)


def insert(table: type[Model]) -> Any:
    """Return an INSERT into `table` that knows ON CONFLICT, in the dialect of the session's database."""
    is_sqlite = db.session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)
