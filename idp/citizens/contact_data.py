"""A citizen's own contact data: what the account knows, and its change by somebody who proved the new address.

Owns that a change tells everybody who could be the owner: all proven contacts, and the one that went. Leaves the proof
to `contact_proofs`, and ending other sessions to sso.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from uuid import UUID

from idp.audit.events import Event
from idp.audit.record import record
from idp.citizens.claims import Profile, profile_of
from idp.citizens.contacts import CLAIMS, proven
from idp.citizens.models import Citizen
from idp.citizens.verification import keep_profile
from idp.core.database import database_now, db
from idp.core.keyring import Keyring
from idp.notify import notices
from idp.notify.channels import Channel
from idp.notify.notices import Former, Notice


class Change(Enum):
    """What became of the contact on one channel. After CHANGED and REMOVED the caller ends the other sessions."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    SAME = "same"


_EVENTS = {
    Change.ADDED: (Event.CONTACT_ADDED, Notice.CONTACT_ADDED),
    Change.CHANGED: (Event.CONTACT_CHANGED, Notice.CONTACT_CHANGED),
    Change.REMOVED: (Event.CONTACT_REMOVED, Notice.CONTACT_REMOVED),
}


@dataclass(frozen=True, slots=True)
class Known:
    """What an account knows on one channel. An address that nobody proved is used for nothing."""

    channel: Channel
    address: str = field(repr=False)
    is_proven: bool


def known(citizen_id: UUID, *, keyring: Keyring) -> tuple[dict[Channel, Known], bool]:
    """Return the contact data of a citizen by channel, and whether notices go by text message."""
    citizen = db.session.get_one(Citizen, citizen_id)
    claims = profile_of(citizen, keyring).claims
    by_sms = citizen.notices_by_sms
    db.session.rollback()
    found = {
        channel: Known(channel, claims[name], claims.get(is_proven) is True)
        for channel, (name, is_proven) in CLAIMS.items()
        if claims.get(name)
    }
    return found, by_sms


def keep(citizen_id: UUID, channel: Channel, address: str, *, language: str, keyring: Keyring) -> Change:
    """Make a proven `address` the contact of a citizen on its channel; the caller commits.

    `language` is that of the notice to a former address.
    """
    name, is_proven = CLAIMS[channel]
    return _change(citizen_id, channel, {name: address, is_proven: True}, language=language, keyring=keyring)


def remove(citizen_id: UUID, channel: Channel, *, language: str, keyring: Keyring) -> Change:
    """Forget the contact of a citizen on a channel, proven or not; the caller commits."""
    return _change(citizen_id, channel, {}, language=language, keyring=keyring)


def choose(citizen_id: UUID, *, by_sms: bool) -> None:
    """Let notices go by text message, or by mail; the caller commits."""
    citizen = _held(citizen_id)
    if citizen.notices_by_sms != by_sms:
        citizen.notices_by_sms = by_sms
        record(db.session, Event.CONTACT_CHOSEN, citizen_id=citizen_id, detail={"sms": by_sms})


def _change(
    citizen_id: UUID, channel: Channel, wanted: dict[str, object], *, language: str, keyring: Keyring
) -> Change:
    citizen = _held(citizen_id)
    before = profile_of(citizen, keyring)
    former = proven(before.claims, channel)
    after = _with(before, channel, wanted)
    if dict(after.claims) == dict(before.claims):
        return Change.SAME
    keep_profile(citizen, after, before=before, keyring=keyring, now=database_now())
    if not wanted and channel is Channel.SMS:
        citizen.notices_by_sms = False
    # An address that nobody had proven is not taken away from anybody.
    kind = Change.ADDED if wanted and former is None else Change.CHANGED if wanted else Change.REMOVED
    event, notice = _EVENTS[kind]
    record(db.session, event, citizen_id=citizen_id, detail={"channel": channel.value})
    notices.owe(citizen_id, notice, keyring=keyring)
    if former is not None:
        notices.owe(citizen_id, notice, keyring=keyring, to=Former(channel, former, language))
    return kind


def _with(profile: Profile, channel: Channel, wanted: dict[str, object]) -> Profile:
    kept = {name: value for name, value in profile.claims.items() if name not in CLAIMS[channel]}
    return replace(profile, claims={**kept, **wanted})


def _held(citizen_id: UUID) -> Citizen:
    return db.session.get_one(Citizen, citizen_id, with_for_update=True, populate_existing=True)
