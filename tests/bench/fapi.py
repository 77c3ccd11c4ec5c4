"""The FAPI 2.0 login as a load: pushed request, code, sender-constrained token, UserInfo.

Knows no server of ours: the shared comparison runs the same units against others. Signs by hand, because a library's
signature would cost the machine as much as the answer that is measured.
"""

import base64
import itertools
import json
import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.bench.load import Answer, Spent, Unit, Wrong

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ES256 = ec.ECDSA(SHA256())
# RFC 7636, appendix B.
_VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
_ASSERTION_SECONDS = 60
_TOKENS = 500


class Signer:
    """One P-256 key that signs JWTs of one kind, their header made once."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, header: Mapping[str, Any]) -> None:
        self._key = key
        self._header = _text(json.dumps({"alg": "ES256", **header}).encode())

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return `claims` as a compact JWS (RFC 7518, 3.4)."""
        signed = f"{self._header}.{_text(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), _ES256))
        return f"{signed}.{_text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Return the public half of `key` as a JWK (RFC 7518, 6.2.1)."""
    numbers = key.public_key().public_numbers()
    x, y = (_text(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key in `pem`."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


@dataclass(slots=True)
class FapiPortal:
    """A client that pushes its requests, proves itself by its key and binds its tokens to a second one.

    `paths` are those of authorize, par, token and userinfo. It keeps the newest nonce it was given, and asks again
    with it when one is missing, as client libraries do.
    """

    port: int
    issuer: str
    client_id: str
    redirect_uri: str
    scope: str
    paths: Mapping[str, str]
    cookies: list[str]
    key: ec.EllipticCurvePrivateKey
    codes: deque[str] = field(default_factory=deque)
    tokens: list[str] = field(default_factory=list)
    refresh_tokens: deque[str] = field(default_factory=deque)
    nonce: str = ""
    _assertions: Signer = field(init=False)
    _proofs: Signer = field(init=False)
    _turn: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        bound = ec.generate_private_key(ec.SECP256R1())
        self._assertions = Signer(self.key, {"typ": "JWT"})
        self._proofs = Signer(bound, {"typ": "dpop+jwt", "jwk": public_jwk(bound)})

    # --- units ---

    def login(self) -> Unit:
        """Sign in with a live session: pushed request, authorize, token, UserInfo."""
        yield from self._code()
        token = yield from self._redeemed(self.codes.pop())
        yield from self._person(token)
        if len(self.tokens) < _TOKENS:
            self.tokens.append(token)

    def push(self) -> Unit:
        """Push a request that nobody will follow."""
        self._request_uri((yield self._push()))

    def code(self) -> Unit:
        """Push a request, follow it, and keep the code."""
        yield from self._code()

    def token(self) -> Unit:
        """Redeem a code issued before the clock started."""
        if not self.codes:
            raise Spent
        yield from self._redeemed(self.codes.popleft())

    def userinfo(self) -> Unit:
        """Read the claims behind a bound token of an earlier login."""
        if not self.tokens:
            raise Spent
        yield from self._person(self.tokens[next(self._turn) % len(self.tokens)])

    def refresh(self) -> Unit:
        """Refresh; each connection hands on the token that the last one was answered with."""
        if not self.refresh_tokens:
            raise Spent
        yield from self._granted({"grant_type": "refresh_token", "refresh_token": self.refresh_tokens.popleft()})

    def _code(self) -> Unit:
        name = self._request_uri((yield self._push()))
        cookie = self.cookies[next(self._turn) % len(self.cookies)]
        query = urlencode({"client_id": self.client_id, "request_uri": name}, quote_via=quote)
        answer = yield self._get(f"{self.paths['authorize']}?{query}", f"Cookie: {cookie}\r\n")
        if answer.status not in (302, 303):
            raise Wrong(f"status {answer.status} instead of a redirect: {answer.body[:160]!r}")
        location = answer.header("location")
        code = parse_qs(urlsplit(location).query).get("code")
        if not location.startswith(self.redirect_uri) or not code:
            raise Wrong(f"no code but {location[:160]}")
        # At the right end: a login takes its own one, the stock is used from the left.
        self.codes.append(code[0])

    def _redeemed(self, code: str) -> Generator[bytes, Answer, str]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        return (yield from self._granted(form | {"code_verifier": _VERIFIER}))

    def _granted(self, form: dict[str, str]) -> Generator[bytes, Answer, str]:
        answer = yield self._ask_for_token(form)
        if answer.status == 400 and b"use_dpop_nonce" in answer.body:
            self.nonce = answer.header("dpop-nonce")
            answer = yield self._ask_for_token(form)
        document = json.loads(answer.expect(200).body)
        if document["token_type"] != "DPoP" or document["id_token"].count(".") != 2:
            raise Wrong("no bound token or no ID token")
        if "dpop-nonce:" in answer.head.lower():
            self.nonce = answer.header("dpop-nonce")
        if "refresh_token" in document:
            self.refresh_tokens.append(document["refresh_token"])
        return str(document["access_token"])

    def _person(self, token: str) -> Unit:
        proof = self._proof("GET", self.paths["userinfo"], ath=_text(sha256(token.encode()).digest()))
        answer = yield self._get(self.paths["userinfo"], f"Authorization: DPoP {token}\r\n{proof}")
        if not {"sub", "name", "birthdate"} <= json.loads(answer.expect(200).body).keys():
            raise Wrong("claims are missing")

    # --- requests ---

    def _push(self) -> bytes:
        turn = next(self._turn)
        form = {
            "response_type": "code",
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": f"state-{turn}",
            "nonce": f"nonce-{turn}",
            "code_challenge": _CHALLENGE,
            "code_challenge_method": "S256",
        }
        return self._post(self.paths["par"], form)

    def _ask_for_token(self, form: dict[str, str]) -> bytes:
        nonce = {"nonce": self.nonce} if self.nonce else {}
        return self._post(self.paths["token"], form, self._proof("POST", self.paths["token"], **nonce))

    def _proof(self, method: str, path: str, **more: str) -> str:
        claims = {"htm": method, "htu": self.issuer + path, "iat": int(time.time()), "jti": os.urandom(16).hex()}
        return f"DPoP: {self._proofs.sign({**claims, **more})}\r\n"

    def _get(self, path: str, headers: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{headers}\r\n".encode()

    def _post(self, path: str, form: dict[str, str], headers: str = "") -> bytes:
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": self.issuer, "jti": os.urandom(16).hex()}
        assertion = self._assertions.sign({**claims, "iat": now, "exp": now + _ASSERTION_SECONDS})
        proven = {"client_id": self.client_id, "client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}
        body = urlencode({**form, **proven})
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{headers}"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    # --- what is right ---

    def _request_uri(self, answer: Answer) -> str:
        return str(json.loads(answer.expect(201).body)["request_uri"])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
