"""Tables of citizens, their numbers, credentials, subjects, throttles, and of the embedded register.

Values about a person are sealed text (`citizens.person_key`, bound to table, column and row); what must be found
again is a keyed index beside it. Housekeeping deletes `credential_throttle` rows once `expires_at` has passed.
"""

from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from idp.citizens.assurance import Proofing, RegistryStatus
from idp.core.database import Instant, Model, db
from idp.core.keyring import Place

BY_ID: Final[dict[Any, Any]] = {"person": "id"}
BY_CITIZEN: Final[dict[Any, Any]] = {"person": "citizen_id"}
"""`info` of a column with values under a person's key: which column of its row names the citizen."""


class CitizenState(StrEnum):
    """Whether an account may be used at all, whatever the register says.

    DISABLED is an act of ours. LOCKED is the citizen's own, which an officer at a counter can undo. CLOSED is for good
    (`erasure`).
    """

    ACTIVE = "active"
    DISABLED = "disabled"
    LOCKED = "locked"
    CLOSED = "closed"


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
    data_key: Mapped[str | None] = mapped_column(
        sa.Text, doc="Own key, wrapped, see citizens.person_key; None until one was made, empty once destroyed"
    )
    profile: Mapped[str] = mapped_column(sa.Text, info=BY_ID, doc="Sealed JSON, see citizens.claims")
    locale: Mapped[str | None] = mapped_column(sa.String(16))
    notices_by_sms: Mapped[bool] = mapped_column(
        sa.Boolean, default=False, server_default=sa.false(), doc="Chosen by the citizen"
    )
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
    number: Mapped[str] = mapped_column(sa.Text, info=BY_CITIZEN, doc="Sealed, canonical")
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
    label: Mapped[str] = mapped_column(sa.String(64), doc="Word of ours by which it is found again")
    name: Mapped[str | None] = mapped_column(sa.Text, info=BY_CITIZEN, doc="Sealed; given by the citizen")
    secret: Mapped[str] = mapped_column(sa.Text, info=BY_CITIZEN, doc="Sealed base32")
    last_step: Mapped[int | None] = mapped_column(sa.BigInteger, doc="Time step of the last accepted code")
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant, doc="None until a first code proved the app works")
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(sa.Integer, default=0, doc="Wrong ones since the last right one")


class RecoverySheet(Model):
    """The set of recovery codes one citizen has, and the wrong ones typed since the last right one."""

    __tablename__ = "recovery_sheet"

    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), primary_key=True)
    made_at: Mapped[datetime] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(sa.Integer)
    disabled_at: Mapped[datetime | None] = mapped_column(Instant)


class RecoveryCode(Model):
    """One code of a sheet. A used one stays until the next sheet is made, so that a double click is known as one."""

    __tablename__ = "recovery_code"

    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True, doc="HMAC under the pepper")
    key_id: Mapped[str] = mapped_column(sa.String(32), doc="Of the pepper")
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class PendingCredential(Model):
    """The secret of an app, or a sheet of codes, that a session was shown and has not confirmed yet."""

    __tablename__ = "pending_credential"

    session_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    secret: Mapped[str] = mapped_column(sa.Text, doc="Sealed")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class Passkey(Model):
    """One passkey of a citizen: the public half of a key that a phone, computer or security key holds.

    Device-bound when the authenticator said it can never leave its device, and nothing spoke against that since;
    synced otherwise. A row that ended stays, so that its events can be told apart.
    """

    __tablename__ = "passkey"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citizen.id"), index=True)
    credential_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), unique=True, doc="SHA-256 of credential_id")
    credential_id: Mapped[bytes] = mapped_column(sa.LargeBinary(1023), doc="As the authenticator named it")
    user_handle: Mapped[bytes] = mapped_column(
        sa.LargeBinary(64), doc="Random name of the citizen for authenticators, the same for all passkeys of one"
    )
    public_key: Mapped[bytes] = mapped_column(sa.LargeBinary, doc="COSE_Key")
    sign_count: Mapped[int] = mapped_column(sa.BigInteger, doc="Signatures so far as last told; 0 if it never counts")
    aaguid: Mapped[UUID] = mapped_column(sa.Uuid, doc="Model of the authenticator as it says; not attested")
    transports: Mapped[str] = mapped_column(sa.String(64), doc="How browsers reach it, space-separated")
    is_backup_eligible: Mapped[bool] = mapped_column(sa.Boolean, doc="May be copied to other devices: a synced passkey")
    is_backed_up: Mapped[bool] = mapped_column(sa.Boolean, doc="Has been copied, as last told")
    name: Mapped[str] = mapped_column(sa.Text, info=BY_CITIZEN, doc="Sealed; given by the citizen")
    created_at: Mapped[datetime] = mapped_column(Instant)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    copied_at: Mapped[datetime | None] = mapped_column(Instant, doc="First time its count fell: a copy may exist")
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class PasskeyChallenge(Model):
    """The random bytes that one ceremony must sign, waiting for their answer: one for each purpose and place."""

    __tablename__ = "passkey_challenge"

    bound_to: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True, doc="The session or the interaction it is for")
    purpose: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), doc="SHA-256 of the challenge")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class ContactProof(Model):
    """A code that is on its way to one address, and waits to be typed: one for each purpose and place."""

    __tablename__ = "contact_proof"

    bound_to: Mapped[UUID] = mapped_column(
        sa.Uuid, primary_key=True, doc="The interaction, enrolment or session it is for"
    )
    purpose: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    id: Mapped[UUID] = mapped_column(sa.Uuid, doc="New with each code, and part of its digest")
    citizen_id: Mapped[UUID | None] = mapped_column(sa.Uuid, doc="Whose account it is about, if there is one")
    channel: Mapped[str] = mapped_column(sa.String(16))
    target: Mapped[str] = mapped_column(sa.Text, doc="Sealed address")
    code_digest: Mapped[bytes] = mapped_column(sa.LargeBinary(32), doc="HMAC of the code")
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


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
    record: Mapped[str] = mapped_column(sa.Text, doc="Sealed JSON, see citizens.registry.table")
    updated_at: Mapped[datetime] = mapped_column(Instant)


EXPIRING = (
    ("passkey_challenge", "expires_at", 0),
    ("pending_credential", "expires_at", 0),
    ("contact_proof", "expires_at", 0),
)


def profile_place(citizen_id: UUID) -> Place:
    """Return where the profile of a citizen is sealed."""
    return Place(Citizen.__tablename__, "profile", citizen_id.hex)


def number_place(number_id: UUID) -> Place:
    """Return where a citizen's number is sealed."""
    return Place(CitizenNumber.__tablename__, "number", number_id.hex)


def insert(table: type[Model]) -> Any:
    """Return an INSERT into `table` that knows ON CONFLICT, in the dialect of the session's database."""
    is_sqlite = db.session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)
