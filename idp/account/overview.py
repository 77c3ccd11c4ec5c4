"""Who is signed in, in the words of the first page."""

from dataclasses import dataclass, field
from datetime import datetime

from idp.citizens import assurance, claims
from idp.citizens.credentials import means_of
from idp.citizens.models import Citizen
from idp.core.database import db
from idp.core.keyring import Keyring
from idp.core.levels import Level
from idp.oidc.decoupled import pending
from idp.sso.situation import Standing

# So much of a number tells its owner which one it is, and nobody else what it is: year, sex and province stay hidden.
_SHOWN_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first page says. `account_level` is the highest the account can reach, `level` that of this sign-in."""

    full_name: str = field(repr=False)
    number: str = field(repr=False)
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
    profile = claims.open_profile(citizen.profile, citizen.id, keyring)
    account_level = _reachable(citizen)
    waiting = sum(pending.count_open(citizen.id).values())
    db.session.rollback()
    [number] = claims.display("identification_number", profile.number, language="vi")
    return Overview(profile.full_name, number.text, account_level, standing.level, standing.authenticated_at, waiting)


def _reachable(citizen: Citizen) -> Level:
    return assurance.reachable(citizen.proofing, citizen.registry_status, means_of(citizen.id))
