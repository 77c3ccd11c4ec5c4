"""Ask LienKet for its metadata, its keys and UserInfo; hold the limits every call to it has.

Everything is fetched when first needed, so a portal may start before the provider does. Every call has a time limit, a
size limit, and follows no redirect.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from clients.agency_login.id_token import ALGORITHMS
from clients.agency_login.refusals import LoginRefused, Refusal

METADATA_LIFETIME = 3600  # seconds, for discovery and keys alike
KEY_REFETCH_INTERVAL = 60  # seconds; an unknown kid must not let strangers make us hammer the provider
_CONNECT_TIMEOUT = 2.0
_LARGEST_ANSWER = 262_144
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
_OPTIONAL_ENDPOINTS = ("device_authorization_endpoint", "end_session_endpoint", "introspection_endpoint")
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}


def is_safe_url(url: object) -> bool:
    """Tell whether `url` is https, or http to this very machine (the sandbox)."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    if parts.username is not None or not parts.hostname:
        return False
    if parts.scheme == "https":
        return True
    try:
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.scheme == "http" and parts.hostname == "localhost"


class BoundedAdapter(HTTPAdapter):
    """Send requests with a deadline for the whole answer and a limit on its size.

    The `timeout` of requests is per read: a server that sends one byte at a time would hold a worker for ever.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def send(self, request: Any, *_: Any, **options: Any) -> requests.Response:
        """Send, and read the whole body here; raises requests.RequestException past a limit."""
        deadline = time.monotonic() + self._timeout
        options |= {"stream": True, "timeout": (_CONNECT_TIMEOUT, self._timeout)}
        response = super().send(request, **options)
        try:
            # The attribute requests itself fills; there is no public way to hand it a body.
            response._content = _read(response.raw, deadline)  # noqa: SLF001
        except (HTTPError, OSError) as error:  # urllib3's errors, which requests translates only in its own reader
            raise requests.exceptions.ConnectionError(request=request) from error
        finally:
            response.close()
        return response


def _read(raw: Any, deadline: float) -> bytes:
    """Read a body to its end; raises requests.ReadTimeout when it is too long or too slow."""
    body = bytearray()
    while chunk := raw.read1(16_384, decode_content=True):
        body += chunk
        if len(body) > _LARGEST_ANSWER or time.monotonic() > deadline:
            raise requests.exceptions.ReadTimeout("the answer is too long or too slow")
    return bytes(body)


def bound(session: requests.Session, timeout: float) -> requests.Session:
    """Put the limits of this module on `session` and return it."""
    adapter = BoundedAdapter(timeout)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.max_redirects = 0
    return session


class Provider:
    """Remember one provider's metadata and keys.

    Every method raises LoginRefused (provider-unreachable, provider-error, wrong-issuer).
    """

    def __init__(self, issuer: str, *, timeout: float) -> None:
        if not is_safe_url(issuer) or urlsplit(issuer).query or urlsplit(issuer).fragment:
            raise ValueError("issuer must be an https URL (http only on loopback) without query or fragment")
        self.issuer = issuer
        self.timeout = timeout
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] | None = None
        self._metadata_at = 0.0
        self._keys: list[dict[str, Any]] | None = None
        self._keys_at = 0.0
        self._keys_asked_at = 0.0

    def metadata(self) -> dict[str, Any]:
        """Return issuer and endpoints, checked against the configured issuer.

        Only these members are handed on: Authlib gives the whole mapping to its HTTP session, where a member named
        `verify` would switch off TLS verification. Source: OpenID Connect Discovery 1.0, 4.3.
        """
        if self._metadata is None or time.monotonic() - self._metadata_at > METADATA_LIFETIME:
            document = self._get_json(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if document.get("issuer") != self.issuer:
                raise LoginRefused(Refusal.WRONG_ISSUER, "discovery names another issuer than configured")
            unsafe = [name for name in _ENDPOINTS if not is_safe_url(document.get(name))]
            if unsafe:
                raise LoginRefused(Refusal.PROVIDER_ERROR, f"discovery: {', '.join(unsafe)} missing or not https")
            metadata = {name: document[name] for name in ("issuer", *_ENDPOINTS)}
            for name in _OPTIONAL_ENDPOINTS:
                if is_safe_url(document.get(name)):
                    metadata[name] = document[name]
            metadata["id_token_signing_alg_values_supported"] = list(ALGORITHMS)
            self._metadata, self._metadata_at = metadata, time.monotonic()
        return dict(self._metadata)

    def keys(self, *, refetch: bool = False) -> list[dict[str, Any]]:
        """Return the public signature keys we can use; `refetch` asks again, at most once a minute."""
        uri = self.metadata()["jwks_uri"]
        # The lock guards the decision, not the call: a hanging provider must not queue every thread behind one.
        with self._lock:
            now = time.monotonic()
            due = self._keys is None or now - self._keys_at > METADATA_LIFETIME
            if refetch and now - self._keys_asked_at > KEY_REFETCH_INTERVAL:
                due = True
            if due:
                self._keys_asked_at = now
        if due:
            published = self._get_json(uri).get("keys")
            usable = [_public_part(jwk) for jwk in published] if isinstance(published, list) else []
            self._keys, self._keys_at = [jwk for jwk in usable if jwk], time.monotonic()
        return list(self._keys or ())

    def key(self, kid: str) -> dict[str, Any] | None:
        """Return the key named `kid`, or None when the provider does not publish it even now."""
        for refetch in (False, True):
            found = [jwk for jwk in self.keys(refetch=refetch) if jwk["kid"] == kid]
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def userinfo(self, access_token: str) -> dict[str, Any]:
        """Return the UserInfo answer as JSON. Source: OpenID Connect Core 1.0, 5.3."""
        return self._get_json(self.metadata()["userinfo_endpoint"], access_token=access_token)

    def _get_json(self, url: str, *, access_token: str | None = None) -> dict[str, Any]:
        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            # As an auth callable, so that an entry in ~/.netrc cannot replace the header.
            if access_token is not None:
                request.headers["Authorization"] = f"Bearer {access_token}"
            return request

        path = urlsplit(url).path
        try:
            with bound(requests.Session(), self.timeout) as session:
                response = session.get(url, headers={"Accept": "application/json"}, auth=authorize)
                response.raise_for_status()
                document = response.json()
        except requests.HTTPError as error:
            status = error.response.status_code
            raise LoginRefused(Refusal.PROVIDER_ERROR, f"{path}: HTTP {status}") from None
        except requests.JSONDecodeError:
            raise LoginRefused(Refusal.PROVIDER_ERROR, f"{path}: not JSON") from None
        except requests.RequestException as error:
            raise LoginRefused(Refusal.PROVIDER_UNREACHABLE, f"{path}: {type(error).__name__}") from None
        if not isinstance(document, dict):
            raise LoginRefused(Refusal.PROVIDER_ERROR, f"{path}: not a JSON object")
        return document


def _public_part(jwk: object) -> dict[str, Any] | None:
    """Reduce a published key to what verifies a signature; None for kinds we do not use, symmetric ones above all."""
    if not isinstance(jwk, Mapping) or jwk.get("use", "sig") != "sig" or not isinstance(jwk.get("kid"), str):
        return None
    if jwk.get("kty") == "EC" and jwk.get("crv") != "P-256":
        return None
    members = _PUBLIC_MEMBERS.get(str(jwk.get("kty")))
    if members is None or not all(isinstance(jwk.get(name), str) for name in members):
        return None
    return {name: jwk[name] for name in ("kty", "kid", "alg", *members) if isinstance(jwk.get(name), str)}
