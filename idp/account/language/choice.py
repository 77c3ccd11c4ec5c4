"""Choosing the language of an account."""

from uuid import UUID

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.claims import Profile, profile_of
from idp.citizens.models import Citizen
from idp.citizens.verification import keep_profile
from idp.core.database import database_now, db
from idp.core.keyring import Keyring


def choose(citizen_id: UUID, language: str, *, session_id: UUID, keyring: Keyring) -> None:
    """Make `language` the citizen's, and the claim `locale` with it; commit. Events: citizen updated, on a change."""
    citizen = db.session.get_one(Citizen, citizen_id, with_for_update=True, populate_existing=True)
    before = profile_of(citizen, keyring)
    chosen = Profile({**before.claims, "locale": language}, before.birth)
    if keep_profile(citizen, chosen, before=before, keyring=keyring, now=database_now()):
        detail = {"language": language}
        record(db.session, Event.CITIZEN_UPDATED, citizen_id=citizen_id, session_id=session_id, detail=detail)
    db.session.commit()
