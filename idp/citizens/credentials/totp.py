"""One-time codes from an authenticator app or a code card (TOTP, RFC 6238: SHA-1, six digits, thirty seconds).

Owns the secrets, the check, and that a code counts once. A citizen may have several; any of them will do.
"""

import base64
import binascii
import io
import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

import pyotp
import qrcode
import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.credentials import throttle
from idp.citizens.models import TotpCredential
from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring, Place
from idp.notify import notices
from idp.notify.notices import Notice

_DIGITS: Final = 6
# One step to each side: clocks of telephones and of people who type slowly (RFC 6238, 5.2).
_TOLERATED_STEPS: Final = 1
_MIN_SECRET_CHARACTERS: Final = 16


class SecretRefused(ValueError):
    """A text is no base32 secret of at least 80 bits."""


class Outcome(Enum):
    """How an attempt ended. THROTTLED: it was not judged."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class TotpResult:
    """The end of an attempt. `credential_id` with ACCEPTED only, `retry_after` (seconds) with THROTTLED only.

    `is_spent` with REFUSED only: the code is right and was accepted before, as in the second half of a double click.
    """

    outcome: Outcome
    credential_id: UUID | None = None
    retry_after: int | None = None
    is_spent: bool = False


def verify(citizen_id: UUID, code: str, *, keyring: Keyring) -> TotpResult:
    """Judge a code of a citizen whose password was right; spaces in it do not count.

    A code is accepted once, over all sessions and workers: its time step must be later than the last accepted one,
    and one guarded statement decides who was first. Side effects: counters before the judgement, counters and an
    audit event after it, each committed at once.
    """
    now = clock.now()
    series = throttle.key(throttle.SERIES, citizen_id.hex, keyring=keyring)
    wait = throttle.count(throttle.SERIES, series, now=now)
    if wait is not None:
        db.session.rollback()
        return TotpResult(Outcome.THROTTLED, retry_after=wait)
    counted = _count(citizen_id)
    key = person_key.read(citizen_id, keyring=keyring)
    db.session.commit()
    typed = _typed(code)
    is_spent = False
    for credential in counted:
        if credential.failures > throttle.DISABLED_AT:
            continue
        step = _step(key.unseal(credential.secret, secret_place(credential.id)), typed, now)
        if step is None:
            continue
        # Rows are locked in the order of counting, series before credential: the other way round would deadlock.
        throttle.forgive(series)
        if _spend(credential.id, step):
            return _accept(citizen_id, credential.id)
        db.session.rollback()
        is_spent = True
    return _refuse(citizen_id, counted, now, is_spent=is_spent, keyring=keyring)


def new_secret() -> str:
    """Return a new base32 secret of 160 bits, as RFC 4226, 4 recommends."""
    return pyotp.random_base32()


def step_of(secret: str, code: str) -> int | None:
    """Return the time step of which `code`, as typed, is the code of `secret` now; None when it is none.

    For whoever sets up the app: they know the secret, so there is nothing to guess.
    """
    return _step(secret, _typed(code), clock.now())


def add(
    citizen_id: UUID, secret: str, *, label: str, keyring: Keyring, now: datetime, last_step: int | None = None
) -> None:
    """Give a citizen a confirmed authenticator called `label`, in the caller's transaction.

    `last_step` is the time step of the code that confirmed it, which will not count again.

    One of that label with the same secret stays as it is, with its last step: its codes must not count twice. One
    with another secret is replaced. Raises SecretRefused.
    """
    secret = canonical_secret(secret)
    labelled = sa.select(TotpCredential).where(TotpCredential.citizen_id == citizen_id, TotpCredential.label == label)
    credential = db.session.scalars(labelled.limit(1)).first()
    if credential is None:
        key = new_id()
        credential = TotpCredential(id=key, citizen_id=citizen_id, label=label, secret="", failures=0)
        db.session.add(credential)
    owner = person_key.ensure(citizen_id, keyring=keyring)
    if not credential.secret or owner.unseal(credential.secret, secret_place(credential.id)) != secret:
        credential.secret = owner.seal(secret, secret_place(credential.id))
        credential.last_step = last_step
    credential.confirmed_at = credential.confirmed_at or now
    credential.disabled_at, credential.failures = None, 0


def canonical_secret(text: str) -> str:
    """Return a base32 secret as stored, without spaces or padding, in capitals. Raises SecretRefused."""
    secret = "".join(text.split()).rstrip("=").upper()
    try:
        base64.b32decode(secret + "=" * (-len(secret) % 8))
    except (binascii.Error, ValueError):
        raise SecretRefused from None
    if len(secret) < _MIN_SECRET_CHARACTERS:
        raise SecretRefused
    return secret


def provisioning_uri(secret: str, *, account: str, issuer: str) -> str:
    """Return the otpauth address that an authenticator app reads from a QR code; `account` must not be a number."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def grouped(secret: str) -> str:
    """Return a secret in groups of four, for whoever types it into an app."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def qr_path(uri: str) -> tuple[int, str]:
    """Return a QR code as the side of a square and an SVG path of its dark modules, quiet zone included."""
    picture = qrcode.QRCode(border=4)
    picture.add_data(uri)
    rows = picture.get_matrix()
    strokes = []
    for y, row in enumerate(rows):
        x = 0
        for is_dark, run in itertools.groupby(row):
            width = len(list(run))
            if is_dark:
                strokes.append(f"M{x} {y}h{width}v1h-{width}z")
            x += width
    return len(rows), "".join(strokes)


def terminal_qr(uri: str) -> str:
    """Return a QR code for a terminal, in half blocks, with the dark and light a dark terminal needs."""
    picture = qrcode.QRCode(border=2)
    picture.add_data(uri)
    lines = io.StringIO()
    picture.print_ascii(out=lines, invert=True)
    return lines.getvalue()


def current_code(secret: str) -> str:
    """Return the code of this moment. For demonstrations only: who can call it needs no authenticator."""
    return pyotp.TOTP(secret).at(clock.now())


def _count(citizen_id: UUID) -> Sequence[Any]:
    credential = TotpCredential
    return db.session.execute(
        sa.update(credential)
        .where(
            credential.citizen_id == citizen_id,
            credential.confirmed_at.is_not(None),
            credential.disabled_at.is_(None),
        )
        .values(failures=credential.failures + 1)
        .returning(credential.id, credential.secret, credential.failures),
        execution_options={"synchronize_session": False},
    ).all()


def _step(secret: str, typed: str, now: datetime) -> int | None:
    """Return the time step that `typed` is the code of, None when it fits none near `now`."""
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(typed, for_time=now, valid_window=_TOLERATED_STEPS)
    except pyotp.OTPVerificationError:
        return None


def _spend(credential_id: UUID, step: int) -> bool:
    """Make `step` the last one of a credential; False when it, or a later one, was spent before."""
    credential = TotpCredential
    spent = db.session.execute(
        sa.update(credential)
        .where(
            credential.id == credential_id,
            sa.or_(credential.last_step.is_(None), credential.last_step < step),
            credential.disabled_at.is_(None),
        )
        .values(last_step=step)
        .returning(credential.id),
        execution_options={"synchronize_session": False},
    )
    return spent.first() is not None


def _accept(citizen_id: UUID, credential_id: UUID) -> TotpResult:
    credential = TotpCredential
    db.session.execute(
        sa.update(credential)
        .where(credential.citizen_id == citizen_id, credential.disabled_at.is_(None))
        .values(failures=0),
        execution_options={"synchronize_session": False},
    )
    record(db.session, Event.TOTP_ACCEPTED, citizen_id=citizen_id)
    db.session.commit()
    return TotpResult(Outcome.ACCEPTED, credential_id=credential_id)


def _refuse(citizen_id: UUID, counted: Sequence[Any], now: datetime, *, is_spent: bool, keyring: Keyring) -> TotpResult:
    exhausted = [credential.id for credential in counted if credential.failures >= throttle.DISABLED_AT]
    credential = TotpCredential
    disabled = db.session.execute(
        sa.update(credential)
        .where(credential.id.in_(exhausted), credential.disabled_at.is_(None))
        .values(disabled_at=now)
        .returning(credential.id),
        execution_options={"synchronize_session": False},
    ).all()
    record(db.session, Event.TOTP_REFUSED, citizen_id=citizen_id, outcome="refused")
    for _ in disabled:
        record(db.session, Event.CREDENTIAL_DISABLED, citizen_id=citizen_id, detail={"kind": "totp"})
    if disabled:
        notices.owe(citizen_id, Notice.CODES_DISABLED, keyring=keyring)
    db.session.commit()
    return TotpResult(Outcome.REFUSED, is_spent=is_spent)


def _typed(code: str) -> str:
    digits = "".join(unicodedata.normalize("NFKC", code[:64]).split())
    # Anything but six ASCII digits is judged as a code that never fits.
    return digits if len(digits) == _DIGITS and digits.isascii() and digits.isdigit() else ""


def secret_place(credential_id: UUID) -> Place:
    """Return where the secret of an authenticator is sealed."""
    return Place(TotpCredential.__tablename__, "secret", credential_id.hex)
