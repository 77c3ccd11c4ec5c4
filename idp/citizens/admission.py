"""Making the account of somebody whom a provider of identities has named and the register knows.

`enrolment` does the same for documents of operators. Nobody typed a password here: the account has no credentials of
its own until its citizen makes some.
"""

from datetime import datetime

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens import person_key
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.claims import Profile
from idp.citizens.lookup import new_number
from idp.citizens.models import Citizen, CitizenState
from idp.citizens.verification import Said, keep_profile, settle
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring


def admit(profile: Profile, said: Said, *, is_bound: bool, keyring: Keyring, now: datetime) -> Citizen:
    """Add the account of the person of `profile`, whom the register has confirmed; the caller commits.

    `is_bound` tells that the provider tied the living person to the record. Events: citizen enrolled.
    """
    citizen_id = new_id()
    citizen = Citizen(
        id=citizen_id,
        state=CitizenState.ACTIVE,
        proofing=Proofing.BOUND if is_bound else Proofing.MATCHED,
        registry_status=RegistryStatus.PENDING,
        data_key=person_key.new(citizen_id, keyring),
        profile="",
        created_at=now,
        updated_at=now,
    )
    db.session.add(citizen)
    db.session.flush()
    db.session.add(new_number(citizen.id, profile.scheme, profile.number, keyring=keyring, now=now))
    db.session.flush()
    outcome, settled = settle(citizen, profile, said, keyring=keyring, now=now)
    keep_profile(citizen, settled, before=None, keyring=keyring, now=now)
    record(db.session, Event.CITIZEN_ENROLLED, citizen_id=citizen.id, outcome=outcome.value)
    return citizen


def correct(
    citizen: Citizen, before: Profile, profile: Profile, said: Said, *, keyring: Keyring, now: datetime
) -> None:
    """Bring an account to a name or birth date that the register has confirmed; the caller commits.

    Events: citizen updated.
    """
    merged = Profile({**before.claims, **profile.claims}, profile.birth)
    outcome, settled = settle(citizen, merged, said, keyring=keyring, now=now)
    keep_profile(citizen, settled, before=before, keyring=keyring, now=now)
    citizen.proofing = max(citizen.proofing, Proofing.MATCHED)
    record(db.session, Event.CITIZEN_UPDATED, citizen_id=citizen.id, outcome=outcome.value)
