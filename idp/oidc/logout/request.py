"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).

A portal's request ends nothing by itself: the citizen confirms on a page of ours, so that no foreign page can sign
somebody out. The browser is sent back only to an address that the client named by a hint signed here registered.
"""

import json
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from idp.agencies.clients import Client
from idp.core import asked, clock, errors
from idp.core.database import Query, as_uuid, db
from idp.core.errors import Failure
from idp.core.ids import digest
from idp.core.keyring import Keyring, Place, Purpose, SealBroken
from idp.core.parameters import Parameters
from idp.keys.jose import TokenRefused
from idp.oidc import id_token
from idp.sso import session
from idp.sso.services import Services

# The parameter of our own address line that carries a checked request on.
RESUMED = "request"
_RESUMED_SECONDS = 600
_SEALED = Place("logout", "request", "")
_LONGEST_STATE = 512
_OPEN_SESSION = Query("SELECT id FROM sso_session WHERE digest = :digest AND ended_at IS NULL")
_JUST_ENDED = Query("SELECT id FROM sso_session WHERE digest = :digest AND ended_at > :since")


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A checked logout request. `address` is where to go afterwards, None for our own page."""

    client: Client | None
    address: str | None
    state: str | None = None
    ui_locales: tuple[str, ...] = ()

    @property
    def location(self) -> str | None:
        """Return the address with the portal's `state` and nothing else (RP-Initiated Logout 1.0, 3)."""
        if self.address is None or self.state is None:
            return self.address
        return f"{self.address}{'&' if '?' in self.address else '?'}state={quote(self.state, safe='')}"


def check(parameters: Parameters, *, provider: Services) -> LogoutRequest:
    """Return the checked request. Raises Failure LOGOUT_REFUSED for a foreign hint, client or address (3, 4)."""
    if parameters.repeated or len(parameters.get("state", "")) > _LONGEST_STATE:
        raise Failure(errors.LOGOUT_REFUSED)
    if (sealed := parameters.get(RESUMED)) is not None:
        return unseal(sealed, provider=provider)
    hint = parameters.get("id_token_hint")
    client_id = parameters.get("client_id")
    ui_locales = tuple(parameters.get("ui_locales", "").split())
    if hint is None:
        # Nobody vouches for an address without a hint: the citizen is signed out and stays here.
        client = provider.clients.find(client_id) if client_id is not None else None
        if client is not None:
            asked.by(client.client_id)
        return LogoutRequest(client, None, ui_locales=ui_locales)
    client = _client_of_hint(hint, client_id, provider)
    asked.by(client.client_id)
    address = parameters.get("post_logout_redirect_uri")
    if address is not None and address not in client.post_logout_redirect_uris:
        raise Failure(errors.LOGOUT_REFUSED)
    # Nobody is sent to a client that is suspended; the citizen is signed out and stays here.
    return LogoutRequest(client, address if client.is_active else None, parameters.get("state"), ui_locales)


def seal(request: LogoutRequest, keyring: Keyring) -> str:
    """Return a checked request for our own address line: sealed, so that neither hint nor state stands there."""
    document = [
        request.client.client_id if request.client else None,
        request.address,
        request.state,
        list(request.ui_locales),
        clock.epoch(clock.now()) + _RESUMED_SECONDS,
    ]
    return keyring.seal(json.dumps(document), _SEALED)


def unseal(sealed: str, *, provider: Services) -> LogoutRequest:
    """Return the request in `sealed`, its address checked anew: the record may have changed. Raises Failure."""
    try:
        client_id, address, state, ui_locales, until = json.loads(provider.keyring.unseal(sealed, _SEALED))
    except SealBroken:
        raise Failure(errors.LOGOUT_REFUSED) from None
    client = provider.clients.find(client_id) if client_id else None
    if until < clock.epoch(clock.now()):
        raise Failure(errors.LOGOUT_REFUSED)
    if address is not None and (client is None or address not in client.post_logout_redirect_uris):
        raise Failure(errors.LOGOUT_REFUSED)
    return LogoutRequest(client, address, state, tuple(ui_locales))


def _client_of_hint(hint: str, client_id: str | None, provider: Services) -> Client:
    try:
        claims = provider.signing_keys.verify(hint, typ="JWT", allow_expired=True)
    except TokenRefused:
        raise Failure(errors.LOGOUT_REFUSED) from None
    audience = claims.get("aud")
    named = audience[0] if isinstance(audience, list) and len(audience) == 1 else audience
    client = provider.clients.find(named) if isinstance(named, str) else None
    is_ours = claims.get("iss") == provider.settings.issuer and id_token.is_one(claims)
    if client is None or not is_ours or client_id not in (None, client.client_id):
        raise Failure(errors.LOGOUT_REFUSED)
    return client


def open_session(session_secret: str | None, *, provider: Services) -> UUID | None:
    """Return the row key of the session this browser holds and that was not ended yet.

    Also of one whose time is over: portals may keep theirs longer, and learn of the end only if it is asked for.
    """
    return _session(_OPEN_SESSION, session_secret, provider)


def session_just_ended(session_secret: str | None, *, provider: Services) -> UUID | None:
    """Return the row key of the session that the other half of a double click has ended."""
    return _session(_JUST_ENDED, session_secret, provider)


def _session(query: Query, session_secret: str | None, provider: Services) -> UUID | None:
    if not session_secret:
        return None
    since = clock.now() - session.DOUBLE_CLICK
    row = provider.hot_path.one(query, {"digest": digest(session_secret), "since": since})
    return as_uuid(row["id"]) if row is not None else None


def end(session_id: UUID) -> None:
    """End the session and commit; its codes and access tokens stop with it, its clients are owed a word."""
    session.end(session_id, reason="signed out")
    db.session.commit()


def form_token(sealed: str, session_secret: str | None, keyring: Keyring) -> str:
    """Return the token of the confirmation form: for this request, in the browser that holds this session."""
    return keyring.tag(Purpose.FORM, _form(sealed, session_secret))


def is_confirmed(form: Parameters, session_secret: str | None, keyring: Keyring) -> bool:
    """Tell whether a form is the one that was shown in the browser that holds this session."""
    return keyring.fits(Purpose.FORM, _form(form.get(RESUMED, ""), session_secret), form.get("csrf", ""))


def _form(sealed: str, session_secret: str | None) -> bytes:
    return json.dumps(["logout", sealed, session_secret or ""]).encode()
