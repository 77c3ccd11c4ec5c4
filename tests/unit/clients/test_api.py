"""An agency's own API under our access tokens: RFC 9068, 4; RFC 7662; RFC 9449, 7; RFC 9470, 3."""

import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient
from joserfc.jwk import ECKey
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from clients.agency_login import AgencyApi
from clients.agency_login.proofs import MemoryReplays
from tests.proofs import ProofKey
from tests.unit.clients.scripted_provider import ES256_KEY, RS256_KEY, ScriptedProvider, encode, sign
from tests.unit.clients.test_refusals import compact

RESOURCE = "https://api.etax.example"
ADDRESS = f"{RESOURCE}/returns/2026"
FOREIGN = ECKey.generate_key("P-256", {"kid": "foreign"})
SECRET = "s&cret of the+api"


def claims_of(provider: ScriptedProvider, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "iss": provider.issuer,
        "sub": "the-citizen-as-the-api-knows-her",
        "aud": RESOURCE,
        "client_id": "etax-portal",
        "jti": secrets.token_urlsafe(16),
        "iat": now,
        "exp": now + 60,
        "auth_time": now - 30,
        "acr": "loa2",
        "amr": ["pwd", "otp"],
        "scope": "openid idnum",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def signed(provider: ScriptedProvider, **changes: Any) -> str:
    return sign(claims_of(provider, **changes), typ="at+jwt")


def application(api: AgencyApi) -> FlaskClient:
    app = Flask("api")

    def view(year: int) -> Response:
        return jsonify(sub=api.token.sub, client=api.token.client_id, scopes=sorted(api.token.scopes))

    app.add_url_rule("/returns/<int:year>", "any", api.token_required()(view), methods=["GET", "POST"])
    app.add_url_rule("/strong/<int:year>", "strong", api.token_required(level="loa2", max_age=300)(view))
    app.add_url_rule("/highest/<int:year>", "highest", api.token_required(level="loa3")(view))
    app.add_url_rule("/recent/<int:year>", "recent", api.token_required(max_age=10)(view))
    app.add_url_rule("/scoped/<int:year>", "scoped", api.token_required(scope="idnum address")(view))
    return app.test_client()


@pytest.fixture
def api(provider: ScriptedProvider) -> FlaskClient:
    return application(AgencyApi(issuer=provider.issuer, resource=RESOURCE, timeout=1.0))


def get(api: FlaskClient, authorization: str | None, path: str = "/returns/2026", *proofs: str) -> TestResponse:
    headers = [("DPoP", proof) for proof in proofs]
    if authorization is not None:
        headers.append(("Authorization", authorization))
    return api.get(path, headers=headers)


def said(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["error"]


# --- JWT access tokens


@pytest.mark.parametrize("key", [ES256_KEY, RS256_KEY], ids=["ES256", "RS256"])
def test_a_good_token_opens_the_view(api: FlaskClient, provider: ScriptedProvider, key: Any) -> None:
    for changes in ({}, {"aud": [provider.issuer, RESOURCE]}):
        token = sign(claims_of(provider, **changes), key, typ="at+jwt")
        answer = get(api, f"bEARER {token}")
        assert answer.status_code == 200, answer.text
        assert answer.get_json() == {
            "sub": "the-citizen-as-the-api-knows-her",
            "client": "etax-portal",
            "scopes": ["idnum", "openid"],
        }


def test_a_request_without_a_token_is_told_how(api: FlaskClient) -> None:
    answer = get(api, None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer, DPoP algs="ES256"'
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://other.example"},
        {"aud": None},
        {"aud": ["https://other.example"]},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "later"},
        {"iat": None},
        {"iat": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"client_id": None},
        {"client_id": 7},
        {"jti": None},
        {"cnf": {"x5t#S256": "x"}},
        {"cnf": {"jkt": "x", "x5t#S256": "x"}},
        {"cnf": {}},
        {"cnf": "x"},
    ],
    ids=json.dumps,
)
def test_a_token_with_wrong_claims_is_refused(
    api: FlaskClient, provider: ScriptedProvider, change: dict[str, Any]
) -> None:
    answer = get(api, f"Bearer {signed(provider, **change)}")
    assert said(answer) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "", "dpop+jwt"])
def test_another_kind_of_token_is_refused(api: FlaskClient, provider: ScriptedProvider, typ: str) -> None:
    assert said(get(api, f"Bearer {sign(claims_of(provider), typ=typ)}")) == (401, "invalid_token")


HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": "es-1"}


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None = None) -> str:
    signed = compact({**HEADER, **header}, claims)
    return f"{signed}.{encode(hmac.new(secret, signed.encode(), 'sha256').digest()) if secret is not None else ''}"


FORGED: dict[str, Callable[[dict[str, Any]], str]] = {
    "none": lambda claims: by_hand({"alg": "none"}, claims),
    "no signature": lambda claims: by_hand({}, claims),
    "no typ": lambda claims: by_hand({"typ": None}, claims, b""),
    "odd typ": lambda claims: by_hand({"typ": 7}, claims, b""),
    "empty secret": lambda claims: by_hand({"alg": "HS256"}, claims, b""),
    "public key as secret": lambda claims: by_hand({"alg": "HS256"}, claims, ES256_KEY.as_pem(private=False)),
    "foreign key": lambda claims: sign(claims, FOREIGN, typ="at+jwt", kid="es-1"),
    "unknown key": lambda claims: sign(claims, FOREIGN, typ="at+jwt"),
    "key of another kind": lambda claims: sign(claims, RS256_KEY, typ="at+jwt", kid="es-1"),
    "foreign key in the header": lambda claims: sign(
        claims, FOREIGN, typ="at+jwt", kid="es-1", jwk=FOREIGN.as_dict(private=False)
    ),
    "other claims": lambda claims: ".".join(
        [
            sign(claims, typ="at+jwt").split(".")[0],
            encode(json.dumps({**claims, "acr": "loa3"}).encode()),
            sign(claims, typ="at+jwt").split(".")[2],
        ]
    ),
    "critical": lambda claims: by_hand({"crit": ["exp"]}, claims, b""),
    "very long": lambda claims: sign({**claims, "padding": "x" * 20_000}, typ="at+jwt"),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_refused(
    api: FlaskClient, provider: ScriptedProvider, forge: Callable[[dict[str, Any]], str]
) -> None:
    assert said(get(api, f"Bearer {forge(claims_of(provider))}")) == (401, "invalid_token")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer x", "Bearer a.b.c", "Basic eDp5", "Bearer " + "a." * 9_000, "\xe9"]
)
def test_an_odd_header_is_refused(api: FlaskClient, header: str) -> None:
    assert said(get(api, header)) == (401, "invalid_token")


def test_a_provider_that_does_not_answer_is_not_the_tokens_fault(api: FlaskClient, provider: ScriptedProvider) -> None:
    provider.hanging = {"jwks"}
    answer = get(api, f"Bearer {signed(provider)}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# --- scope and step-up


def test_a_missing_scope_is_named(api: FlaskClient, provider: ScriptedProvider) -> None:
    answer = get(api, f"Bearer {signed(provider)}", "/scoped/2026")
    assert said(answer) == (403, "insufficient_scope")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="idnum address"'
    assert get(api, f"Bearer {signed(provider, scope='address idnum x')}", "/scoped/2026").status_code == 200


@pytest.mark.holds("RFC9470-3-1")
def test_a_sign_in_that_is_too_weak_or_too_old_is_challenged(api: FlaskClient, provider: ScriptedProvider) -> None:
    now = int(time.time())
    assert get(api, f"Bearer {signed(provider)}", "/strong/2026").status_code == 200
    both = 'Bearer error="insufficient_user_authentication", acr_values="loa2", max_age="300"'
    for changes in (
        {"acr": "loa1"},
        {"acr": None},
        {"acr": "high"},
        {"auth_time": now - 400},
        {"auth_time": None},
        {"auth_time": "x"},
        {"auth_time": True},
    ):
        answer = get(api, f"Bearer {signed(provider, **changes)}", "/strong/2026")
        assert said(answer) == (401, "insufficient_user_authentication"), changes
        assert answer.headers["WWW-Authenticate"] == both
    level = get(api, f"Bearer {signed(provider)}", "/highest/2026").headers["WWW-Authenticate"]
    assert level == 'Bearer error="insufficient_user_authentication", acr_values="loa3"'
    age = get(api, f"Bearer {signed(provider)}", "/recent/2026").headers["WWW-Authenticate"]
    assert age == 'Bearer error="insufficient_user_authentication", max_age="10"'


# --- DPoP


@pytest.fixture
def key() -> ProofKey:
    return ProofKey("ES256")


@pytest.mark.holds("RFC9449-6.1-1")
def test_a_bound_token_needs_its_key(api: FlaskClient, provider: ScriptedProvider, key: ProofKey) -> None:
    token = signed(provider, cnf={"jkt": key.thumbprint})

    def proof(**changes: Any) -> str:
        address = changes.pop("htu", ADDRESS)
        return key.proof(changes.pop("htm", "GET"), address, **{"access_token": token, **changes})

    assert get(api, f"dpop {token}", "/returns/2026?x=1", proof()).status_code == 200
    stronger = get(api, f"DPoP {token}", "/highest/2026", proof(htu=f"{RESOURCE}/highest/2026"))
    assert stronger.headers["WWW-Authenticate"] == (
        'DPoP error="insufficient_user_authentication", acr_values="loa3", algs="ES256"'
    )
    once = proof()
    assert get(api, f"DPoP {token}", "/returns/2026", once).status_code == 200
    refused = [
        [once],
        [],
        [proof(), proof()],
        [f"{proof()},{proof()}"],
        [proof(access_token=None)],
        [proof(ath="x")],
        [proof(access_token=token + "x")],
        [proof(htm="POST")],
        [proof(htu=f"{RESOURCE}/returns/2025")],
        [proof(htu="https://evil.example/returns/2026")],
        [proof(htu="https://api.etax.example:x/")],
        [proof(htu=7)],
        [proof(shift=120)],
        [proof(shift=-120)],
        [proof(iat=1e300)],
        [proof(iat=True)],
        [proof(jti="")],
        [proof(jti=7)],
        [ProofKey().proof("GET", ADDRESS, access_token=token)],
        [ProofKey("PS256").proof("GET", ADDRESS, access_token=token)],
        [proof(header={"typ": "JWT"})],
        [proof(header={"alg": "none"})],
        [proof(header={"alg": "HS256"})],
        [proof(header={"jwk": None})],
        [proof(header={"jwk": key.key.as_dict(private=True)})],
        [proof(header={"jwk": ProofKey().public})],
        [proof(header={"jwk": {**key.public, "x": "AA"}})],
        [proof(header={"crit": ["exp"]})],
        [proof(header={"jku": "https://evil.example"})],
        ["x"],
        ["a.b.c"],
        ["[].e30.x"],
    ]
    for number, proofs in enumerate(refused):
        answer = get(api, f"DPoP {token}", "/returns/2026", *proofs)
        assert said(answer) == (401, "invalid_dpop_proof"), number
        assert answer.headers["WWW-Authenticate"] == 'DPoP error="invalid_dpop_proof", algs="ES256"'
    for authorization, proofs in ((f"Bearer {token}", []), (f"Bearer {token}", [proof()])):
        answer = get(api, authorization, "/returns/2026", *proofs)
        assert said(answer) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith("DPoP ")
    plain = get(api, f"DPoP {signed(provider)}", "/returns/2026", proof())
    assert said(plain) == (401, "invalid_token")


@pytest.mark.parametrize(
    "htu",
    [
        "HTTPS://API.etax.example/returns/2026",
        f"{RESOURCE}:443/returns/2026",
        f"{ADDRESS}?y#z",
        f"{RESOURCE}/r%65turns/2026",
    ],
)
def test_the_address_of_a_proof_is_compared_after_normalization(
    api: FlaskClient, provider: ScriptedProvider, key: ProofKey, htu: str
) -> None:
    token = signed(provider, cnf={"jkt": key.thumbprint})
    assert get(api, f"DPoP {token}", "/returns/2026", key.proof("GET", htu, access_token=token)).status_code == 200


def test_used_proofs_are_forgotten_when_they_are_too_old_to_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    replays, now = MemoryReplays(), time.time()
    assert [replays.is_new("a", now + 120), replays.is_new("a", now + 120), replays.is_new("b", now + 120)] == [
        True,
        False,
        True,
    ]
    monkeypatch.setattr(time, "time", lambda: now + 130)
    assert replays.is_new("c", now + 250)
    assert list(replays._seen) == ["c"]


def test_one_of_many_threads_uses_a_proof() -> None:
    replays, won = MemoryReplays(), []
    gate = threading.Barrier(8)

    def use() -> None:
        gate.wait()
        won.append(replays.is_new("a", time.time() + 60))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


# --- introspection


class Introspection:
    """The introspection endpoint of a provider that does as it is told."""

    def __init__(self) -> None:
        app = Flask("introspection")
        app.post("/introspect")(self._introspect)
        self.answer: Any = {}
        self.status = 200
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/introspect"

    def _introspect(self) -> Any:
        given = request.authorization
        pair = (given.username, given.password) if given else (None, None)
        self.asked.append((request.form["token"], *pair))
        return jsonify(self.answer), self.status

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def introspection(provider: ScriptedProvider) -> Iterator[Introspection]:
    made = Introspection()
    provider.metadata = {"introspection_endpoint": made.address}
    yield made
    made.stop()


@pytest.fixture
def asking(provider: ScriptedProvider) -> FlaskClient:
    return application(
        AgencyApi(issuer=provider.issuer, resource=RESOURCE, client_id="etax api", client_secret=SECRET, timeout=1.0)
    )


def test_an_opaque_token_is_asked_about(
    asking: FlaskClient, provider: ScriptedProvider, introspection: Introspection, key: ProofKey
) -> None:
    introspection.answer = {"active": True, **claims_of(provider)}
    assert get(asking, "Bearer opaque").get_json()["sub"] == "the-citizen-as-the-api-knows-her"
    # Each half is form-encoded first (RFC 6749, 2.3.1).
    assert introspection.asked == [("opaque", quote_plus("etax api"), quote_plus(SECRET))]
    introspection.answer["cnf"] = {"jkt": key.thumbprint}
    assert get(asking, "Bearer opaque").status_code == 401
    assert (
        get(asking, "DPoP opaque", "/returns/2026", key.proof("GET", ADDRESS, access_token="opaque")).status_code == 200
    )
    introspection.answer = {"active": True, **claims_of(provider, acr="loa1")}
    assert said(get(asking, "Bearer opaque", "/strong/2026")) == (401, "insufficient_user_authentication")


@pytest.mark.parametrize(
    "change",
    [
        {"active": False},
        {"active": "true"},
        {"active": None},
        {"iss": "https://evil.example"},
        {"aud": "https://other.example"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"exp": True},
        {"sub": None},
        {"client_id": None},
        {"cnf": {"x5t#S256": "x"}},
    ],
    ids=json.dumps,
)
def test_a_token_that_is_not_good_any_more_is_refused(
    asking: FlaskClient, provider: ScriptedProvider, introspection: Introspection, change: dict[str, Any]
) -> None:
    introspection.answer = {"active": True, **claims_of(provider), **change}
    assert said(get(asking, "Bearer opaque")) == (401, "invalid_token")


@pytest.mark.parametrize(("answer", "status"), [([], 200), ({}, 500), ({}, 401), ("x", 200)])
def test_an_answer_that_is_none_is_not_the_tokens_fault(
    asking: FlaskClient, introspection: Introspection, answer: Any, status: int
) -> None:
    introspection.answer, introspection.status = answer, status
    assert get(asking, "Bearer opaque").status_code == 503


def test_a_provider_without_the_endpoint_is_not_the_tokens_fault(asking: FlaskClient) -> None:
    assert get(asking, "Bearer opaque").status_code == 503


# --- settings


def test_settings_that_cannot_be_safe_are_refused(provider: ScriptedProvider) -> None:
    for settings in (
        {"client_id": "x"},
        {"client_secret": "x"},
        {"address": "http://api.example"},
        {"issuer": "http://login.example"},
    ):
        with pytest.raises(ValueError):
            AgencyApi(**{"issuer": provider.issuer, "resource": RESOURCE, **settings})  # type: ignore[arg-type]
    api = AgencyApi(issuer=provider.issuer, resource=RESOURCE)
    for demands in ({"level": "loa4"}, {"level": "high"}, {"scope": 'x" y'}):
        with pytest.raises(ValueError):
            api.token_required(**demands)
