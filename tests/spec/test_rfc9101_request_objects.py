"""RFC 9101 and FAPI 2.0 Message Signing, 5.3: signed requests, by value and pushed; what is inside them counts."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc.jwk import ECKey

from tests.browser import Browser
from tests.keyed import KeyedPortal, keyed, rsa_key
from tests.provider import Answer, Person, Provider, walk


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def portal(provider: Provider) -> KeyedPortal:
    return keyed(provider, scope="openid name")


@pytest.fixture(scope="module")
def strict(provider: Provider) -> KeyedPortal:
    return keyed(provider, profile="fapi2", require_signed_request_object=True)


def address(portal: KeyedPortal, compact: str, **beside: str) -> str:
    return "/authorize?" + urlencode({"client_id": portal.client_id, "request": compact, **beside})


@pytest.mark.holds("B17", "OIDCC-6.1-1", "RFC9101-5-1", "RFC9101-6.3-1")
def test_a_signed_request_leads_to_a_code(portal: KeyedPortal, browser: Browser, person: Person) -> None:
    compact = portal.request_object(scope="openid name", nonce="from inside", max_age=3600)
    answer = Answer(walk(browser, browser.get(address(portal, compact)), person))
    claims = portal.claims(tokens := portal.tokens(answer))
    assert (claims["nonce"], answer["state"]) == ("from inside", "state-of-the-portal")
    assert "auth_time" in claims
    assert portal.userinfo(tokens["access_token"]).get_json()["name"] == person.full_name


@pytest.mark.holds("B17", "RFC9101-6.3-1")
def test_what_stands_beside_a_signed_request_is_not_used(portal: KeyedPortal, browser: Browser, person: Person) -> None:
    beside = {
        "redirect_uri": "https://evil.example/",
        "state": "outside",
        "scope": "openid name",
        "nonce": "outside",
        "response_type": "token",
    }
    page = browser.get(address(portal, portal.request_object(nonce=None), **beside))
    answer = Answer(walk(browser, page, person))
    assert answer.location.startswith(portal.redirect_uri)
    assert answer["state"] == "state-of-the-portal"
    tokens = portal.tokens(answer)
    assert tokens["scope"] == "openid"
    assert "nonce" not in portal.claims(tokens)


@pytest.mark.holds("OIDCC-6.1-1")
def test_claims_may_be_an_object_inside(portal: KeyedPortal, browser: Browser, person: Person) -> None:
    compact = portal.request_object(scope="openid name", claims={"id_token": {"name": {"essential": True}}})
    answer = Answer(walk(browser, browser.get(address(portal, compact)), person))
    assert portal.claims(portal.tokens(answer))["name"] == person.full_name


@dataclass(frozen=True)
class Shift:
    """A time so many seconds from when the test runs, which may be long after it was collected."""

    seconds: int


def times(**shifts: int) -> dict[str, Shift]:
    return {name: Shift(seconds) for name, seconds in shifts.items()}


def now(changes: dict[str, Any]) -> dict[str, Any]:
    moment = int(time.time())
    return {name: moment + it.seconds if isinstance(it, Shift) else it for name, it in changes.items()}


REFUSED: list[dict[str, Any]] = [
    {"iss": "somebody-else"},
    {"iss": None},
    {"aud": "https://other.example"},
    {"aud": None},
    {"client_id": "somebody-else"},
    {"client_id": None},
    {"sub": "THE CLIENT"},
    {"request": "x.y.z"},
    {"request_uri": "https://evil.example/"},
    {"max_age": True},
    {"max_age": 1.5},
    {"state": "a\nb"},
    {"exp": "soon"},
    times(exp=-60),
    times(nbf=90),
    times(iat=90),
]


@pytest.mark.holds("F15", "RFC9101-6.2-1", "RFC9101-10.8-1", "RFC9101-4-1", "OIDCC-6.1-2", "RFC9101-4-2", "RFC9101-7-1")
@pytest.mark.parametrize("changes", REFUSED)
def test_a_wrong_request_object_is_refused(portal: KeyedPortal, browser: Browser, changes: dict[str, Any]) -> None:
    changes = {name: portal.client_id if value == "THE CLIENT" else value for name, value in now(changes).items()}
    compact = portal.request_object(**changes)
    answer = Answer(walk(browser, browser.get(address(portal, compact, redirect_uri=portal.redirect_uri))))
    assert answer["error"] == "invalid_request_object"
    # Without a proven address beside it there is nobody to tell.
    page = browser.get(address(portal, compact, redirect_uri="https://evil.example/"))
    assert (page.status, page.error_code, page.left_for) == (400, "PR-008", None)
    response = portal.send("/par", {"request": compact})
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request_object")


def forged(portal: KeyedPortal, kind: str) -> str:
    good = portal.request_object()
    header, payload, signature = good.split(".")
    if kind == "none":
        return f"{_text({'alg': 'none'})}.{payload}."
    if kind == "bad signature":
        return f"{header}.{payload}.{signature[:-4]}AAAA"
    if kind == "changed":
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        return f"{header}.{_text({**claims, 'state': 'changed'})}.{signature}"
    if kind == "foreign key":
        return portal.request_object(key=ECKey.generate_key("P-256"))
    if kind == "own jwk":
        key = ECKey.generate_key("P-256")
        from joserfc import jws

        members = {"alg": "ES256", "jwk": key.as_dict(private=False)}
        raw = base64.urlsafe_b64decode(payload + "==")
        return jws.serialize_compact(members, raw, key, algorithms=["ES256"])
    if kind == "assertion":
        return portal.assertion(**portal.request())
    if kind == "typ":
        return portal.request_object(typ="client-authentication+jwt")
    if kind == "HS256":
        import hashlib
        import hmac

        head = _text({"alg": "HS256"})
        mac = hmac.new(
            json.dumps(portal.key.as_dict(private=False)).encode(), f"{head}.{payload}".encode(), hashlib.sha256
        )
        return f"{head}.{payload}.{base64.urlsafe_b64encode(mac.digest()).rstrip(b'=').decode()}"
    return {"empty": "..", "text": "x", "huge": f"{header}.{payload}.{'A' * 20_000}", "json": "{}"}[kind]


def _text(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.holds("F15", "RFC9101-6.2-1", "RFC9101-10.1-1", "RFC8725-3.1-1", "RFC8725-3.2-1")
@pytest.mark.parametrize(
    "kind",
    [
        "none",
        "bad signature",
        "changed",
        "foreign key",
        "own jwk",
        "assertion",
        "typ",
        "HS256",
        "empty",
        "text",
        "json",
    ],
)
@pytest.mark.holds("RFC9101-7-1", "RFC9101-10.8-1")
def test_a_forged_request_object_is_refused(portal: KeyedPortal, browser: Browser, kind: str) -> None:
    compact = forged(portal, kind)
    answer = Answer(walk(browser, browser.get(address(portal, compact, redirect_uri=portal.redirect_uri))))
    assert answer["error"] == "invalid_request_object"
    response = portal.send("/par", {"request": compact})
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request_object")


def test_a_huge_request_object_is_refused_when_it_is_pushed(portal: KeyedPortal) -> None:
    response = portal.send("/par", {"request": forged(portal, "huge")})
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request_object")


@pytest.mark.holds("B17", "OIDCC-6.1-3")
def test_a_client_without_keys_has_no_request_objects(provider: Provider, browser: Browser) -> None:
    portal = provider.portal()
    page = browser.get(portal.address(request=f"{_text({'alg': 'none'})}.{_text({'state': 'x'})}."))
    assert Answer(walk(browser, page))["error"] == "request_not_supported"


@pytest.mark.holds("RFC9101-10.5-1", "F15")
def test_a_client_registered_for_signed_requests_sends_no_others(
    provider: Provider, browser: Browser, strict: KeyedPortal
) -> None:
    portal = keyed(provider, require_signed_request_object=True)
    answer = Answer(walk(browser, browser.get(portal.address())))
    assert (answer["error"], answer["state"]) == ("invalid_request", "state-of-the-portal")
    response = strict.push()
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


@pytest.mark.holds("F15", "FAPI2MS-5.3-1", "RFC9126-3-1")
def test_a_fapi_client_pushes_a_signed_request(provider: Provider, strict: KeyedPortal, person: Person) -> None:
    response = strict.send("/par", {"request": strict.request_object()})
    assert response.status_code == 201, response.text
    browser = provider.browser()
    page = browser.get(strict.address_of(response.get_json()["request_uri"]))
    assert strict.tokens(Answer(walk(browser, page, person)))["token_type"] == "DPoP"


@pytest.mark.holds("F15", "FAPI2MS-5.3-2", "FAPI2MS-5.3-3")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"exp": None}, 400),
        ({"nbf": None}, 400),
        (times(nbf=0, exp=3_700), 400),
        (times(nbf=-3_700, exp=-40), 400),
        (times(nbf=-3_700, exp=200), 400),
        (times(nbf=-3_500, exp=100), 201),
        (times(nbf=8, exp=300), 201),
        (times(nbf=0, exp=3_590), 201),
        ({"aud": ["https://other.example", "ISSUER"]}, 201),
    ],
)
def test_the_life_of_a_fapi_request_is_bounded(strict: KeyedPortal, changes: dict[str, Any], status: int) -> None:
    if isinstance(changes.get("aud"), list):
        changes = {"aud": ["https://other.example", strict.issuer]}
    response = strict.send("/par", {"request": strict.request_object(**now(changes))})
    assert response.status_code == status, response.text
    if status == 400:
        assert response.get_json()["error"] == "invalid_request_object"


@pytest.mark.parametrize("typ", ["oauth-authz-req+jwt", "JWT", "application/oauth-authz-req+jwt"])
@pytest.mark.holds("FAPI2MS-5.3-4")
def test_the_type_may_be_the_general_one(strict: KeyedPortal, typ: str) -> None:
    assert strict.send("/par", {"request": strict.request_object(typ=typ)}).status_code == 201


@pytest.mark.holds("F15", "FAPI2SP-5.4.1-1")
def test_a_fapi_client_does_not_sign_with_rs256(provider: Provider) -> None:
    key = rsa_key()
    jwk = {**key.as_dict(private=False), "alg": "PS256"}
    portal = keyed(provider, key=key, profile="fapi2", jwks={"keys": [jwk]}, binds=False)
    claims = {**portal.request(), "iss": portal.client_id, "aud": portal.issuer, **now(times(nbf=0, exp=60))}
    for alg, status in (("RS256", 400), ("PS256", 201)):
        form = {"request": portal.sign(claims, alg=alg)}
        assert portal.send("/par", form).status_code == status
