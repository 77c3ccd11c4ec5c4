"""A small OpenID provider over loopback HTTP that does as it is told, also wrongly.

It shares no code with `idp` and none with `clients`: keys and signatures are joserfc's, the rest is written out here.
"""

import base64
import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from werkzeug.serving import make_server

ES256_KEY = ECKey.generate_key("P-256", {"kid": "es-1", "use": "sig", "alg": "ES256"})
RS256_KEY = RSAKey.generate_key(2048, {"kid": "rs-1", "use": "sig", "alg": "RS256"})
SUB = "pairwise-subject-of-the-portal"


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def half_hash(value: str) -> str:
    return encode(hashlib.sha256(value.encode()).digest()[:16])


def sign(claims: dict[str, Any], key: ECKey | RSAKey = ES256_KEY, **header: Any) -> str:
    algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
    return jwt.encode({"typ": "JWT", "alg": algorithm, "kid": key.kid, **header}, claims, key, algorithms=[algorithm])


class ScriptedProvider:
    """Serve on a free port of 127.0.0.1; the public attributes are the script of one test."""

    def __init__(self) -> None:
        app = Flask(__name__)
        app.get("/.well-known/openid-configuration")(self._discovery)
        app.get("/jwks")(self._jwks)
        app.get("/authorize")(self._authorize)
        app.post("/token")(self._token)
        app.get("/userinfo")(self._userinfo)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._release = threading.Event()
        self.reset()
        self._thread.start()

    def reset(self) -> None:
        self.calls: list[str] = []
        self.token_requests: list[dict[str, str]] = []
        self.authorization_requests: list[dict[str, str]] = []
        self.hanging: set[str] = set()
        self.keys: list[dict[str, Any]] = [ES256_KEY.as_dict(private=False), RS256_KEY.as_dict(private=False)]
        self.acr: str | None = None  # None: what was asked
        self.sub = SUB
        self.metadata: dict[str, Any] = {}
        self.change_answer: Callable[[dict[str, str]], Any] = lambda answer: None
        self.change_claims: Callable[[dict[str, Any]], Any] = lambda claims: None
        self.sign: Callable[[dict[str, Any]], str] = sign
        self.token_answer: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.userinfo_answer: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self._codes: dict[str, dict[str, str]] = {}

    def stop(self) -> None:
        self._release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _arrive(self, endpoint: str) -> None:
        self.calls.append(endpoint)
        if endpoint in self.hanging:
            self._release.wait(10)

    def _discovery(self) -> Response:
        self._arrive("discovery")
        return jsonify(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                "end_session_endpoint": f"{self.issuer}/logout",
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "authorization_response_iss_parameter_supported": True,
                **self.metadata,
            }
        )

    def _jwks(self) -> Response:
        self._arrive("jwks")
        return jsonify({"keys": self.keys})

    def _authorize(self) -> Any:
        self._arrive("authorize")
        asked = request.args.to_dict()
        self.authorization_requests.append(asked)
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        answer = self.change_answer(answer) or answer
        return redirect(f"{asked['redirect_uri']}?{urlencode(answer, doseq=True)}", 303)

    def _token(self) -> Any:
        self._arrive("token")
        form = request.form.to_dict()
        self.token_requests.append(form | {"authorization": request.headers.get("Authorization", "")})
        asked = self._codes.pop(form["code"], None)
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            return jsonify(error="invalid_grant"), 400
        if encode(hashlib.sha256(form["code_verifier"].encode()).digest()) != asked["code_challenge"]:
            return jsonify(error="invalid_grant"), 400
        now = int(time.time())
        access_token = "access-token-of-the-test"
        claims = {
            "iss": self.issuer,
            "sub": self.sub,
            "aud": asked["client_id"],
            "iat": now,
            "exp": now + 300,
            "auth_time": now - 5,
            "nonce": asked["nonce"],
            "acr": self.acr or asked["acr_values"],
            "at_hash": half_hash(access_token),
        }
        claims = self.change_claims(claims) or claims
        answer = {"access_token": access_token, "token_type": "Bearer", "expires_in": 60, "id_token": self.sign(claims)}
        return self.token_answer(answer)

    def _userinfo(self) -> Any:
        self._arrive("userinfo")
        if request.headers.get("Authorization") != "Bearer access-token-of-the-test":
            return "", 401
        answer = {"sub": self.sub, "name": "Trần Thị Bưởi", "identification_number": "979190000001"}
        return self.userinfo_answer(answer)
