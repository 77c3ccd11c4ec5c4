"""Pushed authorization requests (PAR, RFC 9126): the client brings its request itself, the browser only a name of it.

A pushed request is checked when it comes and spent by the code it leads to; until then the browser may come with its
`request_uri` more than once (7.3), because people reload pages.
"""

import json
from dataclasses import replace
from typing import Any

from idp.agencies.clients import Client
from idp.core import errors
from idp.core.errors import Failure, ProtocolFailure
from idp.core.ids import digest, new_secret
from idp.core.keyring import Place
from idp.core.parameters import Parameters
from idp.oidc import checks, client_auth, sender
from idp.oidc.caller import Caller
from idp.oidc.client_auth import Authentication
from idp.oidc.statements import INSERT_PUSHED, READ_PUSHED
from idp.sso.request import AuthorizationRequest
from idp.sso.services import Services

PREFIX = "urn:ietf:params:oauth:request_uri:"


def push(form: Parameters, *, caller: Caller, provider: Services) -> dict[str, Any]:
    """Check and keep the request in `form`; return its `request_uri` and the seconds it lives. Raises ProtocolFailure.

    The client authenticates as at the token endpoint. A DPoP proof binds the code to its key (RFC 9449, 10.1).
    """
    authentication = client_auth.recognise(caller, form, provider=provider)
    try:
        return _keep(form, authentication, caller=caller, provider=provider)
    finally:
        authentication.settle()


def _keep(form: Parameters, authentication: Authentication, *, caller: Caller, provider: Services) -> dict[str, Any]:
    client = authentication.client
    client_auth.pace(client, provider=provider)
    if form.repeated:
        raise ProtocolFailure(errors.DUPLICATE_PARAMETER)
    if "request_uri" in form:
        raise ProtocolFailure(errors.REQUEST_URI_PUSHED)
    draft = checks.Draft(form, provider, found_client=client, is_pushed=True)
    checks.the_signed_request_counts(draft)
    try:
        checks.redirect_uri_is_registered(draft)
    except Failure:
        # Nobody is in front of a browser here: what would be a page is told to the client.
        raise ProtocolFailure(errors.REDIRECT_URI_UNREGISTERED) from None
    request = checks.check_request(draft)
    confirmation = sender.confirm_pushed(caller, client, draft.parameters.get("dpop_jkt"), provider=provider)
    request = replace(request, confirmation=confirmation)
    name = new_secret()
    key = digest(name)
    values = {
        "digest": key,
        "client_id": client.id,
        "request": provider.keyring.seal(json.dumps(request.to_document()), _place(key)),
        "lifetime": provider.settings.pushed_lifetime,
    }
    authentication.apply(INSERT_PUSHED, values)
    return {"request_uri": PREFIX + name, "expires_in": provider.settings.pushed_lifetime}


def find(request_uri: str, client: Client, *, provider: Services) -> AuthorizationRequest:
    """Return the request that `client` pushed under `request_uri`. Raises Failure PUSHED_REQUEST_LOST.

    The client's record may have changed since: an address or scope that is gone from it ends the request.
    """
    key = digest(request_uri.removeprefix(PREFIX))
    row = provider.hot_path.one(READ_PUSHED, {"digest": key, "client_id": client.id})
    if row is None:
        raise Failure(errors.PUSHED_REQUEST_LOST)
    request = AuthorizationRequest.from_document(json.loads(provider.keyring.unseal(row["request"], _place(key))))
    if request.redirect_uri not in client.redirect_uris or not set(request.scopes) <= set(client.scopes):
        raise Failure(errors.PUSHED_REQUEST_LOST)
    return request.pushed_as(key.hex())


def _place(key: bytes) -> Place:
    return Place("pushed_request", "request", key.hex())
