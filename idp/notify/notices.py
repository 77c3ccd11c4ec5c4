"""What citizens are told of, and the owing of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID

from idp.core import clock
from idp.core.database import db
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.notify.channels import Channel
from idp.notify.models import NoticeState, OwedNotice, facts_place, recipient_place

Fact: TypeAlias = str | Mapping[str, str]

KEPT = timedelta(days=30)
"""How long it can be read how it went."""
INVITATION_PATH: Final = "/console/invitation"
"""Where the link of an invitation leads; its secret follows."""


class Notice(StrEnum):
    """Every kind of notice. Its words are `notice.<kind>.subject`, `.what` and `.advice` in the catalogues.

    NEW_DEVICE has the facts `agency` and `device`, NEW_AGENCY has `agency`, both the `session` they tell of (never in
    words); RECOVERY_CODE_USED has `left` (how many codes remain), CLOSING_ASKED and CLOSING_SOON have the `day`; what
    happened at a counter has `counter` and `reference`, HELPED the `agency` besides; what is about one identity
    provider has `provider`; STAFF_INVITED has the `role` offered and the secret of the `invitation`; the others have
    none. Agency, counter and provider are names by language, because the language is chosen when the notice is sent.
    ACCOUNT_LOCKED is the citizen's own act, ACCOUNT_STOPPED the register's
    word, ACCOUNT_BLOCKED the operator's.
    """

    NEW_DEVICE = "new-device"
    NEW_AGENCY = "new-agency"
    PASSWORD_DISABLED = "password-disabled"  # noqa: S105 (a kind of notice)
    CODES_DISABLED = "codes-disabled"
    ACCOUNT_OPENED = "account-opened"
    ENROLMENT_REPEATED = "enrolment-repeated"
    ENROLMENT_ANSWERED = "enrolment-answered"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"
    ACCOUNT_LOCKED = "account-locked"
    ACCOUNT_STOPPED = "account-stopped"
    ACCOUNT_BLOCKED = "account-blocked"
    ACCOUNT_UNBLOCKED = "account-unblocked"
    LEVEL_CHANGED = "level-changed"
    NUMBER_REPLACED = "number-replaced"
    CLOSING_ASKED = "closing-asked"
    CLOSING_SOON = "closing-soon"
    RIGHTS_ANSWERED = "rights-answered"
    LEVEL_RAISED = "level-raised"
    REPLACEMENT_BEGUN = "replacement-begun"
    REPLACEMENT_DONE = "replacement-done"
    UNLOCKED = "unlocked"
    MANDATE_MADE = "mandate-made"
    MANDATE_ENDED = "mandate-ended"
    HELPED = "helped"
    APP_ADDED = "app-added"
    APP_REMOVED = "app-removed"
    RECOVERY_CODES_MADE = "recovery-codes-made"
    RECOVERY_CODES_REMOVED = "recovery-codes-removed"
    RECOVERY_CODES_DISABLED = "recovery-codes-disabled"
    RECOVERY_CODE_USED = "recovery-code-used"
    SMS_USED = "sms-used"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105
    CONTACT_ADDED = "contact-added"
    CONTACT_CHANGED = "contact-changed"
    CONTACT_REMOVED = "contact-removed"
    PROVIDER_USED = "provider-used"
    PROVIDER_BLOCKED = "provider-blocked"
    PROVIDER_ALLOWED = "provider-allowed"
    NEW_PROVIDERS_BLOCKED = "new-providers-blocked"
    NEW_PROVIDERS_ALLOWED = "new-providers-allowed"
    STAFF_INVITED = "staff-invited"

    @property
    def is_for_all_contacts(self) -> bool:
        """Tell whether it goes wherever the citizen can be reached: whoever took over the account may have the one."""
        return self not in (Notice.NEW_DEVICE, Notice.NEW_AGENCY)


# The same as `owe`, for a change of the hot path: it takes the parameters of `owed`, and ends with a condition.
INSERT_NOTICE = """
    INSERT INTO notice (id, citizen_id, kind, facts, state, attempts, created_at, due_at, expires_at)
    SELECT :notice_id, :citizen_id, :notice_kind, :notice_facts, 'pending', 0, {now}, {now}, {after_notice_kept}
    """


@dataclass(frozen=True, slots=True)
class Addressee:
    """An address that is no contact of an account, and the language its owner reads."""

    channel: Channel
    address: str = field(repr=False)
    language: str


@dataclass(frozen=True, slots=True)
class Former(Addressee):
    """An address that is no longer the citizen's contact, and the language they read."""


def owe(citizen_id: UUID | None, kind: Notice, *, keyring: Keyring, to: Addressee | None = None, **facts: Fact) -> None:
    """Add a notice to the caller's unit of work: one INSERT, committed with the act or not at all.

    It goes to the proven contacts of the account as they are when it is sent, or to the one address `to`, which alone
    reaches somebody without an account (`citizen_id` None).
    """
    notice_id, now = new_id(), clock.now()
    db.session.add(
        OwedNotice(
            id=notice_id,
            citizen_id=citizen_id,
            kind=kind.value,
            facts=_sealed(facts, notice_id, keyring),
            recipient=None if to is None else keyring.seal(to.address, recipient_place(notice_id)),
            channel=None if to is None else to.channel.value,
            language=None if to is None else to.language,
            state=NoticeState.PENDING,
            attempts=0,
            created_at=now,
            # At once, although the clock of SQLite, by which it is found due, knows no fractions of a millisecond.
            due_at=now - timedelta(milliseconds=1),
            expires_at=now + KEPT,
        )
    )


def owed(kind: Notice, facts: Mapping[str, Fact], *, keyring: Keyring) -> dict[str, object]:
    """Return the parameters of INSERT_NOTICE, but for `citizen_id`: a notice to the proven contacts of an account."""
    notice_id = new_id()
    return {
        "notice_id": notice_id,
        "notice_kind": kind.value,
        "notice_facts": _sealed(facts, notice_id, keyring),
        "notice_kept": int(KEPT.total_seconds()),
    }


def _sealed(facts: Mapping[str, Fact], notice_id: UUID, keyring: Keyring) -> str:
    return keyring.seal(json.dumps(facts, ensure_ascii=False), facts_place(notice_id))
