"""Counter kiosk: a screen without a keyboard at a one-stop desk, where people sign in with their own phone.

Shows a code and a QR code, asks LienKet until the citizen has answered on the phone (RFC 8628), greets them by name and
forgets them after a minute. A small script looks for news; without it a link does.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from flask import Flask, redirect, render_template, request, send_from_directory, session
from flask.typing import ResponseReturnValue

from clients import agency_login
from clients.agency_login.refusals import LANGUAGES
from clients.portals import Options, add_headers
from clients.portals.kiosk.device import DeviceSignIn, Failed, Greeted, Waiting
from clients.portals.kiosk.qr import square

_STYLE = Path(agency_login.__file__).parent / "static"
_MOST_SCREENS = 100
State = Waiting | Greeted | Failed


class Screens:
    """What each screen is doing, here and not in its cookie: a device code is worth a sign-in."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def now(self) -> State | None:
        """Return what this browser's screen is doing."""
        return self._states.get(session.get("screen", ""))

    def show(self, state: State) -> None:
        """Let this browser's screen do that."""
        name = session.setdefault("screen", secrets.token_urlsafe(16))
        self._states.pop(name, None)
        while len(self._states) >= _MOST_SCREENS:
            del self._states[next(iter(self._states))]
        self._states[name] = state

    def clear(self) -> None:
        """Forget what this browser's screen was doing."""
        self._states.pop(session.get("screen", ""), None)


def create_app(options: Options) -> Flask:
    """Make the kiosk; contacts nobody until somebody presses Start."""
    app = Flask(__name__)
    app.secret_key = options.cookie_key
    app.config.update(SESSION_COOKIE_NAME="kiosk-session", SESSION_COOKIE_SAMESITE="Strict")
    device = DeviceSignIn(
        options.issuer,
        client_id=options.registration["client_id"],
        client_secret=options.client_secret,
        scope=options.registration["scope"],
    )
    screens = Screens()
    add_headers(app, options.issuer, with_script=True)

    def look() -> State | None:
        """Return what the screen is doing now, asking LienKet if it is time."""
        state = screens.now()
        if isinstance(state, Waiting):
            state = device.ask(state)
            screens.show(state)
        return None if isinstance(state, Greeted) and state.is_over else state

    @app.get("/healthz")
    def health() -> ResponseReturnValue:
        return "ok\n", {"Content-Type": "text/plain"}

    @app.get("/")
    def home() -> ResponseReturnValue:
        return _page("home")

    @app.post("/start")
    def start() -> ResponseReturnValue:
        screens.show(device.start())
        return redirect("/screen", 303)

    @app.get("/screen")
    def show() -> ResponseReturnValue:
        return _page_of(look()) or redirect("/", 303)

    @app.get("/state")
    def tell_state() -> ResponseReturnValue:
        state = look()
        return type(state).__name__ if state else "Nothing", {"Content-Type": "text/plain"}

    @app.get("/agency.css")
    def style() -> ResponseReturnValue:
        return send_from_directory(_STYLE, "agency.css")

    @app.post("/finish")
    def finish() -> ResponseReturnValue:
        screens.clear()
        return redirect("/", 303)

    return app


def _page_of(state: State | None) -> ResponseReturnValue | None:
    match state:
        case Waiting():
            return _page("wait", waiting=state, qr=square(state.address_with_code))
        case Greeted():
            # Also without the script: the next in line must not read the name.
            return _page("hello", name=state.name), {"Refresh": f"{state.seconds_left + 1}; url=/"}
        case Failed():
            return _page("failed", reason=state.reason)
    return None


def _page(template: str, **context: Any) -> str:
    return render_template(f"kiosk/{template}.html", language=_language(), **context)


def _language() -> str:
    """Return what `?lang=` chose, now or before, else the browser's wish, else Vietnamese."""
    chosen = request.args.get("lang")
    if chosen in LANGUAGES:
        session["language"] = chosen
    return session.get("language") or request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]
