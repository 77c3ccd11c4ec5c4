"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).

A portal's request ends nothing by itself: the citizen confirms on a page of ours, so that no foreign page can sign
somebody out. The browser is sent back only to an address that the client named by a hint signed here registered.
"""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from idp.agencies.clients import Client
from idp.core import errors
from idp.core.database import Query, as_uuid, db
from idp.core.errors import Failure
from idp.core.ids import digest
from idp.core.keyring import Keyring, Purpose
from idp.core.parameters import Parameters
from idp.keys.jose import TokenRefused
from idp.sso import session
from idp.sso.services import Services

_LONGEST_STATE = 512
_OPEN_SESSION = Query(
    "SELECT id FROM sso_session WHERE digest = :digest AND ended_at IS NULL "
    "AND idle_expires_at > {now} AND expires_at > {now}"
)


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A checked logout request. `location` is where to go afterwards, None for our own page."""

    client: Client | None
    location: str | None
    ui_locales: tuple[str, ...] = ()


def check(parameters: Parameters, *, provider: Services) -> LogoutRequest:
    """Return the checked request. Raises Failure LOGOUT_REFUSED for a foreign hint, client or address (3, 4)."""
    if parameters.repeated or len(parameters.get("state", "")) > _LONGEST_STATE:
        raise Failure(errors.LOGOUT_REFUSED)
    hint = parameters.get("id_token_hint")
    client_id = parameters.get("client_id")
    client = _client_of_hint(hint, client_id, provider) if hint is not None else None
    address = parameters.get("post_logout_redirect_uri")
    location = None
    if address is not None and hint is not None:
        if client is None or address not in client.post_logout_redirect_uris:
            raise Failure(errors.LOGOUT_REFUSED)
        location = _with_state(address, parameters.get("state"))
    # Without a hint nobody vouches for the address: the citizen is signed out and stays here.
    if client is None and client_id is not None:
        client = provider.clients.find(client_id)
    return LogoutRequest(client, location, tuple(parameters.get("ui_locales", "").split()))


def _client_of_hint(hint: str, client_id: str | None, provider: Services) -> Client:
    try:
        claims = provider.signing_keys.verify(hint, allow_expired=True)
    except TokenRefused:
        raise Failure(errors.LOGOUT_REFUSED) from None
    audience = claims.get("aud")
    named = audience[0] if isinstance(audience, list) and len(audience) == 1 else audience
    client = provider.clients.find(named) if isinstance(named, str) else None
    if client is None or claims.get("iss") != provider.settings.issuer or client_id not in (None, client.client_id):
        raise Failure(errors.LOGOUT_REFUSED)
    return client


def _with_state(address: str, state: str | None) -> str:
    if state is None:
        return address
    return f"{address}{'&' if '?' in address else '?'}state={quote(state, safe='')}"


def open_session(session_secret: str | None, *, provider: Services) -> UUID | None:
    """Return the row key of the live session this browser holds."""
    if not session_secret:
        return None
    row = provider.hot_path.one(_OPEN_SESSION, {"digest": digest(session_secret)})
    return as_uuid(row["id"]) if row is not None else None


def agencies_reached(session_id: UUID, *, provider: Services, language: str) -> list[str]:
    """Return the names of the portals this session signed in to, in order."""
    clients = (provider.clients.by_row_id(client_id) for client_id in session.clients_reached(session_id))
    names = [client.name(language) for client in clients if client is not None]
    db.session.rollback()
    return names


def end(session_id: UUID) -> None:
    """End the session and commit; its codes and access tokens stop with it."""
    session.end(session_id, reason="signed out")
    db.session.commit()


def hidden_fields(request: LogoutRequest) -> dict[str, str]:
    """Return the hidden fields of the confirmation form: whose request it is and where to go afterwards."""
    return {"client": request.client.client_id if request.client else "", "location": request.location or ""}


def form_token(fields: Mapping[str, str], keyring: Keyring) -> str:
    """Return the token that keeps the hidden fields as they were checked.

    Against a foreign page the session cookie itself protects: SameSite=Lax keeps it from cross-site posts.
    """
    message = json.dumps(["logout", fields["client"], fields["location"]]).encode()
    return urlsafe_b64encode(keyring.hmac(Purpose.FORM, message)).decode().rstrip("=")


def read_fields(form: Parameters, *, provider: Services) -> LogoutRequest:
    """Return the request that a confirmation form carries. Raises Failure FORM_EXPIRED if it is not ours."""
    fields = {"client": form.get("client", ""), "location": form.get("location", "")}
    if not hmac.compare_digest(form.get("csrf", "").encode(), form_token(fields, provider.keyring).encode()):
        raise Failure(errors.FORM_EXPIRED)
    return LogoutRequest(provider.clients.find(fields["client"]), fields["location"] or None)
