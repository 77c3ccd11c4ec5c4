"""The device's half of the device flow: ask for a code, then poll, never sooner than allowed (RFC 8628, 3.1 to 3.5)."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus

import requests

from clients.agency_login.id_token import verify_id_token
from clients.agency_login.provider import Provider, bound, is_safe_url
from clients.agency_login.refusals import LoginRefused

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
GREETING = 60  # seconds a name stays on the screen
_DEFAULT_INTERVAL = 5  # RFC 8628, 3.2
_TIMEOUT = 5.0


class Reason(Enum):
    """Say why nobody was signed in."""

    DENIED = "denied"
    EXPIRED = "expired"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Hold a request that waits for its citizen; times are seconds of the monotonic clock."""

    device_code: str = field(repr=False)
    user_code: str
    address: str
    address_with_code: str
    nonce: str = field(repr=False)
    interval: int
    next_poll: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Greeted:
    """Hold the name of who has just signed in, for as long as it may be shown."""

    name: str
    until: float

    @property
    def seconds_left(self) -> int:
        """Return how long the name may still be shown."""
        return max(0, int(self.until - time.monotonic()))

    @property
    def is_over(self) -> bool:
        """Tell whether the name must be gone."""
        return time.monotonic() >= self.until


@dataclass(frozen=True, slots=True)
class Failed:
    """Hold why nobody was signed in."""

    reason: Reason


class DeviceSignIn:
    """Sign citizens in at LienKet on a device of which they type nothing in."""

    def __init__(self, issuer: str, *, client_id: str, client_secret: str, scope: str) -> None:
        self.provider = Provider(issuer, timeout=_TIMEOUT)
        self.client_id = client_id
        self.scope = scope
        self._auth = (quote_plus(client_id), quote_plus(client_secret))

    def start(self) -> Waiting | Failed:
        """Ask for a code."""
        nonce = secrets.token_urlsafe(32)
        try:
            endpoint = self.provider.metadata()["device_authorization_endpoint"]
            status, answer = self._post(endpoint, scope=self.scope, nonce=nonce)
        except (LoginRefused, KeyError, requests.RequestException):
            return Failed(Reason.UNAVAILABLE)
        texts = ("device_code", "user_code", "verification_uri")
        if status != HTTPStatus.OK or not all(isinstance(answer.get(name), str) for name in texts):
            return Failed(Reason.UNAVAILABLE)
        complete = answer.get("verification_uri_complete", answer["verification_uri"])
        if not (is_safe_url(answer["verification_uri"]) and is_safe_url(complete)):
            return Failed(Reason.UNAVAILABLE)
        now, interval = time.monotonic(), _seconds(answer.get("interval"), _DEFAULT_INTERVAL)
        return Waiting(
            device_code=answer["device_code"],
            user_code=answer["user_code"],
            address=answer["verification_uri"],
            address_with_code=complete,
            nonce=nonce,
            interval=interval,
            next_poll=now + interval,
            expires_at=now + _seconds(answer.get("expires_in"), 0),
        )

    def ask(self, waiting: Waiting) -> Waiting | Greeted | Failed:
        """Poll once if it is time, and return what the screen is to show now."""
        now = time.monotonic()
        if now >= waiting.expires_at:
            return Failed(Reason.EXPIRED)
        if now < waiting.next_poll:
            return waiting
        try:
            endpoint = self.provider.metadata()["token_endpoint"]
            status, answer = self._post(endpoint, grant_type=GRANT, device_code=waiting.device_code)
            if status == HTTPStatus.OK:
                return self._greet(answer, waiting)
        except requests.RequestException:
            # The network, not the citizen: try again, later each time (RFC 8628, 3.5).
            return replace(waiting, interval=waiting.interval * 2, next_poll=now + waiting.interval * 2)
        except LoginRefused:
            return Failed(Reason.UNAVAILABLE)
        match answer.get("error"):
            case "authorization_pending":
                return replace(waiting, next_poll=now + waiting.interval)
            case "slow_down":
                return replace(waiting, interval=waiting.interval + 5, next_poll=now + waiting.interval + 5)
            case "access_denied":
                return Failed(Reason.DENIED)
            case "expired_token":
                return Failed(Reason.EXPIRED)
        return Failed(Reason.UNAVAILABLE)

    def _greet(self, answer: dict[str, Any], waiting: Waiting) -> Greeted:
        """Verify the ID token, ask for the name, and keep nothing else. Raises LoginRefused."""
        access_token = str(answer.get("access_token"))
        claims = verify_id_token(
            answer.get("id_token"),
            self.provider.key,
            issuer=self.provider.issuer,
            client_id=self.client_id,
            nonce=waiting.nonce,
            access_token=access_token,
        )
        userinfo = self.provider.userinfo(access_token)
        name = userinfo.get("name") if userinfo.get("sub") == claims["sub"] else None
        return Greeted(str(name or ""), time.monotonic() + GREETING)

    def _post(self, url: str, **form: str) -> tuple[int, dict[str, Any]]:
        with bound(requests.Session(), _TIMEOUT) as http:
            response = http.post(url, data=form, auth=self._auth, headers={"Accept": "application/json"})
            answer = response.json()
        return response.status_code, answer if isinstance(answer, dict) else {}


def _seconds(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise
