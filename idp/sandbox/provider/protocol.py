"""The protocol of the provider: OpenID Connect Core 1.0 by code with PKCE, for one client that is known to it.

Answers are right in everything but the fault that was chosen. Requests, codes and tokens live in memory, the oldest
go when there are too many. Safe to use from several threads.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote_plus, urlencode, urlsplit

from idp.core import clock
from idp.core.ids import new_handle, new_secret
from idp.core.parameters import Parameters
from idp.keys import jose, signer
from idp.sandbox.provider.faults import Fault
from idp.sandbox.provider.identity import LEVELS, Identity, with_other_number

CODE_SECONDS: Final = 60
TOKEN_SECONDS: Final = 300
SLOW_SECONDS: Final = 10.0
"""Longer than anybody should wait for a provider."""
T = TypeVar("T")

_ALGORITHM: Final = "ES256"
_MOST_KEPT: Final = 1_000
_CLAIMS_OF: Final = {
    "profile": ("name", "birthdate", "gender"),
    "name": ("name",),
    "birthdate": ("birthdate",),
    "gender": ("gender",),
    "idnum": ("identification_number",),
}


class NotLoopback(Exception):
    """An address that others could reach was given to a provider that believes whatever is typed."""


class Untrusted(Exception):
    """The request names a client or an address that is not on record: nobody may be sent there."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The one client: its credentials, and where browsers may be sent."""

    client_id: str
    secret: str = field(repr=False)
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A checked request."""

    redirect_uri: str
    state: str | None = field(repr=False)
    nonce: str | None = field(repr=False)
    scopes: frozenset[str]
    challenge: str = field(repr=False)
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """An answer to a program."""

    status: int
    document: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Grant:
    request: AuthorizationRequest
    identity: Identity
    fault: Fault
    at: int


class _Kept(Generic[T]):
    """Values under names that were just made for them; the oldest make room."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, name: str, value: T) -> None:
        with self._lock:
            self._values[name] = value
            while len(self._values) > _MOST_KEPT:
                self._values.popitem(last=False)

    def find(self, name: str) -> T | None:
        with self._lock:
            return self._values.get(name)

    def take(self, name: str) -> T | None:
        with self._lock:
            return self._values.pop(name, None)


class PersonaProvider:
    """The provider at `issuer`. Raises NotLoopback when it, or an address of its client, is not on this machine.

    `slow_seconds` is how long the slow answer takes.
    """

    def __init__(self, issuer: str, registration: Registration, *, slow_seconds: float = SLOW_SECONDS) -> None:
        addresses = (issuer, *registration.redirect_uris, *registration.post_logout_redirect_uris)
        if not all(is_loopback(urlsplit(address).hostname or "") for address in addresses):
            raise NotLoopback
        self.issuer = issuer
        self._registration = registration
        self._slow_seconds = slow_seconds
        self._awake = threading.Event()
        self._rotating = threading.Lock()
        self._requests: _Kept[AuthorizationRequest] = _Kept()
        self._codes: _Kept[_Grant] = _Kept()
        self._tokens: _Kept[_Grant] = _Kept()
        pem, jwk = signer.generate(_ALGORITHM)
        self._signer = signer.load(pem, jwk)
        self._published = [jwk]

    # --- what everybody reads ------------------------------------------------------------------------------------

    def metadata(self) -> dict[str, Any]:
        """Return the document of OpenID Connect Discovery 1.0, 3."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/end_session",
            "scopes_supported": ["openid", *_CLAIMS_OF],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "acr_values_supported": [word for word in LEVELS if word],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": ["sub", *dict.fromkeys(name for names in _CLAIMS_OF.values() for name in names)],
            "ui_locales_supported": ["vi", "en", "fr"],
            "authorization_response_iss_parameter_supported": True,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "claims_parameter_supported": False,
        }

    def jwks(self) -> dict[str, Any]:
        """Return the public keys (RFC 7517, 5)."""
        return {"keys": list(self._published)}

    # --- the browser ---------------------------------------------------------------------------------------------

    def begin(self, given: Parameters) -> tuple[str | None, str]:
        """Take an authorization request: return its handle and "", or None and where to send its refusal.

        Raises Untrusted when client or redirect URI are not those on record (OpenID Connect Core 1.0, 3.1.2.2).
        """
        redirect_uri = given.get("redirect_uri", "")
        is_known = given.get("client_id") == self._registration.client_id
        if not is_known or redirect_uri not in self._registration.redirect_uris:
            raise Untrusted
        if given.repeated & {"client_id", "redirect_uri"}:
            raise Untrusted
        request = AuthorizationRequest(
            redirect_uri=redirect_uri,
            state=None if "state" in given.repeated else given.get("state"),
            nonce=given.get("nonce"),
            scopes=frozenset(given.get("scope", "").split()),
            challenge=given.get("code_challenge", ""),
            languages=tuple(given.get("ui_locales", "").split()),
        )
        if error := _problem_of(given, request):
            return None, self._back(request, error=error)
        handle = new_handle()
        self._requests.keep(handle, request)
        return handle, ""

    def request(self, handle: str) -> AuthorizationRequest | None:
        """Return the request that waits under `handle`."""
        return self._requests.find(handle)

    def answer(self, request: AuthorizationRequest, identity: Identity, fault: Fault) -> str:
        """Return where the browser goes when `identity` has signed in, with `fault`."""
        if fault is Fault.DENY:
            return self.decline(request)
        if fault is Fault.SERVER_ERROR:
            return self._back(request, error="server_error")
        code, now = new_secret(), clock.epoch(clock.now())
        at = now - CODE_SECONDS - 1 if fault is Fault.EXPIRED_CODE else now
        named = with_other_number(identity) if fault is Fault.OTHER_NUMBER else identity
        self._codes.keep(code, _Grant(request, named, fault, at))
        return self._back(request, code=code)

    def decline(self, request: AuthorizationRequest) -> str:
        """Return where the browser goes when nobody wants to sign in."""
        return self._back(request, error="access_denied")

    def farewell(self, given: Mapping[str, str]) -> str | None:
        """Return where the browser goes after a sign-out, None when it stays (RP-Initiated Logout 1.0, 3)."""
        address = given.get("post_logout_redirect_uri")
        if address is None or address not in self._registration.post_logout_redirect_uris:
            return None
        return _with(address, {"state": given["state"]} if "state" in given else {})

    def _back(self, request: AuthorizationRequest, **answer: str) -> str:
        state = {} if request.state is None else {"state": request.state}
        return _with(request.redirect_uri, {**answer, **state, "iss": self.issuer})

    # --- programs ------------------------------------------------------------------------------------------------

    def redeem(self, form: Parameters, authorization: str | None) -> Told:
        """Answer a token request (OpenID Connect Core 1.0, 3.1.3). A slow one waits here."""
        if form.repeated:
            return _refused("invalid_request")
        if not self._is_client(form, authorization):
            challenge = {"WWW-Authenticate": 'Basic realm="token"'} if authorization is not None else {}
            return _refused("invalid_client", 401, challenge)
        if "grant_type" not in form or "code" not in form:
            return _refused("invalid_request")
        if form["grant_type"] != "authorization_code":
            return _refused("unsupported_grant_type")
        grant = self._codes.take(form["code"])
        now = clock.epoch(clock.now())
        if grant is None or now - grant.at > CODE_SECONDS or not _is_meant(grant.request, form):
            return _refused("invalid_grant")
        if grant.fault is Fault.OUTAGE:
            return Told(503, {"error": "temporarily_unavailable"})
        if grant.fault is Fault.SLOW:
            self._awake.wait(self._slow_seconds)
        access_token = new_secret()
        self._tokens.keep(access_token, replace(grant, at=now))
        return Told(
            200,
            {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": TOKEN_SECONDS,
                "id_token": self._id_token(grant, access_token, now),
            },
        )

    def userinfo(self, authorization: str | None) -> Told:
        """Answer who the owner of an access token is (OpenID Connect Core 1.0, 5.3)."""
        scheme, _, token = (authorization or "").partition(" ")
        grant = self._tokens.find(token) if scheme.lower() == "bearer" else None
        if grant is None or clock.epoch(clock.now()) - grant.at > TOKEN_SECONDS:
            error = "" if authorization is None else ' error="invalid_token"'
            return Told(401, {"error": "invalid_token"}, {"WWW-Authenticate": f"Bearer{error}"})
        wanted = {name for scope in grant.request.scopes for name in _CLAIMS_OF.get(scope, ())}
        known = grant.identity.claims()
        return Told(200, {"sub": grant.identity.subject} | {name: known[name] for name in known if name in wanted})

    def wake(self) -> None:
        """Let every slow answer go at once, and be slow no more."""
        self._awake.set()

    def _is_client(self, form: Mapping[str, str], authorization: str | None) -> bool:
        """Tell whether the one client says its secret, in one way (RFC 6749, 2.3.1)."""
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if authorization is not None:
            if "client_secret" in form:
                return False
            given = _basic(authorization)
        expected = (self._registration.client_id, self._registration.secret)
        return all(
            hmac.compare_digest(said.encode(), known.encode()) for said, known in zip(given, expected, strict=True)
        )

    def _id_token(self, grant: _Grant, access_token: str, now: int) -> str:
        identity, fault = grant.identity, grant.fault
        nonce = new_handle() if fault is Fault.WRONG_NONCE else grant.request.nonce
        level = "loa1" if fault is Fault.LEVEL_TOO_LOW else identity.level
        claims: dict[str, Any] = {
            "iss": f"{self.issuer}/other" if fault is Fault.WRONG_ISSUER else self.issuer,
            "sub": identity.subject,
            "aud": self._registration.client_id,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "auth_time": now,
            "nonce": nonce,
            "acr": level or None,
            "amr": list(identity.methods) or None,
            "at_hash": jose.at_hash(access_token),
        }
        present = {name: value for name, value in claims.items() if value is not None}
        return self._key(fault).sign(present, typ="JWT")

    def _key(self, fault: Fault) -> signer.Signer:
        if fault not in (Fault.ROTATED_KEY, Fault.UNPUBLISHED_KEY):
            return self._signer
        pem, jwk = signer.generate(_ALGORITHM)
        made = signer.load(pem, jwk)
        if fault is Fault.ROTATED_KEY:
            with self._rotating:
                # The one before stays: what it signed a moment ago may still be under way.
                self._published = [*self._published[-1:], jwk]
                self._signer = made
        return made


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine and nothing else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _problem_of(given: Parameters, request: AuthorizationRequest) -> str | None:
    """Return the error of RFC 6749, 4.1.2.1 or OpenID Connect Core 1.0, 3.1.2.6 of a request, None for a good one."""
    prompt = given.get("prompt", "").split()
    rules = (
        (bool(given.repeated), "invalid_request"),
        ("request" in given, "request_not_supported"),
        ("request_uri" in given, "request_uri_not_supported"),
        ("response_type" not in given, "invalid_request"),
        (given.get("response_type") != "code", "unsupported_response_type"),
        (given.get("response_mode", "query") != "query", "invalid_request"),
        ("openid" not in request.scopes, "invalid_scope"),
        # RFC 7636, 4.2: a SHA-256 in base64url is 43 characters.
        (len(request.challenge) != 43 or given.get("code_challenge_method") != "S256", "invalid_request"),  # noqa: PLR2004
        ("none" in prompt and len(prompt) > 1, "invalid_request"),
        # Nobody is ever signed in here already.
        ("none" in prompt, "login_required"),
    )
    return next((error for is_broken, error in rules if is_broken), None)


def _is_meant(request: AuthorizationRequest, form: Mapping[str, str]) -> bool:
    """Tell whether a code is redeemed by who asked for it: same redirect URI, and the verifier (RFC 7636, 4.6)."""
    hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(hashed).rstrip(b"=")
    is_verified = hmac.compare_digest(challenge, request.challenge.encode())
    return is_verified and form.get("redirect_uri") == request.redirect_uri


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        pair = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return "", ""
    name, _, secret = pair.partition(":")
    return (unquote_plus(name), unquote_plus(secret)) if scheme.lower() == "basic" else ("", "")


def _refused(error: str, status: int = 400, headers: Mapping[str, str] | None = None) -> Told:
    return Told(status, {"error": error}, headers or {})


def _with(address: str, parameters: Mapping[str, str]) -> str:
    if not parameters:
        return address
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(parameters)}"
