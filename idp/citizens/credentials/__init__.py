"""Credentials: how a citizen proves to be the same person as before.

Owns passwords, one-time codes, passkeys, recovery codes, the queue in which passwords are hashed, and the throttle in
front of what can be guessed. Leaves to sso which of them a sign-in needs, to `citizens.assurance` what they are worth.
"""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from idp.citizens.models import Passkey, PasswordCredential, RecoveryCode, RecoverySheet, TotpCredential
from idp.core.database import db
from idp.core.levels import Method


def means_of(citizen_id: UUID, *, even_disabled: bool = False) -> frozenset[Method]:
    """Return the methods a citizen can use now: set up, confirmed and not disabled.

    `even_disabled` counts what too many wrong guesses have disabled, too: it still guards the account, or whoever has
    the password alone would guess wrongly until nothing else is asked for.

    Leaves no transaction open that was not open before, so that a statement of the hot path may follow.
    """
    is_alone = not db.session().in_transaction()
    password = sa.exists().where(
        PasswordCredential.citizen_id == citizen_id, _is_counted(PasswordCredential.disabled_at, even_disabled)
    )
    code = sa.exists().where(
        TotpCredential.citizen_id == citizen_id,
        TotpCredential.confirmed_at.is_not(None),
        _is_counted(TotpCredential.disabled_at, even_disabled),
    )
    passkey = sa.exists().where(Passkey.citizen_id == citizen_id, Passkey.ended_at.is_(None))
    is_device_bound = sa.and_(Passkey.is_backup_eligible.is_(False), Passkey.copied_at.is_(None))
    recovery = sa.exists().where(
        RecoverySheet.citizen_id == citizen_id,
        _is_counted(RecoverySheet.disabled_at, even_disabled),
        RecoveryCode.citizen_id == RecoverySheet.citizen_id,
        RecoveryCode.used_at.is_(None),
    )
    has = db.session.execute(
        sa.select(password, code, passkey.where(is_device_bound), passkey.where(sa.not_(is_device_bound)), recovery)
    ).one()
    if is_alone:
        db.session.commit()
    methods = (Method.PASSWORD, Method.ONE_TIME_CODE, Method.HARDWARE_KEY, Method.SOFTWARE_KEY, Method.RECOVERY)
    return frozenset(method for method, is_usable in zip(methods, has, strict=True) if is_usable)


def _is_counted(disabled_at: Any, even_disabled: bool) -> sa.ColumnElement[bool]:  # noqa: FBT001
    return sa.or_(disabled_at.is_(None), sa.literal(even_disabled))
