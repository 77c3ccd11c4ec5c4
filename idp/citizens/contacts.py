"""Where a citizen is reached: the contact data of the sealed profile, as far as they were proven."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from idp.citizens.claims import open_profile
from idp.citizens.person_key import PersonKey
from idp.core import i18n
from idp.core.database import HotPath, Query
from idp.core.keyring import Keyring
from idp.notify.channels import Channel
from idp.notify.deliveries import Contact

CLAIMS: Final[Mapping[Channel, tuple[str, str]]] = {
    Channel.MAIL: ("email", "email_verified"),
    Channel.SMS: ("phone_number", "phone_number_verified"),
}
"""The claims of each channel: the address, and whether it was proven."""

READ_CONTACT = Query("SELECT profile, data_key, locale, notices_by_sms FROM citizen WHERE id = :citizen_id")


def proven(claims: Mapping[str, Any], channel: Channel) -> str | None:
    """Return the proven address on `channel` in the claims of a profile, None without one."""
    address, is_proven = CLAIMS[channel]
    return claims.get(address) if claims.get(is_proven) is True else None


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
        if row is None or not row["profile"]:
            # Nobody, or somebody who closed the account.
            return None
        claims = open_profile(row["profile"], PersonKey(citizen_id, row["data_key"], self._keyring)).claims
        return Contact(
            mail=proven(claims, Channel.MAIL),
            phone=proven(claims, Channel.SMS),
            by_sms=bool(row["notices_by_sms"]),
            language=i18n.negotiate(chosen=row["locale"], default=self._default_language),
        )
