"""Every parameter that takes a JWT, against every trick known: refused by its own error, and nobody is called.

RFC 8725; security.md, 2.1 and 2.2 (algorithm confusion, keys in headers, addresses in headers, bombs, mix-ups).
"""

import base64
import hashlib
import hmac
import json
import secrets
import socket
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey
from werkzeug.test import TestResponse

from idp.core.limits import RateLimit
from tests.keyed import KeyedPortal, keyed
from tests.proofs import encoded
from tests.provider import Person, Provider

CIBA = "urn:openid:params:grant-type:ciba"
FOREIGN = ECKey.generate_key("P-256", {"kid": "foreign"})
OURS = ECKey.generate_key("P-256", {"kid": "portal"})
CPU_SECONDS = 2.0


@dataclass(frozen=True)
class Kind:
    """One parameter: a good token for it, taken apart, and how it is sent and refused."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    key: Any
    send: Callable[[str], TestResponse]
    is_accepted: Callable[[TestResponse], bool]
    is_refused: Callable[[TestResponse], bool]


def compact(header: Any, payload: Any, key: Any, *, alg: str = "ES256") -> str:
    """Return a compact JWS with any header, made by hand: joserfc would not sign half of these."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(map(encoded, parts))
    signature = jws.JWSRegistry(algorithms=[alg]).get_alg(alg).sign(signed.encode(), key)
    return f"{signed}.{encoded(signature)}"


def again(kind: Kind, *, key: Any = None, **header: Any) -> str:
    return compact({**kind.header, **header}, kind.claims, key or kind.key)


def hmac_by(kind: Kind, material: bytes) -> str:
    signed = (
        f"{encoded(json.dumps({**kind.header, 'alg': 'HS256'}).encode())}.{encoded(json.dumps(kind.claims).encode())}"
    )
    return f"{signed}.{encoded(hmac.digest(material, signed.encode(), hashlib.sha256))}"


def packed(kind: Kind) -> str:
    header = {"alg": "dir", "enc": "A256GCM", "zip": "DEF", "cty": "JWT"}
    bomb = json.dumps({**kind.claims, "pad": " " * 200_000})
    return jwe.encrypt_compact(header, bomb, OctKey.generate_key(256), algorithms=["dir", "A256GCM", "DEF"])


def bomb(kind: Kind) -> str:
    raw = zlib.compress(json.dumps({**kind.claims, "pad": "x" * 5_000_000}).encode())[2:-4]
    return compact({**kind.header, "zip": "DEF"}, raw, kind.key)


def twice(kind: Kind) -> str:
    doubled = json.dumps(dict(kind.claims))[:-1] + ', "iat": 0, "iat": 0}'
    return compact(dict(kind.header), doubled.encode(), kind.key)


def general(kind: Kind) -> str:
    header, payload, signature = again(kind).split(".")
    return json.dumps({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})


def unsigned(kind: Kind) -> str:
    return again(kind, alg="none").rpartition(".")[0] + "."


TRICKS: dict[str, Callable[[Kind, str], str]] = {
    "alg none without signature": lambda kind, _: unsigned(kind),
    "alg none with signature": lambda kind, _: again(kind, alg="none"),
    "alg nOnE": lambda kind, _: again(kind, alg="nOnE"),
    "alg empty": lambda kind, _: again(kind, alg=""),
    "alg missing": lambda kind, _: again(kind, alg=None),
    "alg a list": lambda kind, _: again(kind, alg=["ES256"]),
    "alg HS256 under the public PEM": lambda kind, _: hmac_by(kind, kind.key.as_pem(private=False)),
    "alg HS256 under the public DER": lambda kind, _: hmac_by(kind, kind.key.as_der(private=False)),
    "alg HS256 under the public JWK": lambda kind, _: hmac_by(
        kind, json.dumps(kind.key.as_dict(private=False)).encode()
    ),
    "alg HS256 under nothing": lambda kind, _: hmac_by(kind, b""),
    "a foreign key": lambda kind, _: again(kind, key=FOREIGN),
    "a foreign key that names itself": lambda kind, _: again(kind, key=FOREIGN, kid="foreign"),
    "a foreign key in jwk": lambda kind, _: again(kind, key=FOREIGN, jwk=FOREIGN.as_dict(private=True)),
    "a foreign key in jwk and kid": lambda kind, _: again(
        kind, key=FOREIGN, kid="foreign", jwk=FOREIGN.as_dict(private=False), alg="RS256"
    ),
    "jku": lambda kind, canary: again(kind, jku=f"{canary}/jwks"),
    "jku and a foreign key": lambda kind, canary: again(kind, key=FOREIGN, kid="foreign", jku=f"{canary}/jwks"),
    "x5u": lambda kind, canary: again(kind, x5u=f"{canary}/chain.pem"),
    "x5c": lambda kind, _: again(kind, x5c=["MIIB"]),
    "crit unknown": lambda kind, _: again(kind, crit=["unheard-of"], **{"unheard-of": True}),
    "crit empty": lambda kind, _: again(kind, crit=[]),
    "b64 false": lambda kind, _: again(kind, b64=False, crit=["b64"]),
    "zip": lambda kind, _: bomb(kind),
    "a compressed JWE": lambda kind, _: packed(kind),
    "200 kB": lambda kind, _: compact(dict(kind.header), {**kind.claims, "pad": "x" * 150_000}, kind.key),
    "200 kB of header": lambda kind, _: again(kind, pad="x" * 150_000),
    "200 kB of dots": lambda kind, _: "." * 200_000,
    "deep nesting": lambda kind, _: compact(dict(kind.header), b'{"a":' * 2_000 + b"1" + b"}" * 2_000, kind.key),
    "deep header": lambda kind, _: compact(b'{"a":' * 200 + b"1" + b"}" * 200, dict(kind.claims), kind.key),
    "a member twice": lambda kind, _: twice(kind),
    "NaN": lambda kind, _: compact(dict(kind.header), b'{"exp": NaN, "iat": Infinity}', kind.key),
    "a number without end": lambda kind, _: compact(dict(kind.header), b'{"exp": ' + b"9" * 5_000 + b"}", kind.key),
    "a list": lambda kind, _: compact(dict(kind.header), [dict(kind.claims)], kind.key),
    "not UTF-8": lambda kind, _: compact(dict(kind.header), b'{"iss": "\xff"}', kind.key),
    "UTF-16": lambda kind, _: compact(dict(kind.header), json.dumps(dict(kind.claims)).encode("utf-16"), kind.key),
    "JSON serialization": lambda kind, _: general(kind),
    "no signature": lambda kind, _: again(kind).rpartition(".")[0],
    "an empty signature": lambda kind, _: again(kind).rpartition(".")[0] + ".",
    "a signature with a bit turned": lambda kind, _: again(kind)[:-20] + "A" * 20,
    "kid a path": lambda kind, _: again(kind, kid="../../../../dev/null"),
    "kid an address": lambda kind, canary: again(kind, kid=f"{canary}/key"),
    "kid SQL": lambda kind, _: again(kind, kid="x' OR 1=1 --"),
    "kid a list": lambda kind, _: again(kind, kid=["portal"]),
    "kid too long": lambda kind, _: again(kind, kid="x" * 1_000),
    "kid with a zero byte": lambda kind, _: again(kind, kid="\0"),
    "iss foreign": lambda kind, _: compact(
        dict(kind.header), {**kind.claims, "iss": "https://evil.example", "htm": "PATCH"}, kind.key
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def canary() -> Iterator[tuple[str, socket.socket]]:
    """Yield an address on loopback, where the sandbox may go, and the socket that would know of a visit."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", listening


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen(totp=False)


@pytest.fixture(scope="module")
def portal(provider: Provider) -> KeyedPortal:
    return keyed(
        provider,
        key=OURS,
        scope="openid",
        grant_types=["authorization_code", CIBA],
        access_token_format="jwt",
        userinfo_signed_response_alg="ES256",
    )


@pytest.fixture(scope="module")
def tokens(portal: KeyedPortal, provider: Provider, person: Person) -> dict[str, Any]:
    return portal.tokens(portal.arrive(provider.browser(), person))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a JWT."""
    header, payload, _ = token.split(".")
    header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, payload))
    return header, payload


def error_is(*words: str, status: int = 400) -> Callable[[TestResponse], bool]:
    def is_so(response: TestResponse) -> bool:
        # What no parser of ours would read at all is refused as a form before anything in it is looked at.
        is_too_big = response.status_code in (400, 413) and response.get_json()["error"] == "invalid_request"
        return is_too_big or (response.status_code == status and response.get_json()["error"] in words)

    return is_so


def is_page_or_error(response: TestResponse) -> bool:
    location = response.headers.get("Location", "")
    return 400 <= response.status_code < 500 or "error=invalid_request" in location


def has_status(*wanted: int) -> Callable[[TestResponse], bool]:
    return lambda response: response.status_code in wanted


def kind_of(name: str, portal: KeyedPortal, person: Person, tokens: Mapping[str, Any]) -> Kind:
    """Return one kind of token with fresh claims, so that what a trick leaves alone would be accepted."""
    now, http = int(time.time()), portal.provider.http()
    stamp = {"iat": now, "nbf": now, "exp": now + 60, "jti": secrets.token_urlsafe(16)}
    common = {"iss": portal.client_id, "aud": portal.issuer, **stamp}
    signed = {"alg": "ES256", "kid": "portal", "typ": "JWT"}
    asking = {"alg": "ES256", "kid": "portal", "typ": "oauth-authz-req+jwt"}
    proving = {"alg": "ES256", "typ": "dpop+jwt", "jwk": portal.proof_key.public}
    request = portal.request()
    pushed = {"client_id": portal.client_id}

    def assertion(path: str, **form: str) -> Callable[[str], TestResponse]:
        return lambda token: http.post(path, data={**portal.authentication(), "client_assertion": token, **form})

    def authorize(**form: str) -> Callable[[str], TestResponse]:
        return lambda token: portal.provider.browser().send("POST", "/authorize", data=_filled(form, token))

    def authenticated(path: str, **form: str) -> Callable[[str], TestResponse]:
        return lambda token: portal.send(path, _filled(form, token), binds=False)

    def proof(method: str, path: str) -> dict[str, Any]:
        return {"jti": stamp["jti"], "htm": method, "htu": portal.issuer + path, "iat": now}

    def with_proof(token: str) -> TestResponse:
        return http.post("/par", data={**portal.authentication(), **request}, headers={"DPoP": token})

    header, claims = parts(tokens["id_token"])
    access_header, access_claims = parts(tokens["access_token"])
    backchannel = {"scope": "openid", "binding_message": "7391", "login_hint": person.number}
    ok = has_status(200)
    return {
        "client assertion at token": lambda: Kind(
            signed, {**common, "sub": portal.client_id}, portal.key,
            assertion("/token", grant_type="authorization_code", code="x", redirect_uri=portal.redirect_uri),
            error_is("invalid_grant"), error_is("invalid_client", status=401),
        ),
        "client assertion at introspect": lambda: Kind(
            signed, {**common, "sub": portal.client_id}, portal.key, assertion("/introspect", token="x"),
            ok, error_is("invalid_client", status=401),
        ),
        "request object at authorize": lambda: Kind(
            asking, {**common, **request}, portal.key, authorize(**request, request=""),
            lambda response: response.headers.get("Location", "").startswith("/signin/"), is_page_or_error,
        ),
        "request object pushed": lambda: Kind(
            asking, {**common, **request}, portal.key, authenticated("/par", **pushed, request=""),
            has_status(201), error_is("invalid_request_object"),
        ),
        "request object of a backchannel request": lambda: Kind(
            asking, {**common, **backchannel}, portal.key, authenticated("/bc-authorize", request=""),
            ok, error_is("invalid_request_object"),
        ),
        "id_token_hint at authorize": lambda: Kind(
            header, claims, FOREIGN, authorize(**request, id_token_hint=""), has_status(), is_page_or_error,
        ),
        "id_token_hint pushed": lambda: Kind(
            header, claims, FOREIGN, authenticated("/par", **request, id_token_hint=""),
            has_status(), error_is("invalid_request"),
        ),
        "id_token_hint at logout": lambda: Kind(
            header, claims, FOREIGN, lambda token: http.post("/logout", data={"id_token_hint": token}),
            has_status(), has_status(400, 413),
        ),
        "access token at userinfo": lambda: Kind(
            access_header, access_claims, FOREIGN,
            lambda token: http.get("/userinfo", headers={"Authorization": f"Bearer {token}"}),
            has_status(), has_status(401),
        ),
        "access token at introspect": lambda: Kind(
            access_header, access_claims, FOREIGN, authenticated("/introspect", token=""), has_status(),
            lambda response: response.status_code in (400, 413) or response.get_json() == {"active": False},
        ),
        "access token at revoke": lambda: Kind(
            access_header, access_claims, FOREIGN, authenticated("/revoke", token=""), has_status(),
            has_status(200, 400, 413),
        ),
        "DPoP proof": lambda: Kind(
            proving, proof("POST", "/par"), portal.proof_key.key, with_proof,
            lambda response: response.get_json().get("error") == "use_dpop_nonce",
            error_is("invalid_dpop_proof"),
        ),
    }[name]()  # fmt: skip


def _filled(form: Mapping[str, str], token: str) -> dict[str, str]:
    return {name: value or token for name, value in form.items()}


OF_CLIENTS = (
    "client assertion at token", "client assertion at introspect", "request object at authorize",
    "request object pushed", "request object of a backchannel request", "DPoP proof",
)  # fmt: skip
OF_OURS = (
    "id_token_hint at authorize", "id_token_hint pushed", "id_token_hint at logout", "access token at userinfo",
    "access token at introspect", "access token at revoke",
)  # fmt: skip
# A proof carries its key: what is foreign elsewhere is how it is made, and names of keys mean nothing.
_NO_TRICK_IN_A_PROOF = frozenset({"kid a path", "kid an address", "kid SQL", "kid with a zero byte"})


@pytest.mark.parametrize("name", OF_CLIENTS)
def test_each_kind_of_jwt_is_taken_when_it_is_in_order(
    portal: KeyedPortal, person: Person, tokens: dict[str, Any], name: str
) -> None:
    kind = kind_of(name, portal, person, tokens)
    response = kind.send(again(kind))
    assert kind.is_accepted(response), response.text


def test_our_own_tokens_are_taken_as_they_are(portal: KeyedPortal, tokens: dict[str, Any]) -> None:
    pushed = portal.push(id_token_hint=tokens["id_token"])
    assert pushed.status_code == 201
    assert portal.userinfo(tokens["access_token"]).status_code == 200


@pytest.mark.parametrize("name", [*OF_CLIENTS, *OF_OURS])
@pytest.mark.holds(
    "RFC9101-10.1-1", "RFC9101-6.2-1", "RFC9449-4.3-1", "RFC9449-4.3-2", "RFC9449-11.6-1", "FAPI2SP-5.4.1-1", "F15"
)
def test_no_trick_with_a_jwt_works_or_makes_us_call_anybody(
    portal: KeyedPortal, person: Person, tokens: dict[str, Any], canary: tuple[str, socket.socket], name: str
) -> None:
    address, listening = canary
    portal.provider.run(sa.delete(RateLimit))
    for trick, made in TRICKS.items():
        if name == "DPoP proof" and trick in _NO_TRICK_IN_A_PROOF:
            continue
        # So that neither the limit of bad assertions nor an earlier request answers for the trick.
        kind = kind_of(name, portal, person, tokens)
        token = made(kind, address)
        portal.provider.run(sa.delete(RateLimit))
        started = time.thread_time()
        response = kind.send(token)
        assert time.thread_time() - started < CPU_SECONDS, trick
        assert kind.is_refused(response), (trick, response.status_code, response.text[:500])
        assert "https://evil.example" not in response.text
        assert token[:60] not in response.text + str(response.headers.get("Location", ""))
    assert portal.userinfo(tokens["access_token"]).status_code == 200, "a trick has ended a token"
    with pytest.raises(BlockingIOError):
        listening.accept()


@pytest.mark.parametrize("name", [*OF_CLIENTS, *OF_OURS])
@pytest.mark.holds("RFC9101-10.8-1", "RFC9701-8.1-1")
def test_a_jwt_made_for_one_purpose_serves_no_other(
    portal: KeyedPortal, person: Person, tokens: dict[str, Any], name: str
) -> None:
    """RFC 8725, 3.11 and 3.12: every genuine kind, sent where another one is asked for."""
    portal.provider.run(sa.delete(RateLimit))
    target = kind_of(name, portal, person, tokens)
    strangers = {other: kind_of(other, portal, person, tokens) for other in OF_CLIENTS}
    genuine = {other: again(kind) for other, kind in strangers.items() if other.partition(" at ")[0] not in name}
    if "request object" in name:
        genuine = {other: token for other, token in genuine.items() if "request object" not in other}
    ours = {"ID token": tokens["id_token"], "access token": tokens["access_token"]}
    introspected = portal.provider.http().post(
        "/introspect",
        data={**portal.authentication(), "token": tokens["access_token"]},
        headers={"Accept": "application/token-introspection+jwt"},
    )
    ours["introspection answer"] = introspected.text
    jarm = portal.arrive(portal.provider.browser(), person, response_mode="jwt")
    ours["authorization answer"] = jarm["response"]
    ours["UserInfo answer"] = portal.userinfo(tokens["access_token"]).text
    if "id_token_hint" in name:
        del ours["ID token"]
    if "access token" in name:
        del ours["access token"]
    for other, token in {**genuine, **ours}.items():
        response = target.send(token)
        assert target.is_refused(response), (other, response.status_code, response.text[:500])
