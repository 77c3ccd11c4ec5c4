"""The claims about a person as UserInfo and the ID token carry them: plain ones, and verified ones where asked for."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from idp.agencies.clients import Client
from idp.citizens import claims, verified_claims
from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.claims import Profile
from idp.citizens.person_key import PersonKey
from idp.citizens.verified_claims import Verification, Wish
from idp.core.database import Row, as_instant, split_words
from idp.core.scopes import claims_of
from idp.oidc.statements import READ_VERIFICATION
from idp.sso.services import Services


def allowed(agreed: str, client: Client) -> Sequence[str]:
    """Return what of the `agreed` claims may still be sent, in the form they are kept.

    No more than the client may have today: a scope can be taken from it while its tokens live.
    """
    return tuple(verified_claims.narrowed(split_words(agreed), claims_of(client.scopes)))


def of(citizen_id: UUID, sealed: Row, words: Sequence[str], client: Client, *, provider: Services) -> dict[str, Any]:
    """Return the claims of `words` this person has; `sealed` has their `profile` and `data_key`.

    How far they are verified is read only for a client that asks. Raises SealBroken.
    """
    profile = claims.open_profile(sealed["profile"], PersonKey(citizen_id, sealed["data_key"], provider.keyring))
    released = claims.release(profile, words)
    wishes = verified_claims.wishes(words)
    elements = _verified(citizen_id, profile, wishes, client, provider) if wishes else []
    if elements:
        released["verified_claims"] = elements[0] if len(elements) == 1 else elements
    return released


def _verified(
    citizen_id: UUID, profile: Profile, wishes: list[Wish], client: Client, provider: Services
) -> list[dict[str, Any]]:
    row = provider.hot_path.one(READ_VERIFICATION, {"citizen_id": citizen_id})
    if row is None:
        return []
    checked_at = row["registry_checked_at"]
    verification = Verification(
        Proofing(row["proofing"]),
        RegistryStatus(row["registry_status"]),
        None if checked_at is None else as_instant(checked_at),
    )
    told = (
        verified_claims.fulfil(wish, profile, verification, client_id=client.client_id, keyring=provider.keyring)
        for wish in wishes
    )
    return [element for element in told if element is not None]
