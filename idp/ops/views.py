"""Health and readiness, for whoever starts, stops and balances the workers; how it goes, for everybody."""

import hashlib
import json
from collections.abc import Mapping

from flask import Blueprint, Response

from idp.core import clock, web
from idp.core.i18n import DEFAULT_LANGUAGE
from idp.core.web import json_answer
from idp.ops import status
from idp.sso.services import services

blueprint = Blueprint("ops", __name__)
PATHS = frozenset({"/healthz", "/readyz", "/status.json"})
_UNAVAILABLE = 503
_FEED_SECONDS = 15


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that this worker runs; true even while the database is away."""
    return json_answer({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether this worker can sign a citizen in: the database answers and there is a key to sign with."""
    problem = status.database_and_keys(services())
    return json_answer({"status": "ok"}) if problem is None else json_answer({"status": problem}, _UNAVAILABLE)


@blueprint.get("/status")
def status_page() -> Response:
    """Say how it goes, in words."""
    found = status.read(services(), now := clock.now())
    language = web.current_language()
    rows = [
        {
            "slug": each.slug,
            "name": _in(each.names, language),
            "word": each.word.value,
            "since": "" if each.since is None else clock.on_the_wall(each.since),
            "reason": _in(each.reasons, language) if each.reasons else "",
            "is_partial": each.incident is not None and each.incident.is_partial,
            "until": ""
            if each.incident is None or each.incident.until is None
            else clock.on_the_wall(each.incident.until),
        }
        for each in found.providers
    ]
    return web.render(
        "status.html",
        sign_in=found.sign_in.value,
        register=found.register.value,
        providers=rows,
        at=clock.on_the_wall(now),
    )


@blueprint.get("/status.json")
def status_feed() -> Response:
    """Say how it goes, to programs; whoever stands in between may keep it for 15 seconds."""
    body = json.dumps(status.as_json(status.read(services(), clock.now())), ensure_ascii=False).encode()
    return web.published(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', seconds=_FEED_SECONDS)


def _in(texts: Mapping[str, str], language: str) -> str:
    return texts.get(language) or texts[DEFAULT_LANGUAGE]
