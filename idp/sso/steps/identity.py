"""Is the citizen still who the national register says? Settled without a page."""

from idp.citizens import verification
from idp.citizens.assurance import RegistryStatus
from idp.core import errors
from idp.core.settings import Settings
from idp.sso.situation import Situation
from idp.sso.steps import Refusal, RegistryDue

_REFUSALS = {
    RegistryStatus.DECEASED: errors.ACCOUNT_UNUSABLE,
    RegistryStatus.LOCKED: errors.ACCOUNT_UNUSABLE,
    # The register knows this number under another one that it did not name: a counter has to look.
    RegistryStatus.REPLACED: errors.ACCOUNT_UNUSABLE,
    RegistryStatus.MISMATCH: errors.IDENTITY_UNCONFIRMED,
    RegistryStatus.NOT_FOUND: errors.IDENTITY_UNCONFIRMED,
    RegistryStatus.PENDING: errors.REGISTRY_SILENT,
}


def need(situation: Situation, settings: Settings) -> RegistryDue | Refusal | None:
    """Tell whether the register's last answer is too old, or forbids to go on.

    While the register is silent an account keeps the level already proven; one that never matched stays outside.
    """
    standing = situation.standing
    if standing is None:
        return None
    if verification.is_due(
        standing.registry_checked_at, standing.registry_asked_at, settings=settings, now=standing.now
    ):
        return RegistryDue()
    refused = _REFUSALS.get(RegistryStatus(standing.registry_status))
    return None if refused is None else Refusal(refused)
