"""Whoever a provider has brought before, and about whom nothing has changed: known by one statement, noted by another.

Decides only that all is as it was, by the rules of `reconcile` and `say`; whatever is new or unusual is left to
`reconcile`, which looks at everything and says what is wrong. That is nearly every sign-in by a provider, and over the
ORM it cost three times what the rest of the return does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from idp.audit.events import Event
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.claims import open_profile
from idp.citizens.lookup import number_index
from idp.citizens.models import CitizenState
from idp.citizens.person_key import PersonKey
from idp.core.database import HotPath, Query, as_instant, as_uuid
from idp.core.ids import new_id
from idp.core.keyring import Keyring
from idp.upstream.login import Found, Journey
from idp.upstream.reconcile import accepted_detail, is_as_known, session_values, subject_index
from idp.upstream.record import Provider
from idp.upstream.refusal import DONE
from idp.upstream.say import Say

# Without a row where the number is another's than the subject's, or one of them is new.
READ_FAMILIAR = Query(
    """
    SELECT z.id AS citizen_id, z.version, z.state, z.proofing, z.registry_status, z.data_key, z.profile, {now} AS now,
        (SELECT c.is_allowed FROM provider_choice c WHERE c.citizen_id = z.id AND c.provider_id = :provider_id)
            AS is_allowed,
        (SELECT o.are_allowed FROM other_providers o WHERE o.citizen_id = z.id) AS are_others_allowed
    FROM upstream_identity i
    JOIN citizen_number n ON n.index_key_id = :key_id AND n.number_index = :number_index AND n.citizen_id = i.citizen_id
    JOIN citizen z ON z.id = i.citizen_id
    WHERE i.provider_id = :provider_id AND i.subject_index = :subject_index
    """
)
# Parts of the change that opens the session; they take the parameters of `noted` and those of the session.
NOTE = (
    """
    UPDATE upstream_identity SET last_used_at = :now
    WHERE provider_id = :provider_id AND subject_index = :subject_index AND {if_first}
    """,
    "UPDATE upstream_login SET outcome = :login_outcome WHERE id = :login_id AND {if_first}",
    """
    INSERT INTO upstream_session (session_id, provider_id, subject_index, sid_digest, id_token, expires_at)
    SELECT :session_id, :provider_id, :subject_index, :sid_digest, :id_token, :noted_until WHERE {if_first}
    """,
    """
    INSERT INTO audit_event (id, at, name, citizen_id, session_id, outcome, reference, detail)
    SELECT :accepted_id, :now, :accepted_name, :citizen_id, :session_id, :outcome, :reference, :accepted_detail
    WHERE {if_first}
    """,
)


@dataclass(frozen=True, slots=True)
class Familiar:
    """A citizen as the provider's answer found them: true only as long as the account is at `version`."""

    citizen_id: UUID
    version: int
    proofing: Proofing
    registry_status: RegistryStatus
    now: datetime


def recognise(found: Found, *, provider: Provider, keyring: Keyring, hot_path: HotPath) -> Familiar | None:
    """Return the citizen whom `provider` named, if it has before and all is as it was then; None where it has to be
    looked at.

    The account is active and confirmed by the register, name and birth date are its own, and the citizen lets the
    provider in. Indexes under former keys are left to `reconcile` too.
    """
    index = number_index(found.person.scheme, found.person.number, keyring=keyring)
    row = hot_path.one(
        READ_FAMILIAR,
        {
            "provider_id": provider.id,
            "subject_index": subject_index(provider, found.asserted.subject, keyring=keyring),
            "key_id": index.key_id,
            "number_index": index.value,
        },
    )
    if row is None or row["state"] != CitizenState.ACTIVE:
        return None
    citizen_id, status = as_uuid(row["citizen_id"]), RegistryStatus(row["registry_status"])
    named = {} if row["is_allowed"] is None else {provider.id: bool(row["is_allowed"])}
    others = row["are_others_allowed"] is None or bool(row["are_others_allowed"])
    known = open_profile(row["profile"], PersonKey(citizen_id, row["data_key"], keyring))
    if not Say(named, others, {}).allows(provider.id) or not is_as_known(found.person.profile(), known, status):
        return None
    return Familiar(citizen_id, row["version"], Proofing(row["proofing"]), status, as_instant(row["now"]))


def noted(
    found: Found, session_id: UUID, *, now: datetime, journey: Journey, provider: Provider, keyring: Keyring
) -> Mapping[str, object]:
    """Return the parameters of NOTE. Events: accepted."""
    values = session_values(found, session_id, provider=provider, keyring=keyring, now=now)
    return {
        **values,
        "noted_until": values["expires_at"],
        "login_id": journey.id,
        "login_outcome": DONE,
        "accepted_id": new_id(),
        "accepted_name": Event.UPSTREAM_ACCEPTED.value,
        "accepted_detail": json.dumps(accepted_detail(found, provider), separators=(",", ":"), sort_keys=True),
    }
