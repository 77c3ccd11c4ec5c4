"""RFC 9449: tokens bound to a key by DPoP, from the pushed request to UserInfo."""

import base64
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from idp.keys import proof
from idp.oidc import sender
from idp.oidc.models import DpopProof
from tests.browser import Browser
from tests.proofs import ProofKey
from tests.provider import Answer, Person, Portal, Provider, provider_at, walk
from tests.racers import Racers, Shot, racers_at

ALGORITHMS = ("ES256", "PS256", "Ed25519")
PROCESSES = 4


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(dpop_bound_access_tokens=True)


@pytest.fixture(scope="module")
def free(provider: Provider) -> Portal:
    """Return a portal that may bind its tokens and need not."""
    return provider.portal()


@pytest.fixture
def key() -> ProofKey:
    return ProofKey("ES256")


@pytest.fixture(scope="module")
def racers(provider: Provider) -> Any:
    with racers_at(provider, processes=PROCESSES) as team:
        yield team


def at(provider: Provider, path: str) -> str:
    return provider.settings.issuer + path


def nonce_of(provider: Provider) -> str:
    return sender._nonce(sender._slot(), provider.services)


def redeem(portal: Portal, code: str, *proofs: str, **form: str) -> TestResponse:
    """Send a token request with as many DPoP headers as there are proofs."""
    whole = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": portal.redirect_uri,
        "code_verifier": portal.verifier,
        **form,
    }
    headers = [("Authorization", portal.basic()), *(("DPoP", each) for each in proofs)]
    response: TestResponse = portal.provider.http().post("/token", data=whole, headers=headers)
    return response


def token_proof(portal: Portal, key: ProofKey, **changes: Any) -> str:
    provider = portal.provider
    method, address = changes.pop("htm", "POST"), changes.pop("htu", at(provider, "/token"))
    return key.proof(method, address, **{"nonce": nonce_of(provider), **changes})


def userinfo(provider: Provider, authorization: str, *proofs: str, method: str = "GET") -> TestResponse:
    headers = [("Authorization", authorization), *(("DPoP", each) for each in proofs)]
    response: TestResponse = provider.http().open("/userinfo", method=method, headers=headers)
    return response


def bound_token(portal: Portal, browser: Browser, person: Person, key: ProofKey) -> str:
    answer = redeem(portal, portal.arrive(browser, person)["code"], token_proof(portal, key))
    assert answer.status_code == 200, answer.text
    token: str = answer.get_json()["access_token"]
    return token


def said(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["error"]


# --- at the token endpoint


@pytest.mark.holds("F7", "RFC9449-4.3-1", "RFC9449-4.3-2", "RFC9449-5-1", "RFC9449-7.1-1", "RFC9700-2.2.1-1")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_a_token_is_bound_to_the_key_of_the_proof(
    provider: Provider, portal: Portal, browser: Browser, person: Person, algorithm: str, scheme: str
) -> None:
    key = ProofKey(algorithm)
    answer = redeem(portal, portal.arrive(browser, person)["code"], token_proof(portal, key))
    assert answer.status_code == 200, answer.text
    tokens = answer.get_json()
    assert tokens["token_type"] == "DPoP"
    token = tokens["access_token"]
    for method in ("GET", "POST"):
        fitting = key.proof(method, at(provider, "/userinfo"), access_token=token)
        response = userinfo(provider, f"{scheme} {token}", fitting, method=method)
        assert response.status_code == 200, response.text
        assert response.get_json()["sub"] == portal.claims(tokens)["sub"]


@pytest.mark.holds("RFC9449-5-1")
def test_a_client_that_need_not_bind_its_tokens_may(
    provider: Provider, free: Portal, browser: Browser, person: Person, key: ProofKey
) -> None:
    token = bound_token(free, browser, person, key)
    assert userinfo(provider, f"Bearer {token}").status_code == 401
    plain = free.tokens(free.arrive(browser))
    assert plain["token_type"] == "Bearer"
    assert userinfo(provider, f"Bearer {plain['access_token']}").status_code == 200


@pytest.mark.holds("F7", "RFC9449-5.2-1")
def test_a_client_that_must_bind_its_tokens_gets_none_without_a_proof(
    portal: Portal, browser: Browser, person: Person, key: ProofKey
) -> None:
    code = portal.arrive(browser, person)["code"]
    assert said(redeem(portal, code)) == (400, "invalid_dpop_proof")
    # The code was not spent by it.
    assert redeem(portal, code, token_proof(portal, key)).status_code == 200


@pytest.mark.holds("F8", "RFC9449-8-1", "RFC9449-8.2-1", "RFC9449-4.3-5", "FAPI2SP-5.3.2.1-10")
def test_a_nonce_is_asked_for_and_the_same_code_works_with_it(
    portal: Portal, browser: Browser, person: Person, key: ProofKey
) -> None:
    code = portal.arrive(browser, person)["code"]
    asked = redeem(portal, code, token_proof(portal, key, nonce=None))
    assert said(asked) == (400, "use_dpop_nonce")
    assert asked.headers["Cache-Control"] == "no-store"
    again = redeem(portal, code, token_proof(portal, key, nonce=asked.headers["DPoP-Nonce"]))
    assert again.status_code == 200, again.text
    assert again.headers["DPoP-Nonce"] == asked.headers["DPoP-Nonce"]
    assert len(base64.urlsafe_b64decode(asked.headers["DPoP-Nonce"])) >= 16


@pytest.mark.holds("RFC9449-8-1")
def test_a_nonce_is_good_in_its_slot_and_the_next(
    portal: Portal, browser: Browser, person: Person, key: ProofKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonce, now = nonce_of(portal.provider), sender._slot()
    monkeypatch.setattr(sender, "_slot", lambda: now + 1)
    assert (
        redeem(portal, portal.arrive(browser, person)["code"], token_proof(portal, key, nonce=nonce)).status_code == 200
    )
    monkeypatch.setattr(sender, "_slot", lambda: now + 2)
    late = redeem(portal, portal.arrive(browser)["code"], token_proof(portal, key, nonce=nonce))
    assert said(late) == (400, "use_dpop_nonce")
    assert late.headers["DPoP-Nonce"] != nonce


def test_no_nonce_is_asked_for_where_that_is_switched_off(
    provider: Provider, portal: Portal, browser: Browser, person: Person, key: ProofKey
) -> None:
    with provider_at(provider.url, provider.settings.secrets_dir, dpop_nonce=False) as without:
        here = replace(portal, provider=without)
        answer = redeem(here, portal.arrive(browser, person)["code"], token_proof(here, key, nonce=None))
        assert answer.status_code == 200, answer.text
        assert "DPoP-Nonce" not in answer.headers
        # Nothing then says that an old proof is fresh.
        old = token_proof(here, key, nonce=None, shift=-75)
        assert said(redeem(here, "code", old)) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize("nonce", ["", "x", "x" * 5_000, 7, None, ["x"], "\ud800", "đ"])
def test_any_other_nonce_is_none(portal: Portal, key: ProofKey, nonce: Any) -> None:
    assert said(redeem(portal, "code", token_proof(portal, key, nonce=nonce))) == (400, "use_dpop_nonce")


WRONG_CLAIMS: list[dict[str, Any]] = [
    {"htm": "GET"},
    {"htm": "post"},
    {"htm": 7},
    {"htu": "https://dangnhap.example/userinfo"},
    {"htu": "https://dangnhap.example/token/"},
    {"htu": "https://dangnhap.example//token"},
    {"htu": "https://dangnhap.example/TOKEN"},
    {"htu": "http://dangnhap.example/token"},
    {"htu": "https://dangnhap.example:444/token"},
    {"htu": "https://dangnhap.example:x/token"},
    {"htu": "https://evil.example/token"},
    {"htu": "https://evil.example@dangnhap.example/token"},
    {"htu": "https://dangnhap.example\\token"},
    {"htu": "/token"},
    {"htu": ""},
    {"htu": ["https://dangnhap.example/token"]},
    {"iat": "now"},
    {"iat": True},
    {"iat": 10**400},
    {"iat": -1},
    {"iat": 1e300},
    {"jti": ""},
    {"jti": 7},
    {"jti": ["x"]},
    {"shift": 3_600},
    {"shift": -3_600},
    {"shift": 75},
    {"shift": -330},
]


@pytest.mark.holds("F7", "RFC9449-4.3-3", "RFC9449-4.3-4", "RFC9449-5-2", "RFC9449-11.5-1")
@pytest.mark.parametrize("change", WRONG_CLAIMS, ids=lambda change: str(change)[:60])
def test_a_proof_for_something_else_is_refused(portal: Portal, key: ProofKey, change: dict[str, Any]) -> None:
    assert said(redeem(portal, "code", token_proof(portal, key, **change))) == (400, "invalid_dpop_proof")


@pytest.mark.holds("F7", "RFC9449-4.3-1")
@pytest.mark.parametrize("name", ["jti", "htm", "htu", "iat"])
def test_a_proof_with_a_claim_missing_is_refused(portal: Portal, key: ProofKey, name: str) -> None:
    claims: dict[str, Any] = {name: None}
    method, address = claims.pop("htm", "POST"), claims.pop("htu", at(portal.provider, "/token"))
    bare = key.proof(method, address, nonce=nonce_of(portal.provider), **claims)
    assert said(redeem(portal, "code", bare)) == (400, "invalid_dpop_proof")


@pytest.mark.holds("F7", "RFC9449-4.3-3")
@pytest.mark.parametrize(
    "htu",
    [
        "https://dangnhap.example/token?x=1",
        "https://dangnhap.example/token#part",
        "HTTPS://DANGNHAP.EXAMPLE/token",
        "https://dangnhap.example:443/token",
        "https://dangnhap.example/%74oken",
    ],
)
def test_the_address_is_compared_after_normalization(portal: Portal, key: ProofKey, htu: str) -> None:
    # The proof is good; only the code is not.
    assert said(redeem(portal, "code", token_proof(portal, key, htu=htu))) == (400, "invalid_grant")


@pytest.mark.holds("F7", "RFC9449-4.3-4")
@pytest.mark.parametrize("change", [{"shift": 10}, {"shift": -10}, {"shift": -200}, {"exp": 1, "nbf": 4e9, "more": {}}])
def test_small_differences_of_clocks_and_more_claims_are_borne(
    portal: Portal, key: ProofKey, change: dict[str, Any]
) -> None:
    assert said(redeem(portal, "code", token_proof(portal, key, **change))) == (400, "invalid_grant")


@pytest.mark.holds("F7", "RFC9449-4.3-1", "RFC9449-4.3-2", "RFC9449-11.6-1")
@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"jwk": None},
        {"jwk": ProofKey("ES256").key.as_dict(private=True)},
        {"jwk": ProofKey("ES256").public},
        {"jku": "https://evil.example/keys"},
        {"crit": ["b64"]},
    ],
    ids=lambda header: str(header)[:30],
)
def test_a_proof_that_is_not_well_made_is_refused(portal: Portal, key: ProofKey, header: dict[str, Any]) -> None:
    assert said(redeem(portal, "code", token_proof(portal, key, header=header))) == (400, "invalid_dpop_proof")


@pytest.mark.holds("F7", "RFC9449-4.1-1")
def test_two_proofs_are_refused(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    first, second = ProofKey(), ProofKey()
    proofs = [token_proof(portal, each) for each in (first, second)]
    assert said(redeem(portal, "code", *proofs)) == (400, "invalid_dpop_proof")
    # A server in front of Flask joins them.
    assert said(redeem(portal, "code", ",".join(proofs))) == (400, "invalid_dpop_proof")
    assert said(redeem(portal, "code", "")) == (400, "invalid_dpop_proof")
    token = bound_token(portal, browser, person, first)
    twice = [first.proof("GET", at(provider, "/userinfo"), access_token=token) for _ in range(2)]
    assert said(userinfo(provider, f"DPoP {token}", *twice)) == (401, "invalid_dpop_proof")


@pytest.mark.parametrize("text", ["x", "a.b.c", "x" * 9_000, "\xe9", "{}", "a.b.c.d.e"])
def test_a_header_that_is_no_proof_is_refused(portal: Portal, text: str) -> None:
    assert said(redeem(portal, "code", text)) == (400, "invalid_dpop_proof")


@pytest.mark.holds("F7", "RFC9449-11.1-1")
def test_a_proof_counts_once_whatever_the_answer_was(provider: Provider, portal: Portal, key: ProofKey) -> None:
    once = token_proof(portal, key)
    assert said(redeem(portal, "code", once)) == (400, "invalid_grant")
    assert said(redeem(portal, "code", once)) == (400, "invalid_dpop_proof")
    # The jti is the key's own: another client may choose the same.
    assert said(redeem(portal, "code", token_proof(portal, ProofKey(), jti="same"))) == (400, "invalid_grant")
    assert said(redeem(portal, "code", token_proof(portal, ProofKey(), jti="same"))) == (400, "invalid_grant")


@pytest.mark.holds("RFC9449-11.1-1")
def test_what_is_remembered_of_a_proof_is_small_and_goes(provider: Provider, portal: Portal, key: ProofKey) -> None:
    before = provider.scalars(sa.select(sa.func.count()).select_from(DpopProof))[0]
    assert said(redeem(portal, "code", token_proof(portal, key, jti="x" * 6_000))) == (400, "invalid_grant")
    assert said(redeem(portal, "code", token_proof(portal, key, jti="\ud800"))) == (400, "invalid_grant")
    assert said(redeem(portal, "code", token_proof(portal, key, nonce=None))) == (400, "use_dpop_nonce")
    rows = provider.scalars(sa.select(DpopProof.digest))
    # One that lacks the nonce is not counted: the client will make another.
    assert len(rows) == before + 2
    assert {len(row) for row in rows} == {32}


@pytest.mark.holds("F7", "RFC9449-11.1-1")
def test_one_proof_sent_to_many_processes_is_accepted_once(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person, key: ProofKey
) -> None:
    token = bound_token(portal, browser, person, key)
    for _ in range(5):
        headers = [
            ("Authorization", f"DPoP {token}"),
            ("DPoP", key.proof("GET", at(provider, "/userinfo"), access_token=token)),
        ]
        hits = racers.race(Shot("GET", "/userinfo", {"headers": headers}, {}))
        assert sorted(hit.status for hit in hits) == [200] + [401] * (PROCESSES - 1)


# --- at a resource


@pytest.mark.holds("F7", "RFC9449-4.3-6", "RFC9449-7.1-1", "RFC9449-7.2-1", "RFC9449-11.5-1")
def test_a_bound_token_opens_nothing_without_a_proof_for_it(
    provider: Provider, portal: Portal, browser: Browser, person: Person, key: ProofKey
) -> None:
    token, address = bound_token(portal, browser, person, key), at(provider, "/userinfo")
    other_token = bound_token(portal, browser, person, key)

    def fitting(**changes: Any) -> str:
        return key.proof(changes.pop("htm", "GET"), changes.pop("htu", address), **{"access_token": token, **changes})

    challenges = {
        "invalid_token": [
            userinfo(provider, f"Bearer {token}"),
            userinfo(provider, f"Bearer {token}", fitting()),
            userinfo(provider, f"DPoP {token}", ProofKey().proof("GET", address, access_token=token)),
            userinfo(provider, f"DPoP {token}x", fitting()),
            userinfo(provider, "DPoP", fitting()),
            userinfo(provider, f"DPoP {token} x", fitting()),
        ],
        "invalid_dpop_proof": [
            userinfo(provider, f"DPoP {token}"),
            userinfo(provider, f"DPoP {token}", fitting(access_token=None)),
            userinfo(provider, f"DPoP {token}", fitting(access_token=other_token)),
            userinfo(provider, f"DPoP {token}", fitting(ath="x")),
            userinfo(provider, f"DPoP {token}", fitting(htm="POST")),
            userinfo(provider, f"DPoP {token}", fitting(htu=at(provider, "/token"))),
            userinfo(provider, f"DPoP {token}", fitting(shift=3_600)),
            userinfo(provider, f"DPoP {token}", fitting(shift=-3_600)),
            userinfo(provider, f"DPoP {token}", "x"),
        ],
    }
    for error, answers in challenges.items():
        for number, answer in enumerate(answers):
            assert said(answer) == (401, error), (error, number, answer.text)
            header = answer.headers["WWW-Authenticate"]
            assert header.startswith("DPoP "), (error, number)
            assert f'error="{error}"' in header
            assert 'algs="ES256 PS256 Ed25519 EdDSA"' in header
            assert token not in answer.text + header
    assert userinfo(provider, f"DPoP {token}", fitting()).status_code == 200


@pytest.mark.holds("F7")
def test_a_bearer_token_is_not_taken_with_the_scheme_of_bound_ones(
    provider: Provider, free: Portal, browser: Browser, person: Person, key: ProofKey
) -> None:
    token = free.tokens(free.arrive(browser, person))["access_token"]
    fitting = key.proof("GET", at(provider, "/userinfo"), access_token=token)
    answer = userinfo(provider, f"DPoP {token}", fitting)
    assert said(answer) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.holds("RFC9449-7.1-1")
def test_a_request_without_a_token_is_told_both_schemes(provider: Provider) -> None:
    header = provider.http().get("/userinfo").headers["WWW-Authenticate"]
    assert header == 'Bearer realm="userinfo", DPoP realm="userinfo", algs="ES256 PS256 Ed25519 EdDSA"'


@pytest.mark.holds("RFC9449-6-1", "RFC9449-6.2-1")
def test_introspection_tells_the_key(portal: Portal, browser: Browser, person: Person, key: ProofKey) -> None:
    token = bound_token(portal, browser, person, key)
    answer = portal.provider.http().post(
        "/introspect", data={"token": token}, headers={"Authorization": portal.basic()}
    )
    told = answer.get_json()
    assert (told["active"], told["token_type"], told["cnf"]) == (True, "DPoP", {"jkt": key.thumbprint})


# --- from the authorization request on


def push(portal: Portal, *proofs: str, **changes: str | None) -> TestResponse:
    headers = [("Authorization", portal.basic()), *(("DPoP", each) for each in proofs)]
    response: TestResponse = portal.provider.http().post("/par", data=portal.request(**changes), headers=headers)
    return response


def pushed_proof(portal: Portal, key: ProofKey, **changes: Any) -> str:
    provider = portal.provider
    return key.proof("POST", at(provider, "/par"), **{"nonce": nonce_of(provider), **changes})


def code_of(portal: Portal, browser: Browser, person: Person, pushed: TestResponse) -> str:
    assert pushed.status_code == 201, pushed.text
    asked = {"client_id": portal.client_id, "request_uri": pushed.get_json()["request_uri"]}
    return Answer(walk(browser, browser.get("/authorize?" + urlencode(asked)), person))["code"]


@pytest.mark.holds("F8", "RFC9449-10-1", "FAPI2SP-5.3.2.2-9")
def test_dpop_jkt_binds_the_code(free: Portal, browser: Browser, person: Person, key: ProofKey) -> None:
    for proofs, status in (([], 400), ([token_proof(free, ProofKey())], 400), ([token_proof(free, key)], 200)):
        code = free.arrive(browser, person, dpop_jkt=key.thumbprint)["code"]
        answer = redeem(free, code, *proofs)
        assert answer.status_code == status, answer.text
        if status == 400:
            assert answer.get_json()["error"] in ("invalid_grant", "invalid_dpop_proof")


@pytest.mark.holds("F8", "RFC9449-10-1", "RFC9449-10.1-1", "FAPI2SP-5.3.2.2-9")
@pytest.mark.parametrize("way", ["parameter", "proof", "both"])
def test_a_pushed_request_binds_the_code(
    free: Portal, browser: Browser, person: Person, key: ProofKey, way: str
) -> None:
    def pushed() -> TestResponse:
        proofs = [] if way == "parameter" else [pushed_proof(free, key)]
        return push(free, *proofs, dpop_jkt=None if way == "proof" else key.thumbprint)

    stolen = redeem(free, code_of(free, browser, person, pushed()), token_proof(free, ProofKey()))
    assert stolen.status_code == 400
    unproven = redeem(free, code_of(free, browser, person, pushed()))
    assert unproven.status_code == 400
    assert redeem(free, code_of(free, browser, person, pushed()), token_proof(free, key)).status_code == 200


@pytest.mark.holds("F8", "RFC9449-10.1-1")
def test_a_pushed_request_with_two_keys_or_a_bad_proof_is_refused(free: Portal, key: ProofKey) -> None:
    assert said(push(free, pushed_proof(free, key), dpop_jkt=ProofKey().thumbprint)) == (400, "invalid_dpop_proof")
    assert said(push(free, pushed_proof(free, key, shift=3_600))) == (400, "invalid_dpop_proof")
    assert said(push(free, token_proof(free, key))) == (400, "invalid_dpop_proof")
    assert said(push(free, pushed_proof(free, key), pushed_proof(free, key))) == (400, "invalid_dpop_proof")
    asked = push(free, pushed_proof(free, key, nonce=None))
    assert said(asked) == (400, "use_dpop_nonce")
    good = push(free, pushed_proof(free, key, nonce=asked.headers["DPoP-Nonce"]))
    assert good.status_code == 201
    assert good.headers["DPoP-Nonce"]
    for jkt in ("x", "x" * 44, "+" * 43, secrets.token_urlsafe(32) + "="):
        assert said(push(free, dpop_jkt=jkt)) == (400, "invalid_request")


@pytest.mark.holds("RFC9449-5.1-1")
def test_the_algorithms_of_proofs_are_published(provider: Provider) -> None:
    published = provider.http().get("/.well-known/openid-configuration").get_json()
    assert published["dpop_signing_alg_values_supported"] == list(proof.ALGORITHMS)
    assert not {"none", "HS256", "RS256"} & set(proof.ALGORITHMS)
