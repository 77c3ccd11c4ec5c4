"""Codes that prove an address, and the owing of the message that brings one.

Beside the notices in the same outbox, and sent before them by a runner of their own: somebody is looking at a page that
waits for the code. A message whose code is over is dropped, for a code that comes late is tried and fails.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from idp.core import runner
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.notify.channels import Channel
from idp.notify.models import NoticeState, OwedNotice, facts_place, recipient_place

RUNNER: Final = "codes"
"""Name of the deliveries of codes."""
NOBODY: Final = "nobody"
_PREFIX: Final = "code-"
_KEPT: Final = timedelta(days=30)


class CodePurpose(StrEnum):
    """What the code is for, told in the message: `code.for.<purpose>` in the catalogues."""

    ENROL = "enrol"
    CHANGE = "change"
    RESET = "reset"
    SECOND_FACTOR = "second-factor"


def purpose_of(kind: str) -> CodePurpose:
    """Return the purpose in the kind of a row. Raises ValueError for a kind that is none."""
    if not kind.startswith(_PREFIX):
        raise ValueError("not a kind of code")
    return CodePurpose(kind.removeprefix(_PREFIX))


def owe(
    code: str,
    purpose: CodePurpose,
    *,
    channel: Channel,
    to: str | None,
    language: str,
    citizen_id: UUID | None,
    agency: Mapping[str, str] | None,
    now: datetime,
    stale_at: datetime,
    keyring: Keyring,
) -> None:
    """Add the message that brings `code` to the caller's unit of work; `wake` once it is committed.

    `agency` is the name of where the person is, by language. Without an address (`to` None) the same row is written
    and nothing is sent, so that nobody sees by the time it takes whether there was one.
    """
    message_id = new_id()
    facts = {"code": code} if agency is None else {"code": code, "agency": dict(agency)}
    sealed = keyring.seal(json.dumps(facts, ensure_ascii=False), facts_place(message_id))
    recipient = keyring.seal(to or NOBODY, recipient_place(message_id))
    db.session.add(
        OwedNotice(
            id=message_id,
            citizen_id=citizen_id,
            kind=f"{_PREFIX}{purpose}",
            facts="" if to is None else sealed,
            recipient=None if to is None else recipient,
            channel=channel.value,
            language=language,
            state=NoticeState.NOT_SENT if to is None else NoticeState.PENDING,
            outcome=NOBODY if to is None else None,
            attempts=0,
            created_at=now,
            # A clock of milliseconds must find it at once, or the runner that is woken goes back to sleep.
            due_at=None if to is None else now - timedelta(milliseconds=1),
            stale_at=stale_at,
            finished_at=now if to is None else None,
            expires_at=now + _KEPT,
        )
    )


def wake() -> None:
    """Let the runner of this process send what was just committed."""
    runner.wake(RUNNER)
