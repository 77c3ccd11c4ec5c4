"""Telling a client through the citizen's browser (OpenID Connect Front-Channel Logout 1.0).

A page of ours holds one frame for each client. Whether the frame did anything nobody tells us: a browser may keep the
client's cookies from it, so a client that can should register a back-channel address instead.
"""

from urllib.parse import urlencode
from uuid import UUID

from idp.agencies.clients import Client
from idp.oidc.sid import sid_of
from idp.sso.services import Services


def frame_address(session_id: UUID, client: Client, *, provider: Services) -> str | None:
    """Return what the client's frame loads: its address and query as registered, with `iss` and `sid` (2, 3)."""
    registered = client.frontchannel_logout_uri
    if registered is None:
        return None
    added = urlencode({"iss": provider.settings.issuer, "sid": sid_of(session_id, client, provider.keyring)})
    return f"{registered}{'&' if '?' in registered else '?'}{added}"
