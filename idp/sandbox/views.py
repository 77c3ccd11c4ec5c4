"""The register of the sandbox over HTTP: questions at /questions, and at /control what a tester wants it to do.

curl -X PUT -H 'Content-Type: application/json' -d '{"mood": "slow"}' http://127.0.0.1:8100/control
curl -X PUT -H 'Content-Type: application/json' -d '{"number": "…", "says": "locked"}' http://127.0.0.1:8100/control
"""

import hmac
import ipaddress
from typing import Any

from flask import Flask, Response, jsonify, request

from idp.sandbox.register import Register, Says

QUESTIONS = "/questions"
CONTROL = "/control"
_MOODS = {None: None, "slow": Says.SLOW, "down": Says.DOWN}


def create_register(register: Register, *, token: str | None = None) -> Flask:
    """Return `register` as a WSGI application; with `token`, only who brings it as a bearer token is answered."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 16_384

    @app.post(QUESTIONS)
    def question() -> Response:
        given = request.headers.get("Authorization", "")
        if token is not None and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return _error(401)
        asked = request.get_json(silent=True)
        if not isinstance(asked, dict):
            return _error(400)
        told = register.answer(asked)
        if told.document is None:
            return Response("<html>", told.status, mimetype="application/json" if told.status < 500 else "text/html")  # noqa: PLR2004
        return jsonify(told.document)

    @app.route(CONTROL, methods=["GET", "PUT"])
    def control() -> Response:
        if not ipaddress.ip_address(request.remote_addr or "::").is_loopback:
            return _error(403)
        if request.method == "PUT" and not _obey(register, request.get_json(silent=True)):
            return _error(400)
        return jsonify({"mood": register.mood, "seconds": register.slow_seconds, "asked": register.asked})

    return app


def _obey(register: Register, order: Any) -> bool:
    """Do what a tester wants; False when that cannot be understood."""
    try:
        if "number" in order:
            register.script(order["number"], Says(order["says"]), replaced_by=order.get("replaced_by"))
        if "mood" in order:
            register.mood = _MOODS[order["mood"]]
        register.slow_seconds = float(order.get("seconds", register.slow_seconds))
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    return True


def _error(status: int) -> Response:
    answer = jsonify({"MaLoi": str(status)})
    answer.status_code = status
    return answer
