"""Where a citizen is reached: the contact data of the sealed profile, as far as they were proven."""

from uuid import UUID

from idp.citizens.claims import open_profile
from idp.core import i18n
from idp.core.database import HotPath, Query
from idp.core.keyring import Keyring
from idp.notify.deliveries import Contact

READ_CONTACT = Query("SELECT profile, locale FROM citizen WHERE id = :citizen_id")


class CitizenContacts:
    """Contacts as the accounts have them at the moment of asking."""

    def __init__(self, *, hot_path: HotPath, keyring: Keyring, default_language: str) -> None:
        self._hot_path = hot_path
        self._keyring = keyring
        self._default_language = default_language

    def of(self, citizen_id: UUID) -> Contact | None:
        """Return the contact of a citizen, whatever the state of the account: a closed door is worth a notice.

        An address that nobody proved may be a stranger's, and is not used. Raises DatabaseUnavailable, SealBroken.
        """
        row = self._hot_path.one(READ_CONTACT, {"citizen_id": citizen_id})
        if row is None:
            return None
        claims = open_profile(row["profile"], citizen_id, self._keyring).claims
        is_proven = claims.get("email_verified") is True
        return Contact(
            mail=claims.get("email") if is_proven else None,
            language=i18n.negotiate(chosen=row["locale"], default=self._default_language),
        )
