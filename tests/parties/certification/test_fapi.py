"""The Foundation's FAPI 2.0 plans (Security Profile, Message Signing), module by module, on the running provider."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from jose import jwt

from tests.parties.certification.relying_party import VERIFIER, RelyingParty, judged, refused, register, rsa, unsigned
from tests.parties.certification.visitor import Visitor, query_of
from tests.parties.sandbox import Sandbox
from tests.proofs import ProofKey

pytestmark = pytest.mark.xdist_group("certification")
FAPI = {
    "profile": "fapi2",
    "token_endpoint_auth_method": "private_key_jwt",
    "dpop_bound_access_tokens": True,
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid profile email offline_access",
}


@pytest.fixture(scope="module")
def rp(town: Sandbox) -> RelyingParty:
    """Return the plan's first client."""
    return register(town.issuer, "fapi", **FAPI)


@pytest.fixture(scope="module")
def second(town: Sandbox) -> RelyingParty:
    """Return the plan's second client."""
    return register(town.issuer, "fapi-second", **FAPI)


@pytest.fixture(scope="module")
def signing(town: Sandbox) -> RelyingParty:
    """Return a client of the Message Signing plan: signed requests, signed answers."""
    return register(
        town.issuer,
        "fapi-signing",
        **FAPI,
        require_signed_request_object=True,
        request_object_signing_alg="ES256",
        authorization_signed_response_alg="ES256",
    )


def pushed(rp: RelyingParty, **changes: str | None) -> str:
    """Push a request that is in order and return its request_uri."""
    answer = rp.push(**changes)
    assert answer.status_code == 201, answer.text
    document = answer.json()
    assert document.keys() == {"request_uri", "expires_in"}
    assert 5 <= document["expires_in"] < 600
    request_uri: str = document["request_uri"]
    assert len(request_uri) >= len("urn:ietf:params:oauth:request_uri:") + 22
    return request_uri


def arrive(rp: RelyingParty, visitor: Visitor, **changes: str | None) -> Any:
    """Push a request and walk it to its end."""
    return rp.go(visitor, pushed(rp, **changes))


def signed_in(rp: RelyingParty, visitor: Visitor, **changes: str | None) -> dict[str, Any]:
    """Walk a whole sign-in and return the token response."""
    tokens = rp.tokens(arrive(rp, visitor, **changes))
    assert tokens["token_type"] == "DPoP"
    return tokens


@pytest.mark.holds("F11", "F12", "F13a", "F14")
def test_whole_sign_in_with_long_values_and_every_claim(rp: RelyingParty, visitor: Visitor) -> None:
    state, nonce = "s" * 384, "n" * 384
    wish = {"userinfo": dict.fromkeys(rp.provider["claims_supported"]), "id_token": {"unheard-of": {"essential": True}}}
    arrived = arrive(rp, visitor, state=state, nonce=nonce, claims=json.dumps(wish))
    assert arrived.parameters.keys() == {"code", "state", "iss"}
    assert (arrived["state"], arrived["iss"]) == (state, rp.issuer)
    tokens = rp.tokens(arrived)
    claims = rp.claims(tokens)
    assert claims["nonce"] == nonce
    assert "name" not in claims
    for accept in ("application/json", "*/*", "text/plain;q=0.1, application/json", "image/png"):
        answer = rp.userinfo(tokens["access_token"], Accept=accept)
        assert answer.status_code == 200
        assert "Date" in answer.headers
    assert answer.json()["sub"] == claims["sub"]
    assert arrive(rp, visitor, state=None).parameters.keys() == {"code", "iss"}


@pytest.mark.holds("F1")
def test_request_that_was_not_pushed_is_refused(rp: RelyingParty, visitor: Visitor) -> None:
    arrived = rp.authorize(visitor)
    assert arrived.by == "page" or arrived.error == "invalid_request"
    address = rp.provider["pushed_authorization_request_endpoint"]
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert 400 <= requests.request(method, address, timeout=10).status_code < 500


@pytest.mark.holds("F2")
def test_request_uri_is_one_clients_and_spent_by_the_sign_in(
    rp: RelyingParty, second: RelyingParty, visitor: Visitor, somebody: Callable[[], Visitor]
) -> None:
    request_uri = pushed(rp)
    stranger = second.go(somebody(), request_uri)
    assert stranger.by == "page" or stranger.error in ("invalid_request_uri", "invalid_request")
    for other in (somebody(), visitor):
        other.open(f"{rp.provider['authorization_endpoint']}?client_id={rp.client_id}&request_uri={request_uri}")
        assert "login-form" in other.page.forms
    beside = {"state": "beside", "redirect_uri": "https://evil.example/", "scope": "openid email", "prompt": "none"}
    arrived = rp.go(visitor, request_uri, **beside)
    assert (arrived.error, arrived["state"]) == (None, "state-of-the-relying-party")
    assert rp.tokens(arrived)["scope"] == "openid"
    again = rp.go(visitor, request_uri)
    assert again.by == "page" or again.error in ("invalid_request_uri", "invalid_request")
    unknown = rp.go(visitor, request_uri[:-3] + "xyz")
    assert unknown.by == "page" or unknown.error in ("invalid_request_uri", "invalid_request")


@pytest.mark.holds("F3", "F5")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/callback"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"client_id": "fapi-second"}, "invalid_client"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_push_that_is_not_in_order_is_refused(rp: RelyingParty, change: dict[str, Any], error: str) -> None:
    refused(rp.push(**change), error, status=(400, 401))


@pytest.mark.holds("F4", "FAPI2SP-5.3.2.1-6", "FAPI2SP-5.3.2.1-8")
def test_client_assertion_is_judged_whole(rp: RelyingParty, second: RelyingParty) -> None:
    now = int(time.time())
    foreign = rsa()
    spent = rp.assertion()
    assert rp.push(client_assertion=spent).status_code == 201
    for ahead in (8, -8):
        assert rp.push(client_assertion=rp.assertion(nbf=now + ahead, iat=now + ahead)).status_code == 201
    bad = {
        "array": rp.assertion(aud=[rp.issuer]),
        "token endpoint": rp.assertion(aud=rp.provider["token_endpoint"]),
        "push endpoint": rp.assertion(aud=rp.provider["pushed_authorization_request_endpoint"]),
        "slash": rp.assertion(aud=f"{rp.issuer}/"),
        "no audience": rp.assertion(aud=None),
        "no subject": rp.assertion(sub=None),
        "no issuer": rp.assertion(iss=None),
        "other subject": rp.assertion(sub=second.client_id),
        "over": rp.assertion(exp=now - 60),
        "no end": rp.assertion(exp=None),
        "nbf ahead": rp.assertion(nbf=now + 90),
        "iat ahead": rp.assertion(iat=now + 90),
        "spent": spent,
        "no jti": rp.assertion(jti=None),
        "RS256": rp.assertion(key=foreign, alg="RS256"),
        "PS256, foreign": rp.assertion(key=foreign, alg="PS256"),
        "another client's": second.assertion(),
        "none": unsigned({"iss": rp.client_id, "sub": rp.client_id, "aud": rp.issuer, "exp": now + 60, "jti": "x"}),
        "nothing": None,
    }
    for name, assertion in bad.items():
        answer = rp.push(client_assertion=assertion)
        assert answer.status_code in (400, 401), name
        assert answer.json()["error"] in ("invalid_client", "invalid_request"), name
    refused(rp.push(client_assertion=None, client_assertion_type=None), "invalid_client", status=(400, 401))
    refused(rp.push(client_assertion_type="jwt-bearer"), "invalid_client", "invalid_request", status=(400, 401))


@pytest.mark.holds("F5", "F6", "FAPI2SP-5.3.2.1-9")
def test_code_is_bound_to_verifier_client_address_and_one_use(
    rp: RelyingParty, second: RelyingParty, visitor: Visitor
) -> None:
    for changes in (
        {"code_verifier": None},
        {"code_verifier": "x" * 43},
        {"redirect_uri": "https://fapi.rp.example/other"},
        {"redirect_uri": None},
    ):
        refused(rp.redeem(arrive(rp, visitor), **changes), "invalid_grant", "invalid_request")
    arrived = arrive(rp, visitor)
    assert len(arrived["code"]) >= 22
    refused(second.redeem(arrived, redirect_uri=rp.client["redirect_uris"][0]), "invalid_grant")
    rp.tokens(arrived)
    refused(rp.redeem(arrived), "invalid_grant")


def http(rp: RelyingParty, proof: str | None, token: str, *, scheme: str = "DPoP") -> int:
    """Ask UserInfo with this proof and return the status."""
    headers = {"Authorization": f"{scheme} {token}"} | ({"DPoP": proof} if proof is not None else {})
    return requests.get(rp.provider["userinfo_endpoint"], headers=headers, timeout=10).status_code


@pytest.mark.holds("F7", "RFC9449-4.3-1", "RFC9449-4.3-3", "RFC9449-7.1-1", "RFC9449-11.1-1")
def test_proof_at_a_resource_is_judged_whole(rp: RelyingParty, visitor: Visitor) -> None:
    token = signed_in(rp, visitor)["access_token"]
    now = int(time.time())
    parts = urlsplit(rp.issuer)

    def proof(**changes: Any) -> str:
        return rp.proof("/userinfo", method="GET", **({"access_token": token} | changes))

    good = {
        "plain": proof(),
        "8 s ahead": proof(iat=now + 8),
        "8 s old": proof(iat=now - 8),
        "more claims": proof(exp=now + 60, nbf=now - 5, extra={"x": 1}),
        "query and fragment": proof(htu=f"{rp.issuer}/userinfo?x=1#y"),
        "capitals": proof(htu=f"{parts.scheme.upper()}://{parts.netloc}/userinfo"),
    }
    assert {name: http(rp, made, token) for name, made in good.items()} == dict.fromkeys(good, 200)
    assert http(rp, proof(), token, scheme="dpop") == 200
    wrong_hash = base64.urlsafe_b64encode(hashlib.sha256(b"another token").digest()).rstrip(b"=").decode()
    private = rp.proof_key.key.as_dict(private=True)
    bad = {
        "again": good["plain"],
        "none at all": None,
        "an hour old": proof(iat=now - 3_600),
        "an hour ahead": proof(iat=now + 3_600),
        "no iat": proof(iat=None),
        "no jti": proof(jti=None),
        "other method": proof(htm="POST"),
        "other address": proof(htu=f"{rp.issuer}/token"),
        "no ath": proof(ath=None),
        "other ath": proof(ath=wrong_hash),
        "other key": ProofKey().proof("GET", f"{rp.issuer}/userinfo", access_token=token),
        "typ JWT": proof(header={"typ": "JWT"}),
        "no typ": proof(header={"typ": None}),
        "no jwk": proof(header={"jwk": None}),
        "private jwk": proof(header={"jwk": private}),
        "alg none": unsigned({"htm": "GET", "htu": f"{rp.issuer}/userinfo", "iat": now, "jti": "x"}),
        "broken signature": proof()[:-6] + "AAAAAA",
    }
    assert {name: http(rp, made, token) for name, made in bad.items()} == dict.fromkeys(bad, 401)
    assert http(rp, proof(), token, scheme="Bearer") == 401
    assert http(rp, None, token, scheme="Bearer") == 401


@pytest.mark.holds("F7", "F8", "RFC9449-8-1", "RFC9449-10-1", "RFC9449-10.1-1")
def test_code_is_bound_to_the_key_it_was_asked_with(rp: RelyingParty, visitor: Visitor) -> None:
    other = ProofKey()
    token, push = rp.provider["token_endpoint"], rp.provider["pushed_authorization_request_endpoint"]
    asked = rp.push(proof=other.proof("POST", push))
    refused(asked, "use_dpop_nonce")
    nonce = asked.headers["DPoP-Nonce"]

    def pushed_with(key: ProofKey, **changes: str) -> requests.Response:
        return rp.push(proof=key.proof("POST", push, nonce=nonce), **changes)

    refused(pushed_with(other, dpop_jkt=rp.proof_key.thumbprint), "invalid_dpop_proof", "invalid_request")
    refused(rp.push(proof=other.proof("POST", push, shift=-3_600)), "invalid_dpop_proof", "use_dpop_nonce")
    # The thumbprint alone, or a proof with the push: at the token endpoint only that key will do.
    for answer in (rp.push(dpop_jkt=rp.proof_key.thumbprint), pushed_with(rp.proof_key)):
        request_uri = answer.json()["request_uri"]
        stolen = rp.redeem(rp.go(visitor, request_uri), proof=other.proof("POST", token, nonce=nonce))
        refused(stolen, "invalid_grant", "invalid_dpop_proof")
    honest = arrive(rp, visitor, dpop_jkt=rp.proof_key.thumbprint)
    for proof in (rp.proof("/par", nonce=nonce), rp.proof("/token", method="GET", nonce=nonce)):
        refused(rp.redeem(honest, proof=proof), "invalid_dpop_proof")
    assert rp.tokens(honest)["token_type"] == "DPoP"


@pytest.mark.holds("F10", "FAPI2SP-5.3.2.1-7")
def test_refresh_token_is_not_rotated_and_needs_client_and_key(
    rp: RelyingParty, second: RelyingParty, visitor: Visitor
) -> None:
    tokens = signed_in(rp, visitor, scope="openid offline_access", prompt="consent")
    refresh_token = tokens["refresh_token"]
    first = rp.claims(tokens)
    for _ in range(3):
        renewed = judged(rp.refresh(refresh_token))
        assert renewed.get("refresh_token", refresh_token) == refresh_token
        assert rp.userinfo(renewed["access_token"]).json()["sub"] == first["sub"]
    refused(second.refresh(refresh_token), "invalid_grant")
    refused(rp.refresh(refresh_token, client_assertion=None), "invalid_client", "invalid_request", status=(400, 401))
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **rp._authentication()[1]}
    refused(
        requests.post(rp.provider["token_endpoint"], data=form, timeout=10), "invalid_request", "invalid_dpop_proof"
    )
    judged(rp.refresh(refresh_token))


@pytest.mark.holds("F11")
def test_cancel_is_told_with_state_and_issuer(rp: RelyingParty, visitor: Visitor) -> None:
    visitor.open(f"{rp.provider['authorization_endpoint']}?client_id={rp.client_id}&request_uri={pushed(rp)}")
    visitor.submit("cancel")
    assert visitor.left_for is not None
    answer = query_of(visitor.left_for)
    assert answer.keys() == {"error", "error_description", "state", "iss"}
    assert (answer["error"], answer["iss"]) == ("access_denied", rp.issuer)


@pytest.mark.holds("F15", "FAPI2MS-5.3-1", "FAPI2MS-5.3-2", "FAPI2MS-5.3-3", "FAPI2MS-5.3-4")
def test_signed_requests_are_judged_whole(signing: RelyingParty, second: RelyingParty) -> None:
    now = int(time.time())

    def push(request: str | None, **more: str) -> requests.Response:
        return signing.post(
            "pushed_authorization_request", {"client_id": signing.client_id, "request": request, **more}
        )

    good = {
        "plain": signing.request_object(),
        "typ": signing.request_object(typ="oauth-authz-req+jwt"),
        "audience in a list": signing.request_object(aud=[signing.issuer, "https://other.example"]),
        "8 s ahead": signing.request_object(nbf=now + 8),
        "an hour": signing.request_object(nbf=now - 3_000, exp=now + 500),
    }
    assert {name: push(made).status_code for name, made in good.items()} == dict.fromkeys(good, 201)
    inner = signing.request() | {"iss": signing.client_id, "aud": signing.issuer, "nbf": now, "exp": now + 60}
    bad = {
        "no nbf": signing.request_object(nbf=None),
        "no exp": signing.request_object(exp=None),
        "over": signing.request_object(nbf=now - 600, exp=now - 60),
        "too long": signing.request_object(exp=now + 4_000),
        "too old": signing.request_object(nbf=now - 4_200, exp=now + 60),
        "ahead": signing.request_object(nbf=now + 90, exp=now + 200),
        "other audience": signing.request_object(aud="https://other.example"),
        "no audience": signing.request_object(aud=None),
        "other issuer": signing.request_object(iss=second.client_id),
        "request_uri inside": signing.request_object(request_uri="urn:ietf:params:oauth:request_uri:x"),
        "request inside": signing.request_object(request="x"),
        "none": unsigned(inner),
        "foreign key": second.sign(inner),
        "RS256": signing.request_object(key=rsa(), alg="RS256"),
        "broken": signing.request_object()[:-6] + "AAAAAA",
        "no JWT": "x.y.z",
        "no address": signing.request_object(redirect_uri=None),
        "foreign address": signing.request_object(redirect_uri="https://evil.example/"),
    }
    answers = {name: push(made) for name, made in bad.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(bad, 400)
    errors = {"invalid_request_object", "invalid_request"}
    assert {
        name: answer.json()["error"] for name, answer in answers.items() if answer.json()["error"] not in errors
    } == {}
    # Unsigned, though this client promised to sign.
    refused(signing.push(), "invalid_request", "invalid_request_object")


@pytest.mark.holds("F15a", "JARM-2.1-1", "FAPI2MS-5.4-1")
def test_answers_are_signed_when_the_client_asks(signing: RelyingParty, visitor: Visitor) -> None:
    def arrive_signed(**changes: Any) -> dict[str, Any]:
        made = signing.request_object(response_mode="jwt", **changes)
        answer = signing.post("pushed_authorization_request", {"client_id": signing.client_id, "request": made})
        arrived = signing.go(visitor, answer.json()["request_uri"])
        assert arrived.parameters.keys() == {"response"}
        header = jwt.get_unverified_header(arrived["response"])
        keys = requests.get(signing.provider["jwks_uri"], timeout=10).json()["keys"]
        [key] = [key for key in keys if key["kid"] == header["kid"]]
        claims: dict[str, Any] = jwt.decode(
            arrived["response"], key, algorithms=["ES256"], audience=signing.client_id, issuer=signing.issuer
        )
        assert 0 < claims["exp"] - time.time() <= 600
        return claims

    refusal = arrive_signed(prompt="none")
    assert refusal["error"] == "login_required"
    claims = arrive_signed()
    assert claims["state"] == "state-of-the-relying-party"
    form = {"grant_type": "authorization_code", "code": claims["code"], "code_verifier": VERIFIER}
    assert judged(signing.post("token", form | {"redirect_uri": signing.client["redirect_uris"][0]}))
