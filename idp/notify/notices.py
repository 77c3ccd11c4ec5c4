"""What citizens are told of, and the owing of it."""

import json
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.notify.models import NoticeState, OwedNotice, facts_place

Fact: TypeAlias = str | Mapping[str, str]

KEPT = timedelta(days=30)
"""How long it can be read how it went."""


class Notice(StrEnum):
    """Every kind of notice. Its words are `notice.<kind>.subject`, `.what` and `.advice` in the catalogues.

    NEW_DEVICE has the facts `agency` and `device`, NEW_AGENCY has `agency`; the others have none. An agency
    is its name by language, because the language is chosen when the notice is sent.
    """

    NEW_DEVICE = "new-device"
    NEW_AGENCY = "new-agency"
    PASSWORD_DISABLED = "password-disabled"  # noqa: S105 (a kind of notice)
    CODES_DISABLED = "codes-disabled"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"


def owe(citizen_id: UUID, kind: Notice, *, keyring: Keyring, **facts: Fact) -> None:
    """Add a notice to the caller's unit of work: one INSERT, committed with the act or not at all."""
    notice_id, now = new_id(), clock.now()
    db.session.add(
        OwedNotice(
            id=notice_id,
            citizen_id=citizen_id,
            kind=kind.value,
            facts=keyring.seal(json.dumps(facts, ensure_ascii=False), facts_place(notice_id)),
            state=NoticeState.PENDING,
            attempts=0,
            created_at=now,
            due_at=now,
            expires_at=now + KEPT,
        )
    )
