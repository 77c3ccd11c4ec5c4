"""Who is signed in, in the words of the first page."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from idp.citizens import assurance, claims, person_key
from idp.citizens.assurance import Proofing
from idp.citizens.credentials import means_of
from idp.citizens.models import Citizen, CitizenNumber, number_place
from idp.core.database import db
from idp.core.keyring import Keyring
from idp.core.levels import Level
from idp.oidc.decoupled import pending
from idp.sso.situation import Standing

# So much of a number tells its owner which one it is, and nobody else what it is: year, sex and province stay hidden.
_SHOWN_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first page says.

    `proofing` is how far the identity is proven, `account_level` the highest the account can reach, `level` that of
    this sign-in.
    """

    full_name: str = field(repr=False)
    number: str = field(repr=False)
    proofing: Proofing
    account_level: Level
    level: Level
    signed_in_at: datetime
    waiting: int

    @property
    def number_end(self) -> str:
        """Return the last digits of the number."""
        return self.number[-_SHOWN_DIGITS:]


def read(standing: Standing, *, keyring: Keyring) -> Overview:
    """Return the overview for the citizen of `standing`."""
    citizen = db.session.get_one(Citizen, standing.citizen_id)
    profile = claims.profile_of(citizen, keyring)
    account_level = _reachable(citizen)
    waiting = sum(pending.count_open(citizen.id).values())
    db.session.rollback()
    [number] = claims.display("identification_number", profile.number, language="vi")
    return Overview(
        profile.full_name,
        number.text,
        citizen.proofing,
        account_level,
        standing.level,
        standing.authenticated_at,
        waiting,
    )


def former_numbers(citizen_id: UUID, *, keyring: Keyring) -> list[tuple[str, datetime]]:
    """Return the numbers the citizen had before, as people read them, and since when they are former; newest first."""
    rows = db.session.scalars(
        sa.select(CitizenNumber)
        .where(CitizenNumber.citizen_id == citizen_id, CitizenNumber.valid_to.is_not(None))
        .order_by(CitizenNumber.valid_to.desc())
    ).all()
    key = person_key.read(citizen_id, keyring=keyring) if rows else None
    found = []
    for row in rows:
        assert key is not None
        assert row.valid_to is not None
        number = key.unseal(row.number, number_place(row.id))
        [shown] = claims.display("identification_number", number, language="vi")
        found.append((shown.text, row.valid_to))
    db.session.rollback()
    return found


def _reachable(citizen: Citizen) -> Level:
    return assurance.reachable(citizen.proofing, citizen.registry_status, means_of(citizen.id))
