"""A portal with keys of its own: client assertions, signed requests, DPoP proofs, and what comes of them.

portal = keyed(provider)                    a client with private_key_jwt and an ES256 key
portal = keyed(provider, profile="fapi2")   the same under FAPI 2.0: it pushes, proves and binds by itself
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from joserfc import jwe, jwt
from joserfc.jwk import ECKey, Key, RSAKey
from werkzeug.test import TestResponse

from tests.browser import Browser
from tests.proofs import ProofKey
from tests.provider import Answer, Person, Portal, Provider, walk

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
REQUEST_URI = "urn:ietf:params:oauth:request_uri:"


@dataclass(frozen=True)
class KeyedPortal(Portal):
    """A portal that authenticates with its key, and binds its tokens to a second one when `binds`."""

    key: Key = field(repr=False, default_factory=lambda: ECKey.generate_key("P-256"))
    proof_key: ProofKey = field(repr=False, default_factory=ProofKey)
    binds: bool = False

    @property
    def issuer(self) -> str:
        """Return the provider's issuer."""
        return self.provider.settings.issuer

    # --- proving itself

    def assertion(self, **changes: Any) -> str:
        """Return a client assertion (RFC 7523, 3); a change to None drops the claim."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + 60,
            **changes,
        }
        return self.sign({name: value for name, value in claims.items() if value is not None})

    def sign(
        self, claims: Mapping[str, Any], *, typ: str = "JWT", key: Key | None = None, alg: str | None = None
    ) -> str:
        """Return `claims` signed with the portal's key."""
        key = key or self.key
        alg = alg or ("PS256" if isinstance(key, RSAKey) else "ES256")
        return jwt.encode({"alg": alg, "typ": typ}, dict(claims), key, algorithms=[alg])

    def authentication(self, **changes: Any) -> dict[str, str]:
        """Return the form members of private_key_jwt."""
        return {
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(**changes),
        }

    # --- asking

    def send(self, path: str, form: Mapping[str, str | None], *, binds: bool | None = None) -> TestResponse:
        """Post a form with the client's authentication, and a proof with the nonce asked for."""
        whole = {name: value for name, value in {**self.authentication(), **form}.items() if value is not None}
        if not (self.binds if binds is None else binds):
            response: TestResponse = self.provider.http().post(path, data=whole)
            return response
        response = self._send_bound(path, whole, None)
        nonce = response.headers.get("DPoP-Nonce")
        if response.status_code == 400 and response.get_json()["error"] == "use_dpop_nonce":
            # An assertion works once; a code that was asked for without a nonce has not been touched.
            fresh = {"client_assertion": self.assertion()} if "client_assertion" not in form else {}
            response = self._send_bound(path, {**whole, **fresh}, nonce)
        return response

    def _send_bound(self, path: str, form: Mapping[str, str], nonce: str | None) -> TestResponse:
        proof = self.proof_key.proof("POST", self.issuer + path, nonce=nonce)
        response: TestResponse = self.provider.http().post(path, data=form, headers={"DPoP": proof})
        return response

    def push(self, **changes: str | None) -> TestResponse:
        """Push the authorization request."""
        return self.send("/par", {**self.request(), **changes}, binds=False)

    def pushed(self, **changes: str | None) -> str:
        """Push a request that is in order; return the address to send the browser to."""
        response = self.push(**changes)
        assert response.status_code == 201, response.text
        return self.address_of(response.get_json()["request_uri"])

    def address_of(self, request_uri: str) -> str:
        """Return the authorization address for a pushed request."""
        return "/authorize?" + urlencode({"client_id": self.client_id, "request_uri": request_uri})

    def request_object(self, *, key: Key | None = None, typ: str = "oauth-authz-req+jwt", **changes: Any) -> str:
        """Return the authorization request as a signed request object (RFC 9101, 4)."""
        now = int(time.time())
        claims = {
            **self.request(),
            "iss": self.client_id,
            "aud": self.issuer,
            "nbf": now,
            "exp": now + 300,
            **changes,
        }
        return self.sign({name: value for name, value in claims.items() if value is not None}, typ=typ, key=key)

    def arrive(self, browser: Browser, person: Person | None = None, **changes: str | None) -> Answer:
        """Walk from the authorization request back to the portal, by a pushed request where the profile demands it."""
        is_pushed = self.document.get("profile") == "fapi2"
        address = self.pushed(**changes) if is_pushed else self.address(**changes)
        return Answer(walk(browser, browser.get(address), person))

    def redeem(self, code: str, *, authorization: str | None = "basic", **changes: str | None) -> TestResponse:
        """Send the token request."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            **changes,
        }
        return self.send("/token", form)

    def userinfo(self, access_token: str) -> TestResponse:
        """Ask UserInfo, with a proof when the token is bound."""
        headers = {"Authorization": f"Bearer {access_token}"}
        if self.binds:
            proof = self.proof_key.proof("GET", self.issuer + "/userinfo", access_token=access_token)
            headers = {"Authorization": f"DPoP {access_token}", "DPoP": proof}
        return self.provider.http().get("/userinfo", headers=headers)

    def decrypt(self, compact: str) -> str:
        """Return what is inside a JWE for the portal's key."""
        algorithms = ["RSA-OAEP-256", "ECDH-ES", "A256GCM"]
        plaintext = jwe.decrypt_compact(compact, self.key, algorithms=algorithms).plaintext
        assert plaintext is not None
        return plaintext.decode()


def keyed(provider: Provider, *, key: Key | None = None, binds: bool | None = None, **members: Any) -> KeyedPortal:
    """Register a client with a key of its own; `members` of the client document, None drops one."""
    key = key or ECKey.generate_key("P-256")
    whole = {
        "client_secret": None,
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.as_dict(private=False)]},
        **members,
    }
    portal = provider.portal(**whole)
    is_bound = whole.get("profile") == "fapi2" if binds is None else binds
    return KeyedPortal(
        provider, portal.client_id, portal.document, portal.redirect_uri, portal.secret, key=key, binds=is_bound
    )


def rsa_key() -> RSAKey:
    """Return a new RSA key for signatures and encryption."""
    return RSAKey.generate_key(2048)
