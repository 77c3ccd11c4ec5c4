"""The name of a session towards one client: `sid` (OpenID Connect Front-Channel Logout 1.0, 3).

Computed, never stored, and another one for each client: two agencies that compare their `sid` learn as little about
their common visitors as two that compare their `sub`.
"""

import base64
from uuid import UUID

from idp.agencies.clients import Client
from idp.core.keyring import Keyring, Purpose

# No message of `citizens.subjects.derive` begins like this: its first four bytes are the length of a sector.
_PREFIX = b"sid:"


def sid_of(session_id: UUID, client: Client, keyring: Keyring) -> str:
    """Return the `sid` of a session for `client`: 43 base64url characters, the same in ID token and logout.

    A new subject key gives open sessions a new `sid`; a logout that names `sub` as well still finds them.
    """
    mac = keyring.hmac(Purpose.SUBJECT, _PREFIX + session_id.bytes + client.id.bytes)
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
