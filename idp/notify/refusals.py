"""The link in a notice by which its reader says "that was not me", without signing in.

    ISSUER/not-me/ base64url(key of the notice, HMAC of it)

Nothing is stored for it: the HMAC proves that the link is ours, the notice's row says whom and what it is about, and
ends with it after 30 days. Whoever holds the link can only make an account safer; it shows nothing that the mail did
not say, and signs nobody in.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Final
from uuid import UUID

from idp.core.database import database_now, db
from idp.core.keyring import Keyring, Purpose
from idp.notify.models import OwedNotice, facts_place
from idp.notify.notices import Notice

PATH: Final = "/not-me"
NOBODYS_ACT: Final = frozenset(
    {
        Notice.ENROLMENT_ANSWERED,
        Notice.ACCOUNT_BLOCKED,
        Notice.ACCOUNT_STOPPED,
        Notice.ACCOUNT_UNBLOCKED,
        Notice.LEVEL_CHANGED,
        Notice.NUMBER_REPLACED,
        Notice.RIGHTS_ANSWERED,
        Notice.STAFF_INVITED,
    }
)
"""Kinds that tell of what the register, an office or a colleague did: there is nothing to disown."""
_KEY_LENGTH = 16
_TOKEN = re.compile(r"[A-Za-z0-9_-]{64}")


@dataclass(frozen=True, slots=True)
class Refusable:
    """The notice of a link. `session_id` is the sign-in it tells of, None for an act on the account."""

    id: UUID
    citizen_id: UUID
    kind: Notice
    session_id: UUID | None
    at: datetime
    language: str | None


def link(notice_id: UUID, *, issuer: str, keyring: Keyring) -> str:
    """Return the link for a notice: the same however often its mail is made."""
    token = urlsafe_b64encode(notice_id.bytes + _mac(notice_id, keyring, None)).decode()
    return f"{issuer}{PATH}/{token}"


def find(token: str, *, keyring: Keyring) -> Refusable | None:
    """Return the notice of a link, None when the link is not ours or its time is over."""
    # Strictly: one notice has one link, and not also those with signs in it that a decoder would skip.
    if not _TOKEN.fullmatch(token):
        return None
    raw = urlsafe_b64decode(token)
    notice_id = UUID(bytes=raw[:_KEY_LENGTH])
    # Every key there is: a rotation must not take the links out of mails that are on their way.
    macs = [_mac(notice_id, keyring, key_id) for key_id in keyring.key_ids(Purpose.FORM)]
    if not any(compare_digest(mac, raw[_KEY_LENGTH:]) for mac in macs):
        return None
    row = db.session.get(OwedNotice, notice_id, populate_existing=True)
    now = database_now()
    db.session.rollback()
    if row is None or row.citizen_id is None or row.expires_at <= now:
        return None
    if row.kind not in {kind.value for kind in Notice}:
        return None
    kind = Notice(row.kind)
    if kind in NOBODYS_ACT:
        return None
    # Gone from a notice to an address of no account, once it went: none of those tells of a sign-in.
    session = json.loads(keyring.unseal(row.facts, facts_place(row.id))).get("session") if row.facts else None
    return Refusable(row.id, row.citizen_id, kind, UUID(session) if session else None, row.created_at, row.language)


def _mac(notice_id: UUID, keyring: Keyring, key_id: str | None) -> bytes:
    return keyring.hmac(Purpose.FORM, b"not me " + notice_id.bytes, key_id=key_id)
