"""What we say to a provider's machines: pushed requests, codes redeemed, UserInfo.

Every request goes through the one guarded door (`core.outbound`: two seconds to connect, five in all, no redirect,
nothing packed, bounded size). A provider that hangs keeps a few of a worker's threads at most (`upstream.places`):
whoever comes while they all wait is told, and everybody else is not touched.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from idp.core import clock
from idp.core.ids import new_handle
from idp.core.outbound import Answer, Outbound, OutboundRefused
from idp.keys.proof import Prover
from idp.keys.ring import SigningKeys
from idp.upstream.health import Breakers
from idp.upstream.metadata import Metadata
from idp.upstream.places import Places
from idp.upstream.record import AuthMethod, Endpoint, Provider
from idp.upstream.refusal import Reason, UpstreamRefused

_ASSERTION_SECONDS = 60
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SILENCE = frozenset({Reason.UNREACHABLE, Reason.METADATA})
_LONGEST_TOKEN = 16_384
_NONCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
# RFC 6749, 5.2, as far as anybody uses it.
_ERROR_WORD = re.compile(r"[a-z0-9_.-]{1,60}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a code was redeemed for."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    prover: Prover | None = field(default=None, repr=False)


class Channel:
    """Speaks to providers. Safe to use from several threads. Every method raises UpstreamRefused."""

    def __init__(self, outbound: Outbound, signing_keys: SigningKeys, breakers: Breakers) -> None:
        self._outbound = outbound
        self._breakers = breakers
        self._signing_keys = signing_keys
        self._places = Places()

    @contextmanager
    def place(self, provider: Provider) -> Iterator[None]:
        """Hold one of the few places there are to wait for `provider`. Raises UpstreamRefused CROWDED.

        Its breaker learns of machines that did not answer meanwhile.
        """
        with self._places.hold(provider.id):
            try:
                yield
            except UpstreamRefused as refused:
                if refused.reason in _SILENCE:
                    self._breakers.silent(provider)
                raise

    def push(self, provider: Provider, metadata: Metadata, request: dict[str, str]) -> str:
        """Push an authorization request (RFC 9126, 2) and return its `request_uri`."""
        if Endpoint.PUSHED not in metadata.endpoints:
            raise UpstreamRefused(Reason.METADATA)
        answer = self._post(provider, metadata.endpoints[Endpoint.PUSHED], request)
        members = _members(answer, Reason.TOKEN_RESPONSE, statuses=(200, 201))
        uri = members.get("request_uri")
        if not isinstance(uri, str) or not 0 < len(uri) <= 512 or not uri.isascii():  # noqa: PLR2004
            raise UpstreamRefused(Reason.TOKEN_RESPONSE)
        return uri

    def redeem(self, provider: Provider, metadata: Metadata, code: str, *, verifier: str, redirect_uri: str) -> Tokens:
        """Redeem a code (OpenID Connect Core 1.0, 3.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        # The key lives as long as this exchange: nothing is asked with the token later.
        prover = Prover() if provider.binds_tokens else None
        answer = self._post(provider, metadata.endpoints[Endpoint.TOKEN], form, prover=prover)
        members = _members(answer, Reason.TOKEN_RESPONSE)
        found = [members.get(name) for name in ("id_token", "access_token")]
        kind = members.get("token_type")
        if not isinstance(kind, str) or kind.lower() != ("bearer" if prover is None else "dpop"):
            raise UpstreamRefused(Reason.TOKEN_RESPONSE)
        if not all(isinstance(token, str) and token.isascii() and len(token) <= _LONGEST_TOKEN for token in found):
            raise UpstreamRefused(Reason.TOKEN_RESPONSE)
        id_token, access_token = map(str, found)
        return Tokens(id_token, access_token, prover)

    def userinfo(self, metadata: Metadata, tokens: Tokens) -> Answer:
        """Ask UserInfo (OpenID Connect Core 1.0, 5.3)."""
        address = metadata.endpoints[Endpoint.USERINFO]
        scheme = "Bearer" if tokens.prover is None else "DPoP"

        def ask(nonce: str | None) -> Answer:
            proof = None
            if tokens.prover is not None:
                proof = tokens.prover.proof("GET", address, nonce=nonce, access_token=tokens.access_token)
            return self._outbound.get(
                address,
                accept="application/json, application/jwt",
                authorization=f"{scheme} {tokens.access_token}",
                proof=proof,
            )

        answer = _asked(ask, tokens.prover)
        if answer.status != 200:  # noqa: PLR2004 (RFC 9110, 15.3.1)
            raise UpstreamRefused(Reason.USERINFO)
        return answer

    def probe(self, provider: Provider, address: str, form: dict[str, str]) -> str | None:
        """Return the `error` with which `form` is turned down, empty where it has none; None when it is accepted."""
        answer = self._post(provider, address, form, prover=Prover() if provider.binds_tokens else None)
        if answer.status in (200, 201):
            return None
        error = _members(answer, Reason.TOKEN_RESPONSE, statuses=(answer.status,)).get("error")
        return error if isinstance(error, str) and _ERROR_WORD.fullmatch(error) else ""

    def _post(self, provider: Provider, address: str, form: dict[str, str], *, prover: Prover | None = None) -> Answer:
        def ask(nonce: str | None) -> Answer:
            authorization, whole = self._introduced(provider, form)
            proof = None if prover is None else prover.proof("POST", address, nonce=nonce)
            return self._outbound.post_form(address, whole, authorization=authorization, proof=proof)

        answer = _asked(ask, prover)
        self._breakers.answered(provider)
        return answer

    def _introduced(self, provider: Provider, form: dict[str, str]) -> tuple[str | None, dict[str, str]]:
        """Return header and form that say who we are; an assertion in it is good once."""
        authorization = None
        if provider.auth_method is AuthMethod.SECRET_BASIC:
            pair = f"{quote(provider.client_id, safe='')}:{quote(provider.secret or '', safe='')}"
            authorization = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
        elif provider.auth_method is AuthMethod.SECRET_POST:
            form = {**form, "client_id": provider.client_id, "client_secret": provider.secret or ""}
        else:
            form = {
                **form,
                "client_id": provider.client_id,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._assertion(provider),
            }
        return authorization, form

    def _assertion(self, provider: Provider) -> str:
        """Return who we are, signed (RFC 7523, 3): for this provider alone, by its issuer and no address of it."""
        now = clock.epoch(clock.now())
        claims = {
            "iss": provider.client_id,
            "sub": provider.client_id,
            "aud": provider.issuer,
            "jti": new_handle(),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        return self._signing_keys.signer(provider.auth_algorithm).sign(claims, typ="JWT")


def _asked(ask: Callable[[str | None], Answer], prover: Prover | None) -> Answer:
    """Return the answer of `ask`, which is asked once more where it wants its nonce in the proof (RFC 9449, 8; 9)."""
    try:
        answer = ask(None)
        nonce = answer.headers.get("dpop-nonce", "")
        if prover is not None and answer.status in (400, 401) and _NONCE.fullmatch(nonce) and _wants_nonce(answer):
            answer = ask(nonce)
    except OutboundRefused as refused:
        raise UpstreamRefused(Reason.UNREACHABLE) from refused
    return answer


def _wants_nonce(answer: Answer) -> bool:
    # In the body at the token endpoint, in the challenge at a resource.
    return b"use_dpop_nonce" in answer.body or "use_dpop_nonce" in answer.headers.get("www-authenticate", "")


def _members(answer: Answer, reason: Reason, *, statuses: tuple[int, ...] = (200,)) -> dict[str, Any]:
    if answer.status not in statuses:
        raise UpstreamRefused(reason)
    try:
        members = json.loads(answer.body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise UpstreamRefused(reason) from None
    if not isinstance(members, dict):
        raise UpstreamRefused(reason)
    return members
