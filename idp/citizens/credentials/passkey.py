"""Passkeys: the two ceremonies of WebAuthn Level 3, enrolling (7.1) and signing in (7.2).

Owns the challenge of each ceremony, the judgement of its answer, and what the answer proves. Leaves names, lists and
removal to `passkeys`, levels to `citizens.assurance`. The only module that knows py_webauthn.

    begin_*   make a challenge, bound to one session or interaction and one purpose; return the browser's options
    finish_*  spend the challenge, then judge the answer

Decided: the relying party is the host of the issuer and the origin exactly the issuer; the person is verified by PIN or
finger at every ceremony, so that a passkey is two factors; keys are discoverable, so that each of them can sign in
without a number; no attestation is asked, because it would name the owner's device (and `device-bound` is therefore
the word of the authenticator); a signature count that falls marks the passkey as copied.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import sqlalchemy as sa
import webauthn
from webauthn.helpers import (
    options_to_json,
    parse_attestation_object,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.models import Passkey, PasskeyChallenge, insert
from idp.core.database import database_now, db
from idp.core.ids import new_id
from idp.core.keyring import Keyring, Place
from idp.core.levels import Method
from idp.core.settings import Settings
from idp.notify import notices
from idp.notify.notices import Notice

LIFETIME: Final = timedelta(minutes=5)
"""How long a challenge waits for its answer."""

MOST: Final = 20
"""Passkeys of one citizen."""

_LONGEST_ANSWER = 16_384
_LONGEST_ID = 1_023
_LATE = "late"
_ALGORITHMS = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
# What browsers send when nothing is asked for. The formats of TPMs and telephones would only be more bytes to parse.
_FORMATS = (AttestationFormat.NONE, AttestationFormat.PACKED)


class Purpose(StrEnum):
    """What a challenge is for. An answer to one is worth nothing for another."""

    ENROL = "enrol"
    SIGN_IN = "sign-in"
    CONFIRM = "confirm"


class PasskeyRefused(Exception):
    """The answer to a ceremony is not accepted; the message is a word for the audit trail, never for the citizen."""

    @property
    def is_late(self) -> bool:
        """Tell whether no challenge of this page waits for it: never issued here, answered before, or too old."""
        return str(self) == _LATE


@dataclass(frozen=True, slots=True)
class Accepted:
    """A sign-in with a passkey: whose it is, and the methods that were used."""

    citizen_id: UUID
    passkey_id: UUID
    methods: frozenset[Method]

    @property
    def is_device_bound(self) -> bool:
        """Tell whether the key cannot be on another device."""
        return Method.HARDWARE_KEY in self.methods


def is_offered(settings: Settings) -> bool:
    """Tell whether browsers can use passkeys here: an address without a name has none (WebAuthn, 5.1.3)."""
    try:
        ip_address(_rp_id(settings))
    except ValueError:
        return True
    return False


def _rp_id(settings: Settings) -> str:
    return urlsplit(settings.issuer).hostname or ""


# --- enrolling ---------------------------------------------------------------------------------------------------


def begin_enrolment(citizen_id: UUID, *, account: str, bound_to: UUID, settings: Settings) -> str | None:
    """Return the options for `navigator.credentials.create()` as JSON; None when the citizen has the most allowed.

    `account` is shown by the browser beside the passkey and kept by the authenticator: the name, never the number.
    Side effect: the challenge of this session (`bound_to`) replaces one that waits; commits.
    """
    known = _living(citizen_id)
    if len(known) >= MOST:
        return None
    handle = db.session.scalar(
        sa.select(Passkey.user_handle).where(Passkey.citizen_id == citizen_id).order_by(Passkey.created_at).limit(1)
    )
    options = webauthn.generate_registration_options(
        rp_id=_rp_id(settings),
        rp_name=settings.service_name,
        # The same for all of one citizen, so that an authenticator replaces its old one instead of keeping both.
        user_id=handle or _pending_handle(bound_to),
        user_name=account,
        user_display_name=account,
        challenge=_challenge(Purpose.ENROL, bound_to),
        timeout=_milliseconds(),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(known),
        supported_pub_key_algs=_ALGORITHMS,
    )
    db.session.commit()
    return options_to_json(options)


def _pending_handle(bound_to: UUID) -> bytes:
    """Return the user handle of a first passkey: known again when its answer comes back, and meaning nothing.

    A session's id is random, told to nobody, and used up by the first passkey.
    """
    return sha256(b"passkey user " + bound_to.bytes).digest()


def finish_enrolment(
    citizen_id: UUID, answer: str, *, name: str, bound_to: UUID, settings: Settings, keyring: Keyring
) -> UUID:
    """Keep the passkey that `answer` (the credential as JSON) brings, and return its id.

    Raises PasskeyRefused. Side effects: the challenge is spent; passkey, event and notice are written; committed.
    """
    try:
        made = judge_enrolment(answer, bound_to=bound_to, settings=settings)
        passkey_id = keep(citizen_id, made, name=name, bound_to=bound_to, keyring=keyring)
        notices.owe(citizen_id, Notice.PASSKEY_ADDED, keyring=keyring)
        db.session.commit()
    except PasskeyRefused as refused:
        db.session.rollback()
        record(
            db.session,
            Event.PASSKEY_REFUSED,
            citizen_id=citizen_id,
            outcome=str(refused),
            detail={"purpose": Purpose.ENROL.value},
        )
        db.session.commit()
        raise
    return passkey_id


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey that a device has made, judged and not yet anybody's."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: UUID
    transports: str
    is_backup_eligible: bool
    is_backed_up: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        values = asdict(self)
        return values | {
            "credential_id": self.credential_id.hex(),
            "public_key": self.public_key.hex(),
            "aaguid": self.aaguid.hex,
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "Made":
        """Read what `document` wrote."""
        read = {
            "credential_id": bytes.fromhex(document["credential_id"]),
            "public_key": bytes.fromhex(document["public_key"]),
            "aaguid": UUID(document["aaguid"]),
        }
        return cls(**{**document, **read})


def judge_enrolment(answer: str, *, bound_to: UUID, settings: Settings) -> Made:
    """Return the passkey that `answer` brings, for `keep` to store. The challenge is spent, committed.

    Raises PasskeyRefused.
    """
    if len(answer) > _LONGEST_ANSWER:
        raise PasskeyRefused("malformed")
    try:
        credential = parse_registration_credential_json(answer)
        client_data = parse_client_data_json(credential.response.client_data_json)
        format_ = parse_attestation_object(credential.response.attestation_object).fmt
    except Exception:
        # Bytes of anybody's making, read by parsers of others: whatever they raise is a no.
        raise PasskeyRefused("malformed") from None
    _spend(client_data.challenge, Purpose.ENROL, bound_to)
    if client_data.cross_origin or format_ not in _FORMATS:
        raise PasskeyRefused("invalid")
    try:
        verified = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=client_data.challenge,
            expected_rp_id=_rp_id(settings),
            expected_origin=settings.issuer,
            require_user_verification=True,
            supported_pub_key_algs=_ALGORITHMS,
        )
        aaguid = UUID(verified.aaguid)
    except Exception:
        raise PasskeyRefused("invalid") from None
    # What the credential is called in the answer must be what the authenticator signed for.
    if verified.credential_id != credential.raw_id or len(credential.raw_id) > _LONGEST_ID:
        raise PasskeyRefused("invalid")
    return Made(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        aaguid=aaguid,
        transports=" ".join(sorted({each.value for each in credential.response.transports or ()})),
        is_backup_eligible=verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        is_backed_up=verified.credential_backed_up,
    )


def keep(citizen_id: UUID, made: Made, *, name: str, bound_to: UUID, keyring: Keyring) -> UUID:
    """Give a citizen a passkey in the caller's transaction, with its event, and return its id. Raises PasskeyRefused.

    `bound_to` is what its challenge was bound to.
    """
    handle = db.session.scalar(sa.select(Passkey.user_handle).where(Passkey.citizen_id == citizen_id).limit(1))
    passkey_id = new_id()
    values = {
        "id": passkey_id,
        "citizen_id": citizen_id,
        "credential_digest": sha256(made.credential_id).digest(),
        "credential_id": made.credential_id,
        "user_handle": handle or _pending_handle(bound_to),
        "public_key": made.public_key,
        "sign_count": made.sign_count,
        "aaguid": made.aaguid,
        "transports": made.transports,
        "is_backup_eligible": made.is_backup_eligible,
        "is_backed_up": made.is_backed_up,
        "name": person_key.ensure(citizen_id, keyring=keyring).seal(name, name_place(passkey_id)),
        "created_at": database_now(),
    }
    # A key that somebody has already, here or on another account, is nobody's second one (WebAuthn, 7.1, step 26).
    kept = db.session.execute(
        insert(Passkey)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["credential_digest"])
        .returning(Passkey.id)
    ).first()
    if kept is None:
        raise PasskeyRefused("known")
    record(
        db.session,
        Event.PASSKEY_ADDED,
        citizen_id=citizen_id,
        detail={"passkey": passkey_id.hex, "device-bound": not made.is_backup_eligible},
    )
    return passkey_id


def name_place(passkey_id: UUID) -> Place:
    """Return where the name of a passkey is sealed."""
    return Place(Passkey.__tablename__, "name", passkey_id.hex)


# --- signing in --------------------------------------------------------------------------------------------------


def begin_sign_in(*, bound_to: UUID, settings: Settings) -> str:
    """Return the options for `navigator.credentials.get()` of somebody not known yet: any passkey of this provider.

    Side effect: the challenge of this interaction (`bound_to`) replaces one that waits; commits.
    """
    return _ask(Purpose.SIGN_IN, (), bound_to=bound_to, settings=settings)


def begin_confirmation(citizen_id: UUID, *, device_bound: bool, bound_to: UUID, settings: Settings) -> str:
    """Return the options for a citizen who is known: one of their passkeys, or of those bound to a device.

    Side effect: as `begin_sign_in`.
    """
    known = [each for each in _living(citizen_id) if not device_bound or is_device_bound(each)]
    return _ask(Purpose.CONFIRM, known, bound_to=bound_to, settings=settings)


def _ask(purpose: Purpose, allowed: Sequence[Passkey], *, bound_to: UUID, settings: Settings) -> str:
    options = webauthn.generate_authentication_options(
        rp_id=_rp_id(settings),
        challenge=_challenge(purpose, bound_to),
        timeout=_milliseconds(),
        allow_credentials=_descriptors(allowed),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    db.session.commit()
    return options_to_json(options)


def finish(answer: str, purpose: Purpose, *, citizen_id: UUID | None, bound_to: UUID, settings: Settings) -> Accepted:
    """Judge the answer to `begin_sign_in` (`citizen_id` None) or `begin_confirmation` (whose passkey it must be).

    Raises PasskeyRefused. Says nothing about the state of the account. Side effects: the challenge is spent, the count
    of the passkey moves on, an event is written; each committed.
    """
    known = None
    try:
        answered = _judge_answer(answer, purpose, bound_to=bound_to)
        known = answered.passkey
        _check_owner(answered, citizen_id)
        _verify(answered, settings)
        return _accept(answered)
    except PasskeyRefused as refused:
        db.session.rollback()
        record(
            db.session,
            Event.PASSKEY_REFUSED,
            citizen_id=citizen_id if known is None else known.citizen_id,
            outcome=str(refused),
            detail={"purpose": purpose.value},
        )
        db.session.commit()
        raise


@dataclass(slots=True)
class _Answered:
    credential: webauthn.helpers.structs.AuthenticationCredential
    client_data: webauthn.helpers.structs.CollectedClientData
    passkey: Passkey
    sign_count: int = 0
    is_backed_up: bool = False


def _judge_answer(answer: str, purpose: Purpose, *, bound_to: UUID) -> _Answered:
    if len(answer) > _LONGEST_ANSWER:
        raise PasskeyRefused("malformed")
    try:
        credential = parse_authentication_credential_json(answer)
        client_data = parse_client_data_json(credential.response.client_data_json)
    except Exception:
        raise PasskeyRefused("malformed") from None
    _spend(client_data.challenge, purpose, bound_to)
    passkey = db.session.scalar(
        sa.select(Passkey).where(
            Passkey.credential_digest == sha256(credential.raw_id).digest(), Passkey.ended_at.is_(None)
        )
    )
    if passkey is None:
        raise PasskeyRefused("unknown")
    return _Answered(credential, client_data, passkey)


def _check_owner(answered: _Answered, citizen_id: UUID | None) -> None:
    """Refuse the passkey of somebody else in a ceremony of `citizen_id` (WebAuthn, 7.2, step 6)."""
    handle = answered.credential.response.user_handle
    is_theirs = citizen_id is None or answered.passkey.citizen_id == citizen_id
    if not is_theirs or (handle is not None and handle != answered.passkey.user_handle):
        raise PasskeyRefused("foreign")
    if handle is None and citizen_id is None:
        raise PasskeyRefused("nameless")


def _verify(answered: _Answered, settings: Settings) -> None:
    if answered.client_data.cross_origin:
        raise PasskeyRefused("invalid")
    try:
        verified = webauthn.verify_authentication_response(
            credential=answered.credential,
            expected_challenge=answered.client_data.challenge,
            expected_rp_id=_rp_id(settings),
            expected_origin=settings.issuer,
            credential_public_key=answered.passkey.public_key,
            # `_accept` judges the count, once the signature is known to be good.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception:
        raise PasskeyRefused("invalid") from None
    is_eligible = verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE
    if is_eligible != answered.passkey.is_backup_eligible:
        # It never changes in the life of a key (WebAuthn, 7.2, step 19).
        raise PasskeyRefused("invalid")
    answered.sign_count, answered.is_backed_up = verified.new_sign_count, verified.credential_backed_up


def _accept(answered: _Answered) -> Accepted:
    row, passkey = Passkey, answered.passkey
    used = {"last_used_at": database_now(), "is_backed_up": answered.is_backed_up}
    # By the row itself, so that of two ceremonies at once only one can have a count.
    is_later = sa.or_(
        row.sign_count < answered.sign_count,
        sa.and_(row.sign_count == 0, sa.literal(answered.sign_count) == 0),
    )
    living = sa.update(row).where(row.id == passkey.id, row.ended_at.is_(None))
    unsynchronised = {"synchronize_session": False}
    kept = db.session.execute(
        living.where(is_later).values(sign_count=answered.sign_count, **used).returning(row.copied_at),
        execution_options=unsynchronised,
    ).first()
    if kept is None:
        kept = db.session.execute(
            living.values(copied_at=sa.func.coalesce(row.copied_at, used["last_used_at"]), **used).returning(
                row.copied_at
            ),
            execution_options=unsynchronised,
        ).first()
        if kept is None:
            raise PasskeyRefused("unknown")
        record(db.session, Event.PASSKEY_COPIED, citizen_id=passkey.citizen_id, detail={"passkey": passkey.id.hex})
    is_bound = not passkey.is_backup_eligible and kept.copied_at is None
    key = Method.HARDWARE_KEY if is_bound else Method.SOFTWARE_KEY
    record(
        db.session,
        Event.PASSKEY_ACCEPTED,
        citizen_id=passkey.citizen_id,
        detail={"passkey": passkey.id.hex, "device-bound": is_bound},
    )
    db.session.commit()
    return Accepted(passkey.citizen_id, passkey.id, frozenset({key, Method.USER_PRESENT}))


# --- shared ------------------------------------------------------------------------------------------------------


def is_device_bound(passkey: Passkey) -> bool:
    """Tell whether a passkey counts as being on one device only."""
    return not passkey.is_backup_eligible and passkey.copied_at is None


def _living(citizen_id: UUID) -> Sequence[Passkey]:
    return db.session.scalars(
        sa.select(Passkey)
        .where(Passkey.citizen_id == citizen_id, Passkey.ended_at.is_(None))
        .order_by(Passkey.created_at)
    ).all()


def _descriptors(passkeys: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=each.credential_id, transports=[AuthenticatorTransport(word) for word in each.transports.split()] or None
        )
        for each in passkeys
    ]


def _milliseconds() -> int:
    return int(LIFETIME.total_seconds()) * 1_000


def _challenge(purpose: Purpose, bound_to: UUID) -> bytes:
    """Make and keep the challenge of a ceremony, in the caller's transaction."""
    challenge = secrets.token_bytes(32)
    values = {"digest": sha256(challenge).digest(), "expires_at": database_now() + LIFETIME}
    statement = insert(PasskeyChallenge).values(bound_to=bound_to, purpose=purpose.value, **values)
    db.session.execute(statement.on_conflict_do_update(index_elements=["bound_to", "purpose"], set_=values))
    return challenge


def _spend(challenge: bytes, purpose: Purpose, bound_to: UUID) -> None:
    """Spend the challenge before anything is judged, so that of many answers to one exactly one is. Commits.

    Raises PasskeyRefused.
    """
    row = PasskeyChallenge
    spent = db.session.execute(
        sa.delete(row)
        .where(
            row.bound_to == bound_to,
            row.purpose == purpose.value,
            row.digest == sha256(challenge).digest(),
            row.expires_at > database_now(),
        )
        .returning(row.digest),
        execution_options={"synchronize_session": False},
    ).first()
    db.session.commit()
    if spent is None:
        raise PasskeyRefused(_LATE)
