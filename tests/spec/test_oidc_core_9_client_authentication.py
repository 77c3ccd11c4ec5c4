"""OpenID Connect Core 1.0, 9, RFC 6749, 2.3, and RFC 7523: how a portal proves itself at the token endpoint."""

import base64
import json
import secrets
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from idp.core import clock
from idp.core.limits import RateLimit
from idp.oidc.client_auth import ASSERTION_TYPE, BAD_SECRETS_A_MINUTE
from tests.browser import Browser
from tests.provider import Person, Portal, Provider

EC = ECKey.generate_key("P-256", {"kid": "ec", "alg": "ES256"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})


@pytest.fixture(autouse=True)
def _patience(provider: Provider) -> None:
    """Let a minute pass: clients that do not exist are counted together."""
    provider.run(sa.delete(RateLimit))


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture
def basic(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture
def post(provider: Provider) -> Portal:
    return provider.portal(token_endpoint_auth_method="client_secret_post")


@pytest.fixture
def keyed(provider: Provider) -> Portal:
    keys = {"keys": [EC.as_dict(private=False), RSA.as_dict(private=False)]}
    return provider.portal(token_endpoint_auth_method="private_key_jwt", client_secret=None, jwks=keys)


def refused(portal: Portal, **arguments: Any) -> None:
    response = portal.redeem("any-code", **arguments)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_client"), response.text
    assert response.mimetype == "application/json"
    assert response.headers["Cache-Control"] == "no-store"


def encoded(pair: str | bytes) -> str:
    return "Basic " + base64.b64encode(pair.encode() if isinstance(pair, str) else pair).decode()


@pytest.mark.holds("B26", "OIDCC-9-1", "RFC6749-2.3.1-1")
def test_basic_takes_form_encoded_halves(basic: Portal, browser: Browser, person: Person) -> None:
    # The secret holds signs that differ once encoded (RFC 6749, 2.3.1).
    assert quote(basic.secret, safe="") != basic.secret
    assert basic.redeem(basic.arrive(browser, person)["code"]).status_code == 200
    code = basic.arrive(browser)["code"]
    assert basic.redeem(code, authorization=basic.basic().replace("Basic", "bAsIc")).status_code == 200
    code = basic.arrive(browser)["code"]
    assert basic.redeem(code, client_id=basic.client_id).status_code == 200


@pytest.mark.holds("RFC6749-2.3.1-1")
def test_basic_that_was_not_encoded_is_refused_when_it_reads_otherwise(basic: Portal) -> None:
    refused(basic, authorization=encoded(f"{basic.client_id}:{basic.secret}"))


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic eA==",
        "Basic =",
        encoded(b"\xff\xfe:\xff"),
        encoded("a%ff:b%zz"),
        encoded(":"),
        encoded("\0:\0"),
        encoded("x" * 50_000 + ":y"),
        "Basic \xff\xfe",
        "Basic \xc4\x91",
        "Bearer x",
        "Negotiate",
        "",
        "\xa0",
    ],
)
@pytest.mark.holds("B25", "RFC6749-5.2-2")
def test_an_odd_header_is_invalid_client_with_a_challenge(basic: Portal, header: str) -> None:
    response = basic.redeem("any-code", authorization=header)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_client")
    assert response.headers["WWW-Authenticate"] == 'Basic realm="token"'


def test_unknown_clients_and_wrong_secrets_are_told_the_same(provider: Provider, basic: Portal) -> None:
    answers = [
        basic.redeem("any-code", authorization=header)
        for header in (basic.basic("wrong"), encoded("nobody:wrong"), encoded(f"{basic.client_id}:"))
    ]
    said = {(answer.status_code, answer.get_json()["error_description"].rpartition(" ")[0]) for answer in answers}
    assert len(said) == 1


@pytest.mark.holds("OIDCC-9-3", "RFC6749-3.2.1-1")
def test_no_authentication_is_invalid_client(basic: Portal) -> None:
    refused(basic, authorization=None)
    refused(basic, authorization=None, client_id=basic.client_id)
    refused(basic, authorization=None, client_id=basic.client_id, client_secret="")


@pytest.mark.holds("B26", "OIDCC-9-1")
def test_post_takes_id_and_secret_in_the_form(post: Portal, browser: Browser, person: Person) -> None:
    code = post.arrive(browser, person)["code"]
    right = {"client_id": post.client_id, "client_secret": post.secret}
    assert post.redeem(code, authorization=None, **right).status_code == 200
    refused(post, authorization=None, client_id=post.client_id, client_secret="wrong")
    refused(post, authorization=None, client_secret=post.secret)


@pytest.mark.holds("OIDCC-9-1")
def test_only_the_registered_method_works(basic: Portal, post: Portal, keyed: Portal) -> None:
    refused(basic, authorization=None, client_id=basic.client_id, client_secret=basic.secret)
    refused(post)
    refused(keyed, authorization=encoded(f"{keyed.client_id}:"))
    assertion = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed(basic)}
    refused(basic, authorization=None, **assertion)


@pytest.mark.holds("RFC6749-2.3-1", "RFC7521-4.2-1")
def test_two_methods_at_once_are_invalid_request(basic: Portal, keyed: Portal) -> None:
    both = basic.redeem("any-code", client_id=basic.client_id, client_secret=basic.secret)
    assert (both.status_code, both.get_json()["error"]) == (400, "invalid_request")
    mixed = keyed.redeem(
        "any-code",
        authorization=None,
        client_id=keyed.client_id,
        client_secret="x",
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=signed(keyed),
    )
    assert (mixed.status_code, mixed.get_json()["error"]) == (400, "invalid_request")


def test_another_client_id_beside_the_credentials_is_refused(basic: Portal, post: Portal) -> None:
    refused(basic, client_id=post.client_id)


@pytest.mark.holds("RFC6749-2.3.1-3")
def test_guessing_secrets_is_slowed_down(provider: Provider, basic: Portal) -> None:
    for _ in range(BAD_SECRETS_A_MINUTE):
        refused(basic, authorization=basic.basic("wrong"))
    slow = basic.redeem("any-code", authorization=basic.basic("wrong"))
    assert (slow.status_code, slow.get_json()["error"]) == (429, "invalid_client")
    assert slow.headers["Retry-After"] == "60"
    # Somebody guessing does not lock the portal out.
    assert basic.redeem("any-code").get_json()["error"] == "invalid_grant"


def test_clients_that_do_not_exist_are_counted_together(provider: Provider, basic: Portal) -> None:
    counted = sa.select(sa.func.count()).select_from(RateLimit)
    for number in range(BAD_SECRETS_A_MINUTE):
        refused(basic, authorization=encoded(f"nobody-{number}:x"))
    slow = basic.redeem("any-code", authorization=encoded("another:x"))
    assert (slow.status_code, slow.headers["Retry-After"]) == (429, "60")
    assert provider.scalars(counted) == [1]
    # One that exists has a count of its own.
    refused(basic, authorization=basic.basic("wrong"))
    assert provider.scalars(counted) == [2]


IMPOSSIBLE = ["x" * 129, "x" * 20_000, "đ", "\0", "a\nb", "\U0001f600"]


@pytest.mark.parametrize("client_id", IMPOSSIBLE, ids=lambda name: ascii(name[:9]))
def test_a_name_no_client_can_have_is_invalid_client(provider: Provider, basic: Portal, client_id: str) -> None:
    refused(basic, authorization=encoded(f"{quote(client_id, safe='')}:x"))
    if client_id.isprintable():
        refused(basic, authorization=None, client_id=client_id, client_secret="x")
        asserted = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": with_subject(client_id)}
        refused(basic, authorization=None, client_id=client_id, **asserted)
    asked = provider.http().get("/authorize", query_string=basic.request(client_id=client_id))
    assert asked.status_code in (400, 413)
    assert not [name for name in provider.services.clients._unknown if client_id in str(name)]


@pytest.mark.parametrize("sub", [*IMPOSSIBLE[:1], "x" * 10_000, *IMPOSSIBLE[2:], "\ud800", "\udfff\ud800", 7, None, []])
def test_a_subject_no_client_can_have_is_invalid_client(basic: Portal, sub: object) -> None:
    assertion = with_subject(sub)
    refused(basic, authorization=None, client_assertion_type=ASSERTION_TYPE, client_assertion=assertion)


def with_subject(sub: object) -> str:
    """Return an assertion that nobody signed."""
    head, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "ES256"}, {"sub": sub})
    )
    return f"{head}.{payload}.AAAA"


# --- private_key_jwt


def claims(portal: Portal, **changes: Any) -> dict[str, Any]:
    now = clock.epoch(clock.now())
    whole = {
        "iss": portal.client_id,
        "sub": portal.client_id,
        "aud": portal.provider.settings.issuer,
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_urlsafe(16),
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def signed(portal: Portal, header: dict[str, Any] | None = None, key: Any = EC, **changes: Any) -> str:
    head = {"alg": "ES256", "kid": "ec"} if header is None else header
    registry_algorithms = ["ES256", "RS256", "PS256", "HS256"]
    return jwt.encode(head, claims(portal, **changes), key, algorithms=registry_algorithms)


def with_assertion(portal: Portal, assertion: str, code: str = "any-code", **changes: str | None) -> Any:
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **changes}
    return portal.redeem(code, authorization=None, **form)


@pytest.mark.holds("F4", "OIDCC-9-2", "RFC7523-2.2-1", "RFC7523-5-1", "FAPI2SP-5.3.2.1-8", "RFC9700-2.5-1")
def test_an_assertion_is_accepted(keyed: Portal, browser: Browser, person: Person) -> None:
    assert with_assertion(keyed, signed(keyed), keyed.arrive(browser, person)["code"]).status_code == 200
    for header in ({"alg": "RS256", "kid": "rsa"}, {"alg": "PS256", "kid": "rsa"}):
        code = keyed.arrive(browser)["code"]
        assert with_assertion(keyed, signed(keyed, header, RSA), code, client_id=keyed.client_id).status_code == 200
    ahead = clock.epoch(clock.now()) + 9
    code = keyed.arrive(browser)["code"]
    assert with_assertion(keyed, signed(keyed, iat=ahead, nbf=ahead), code).status_code == 200


@pytest.mark.holds("F4", "OIDCC-9-2", "RFC7521-8.2-1", "RFC7523-3-4")
def test_an_assertion_counts_once(keyed: Portal) -> None:
    assertion = signed(keyed)
    assert with_assertion(keyed, assertion).get_json()["error"] == "invalid_grant"
    assert with_assertion(keyed, assertion).get_json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://dangnhap.example/token"},
        {"aud": ["https://dangnhap.example"]},
        {"aud": "https://dangnhap.example/"},
        {"aud": None},
        {"iss": "somebody"},
        {"iss": None},
        {"sub": None},
        {"sub": "somebody"},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -60},
        {"exp": 10**18},
        {"iat": 120},
        {"nbf": 120},
        {"iat": "now"},
    ],
)
@pytest.mark.holds(
    "F4",
    "OIDCC-9-2",
    "RFC7521-4.2.1-1",
    "RFC7521-5.2-1",
    "RFC7523-3-1",
    "RFC7523-3-2",
    "RFC7523-3-3",
    "RFC7523-3-4",
    "RFC7523-3.2-1",
    "RFC8725-3.9-1",
    "FAPI2SP-5.3.2.1-6",
    "FAPI2SP-5.3.2.1-8",
)
def test_an_assertion_with_wrong_claims_is_refused(keyed: Portal, change: dict[str, Any]) -> None:
    name, value = next(iter(change.items()))
    if name in ("exp", "iat", "nbf") and type(value) is int and abs(value) < 10**6:
        value += clock.epoch(clock.now())
    refused(
        keyed,
        authorization=None,
        client_id=keyed.client_id,
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=signed(keyed, **{name: value}),
    )


@pytest.mark.holds("RFC7523-3-3")
def test_a_long_life_counts_for_five_minutes_from_its_beginning(keyed: Portal) -> None:
    now = clock.epoch(clock.now())
    fresh = signed(keyed, iat=now - 200, exp=now + 3_400)
    assert with_assertion(keyed, fresh).get_json()["error"] == "invalid_grant"
    for changes in ({"iat": now - 320}, {"iat": None}):
        stale = signed(keyed, **{"exp": now + 3_280, **changes})
        assert with_assertion(keyed, stale).get_json()["error"] == "invalid_client"


@pytest.mark.holds("F4", "RFC7521-5.2-1", "RFC7523-3-5", "RFC8725-3.2-1")
def test_an_assertion_by_the_wrong_key_or_algorithm_is_refused(provider: Provider, keyed: Portal) -> None:
    strange = ECKey.generate_key("P-256", {"kid": "ec"})
    public = base64.urlsafe_b64encode(b"x" * 32).decode()
    header, payload, signature = signed(keyed).split(".")
    bare = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    forged = [
        signed(keyed, key=strange),
        signed(keyed, {"alg": "HS256", "kid": "ec"}, OctKey.import_key({"kty": "oct", "k": public.rstrip("=")})),
        signed(keyed, {"alg": "ES256", "kid": "unheard-of"}),
        f"{bare}.{payload}.",
        f"{bare}.{payload}.{signature}",
        f"{header}.{payload}",
        f"{header}..{signature}",
        "x",
        "đ.đ.đ",
        "a" * 20_000,
    ]
    for assertion in forged:
        refused(
            keyed,
            authorization=None,
            client_id=keyed.client_id,
            client_assertion_type=ASSERTION_TYPE,
            client_assertion=assertion,
        )


@pytest.mark.holds("F4", "RFC7521-4.2-1")
def test_an_assertion_of_one_client_does_not_work_for_another(provider: Provider, keyed: Portal) -> None:
    keys = {"keys": [EC.as_dict(private=False)]}
    other = provider.portal(token_endpoint_auth_method="private_key_jwt", client_secret=None, jwks=keys)
    assert with_assertion(keyed, signed(other), client_id=keyed.client_id).get_json()["error"] == "invalid_client"


@pytest.mark.parametrize("kind", [None, "", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"])
@pytest.mark.holds("RFC7521-4.2-1", "RFC7523-2.2-1")
def test_an_assertion_of_another_type_is_refused(keyed: Portal, kind: str | None) -> None:
    refused(keyed, authorization=None, client_assertion_type=kind, client_assertion=signed(keyed))


@pytest.mark.holds("RFC7523-3-5", "RFC8725-3.1-1")
def test_only_the_registered_algorithm_is_accepted(provider: Provider) -> None:
    keys = {"keys": [EC.as_dict(private=False)]}
    strict = provider.portal(
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="ES256",
        client_secret=None,
        jwks=keys,
    )
    assert with_assertion(strict, signed(strict)).get_json()["error"] == "invalid_grant"
    assert (
        with_assertion(strict, signed(strict, {"alg": "RS256", "kid": "rsa"}, RSA)).get_json()["error"]
        == "invalid_client"
    )


@pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("registered", ["EdDSA", "Ed25519", None])
@pytest.mark.holds("F4")
def test_ed25519_is_one_algorithm_by_either_name(provider: Provider, name: str, registered: str | None) -> None:
    portal = provider.portal(
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg=registered,
        client_secret=None,
        jwks={"keys": [ED.as_dict(private=False)]},
    )
    signed_part = f"{encoded_json({'alg': name, 'kid': 'ed'})}.{encoded_json(claims(portal))}"
    # joserfc itself warns at the older name.
    signature = ED.get_op_key("sign").sign(signed_part.encode())
    assertion = f"{signed_part}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert with_assertion(portal, assertion).get_json()["error"] == "invalid_grant"


@pytest.mark.holds("F4")
def test_a_fapi_client_cannot_fall_back_to_rs256(provider: Provider) -> None:
    portal = provider.portal(
        token_endpoint_auth_method="private_key_jwt",
        client_secret=None,
        jwks={"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]},
        profile="fapi2",
    )
    assert with_assertion(portal, signed(portal)).get_json()["error"] != "invalid_client"
    for algorithm, error in (("PS256", "invalid_dpop_proof"), ("RS256", "invalid_client")):
        assertion = signed(portal, {"alg": algorithm, "kid": "rsa"}, RSA)
        assert with_assertion(portal, assertion).get_json()["error"] == error


def encoded_json(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
