"""A relying party that knows the specifications and nothing of the provider: what a certification suite plays.

It registers itself (RFC 7591), sends what it is told to send, well or badly, and judges answers with python-jose.
"""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import requests
from jose import jwt
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, Key, RSAKey
from requests.adapters import HTTPAdapter

from tests.parties.certification.visitor import Arrived, Visitor
from tests.proofs import ProofKey

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ADDRESSES = count(1)
_TIMEOUT = 20


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


@dataclass
class RelyingParty:
    """One registered client. `client` is the registration response, `key` signs its JWTs, `proof_key` its proofs."""

    provider: dict[str, Any]
    client: dict[str, Any]
    key: Key
    proof_key: ProofKey = field(default_factory=ProofKey)
    binds: bool = False

    @property
    def issuer(self) -> str:
        """Return the issuer."""
        issuer: str = self.provider["issuer"]
        return issuer

    @property
    def client_id(self) -> str:
        """Return the id it was given."""
        client_id: str = self.client["client_id"]
        return client_id

    # --- JWTs of its own

    def sign(
        self,
        claims: Mapping[str, Any],
        *,
        key: Key | None = None,
        alg: str = "ES256",
        typ: str = "JWT",
        kid: str = "rp",
    ) -> str:
        """Return claims signed with the client's key."""
        key = key or self.key
        return joserfc_jwt.encode({"alg": alg, "typ": typ, "kid": kid}, dict(claims), key, algorithms=[alg])

    def assertion(self, *, key: Key | None = None, alg: str = "ES256", kid: str = "rp", **changes: Any) -> str:
        """Return a client assertion (RFC 7523, 3)."""
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": self.issuer, "iat": now, "exp": now + 60}
        return self.sign(without_none(claims | {"jti": secrets.token_urlsafe(16)} | changes), key=key, alg=alg, kid=kid)

    def request_object(self, *, key: Key | None = None, alg: str = "ES256", typ: str = "JWT", **changes: Any) -> str:
        """Return a request object (RFC 9101, 4)."""
        now = int(time.time())
        claims = self.request() | {"iss": self.client_id, "aud": self.issuer, "nbf": now, "exp": now + 300}
        return self.sign(without_none(claims | changes), key=key, alg=alg, typ=typ)

    def proof(self, path: str, *, method: str = "POST", **changes: Any) -> str:
        """Return a DPoP proof for an address of the provider."""
        return self.proof_key.proof(method, self.issuer + path, **changes)

    # --- the front channel

    def request(self, **changes: str | None) -> dict[str, str]:
        """Return an authorization request."""
        request: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.client["redirect_uris"][0],
            "scope": "openid",
            "state": "state-of-the-relying-party",
            "nonce": "nonce-of-the-relying-party",
        }
        if self.client.get("profile") == "fapi2":
            request |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        return without_none(request | changes)

    def authorize(self, visitor: Visitor, *, method: str = "GET", **changes: str | None) -> Arrived:
        """Send a browser with an authorization request, and return how it ended."""
        if method == "POST":
            visitor.open(self.provider["authorization_endpoint"], method="POST", form=self.request(**changes))
        else:
            visitor.open(self.address(**changes))
        return visitor.arrive()

    def address(self, **changes: str | None) -> str:
        """Return the authorization request as an address."""
        return f"{self.provider['authorization_endpoint']}?{urlencode(self.request(**changes), quote_via=quote)}"

    def go(self, visitor: Visitor, request_uri: str, **more: str) -> Arrived:
        """Send a browser with a pushed request."""
        query = urlencode({"client_id": self.client_id, "request_uri": request_uri} | more)
        visitor.open(f"{self.provider['authorization_endpoint']}?{query}")
        return visitor.arrive()

    # --- the back channel

    def post(self, endpoint: str, form: Mapping[str, str | None], *, proof: str | None = None) -> requests.Response:
        """Post a form with the client's authentication; a bound client proves its key, with the nonce it is asked for.

        A pushed request goes without a proof unless it is given one. Members of the form go before those that
        authenticate, None drops one; a `proof` is sent as it is.
        """
        address = self.provider[f"{endpoint}_endpoint"]
        nonce: str | None = None
        while True:
            headers, fields = self._authentication()
            if proof is not None:
                headers["DPoP"] = proof
            elif self.binds and endpoint == "token":
                headers["DPoP"] = self.proof_key.proof("POST", address, nonce=nonce)
            whole = without_none({**fields, **form})
            answer = requests.post(address, data=whole, headers=headers, timeout=_TIMEOUT)
            is_asked = self.binds and proof is None and nonce is None and "use_dpop_nonce" in answer.text
            if not is_asked:
                return answer
            nonce = answer.headers["DPoP-Nonce"]

    def _authentication(self) -> tuple[dict[str, str], dict[str, str]]:
        method = self.client["token_endpoint_auth_method"]
        if method == "private_key_jwt":
            return {}, {
                "client_id": self.client_id,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self.assertion(),
            }
        secret = self.client["client_secret"]
        if method == "client_secret_post":
            return {}, {"client_id": self.client_id, "client_secret": secret}
        pair = f"{quote_plus(self.client_id)}:{quote_plus(secret)}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}, {}

    def push(self, *, proof: str | None = None, **changes: str | None) -> requests.Response:
        """Push the authorization request; None drops a parameter."""
        return self.post("pushed_authorization_request", {**self.request(), **changes}, proof=proof)

    def redeem(self, arrived: Arrived, *, proof: str | None = None, **changes: str | None) -> requests.Response:
        """Send the token request for a code."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": arrived["code"],
            "redirect_uri": self.client["redirect_uris"][0],
        }
        if self.client.get("profile") == "fapi2":
            form["code_verifier"] = VERIFIER
        return self.post("token", {**form, **changes}, proof=proof)

    def tokens(self, arrived: Arrived, **changes: str | None) -> dict[str, Any]:
        """Redeem a code that must be good, and judge the answer (OpenID Connect Core 1.0, 3.1.3.3)."""
        answer = self.redeem(arrived, **changes)
        return judged(answer)

    def refresh(self, refresh_token: str, *, proof: str | None = None, **changes: str | None) -> requests.Response:
        """Send a refresh request."""
        form: dict[str, str | None] = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.post("token", {**form, **changes}, proof=proof)

    def claims(self, tokens: Mapping[str, Any]) -> dict[str, Any]:
        """Return the claims of the ID token, verified as OpenID Connect Core 1.0, 3.1.3.7, says."""
        header = jwt.get_unverified_header(tokens["id_token"])
        assert header["alg"] == self.client["id_token_signed_response_alg"]
        published = requests.get(self.provider["jwks_uri"], timeout=_TIMEOUT).json()["keys"]
        [key] = [key for key in published if key["kid"] == header["kid"]]
        claims: dict[str, Any] = jwt.decode(
            tokens["id_token"],
            key,
            algorithms=[header["alg"]],
            audience=self.client_id,
            issuer=self.issuer,
            access_token=tokens["access_token"],
            options={f"require_{name}": True for name in ("aud", "iat", "exp", "iss", "sub")},
        )
        assert abs(claims["iat"] - time.time()) < 300
        return claims

    def sign_in(self, visitor: Visitor, **changes: str | None) -> dict[str, Any]:
        """Walk a whole sign-in and return the claims of the ID token."""
        return self.claims(self.tokens(self.authorize(visitor, **changes)))

    def userinfo(self, access_token: str, *, method: str = "GET", **headers: str) -> requests.Response:
        """Ask UserInfo with the token in the header."""
        scheme = "DPoP" if self.binds else "Bearer"
        sent = {"Authorization": f"{scheme} {access_token}"}
        if self.binds:
            sent["DPoP"] = self.proof("/userinfo", method=method, access_token=access_token)
        return requests.request(method, self.provider["userinfo_endpoint"], headers=sent | headers, timeout=_TIMEOUT)


def judged(answer: requests.Response) -> dict[str, Any]:
    """Return a successful token response that is as it must be."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "no-store" in answer.headers["Cache-Control"]
    tokens: dict[str, Any] = answer.json()
    assert tokens["token_type"].lower() in ("bearer", "dpop")
    assert 0 < tokens["expires_in"] <= 31_536_000
    return tokens


def refused(answer: requests.Response, *errors: str, status: tuple[int, ...] = (400,)) -> None:
    """Check an error of the token endpoint (RFC 6749, 5.2)."""
    assert answer.status_code in status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    document = answer.json()
    assert document["error"] in errors, document
    assert document.keys() <= {"error", "error_description", "error_uri"}
    assert all(" " <= sign <= "~" and sign not in '"\\' for sign in document.get("error_description", ""))


def discover(issuer: str) -> dict[str, Any]:
    """Return the provider's metadata."""
    answer = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=_TIMEOUT)
    assert answer.headers["Content-Type"].startswith("application/json")
    found: dict[str, Any] = answer.json()
    assert found["issuer"] == issuer
    return found


class _FromElsewhere(HTTPAdapter):
    """Connections from a loopback address of their own: registrations are counted by address."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=(f"127.0.1.{next(_ADDRESSES)}", 0))


def ask_to_register(provider: Mapping[str, Any], metadata: Mapping[str, Any]) -> requests.Response:
    """Send a registration request (RFC 7591, 3.1), each time from another address."""
    with requests.Session() as session:
        session.mount("http://", _FromElsewhere())
        return session.post(provider["registration_endpoint"], json=dict(metadata), timeout=_TIMEOUT)


def register(issuer: str, name: str, **metadata: Any) -> RelyingParty:
    """Register a client under a host of its own, as a relying party that never heard of the provider does."""
    provider = discover(issuer)
    key = ECKey.generate_key("P-256", {"kid": "rp", "alg": "ES256", "use": "sig"}, private=True)
    sent = {
        "client_name": f"Certification {name}",
        "redirect_uris": [f"https://{name}.rp.example/callback"],
        "post_logout_redirect_uris": [f"https://{name}.rp.example/out"],
        "id_token_signed_response_alg": "ES256" if metadata.get("profile") == "fapi2" else "RS256",
        **({"jwks": {"keys": [key.as_dict(private=False)]}} if "jwks_uri" not in metadata else {}),
        **metadata,
    }
    answer = ask_to_register(provider, without_none(sent))
    assert answer.status_code == 201, answer.text
    client: dict[str, Any] = answer.json()
    return RelyingParty(provider, client, key, binds=bool(client.get("dpop_bound_access_tokens")))


def unsigned(claims: Mapping[str, Any]) -> str:
    """Return claims as a JWT with alg none."""

    def encoded(value: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{encoded({'alg': 'none'})}.{encoded(claims)}."


def rsa() -> RSAKey:
    """Return an RSA key nobody has registered."""
    return RSAKey.generate_key(2_048)
