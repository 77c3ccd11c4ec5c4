"""What a hostile or broken identity provider says is refused, with the event that names why (security A14)."""

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jose import jwt

from tests.browser import Browser
from tests.provider import Provider
from tests.scripted_upstream import CLIENT_ID, Federated, Key, Reply, ScriptedProvider, Visit, federate, reply, somebody

Spoil = Callable[[ScriptedProvider], None]


@pytest.fixture(scope="module")
def script() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as made:
        yield made


@pytest.fixture(scope="module")
def federated(provider: Provider, script: ScriptedProvider) -> Federated:
    return federate(provider, script)


@pytest.fixture
def visit(federated: Federated, browser: Browser) -> Iterator[Visit]:
    """Yield a browser at the provider's page, where somebody has signed in honestly."""
    portal = federated.provider.portal()
    found = federated.leave(browser, portal)
    found.sign_in(somebody(federated.provider))
    yield found
    federated.script.answers.clear()
    federated.script.signed = None


def _claim(**changes: Any) -> Spoil:
    def spoil(script: ScriptedProvider) -> None:
        for name, value in changes.items():
            if value is None:
                script.id_token.pop(name)
            else:
                script.id_token[name] = value() if callable(value) else value

    return spoil


def _segment(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def _unsigned(script: ScriptedProvider) -> None:
    script.signed = lambda claims: f"{_segment({'alg': 'none', 'kid': 'first'})}.{_segment(dict(claims))}."


def _public_key_as_secret(script: ScriptedProvider) -> None:
    secret = base64.b64encode(script.key.public_pem).decode()
    script.signed = lambda claims: str(jwt.encode(dict(claims), secret, algorithm="HS256", headers={"kid": "first"}))


def _stranger_key(script: ScriptedProvider) -> None:
    script.signed = Key("first").sign


def _key_in_header(script: ScriptedProvider) -> None:
    other = Key("first")
    script.signed = lambda claims: other.sign(claims, jwk=other.jwk())


def _changed_payload(script: ScriptedProvider) -> None:
    def sign(claims: Any) -> str:
        header, _, signature = script.key.sign(claims).split(".")
        return f"{header}.{_segment({**claims, 'acr': 'high'})}.{signature}"

    script.signed = sign


def _at(path: str, made: Reply) -> Spoil:
    def spoil(script: ScriptedProvider) -> None:
        script.answers[path] = lambda _: made

    return spoil


def _userinfo(**changes: Any) -> Spoil:
    def spoil(script: ScriptedProvider) -> None:
        script.claims = {name: value for name, value in {**script.claims, **changes}.items() if value is not None}

    return spoil


def _ago(seconds: int) -> Callable[[], int]:
    return lambda: int(time.time()) - seconds


_PACKED = Reply(gzip.compress(b"{}" * 100), headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
_REDIRECT = Reply(b"", 302, {"Location": "http://127.0.0.1:1/"})

_HOSTILE: list[tuple[str, Spoil, str]] = [
    ("issuer of another", _claim(iss="https://evil.example"), "id-token-issuer"),
    ("no algorithm", _unsigned, "id-token-signature"),
    ("public key as a secret", _public_key_as_secret, "id-token-signature"),
    ("key of a stranger", _stranger_key, "id-token-signature"),
    ("key in the header", _key_in_header, "id-token-signature"),
    ("payload changed", _changed_payload, "id-token-signature"),
    ("audience of another", _claim(aud="somebody-else"), "id-token-audience"),
    ("audience of two", _claim(aud=[CLIENT_ID, "somebody-else"]), "id-token-audience"),
    ("authorized party", _claim(azp="somebody-else"), "id-token-audience"),
    ("no nonce", _claim(nonce=None), "id-token-nonce"),
    ("other nonce", _claim(nonce="x" * 43), "id-token-nonce"),
    ("expired", _claim(exp=_ago(90)), "id-token-time"),
    ("from the future", _claim(iat=_ago(-300)), "id-token-time"),
    ("no expiry", _claim(exp=None), "id-token-time"),
    ("no issue time", _claim(iat=None), "id-token-time"),
    ("old", _claim(iat=_ago(90_000)), "id-token-time"),
    ("hash of another token", _claim(at_hash="x" * 22), "id-token-at-hash"),
    ("no subject", _claim(sub=None), "id-token-subject"),
    ("level it may not give", _claim(acr="platinum"), "level-not-allowed"),
    ("no level", _claim(acr=None), "level-not-allowed"),
    ("swapped subject", _userinfo(sub="another-subject"), "userinfo-subject"),
    ("no number", _userinfo(identification_number=None), "claims"),
    ("number that is none", _userinfo(identification_number="12"), "claims"),
    ("impossible birth date", _userinfo(birthdate="1991-02-30"), "claims"),
    ("userinfo no JSON", _at("/userinfo", Reply(b"<html>")), "userinfo"),
    ("userinfo refused", _at("/userinfo", reply({}, status=401)), "userinfo"),
    ("userinfo huge", _at("/userinfo", Reply(b"x" * 300_000)), "unreachable"),
    ("code refused", _at("/token", reply({"error": "invalid_grant"}, status=400)), "token-response"),
    ("no ID token", _at("/token", reply({"access_token": "a", "token_type": "Bearer"})), "token-response"),
    ("token no JSON", _at("/token", Reply(b"[" * 100_000)), "token-response"),
    ("answer packed", _at("/token", _PACKED), "unreachable"),
    ("answer elsewhere", _at("/token", _REDIRECT), "unreachable"),
    ("server fails", _at("/token", Reply(b"", 503)), "token-response"),
]


@pytest.mark.parametrize(("spoil", "reason"), [row[1:] for row in _HOSTILE], ids=[row[0] for row in _HOSTILE])
def test_answer_is_refused_with_the_event_named(spoil: Spoil, reason: str, visit: Visit) -> None:
    spoil(visit.federated.script)
    page = visit.back()
    assert page.step == "login"
    assert page.ids["error-summary"] is not None
    assert "sid" not in {name.removeprefix("__Host-") for name in visit.browser.cookies()}
    assert visit.federated.events(reason)


def test_honest_answer_is_taken(visit: Visit) -> None:
    assert visit.back().step == "consent"


@pytest.mark.parametrize("issuer", ["https://evil.example", None], ids=["another", "missing"])
def test_response_of_another_issuer_is_refused_before_the_code_is_sent_anywhere(
    issuer: str | None, provider: Provider, browser: Browser
) -> None:
    with ScriptedProvider() as script:
        federated = federate(provider, script, iss_parameter=True)
        visit = federated.leave(browser, provider.portal())
        visit.sign_in(somebody(provider))
        assert visit.back(iss=issuer).step == "login"
        assert federated.events("response-issuer")
        assert script.times("/token") == 0


def test_dripping_answer_is_given_up_in_time(visit: Visit) -> None:
    visit.federated.script.answers["/token"] = lambda _: Reply(b" " * 2_000, drip=0.05)
    started = time.monotonic()
    assert visit.back().step == "login"
    assert time.monotonic() - started < 15
    assert visit.federated.events("unreachable")


def test_signed_userinfo_is_demanded_where_the_record_says_so(provider: Provider, browser: Browser) -> None:
    with ScriptedProvider() as script:
        federated = federate(provider, script, userinfo_signed_response_alg="ES256")
        person = somebody(provider)
        visit = federated.leave(browser, provider.portal())
        visit.sign_in(person)
        assert visit.back().step == "login"
        assert federated.events("userinfo-signature")
        for audience, step in (("somebody-else", "login"), (CLIENT_ID, "consent")):
            visit = federated.choose(browser, browser.get(f"/signin/{browser.page.handle}/login"))
            visit.sign_in(person)
            signed = script.key.sign({**script.claims, "iss": script.issuer, "aud": audience})
            script.answers["/userinfo"] = lambda _, signed=signed: Reply(
                signed.encode(), headers={"Content-Type": "application/jwt"}
            )
            assert visit.back().step == step


def test_unknown_keys_make_us_ask_once(visit: Visit) -> None:
    script = visit.federated.script
    assert visit.back().step == "consent"
    before = script.times("/jwks")
    script.signed = Key("made up").sign
    for _ in range(3):
        browser = visit.federated.provider.browser()
        again = visit.federated.leave(browser, visit.federated.provider.portal())
        again.sign_in(somebody(visit.federated.provider))
        assert again.back().step == "login"
    assert script.times("/jwks") <= before + 1


@pytest.mark.parametrize(
    "change", [{"issuer": "https://evil.example"}, {"authorization_endpoint": "http://127.0.0.1:9/authorization"}],
    ids=["issuer", "origin"],
)  # fmt: skip
def test_published_metadata_of_another_place_are_refused(
    change: dict[str, str], provider: Provider, browser: Browser
) -> None:
    with ScriptedProvider() as script:
        script.answers["/.well-known/openid-configuration"] = lambda _: reply({**script.metadata(), **change})
        federated = federate(provider, script)
        page = browser.get(provider.portal().address())
        page = browser.submit(f"upstream-form-{federated.slug}")
        assert page.step == "login"
        assert "error-summary" in page.ids
        assert federated.events("metadata")


def test_bearer_token_from_a_provider_that_has_to_bind_its_tokens_is_refused(
    provider: Provider, browser: Browser, script: ScriptedProvider
) -> None:
    federated = federate(provider, script, dpop_bound_access_tokens=True)
    visit = federated.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    assert visit.back().step == "login"
    assert len(federated.events("token-response")) == 1
    assert "DPoP" in script.headers[-1]
    assert script.asked[-1][0] == "/token"
