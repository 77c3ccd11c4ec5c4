"""The endpoints where clients register themselves, and the logos of clients."""

import logging
import re

from flask import Blueprint, Response, request

from idp.agencies import logos
from idp.core import errors, web
from idp.core.errors import Failure
from idp.core.web import json_answer
from idp.oidc.registration import endpoint
from idp.oidc.registration.endpoint import PATH, RegistrationRefused
from idp.oidc.responses import describe
from idp.sso.services import services

log = logging.getLogger("idp.oidc")
blueprint = Blueprint("registration", __name__)
# The second one opens all addresses below it.
MACHINE_PATHS = frozenset({PATH, f"{PATH}/"})
LONGEST_PROBLEM = 300
# What may stand in an error_description (RFC 6749, 5.2); problems name members, which may be anything.
_UNSPEAKABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


@blueprint.errorhandler(RegistrationRefused)
def on_refusal(refused: RegistrationRefused) -> Response:
    """Answer a program whose registration was refused (RFC 7591, 3.2.2)."""
    entry = refused.entry
    log.info("refused", extra={"code": entry.code, "endpoint": request.endpoint})
    description = describe(entry, web.reference())
    if refused.problem:
        problem = refused.problem.replace('"', "'").replace("\\", "/")
        description = f"{description}: {_UNSPEAKABLE.sub('?', problem)[:LONGEST_PROBLEM]}"
    headers = {"Pragma": "no-cache"}
    if entry.status == errors.REGISTRATION_TOKEN_REFUSED.status:
        detail = f', error="{entry.oauth_error}"' if "Authorization" in request.headers else ""
        headers["WWW-Authenticate"] = f'Bearer realm="registration"{detail}'
    return json_answer({"error": entry.oauth_error, "error_description": description}, entry.status, headers)


@blueprint.post(PATH)
def register() -> Response:
    """Register a client (RFC 7591, 3.1)."""
    document = endpoint.register(_body(), _authorization(), web.remote_address(), provider=services())
    return json_answer(document, 201, {"Pragma": "no-cache"})


@blueprint.get(f"{PATH}/<client_id>")
def show(client_id: str) -> Response:
    """Show a client its own record (RFC 7592, 2.1)."""
    return json_answer(endpoint.show(client_id, _authorization(), web.remote_address(), provider=services()))


@blueprint.put(f"{PATH}/<client_id>")
def change(client_id: str) -> Response:
    """Replace a client's own record (RFC 7592, 2.2)."""
    return json_answer(endpoint.change(client_id, _body(), _authorization(), web.remote_address(), provider=services()))


@blueprint.delete(f"{PATH}/<client_id>")
def remove(client_id: str) -> Response:
    """End a client that asks for it (RFC 7592, 2.3)."""
    endpoint.remove(client_id, _authorization(), web.remote_address(), provider=services())
    return Response(status=204)


@blueprint.get("/logo/<client_id>/<version>")
def logo(client_id: str, version: str) -> Response:
    """Return a client's logo; its address changes with every picture, so browsers may keep it for good."""
    provider = services()
    client = provider.clients.find(client_id)
    found = logos.read(provider.hot_path, client.id, version) if client is not None else None
    if found is None:
        raise Failure(errors.NOT_FOUND)
    return web.picture(found.content, found.media_type)


def _body() -> bytes:
    if request.query_string or request.mimetype != "application/json":
        raise RegistrationRefused(errors.REGISTRATION_MALFORMED)
    body: bytes = request.get_data()
    return body


def _authorization() -> str | None:
    return request.headers.get("Authorization")
