"""Credentials: how a citizen proves to be the same person as before.

Owns passwords, one-time codes, passkeys, the queue in which passwords are hashed, and the throttle in front of what
can be guessed. Leaves to sso which of them a sign-in needs, to `citizens.assurance` what they are worth.
"""

from uuid import UUID

import sqlalchemy as sa

from idp.citizens.models import Passkey, PasswordCredential, TotpCredential
from idp.core.database import db
from idp.core.levels import Method


def means_of(citizen_id: UUID) -> frozenset[Method]:
    """Return the methods a citizen can use now: set up, confirmed and not disabled.

    Leaves no transaction open that was not open before, so that a statement of the hot path may follow.
    """
    is_alone = not db.session().in_transaction()
    password = sa.exists().where(PasswordCredential.citizen_id == citizen_id, PasswordCredential.disabled_at.is_(None))
    code = sa.exists().where(
        TotpCredential.citizen_id == citizen_id,
        TotpCredential.confirmed_at.is_not(None),
        TotpCredential.disabled_at.is_(None),
    )
    passkey = sa.exists().where(Passkey.citizen_id == citizen_id, Passkey.ended_at.is_(None))
    is_device_bound = sa.and_(Passkey.is_backup_eligible.is_(False), Passkey.copied_at.is_(None))
    has = db.session.execute(
        sa.select(password, code, passkey.where(is_device_bound), passkey.where(sa.not_(is_device_bound)))
    ).one()
    if is_alone:
        db.session.commit()
    methods = (Method.PASSWORD, Method.ONE_TIME_CODE, Method.HARDWARE_KEY, Method.SOFTWARE_KEY)
    return frozenset(method for method, is_usable in zip(methods, has, strict=True) if is_usable)
