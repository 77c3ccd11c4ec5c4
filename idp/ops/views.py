"""Health and readiness, for whoever starts, stops and balances the workers."""

from flask import Blueprint, Response

from idp.core.database import DatabaseUnavailable, Query
from idp.core.web import json_answer
from idp.keys.ring import NoSigningKey
from idp.sso.services import services

blueprint = Blueprint("ops", __name__)
PATHS = frozenset({"/healthz", "/readyz"})
_ANSWERS = Query("SELECT 1 AS one")


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that this worker runs; true even while the database is away."""
    return json_answer({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether this worker can sign a citizen in: the database answers and there is a key to sign with."""
    provider = services()
    try:
        provider.hot_path.one(_ANSWERS, {})
        provider.signing_keys.signer("ES256")
    except DatabaseUnavailable:
        return json_answer({"status": "database"}, 503)
    except NoSigningKey:
        return json_answer({"status": "keys"}, 503)
    return json_answer({"status": "ok"})
