"""A portal made with Authlib's Flask client. docs/connect-an-agency.md shows parts of it, word for word."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.flask_client import OAuth, OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from flask import Flask, Response, abort, jsonify, redirect, request
from joserfc.jwk import ECKey

configuration = json.loads(Path(sys.argv[1]).read_text("utf-8"))
ISSUER = configuration["issuer"]

app = Flask(__name__)
app.secret_key = "a secret of the tests alone"
oauth = OAuth(app)
# What a portal keeps on its side; a session cookie is too small for tokens and is sent around.
kept: dict[str, dict[str, Any]] = {}


class Assertion(PrivateKeyJWT):
    """Authlib writes the token endpoint as audience and an hour of life; LienKet takes its issuer, and five minutes."""

    def sign(self, auth: Any, token_endpoint: str) -> str:
        """Return a client assertion (RFC 7523, 2.2)."""
        header = {"kid": auth.client_secret.kid}
        return private_key_jwt_sign(
            auth.client_secret, auth.client_id, ISSUER, alg="ES256", header=header, expires_in=60
        )


def register_with_secret(name: str, *, client_id: str, client_secret: str, method: str, scope: str) -> None:
    """Register a client that proves itself by a secret."""
    oauth.register(
        name,
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
        # leeway: tokens of a strong sign-in live 60 seconds, and Authlib thinks a token old 60 seconds before it is.
        client_kwargs={
            "scope": scope,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": method,
            "leeway": 5,
        },
    )


def register_with_key(name: str, *, client_id: str, private_jwk: dict[str, str], scope: str) -> None:
    """Register a client that proves itself by a key."""
    oauth.register(
        name,
        client_id=client_id,
        client_secret=ECKey.import_key(private_jwk),
        client_auth_methods=[Assertion()],
        server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
        client_kwargs={
            "scope": scope,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": "private_key_jwt",
            "leeway": 5,
        },
    )


for name, client in configuration["clients"].items():
    common = {"client_id": client["client_id"], "scope": client["scope"]}
    if client["method"] == "private_key_jwt":
        register_with_key(name, private_jwk=client["jwk"], **common)
    else:
        register_with_secret(name, client_secret=client["client_secret"], method=client["method"], **common)


@app.get("/<name>/signin")
def sign_in(name: str) -> Any:
    return oauth.create_client(name).authorize_redirect(
        configuration["clients"][name]["redirect_uri"], **request.args.to_dict()
    )


@app.route("/<name>/callback", methods=["GET", "POST"])
def callback(name: str) -> Any:
    # Authlib does not look at `iss` (RFC 9207, 2.4).
    if request.values.get("iss") != ISSUER:
        abort(400)
    token = oauth.create_client(name).authorize_access_token()
    # Signature, iss, aud, exp and nonce of the ID token were checked; its claims are in token["userinfo"].
    kept[name] = {"token": token, "claims": token["userinfo"]}
    return redirect(f"/{name}/me")


@app.get("/<name>/me")
def me(name: str) -> Any:
    if name not in kept:
        return jsonify(signed_in=False)
    token, claims = kept[name]["token"], kept[name]["claims"]
    return jsonify(
        signed_in=True,
        claims=claims,
        token_type=token["token_type"].lower(),
        scope=token.get("scope"),
        refreshable="refresh_token" in token,
    )


@app.get("/<name>/userinfo")
def userinfo(name: str) -> Any:
    found = oauth.create_client(name).userinfo(token=kept[name]["token"])
    if found["sub"] != kept[name]["claims"]["sub"]:
        abort(400)
    return jsonify(found)


@app.get("/<name>/signout")
def sign_out(name: str) -> Any:
    token = kept.pop(name)["token"]
    return oauth.create_client(name).logout_redirect(
        post_logout_redirect_uri=configuration["clients"][name]["post_logout_redirect_uri"],
        id_token_hint=token["id_token"],
    )


@app.get("/<name>/signed-out")
def signed_out(name: str) -> Any:
    state = oauth.create_client(name).validate_logout_response()
    return jsonify(signed_out=True, state_is_mine=bool(state))


@app.get("/<name>/introspect")
def introspect(name: str) -> Any:
    with back_channel(name) as there:
        answer = there.introspect_token(metadata(name, "introspection_endpoint"), token=chosen(name))
    return jsonify(answer.json())


@app.get("/<name>/revoke")
def revoke(name: str) -> Any:
    with back_channel(name) as there:
        answer = there.revoke_token(metadata(name, "revocation_endpoint"), token=chosen(name))
    return jsonify({}), answer.status_code


@app.get("/<name>/refresh")
def refresh(name: str) -> Any:
    with back_channel(name) as there:
        token = there.refresh_token(metadata(name, "token_endpoint"), kept[name]["token"]["refresh_token"])
    kept[name]["token"] |= token
    return me(name)


def chosen(name: str) -> str:
    token: str = kept[name]["token"][request.args.get("token", "access_token")]
    return token


def metadata(name: str, endpoint: str) -> str:
    address: str = oauth.create_client(name).load_server_metadata()[endpoint]
    return address


def back_channel(name: str) -> OAuth2Session:
    """Return a session that proves itself as the client, for requests without a citizen."""
    client = configuration["clients"][name]
    if client["method"] != "private_key_jwt":
        return OAuth2Session(client["client_id"], client["client_secret"], token_endpoint_auth_method=client["method"])
    key = ECKey.import_key(client["jwk"])
    there = OAuth2Session(client["client_id"], key, token_endpoint_auth_method="private_key_jwt")
    there.register_client_auth_method(Assertion())
    return there


@app.errorhandler(OAuthError)
def refused(error: OAuthError) -> tuple[Response, int]:
    return jsonify(error=error.error, error_description=error.description), 502


@app.get("/healthz")
def healthz() -> Any:
    return jsonify({})


if __name__ == "__main__":
    app.run(port=urlsplit(configuration["origin"]).port)
