"""Client authentication at the endpoints for portals: by secret, by signed assertion, by TLS certificate.

Own code, because Authlib's accepts any method a client did not register, tells unknown clients from wrong secrets,
and fails with a 500 on bytes it did not expect (security.md, 2.1 A8 and A9).
"""

import base64
import binascii
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from urllib.parse import unquote_plus

from idp.agencies.clients import Client, assertion_values, spend
from idp.agencies.metadata import SECRET_METHODS, AuthMethod, Profile, Rule
from idp.agencies.models import SPEND_ASSERTION
from idp.core import asked, clock, errors
from idp.core.database import Change, GateShut, Row
from idp.core.errors import ProtocolFailure
from idp.core.ids import digest, is_same
from idp.core.parameters import Parameters
from idp.core.settings import Settings
from idp.keys import certificate, jose
from idp.keys.jose import TokenRefused
from idp.oidc.caller import Caller
from idp.sso.services import Services

log = logging.getLogger("idp.oidc")

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION_LIFE = timedelta(minutes=5)
# Honest clocks differ by seconds; a minute ahead is somebody minting assertions for later (FAPI 2.0, 5.3.2.1).
CLOCK_AHEAD = timedelta(seconds=60)
CLOCK_BEHIND = timedelta(seconds=10)
BAD_SECRETS_A_MINUTE = 20
_NOBODYS_SECRET = digest("a client that does not exist")


@dataclass(frozen=True, slots=True)
class _Presented:
    """The credentials of one request, before they are judged."""

    method: AuthMethod
    client_id: str
    secret: str


class Authentication:
    """A client whose credentials are right, and its assertion while that is still to be spent.

    The first change of the request spends it in the same statement, so that it costs no commit of its own. Whatever
    else happens, `settle` has the last word: of two requests with one assertion, one is answered.
    """

    def __init__(self, client: Client, assertion: Mapping[str, object] | None, provider: Services) -> None:
        self.client = client
        self._assertion = assertion
        self._provider = provider

    def apply(self, change: Change, values: Row) -> Row | None:
        """Apply a change of the hot path that can stand behind a gate. Raises ProtocolFailure invalid_client."""
        assertion, self._assertion = self._assertion, None
        if assertion is None:
            return self._provider.hot_path.apply(change, values)
        try:
            return self._provider.hot_path.apply(_behind_assertion(change), {**values, **assertion})
        except GateShut:
            raise _refused(AuthMethod.PRIVATE_KEY_JWT, self.client.client_id, self._provider) from None

    def settle(self) -> None:
        """Spend the assertion unless a change has. Raises ProtocolFailure invalid_client when it was spent before."""
        assertion, self._assertion = self._assertion, None
        if assertion is not None and not spend(self._provider.hot_path, assertion):
            raise _refused(AuthMethod.PRIVATE_KEY_JWT, self.client.client_id, self._provider)


@cache
def _behind_assertion(change: Change) -> Change:
    return replace(change, gates=(SPEND_ASSERTION.first,))


def authenticate(caller: Caller, form: Parameters, *, provider: Services) -> Client:
    """Return the client that sent the request, authenticated by the method it registered.

    Raises ProtocolFailure as `recognise`. Side effects: spends the assertion's jti.
    """
    authentication = recognise(caller, form, provider=provider)
    authentication.settle()
    return authentication.client


def recognise(caller: Caller, form: Parameters, *, provider: Services) -> Authentication:
    """Return the authentication of the client that sent the request; the caller must settle it, also on failure.

    Raises ProtocolFailure: invalid_request for two methods at once, invalid_client for everything else, the same
    for an unknown client and a wrong secret, 429 after too many wrong ones.
    """
    presented = _presented(caller, form)
    client = provider.clients.find(presented.client_id)
    if client is not None:
        asked.by(client.client_id)
    assertion: Mapping[str, object] | None = None
    if presented.method is AuthMethod.PRIVATE_KEY_JWT:
        assertion = None if client is None else _right_assertion(client, presented.secret, provider)
        is_right = assertion is not None
    elif presented.method is AuthMethod.TLS:
        is_right = client is not None and _is_right_certificate(client, caller, provider)
    else:
        is_right = _is_right_secret(client, presented.secret)
    if client is not None and client.auth_method in SECRET_METHODS:
        # The day after its exemption ends, a FAPI client needs a key (FAPI 2.0 Security Profile, 5.3.2.1).
        is_right = is_right and not client.is_bound_by(Rule.ASYMMETRIC_AUTHENTICATION)
    if client is None or not is_right or not _is_registered(presented.method, client) or not client.is_active:
        # Made-up names share one count, so that they cannot fill the table of counts.
        raise _refused(presented.method, presented.client_id if client is not None else "", provider)
    asked.by(client.client_id, is_proven=True)
    return Authentication(client, assertion, provider)


def pace(client: Client, *, provider: Services) -> None:
    """Count a request of a client that proved itself. Raises ProtocolFailure with 429 when it asks too often.

    In memory: a client in a loop must not take the workers from the others, and no statement is as cheap as its own.
    """
    if not provider.requests.take(client.id):
        log.warning("client asks too often", extra={"client": client.client_id, "code": errors.CLIENT_TOO_OFTEN.code})
        raise ProtocolFailure(errors.CLIENT_TOO_OFTEN)


def _refused(method: AuthMethod, counted: str, provider: Services) -> ProtocolFailure:
    verdict = provider.limiter.hit("client-secret", counted, amount=BAD_SECRETS_A_MINUTE, per_seconds=60)
    entry = errors.CLIENT_UNAUTHENTICATED if verdict.is_allowed else errors.CLIENT_THROTTLED
    if not verdict.is_allowed:
        log.warning("client refused too often", extra={"client": counted, "code": entry.code})
    return ProtocolFailure(entry, challenge="Basic" if method is AuthMethod.SECRET_BASIC else None)


def methods(settings: Settings) -> tuple[AuthMethod, ...]:
    """Return the methods that work here: certificates only where a proxy passes them, and those of an authority only
    where it says that it followed them there."""
    possible = {
        AuthMethod.TLS: settings.mtls_origin is not None and settings.client_verify_header is not None,
        AuthMethod.SELF_SIGNED_TLS: settings.mtls_origin is not None,
    }
    return tuple(method for method in AuthMethod if possible.get(method, True))


def _is_registered(method: AuthMethod, client: Client) -> bool:
    # The two kinds of certificate look the same in a request.
    registered = client.auth_method
    return (AuthMethod.TLS if registered is AuthMethod.SELF_SIGNED_TLS else registered) is method


def _is_right_secret(client: Client | None, secret: str) -> bool:
    if client is None:
        # The same work as for a client that exists.
        return is_same(digest(secret), _NOBODYS_SECRET)
    return client.accepts_secret(secret)


def _is_right_certificate(client: Client, caller: Caller, provider: Services) -> bool:
    """Judge a certificate (RFC 8705, 2): by the subject registered once the proxy has followed it to an authority it
    trusts, or, when the client signed it itself, by its registered key."""
    if caller.certificate is None:
        return False
    if client.auth_method is AuthMethod.TLS:
        return caller.is_certificate_verified and certificate.names(caller.certificate, client.tls_subject)
    if client.auth_method is AuthMethod.SELF_SIGNED_TLS:
        return certificate.has_key_of(caller.certificate, provider.client_keys.of(client))
    return False


def _presented(caller: Caller, form: Parameters) -> _Presented:
    found = []
    if caller.authorization is not None:
        found.append(_basic(caller.authorization))
    if "client_secret" in form:
        found.append(_Presented(AuthMethod.SECRET_POST, form.get("client_id", ""), form["client_secret"]))
    if "client_assertion" in form or "client_assertion_type" in form:
        found.append(_assertion(form))
    if len(found) > 1:
        # RFC 6749, 2.3: one method in each request.
        raise ProtocolFailure(errors.FORM_INVALID)
    if not found and caller.certificate is not None and "client_id" in form:
        return _Presented(AuthMethod.TLS, form["client_id"], "")
    if not found or form.get("client_id", found[0].client_id) != found[0].client_id:
        raise ProtocolFailure(errors.CLIENT_UNAUTHENTICATED, challenge="Basic")
    return found[0]


def _basic(authorization: str) -> _Presented:
    """Read an Authorization header; both halves are form-encoded before base64 (RFC 6749, 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        client_id, colon, secret = pair.partition(":")
        client_id, secret = (unquote_plus(half, errors="strict") for half in (client_id, secret))
    except (ValueError, binascii.Error):
        colon = client_id = secret = ""
    if scheme.lower() != "basic" or not colon:
        raise ProtocolFailure(errors.CLIENT_UNAUTHENTICATED, challenge="Basic")
    return _Presented(AuthMethod.SECRET_BASIC, client_id, secret)


def _assertion(form: Parameters) -> _Presented:
    assertion = form.get("client_assertion", "")
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise ProtocolFailure(errors.CLIENT_UNAUTHENTICATED)
    client_id = form.get("client_id") or jose.unverified_subject(assertion)
    return _Presented(AuthMethod.PRIVATE_KEY_JWT, client_id or "", assertion)


def _right_assertion(client: Client, assertion: str, provider: Services) -> Mapping[str, object] | None:
    """Judge a client assertion (RFC 7523, 3) in all but whether it was spent; return what is to be spent.

    Its audience is our issuer as one string and nothing else: a token meant for another server must not work here
    (CVE-2025-27370). Libraries that write an hour of life and say when they wrote it are heard for the first five
    minutes of it.
    """
    if client.auth_method is not AuthMethod.PRIVATE_KEY_JWT:
        return None
    try:
        claims = provider.client_keys.verified(client, assertion, algorithms=_assertion_algorithms(client))
    except TokenRefused:
        return None
    now = clock.now()
    expires_at, issued_at = instant(claims.get("exp")), instant(claims.get("iat"))
    if expires_at is not None and issued_at is not None:
        expires_at = min(expires_at, issued_at + LONGEST_ASSERTION_LIFE)
    jti = claims.get("jti")
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        return None
    if claims.get("aud") != provider.settings.issuer or not isinstance(jti, str) or not jti:
        return None
    if expires_at is None or not now - CLOCK_BEHIND < expires_at <= now + LONGEST_ASSERTION_LIFE + CLOCK_AHEAD:
        return None
    for name in ("iat", "nbf"):
        since = instant(claims.get(name)) if name in claims else now
        if since is None or since > now + CLOCK_AHEAD:
            return None
    return assertion_values(client, jti, expires_at + timedelta(minutes=10))


def _assertion_algorithms(client: Client) -> tuple[str, ...]:
    if client.profile is not Profile.FAPI2:
        return client.auth_signing_algorithms
    return tuple(name for name in client.auth_signing_algorithms if name in jose.FAPI_ALGORITHMS)


def instant(seconds: object) -> datetime | None:
    """Return a NumericDate (RFC 7519, 2) as an aware datetime, None for what is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
