"""OpenID Connect Core 1.0, 10.2 and 16.14: what identity providers say to us alone, signed and then encrypted."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, RSAKey

from idp.core import clock
from idp.keys import ring, rotation
from tests.browser import Browser
from tests.provider import Provider
from tests.scripted_upstream import CLIENT_ID, Federated, Key, Reply, ScriptedProvider, Visit, federate, somebody

ID_TOKEN = {"id_token_encrypted_response_alg": "ECDH-ES", "id_token_encrypted_response_enc": "A256GCM"}
USERINFO = {
    "userinfo_signed_response_alg": "ES256",
    "userinfo_encrypted_response_alg": "RSA-OAEP-256",
    "userinfo_encrypted_response_enc": "A128CBC-HS256",
}
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
Sign = Callable[[Mapping[str, Any]], str]


@pytest.fixture(autouse=True)
def _each_look_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "FRESH_SECONDS", 0.0)


@pytest.fixture(scope="module")
def script() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as made:
        yield made


@pytest.fixture(scope="module")
def federated(provider: Provider, script: ScriptedProvider) -> Federated:
    return federate(provider, script, **ID_TOKEN, **USERINFO)


@pytest.fixture
def visit(federated: Federated, browser: Browser) -> Iterator[Visit]:
    """Yield a browser at the provider's page, whose honest answers are encrypted to us."""
    found = federated.leave(browser, federated.provider.portal())
    found.sign_in(somebody(federated.provider))
    script, published = federated.script, keys_of(federated.provider)
    script.signed = lambda claims: hidden(script.key.sign(claims), published["EC"])
    say(script, lambda signed: hidden(signed, published["RSA"], alg="RSA-OAEP-256", enc="A128CBC-HS256"))
    yield found
    script.answers.clear()
    script.signed = None


def keys_of(provider: Provider) -> dict[str, dict[str, Any]]:
    """Return the newest published key of each kind that answers are encrypted to."""
    published = provider.http().get("/upstream/jwks").get_json()["keys"]
    # The one in use stands first.
    return {key["kty"]: key for key in reversed(published) if key["use"] == "enc"}


def hidden(content: str, jwk: Mapping[str, Any], *, alg: str = "ECDH-ES", enc: str = "A256GCM", **header: Any) -> str:
    """Return `content` encrypted to a public key; a header member that is None is left out."""
    whole = {"alg": alg, "enc": enc, "cty": "JWT", "kid": jwk["kid"], **header}
    present = {name: value for name, value in whole.items() if value is not None}
    key = (RSAKey if jwk["kty"] == "RSA" else ECKey).import_key(dict(jwk))
    registry = jwe.JWERegistry(algorithms=[alg, enc, "DEF", "A128GCM", "RSA-OAEP"], strict_check_header=False)
    return jwe.encrypt_compact(present, content, key, registry=registry)


def say(script: ScriptedProvider, wrap: Callable[[str], str]) -> None:
    """Let UserInfo be what `wrap` makes of the signed claims."""

    def answer(_: dict[str, str]) -> Reply:
        signed = script.key.sign({**script.claims, "iss": script.issuer, "aud": CLIENT_ID})
        return Reply(wrap(signed).encode(), headers={"Content-Type": "application/jwt"})

    script.answers["/userinfo"] = answer


@pytest.mark.holds("OIDCC-10-4")
def test_answers_encrypted_to_us_are_read(visit: Visit) -> None:
    assert visit.back().step == "consent"


@pytest.mark.holds("OIDCC-10-5")
def test_keys_to_encrypt_to_are_published_apart_from_those_of_clients(provider: Provider, federated: Federated) -> None:
    answer = provider.http().get("/upstream/jwks")
    published = answer.get_json()["keys"]
    clients = provider.http().get("/jwks").get_json()["keys"]
    assert sorted(key["kty"] for key in published if key["use"] == "enc") == ["EC", "RSA"]
    assert [key for key in published if key["use"] == "sig"] == clients
    assert not any({"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys() for key in published)
    assert provider.http().get("/upstream/jwks", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def _spoilt(script: ScriptedProvider, ours: dict[str, dict[str, Any]]) -> dict[str, tuple[Sign, str]]:
    sign, ec = script.key.sign, ours["EC"]
    stranger = ECKey.generate_key("P-256", {"use": "enc"}, private=False).as_dict() | {"kid": ec["kid"]}
    other_rsa = ours["RSA"]
    return {
        "not encrypted": (sign, "id-token-encryption"),
        "to a key of a stranger": (lambda claims: hidden(sign(claims), stranger), "id-token-encryption"),
        "kid that nobody knows": (lambda claims: hidden(sign(claims), ec, kid="unknown"), "id-token-encryption"),
        "kid of our other key": (lambda claims: hidden(sign(claims), ec, kid=other_rsa["kid"]), "id-token-encryption"),
        "algorithm of UserInfo": (
            lambda claims: hidden(sign(claims), other_rsa, alg="RSA-OAEP-256"), "id-token-encryption"),
        "content algorithm not agreed": (
            lambda claims: hidden(sign(claims), ec, enc="A128CBC-HS256"), "id-token-encryption"),
        "weaker padding": (lambda claims: hidden(sign(claims), other_rsa, alg="RSA-OAEP"), "id-token-encryption"),
        "packed": (lambda claims: hidden(sign(claims), ec, zip="DEF"), "id-token-encryption"),
        "key to be fetched": (lambda claims: hidden(sign(claims), ec, jku=script.issuer), "id-token-encryption"),
        "critical member": (lambda claims: hidden(sign(claims), ec, b64=True), "id-token-encryption"),
        "another kind of content": (lambda claims: hidden(sign(claims), ec, cty="json"), "id-token-encryption"),
        "tag cut": (lambda claims: hidden(sign(claims), ec)[:-2], "id-token-encryption"),
        "one part missing": (lambda claims: hidden(sign(claims), ec).rpartition(".")[0], "id-token-encryption"),
        "claims without a signature": (lambda claims: hidden(json.dumps(dict(claims)), ec), "id-token-signature"),
        "encrypted twice": (lambda claims: hidden(hidden(sign(claims), ec), ec), "id-token-signature"),
        "signed by a stranger": (lambda claims: hidden(Key("first").sign(claims), ec), "id-token-signature"),
        "issuer of another": (lambda claims: hidden(sign({**claims, "iss": "https://evil.example"}), ec),
                              "id-token-issuer"),
        "large": (lambda claims: hidden(sign({**claims, "more": "x" * 12_000}), ec), "token-response"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "case",
    ["not encrypted", "to a key of a stranger", "kid that nobody knows", "kid of our other key",
     "algorithm of UserInfo", "content algorithm not agreed", "weaker padding", "packed",
     "key to be fetched", "critical member", "another kind of content", "tag cut", "one part missing",
     "claims without a signature", "encrypted twice",
     "signed by a stranger", "issuer of another", "large"],
)  # fmt: skip
@pytest.mark.holds("OIDCC-10-4", "RFC8725-3.6-1")
def test_id_token_is_refused_with_the_event_named(case: str, visit: Visit) -> None:
    federated = visit.federated
    federated.script.signed, reason = _spoilt(federated.script, keys_of(federated.provider))[case]
    before = len(federated.events(reason))
    page = visit.back()
    assert page.step == "login"
    assert page.ids["error-summary"] is not None
    assert len(federated.events(reason)) == before + 1


@pytest.mark.parametrize(
    ("wrap", "reason"),
    [
        (lambda signed, _: signed, "userinfo-encryption"),
        (lambda signed, ours: hidden(signed, ours["EC"]), "userinfo-encryption"),
        (lambda _, ours: hidden('{"sub":"x"}', ours["RSA"], alg="RSA-OAEP-256", enc="A128CBC-HS256"),
         "userinfo-signature"),
    ],
    ids=["only signed", "as ID tokens are", "unsigned inside"],
)  # fmt: skip
@pytest.mark.holds("OIDCC-10-4")
def test_userinfo_is_refused_with_the_event_named(wrap: Callable[..., str], reason: str, visit: Visit) -> None:
    ours = keys_of(visit.federated.provider)
    say(visit.federated.script, lambda signed: wrap(signed, ours))
    before = len(visit.federated.events(reason))
    assert visit.back().step == "login"
    assert len(visit.federated.events(reason)) == before + 1


@pytest.mark.holds("OIDCC-10-4")
def test_encrypted_token_is_refused_where_none_is_on_record(
    provider: Provider, script: ScriptedProvider, federated: Federated, browser: Browser
) -> None:
    plain = federate(provider, script)
    visit = plain.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    ours = keys_of(federated.provider)
    script.signed = lambda claims: hidden(script.key.sign(claims), ours["EC"])
    try:
        assert visit.back().step == "login"
    finally:
        script.signed = None
    assert len(plain.events("id-token-signature")) == 1


@pytest.mark.parametrize("kid", ["named", None])
@pytest.mark.holds("OIDCC-10-5")
def test_answer_under_way_is_read_while_the_key_changes(kid: str | None, visit: Visit, browser: Browser) -> None:
    federated = visit.federated
    provider, script = federated.provider, federated.script
    old = keys_of(provider)["EC"]
    changes = {} if kid else {"kid": None}
    script.signed = lambda claims: hidden(script.key.sign(claims), old, **changes)
    with provider.app.app_context():
        rotation.rotate(provider.services.keyring, "ECDH-ES")
        # The successor is published before its turn, and the old one still stands first.
        assert keys_of(provider)["EC"] == old
        rotation.advance(provider.services.keyring, now=_hours_ahead(25))
    assert keys_of(provider)["EC"] != old
    assert visit.back().step == "consent"
    with provider.app.app_context():
        rotation.advance(provider.services.keyring, now=_hours_ahead(25 + 49))
    again = federated.leave(provider.browser(), provider.portal())
    again.sign_in(somebody(provider))
    before = len(federated.events("id-token-encryption"))
    assert again.back().step == "login"
    assert len(federated.events("id-token-encryption")) == before + 1


def _hours_ahead(hours: int) -> datetime:
    return clock.now() + timedelta(hours=hours)


@pytest.mark.parametrize(("is_encrypted", "status"), [(True, 200), (False, 400)], ids=["encrypted", "only signed"])
@pytest.mark.holds("BCL-2.6-2")
def test_word_of_a_logout_is_encrypted_as_id_tokens_are(
    is_encrypted: bool, status: int, provider: Provider, script: ScriptedProvider
) -> None:
    federated = federate(provider, script, backchannel_logout=True, **ID_TOKEN)
    now = int(time.time())
    signed = script.key.sign(
        {"iss": script.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 60, "jti": f"j{is_encrypted}",
         "sub": "somebody", "events": {LOGOUT: {}}}
    )  # fmt: skip
    token = hidden(signed, keys_of(provider)["EC"]) if is_encrypted else signed
    answer = provider.http().post(f"/upstream/{federated.slug}/backchannel-logout", data={"logout_token": token})
    assert answer.status_code == status


def test_one_key_serves_both_algorithms_of_its_kind(
    provider: Provider, script: ScriptedProvider, browser: Browser
) -> None:
    federated = federate(provider, script, id_token_encrypted_response_alg="ECDH-ES+A256KW")
    ours = keys_of(provider)["EC"]
    visit = federated.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    script.signed = lambda claims: hidden(
        script.key.sign(claims), ours, alg="ECDH-ES+A256KW", enc="A128CBC-HS256", iss=script.issuer
    )
    try:
        assert visit.back().step == "consent"
    finally:
        script.signed = None
