"""Answers encrypted to a client's key (RFC 7516; OpenID Connect Core 1.0, 16.14)."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey

from idp.keys import encryption
from idp.keys.encryption import NoKeyFits

RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "enc"})
EC = ECKey.generate_key("P-256", {"kid": "ec", "use": "enc"})
BOTH = {"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]}
# 1024 bits.
SHORT = {"kty": "RSA", "e": "AQAB", "n": urlsafe_b64encode(b"\xc1" * 128).decode().rstrip("="), "use": "enc"}
PAYLOAD = "một.token.lồng"


def header_of(token: str) -> dict[str, Any]:
    first = token.split(".", maxsplit=1)[0]
    header: dict[str, Any] = json.loads(urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return header


@pytest.mark.parametrize(("alg", "key"), [("RSA-OAEP-256", RSA), ("ECDH-ES", EC)])
@pytest.mark.parametrize("enc", encryption.CONTENT_ALGORITHMS)
@pytest.mark.holds("RFC8725-3.6-1")
def test_the_client_reads_its_answer_when_it_holds_the_key(alg: str, key: Any, enc: str) -> None:
    token = encryption.encrypt(PAYLOAD, BOTH, alg=alg, enc=enc, cty="JWT")
    assert jwe.decrypt_compact(token, key, algorithms=[alg, enc]).plaintext == PAYLOAD.encode()
    header = header_of(token)
    assert {name: header[name] for name in ("alg", "enc", "kid", "cty")} == {
        "alg": alg,
        "enc": enc,
        "kid": key.kid,
        "cty": "JWT",
    }
    assert set(header) <= {"alg", "enc", "kid", "cty", "epk"}
    assert "d" not in header.get("epk", {})


def test_nothing_repeats_when_the_same_is_encrypted_twice() -> None:
    first, second = (encryption.encrypt(PAYLOAD, BOTH, alg="ECDH-ES", enc="A256GCM").split(".") for _ in range(2))
    assert first[2] != second[2]
    assert first[3] != second[3]


@pytest.mark.holds("OIDCC-10-3")
def test_a_key_that_may_only_sign_is_passed_over_when_another_fits() -> None:
    signing = ECKey.generate_key("P-256", {"kid": "sig", "use": "sig"}).as_dict(private=False)
    open_to_all = ECKey.generate_key("P-256", {"kid": "any"}).as_dict(private=False)
    for keys, kid in (([signing, open_to_all], "any"), ([open_to_all, EC.as_dict(private=False)], "ec")):
        assert header_of(encryption.encrypt("x", {"keys": keys}, alg="ECDH-ES", enc="A256GCM"))["kid"] == kid


@pytest.mark.parametrize(
    "keys",
    [
        [],
        None,
        [7],
        [{"kty": "RSA", "use": "enc"}],
        [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}],
        [RSAKey.generate_key(2048, {"use": "sig"}).as_dict(private=False)],
        [RSAKey.generate_key(2048, {"alg": "RS256"}).as_dict(private=False)],
        [SHORT],
        [ECKey.generate_key("P-384", {"use": "enc"}).as_dict(private=False)],
        [OKPKey.generate_key("X25519", {"use": "enc"}).as_dict(private=False)],
    ],
    ids=["none", "null", "number", "no-n", "off-curve", "signs", "alg", "short", "P-384", "X25519"],
)
@pytest.mark.parametrize("alg", encryption.KEY_ALGORITHMS)
@pytest.mark.holds("RFC8725-3.4-1")
def test_nothing_is_sent_when_no_key_fits(keys: Any, alg: str) -> None:
    with pytest.raises(NoKeyFits):
        encryption.encrypt(PAYLOAD, {"keys": keys}, alg=alg, enc="A256GCM")


@pytest.mark.parametrize(
    ("alg", "enc"), [("RSA1_5", "A256GCM"), ("RSA-OAEP", "A256GCM"), ("dir", "A256GCM"), ("ECDH-ES", "none")]
)
@pytest.mark.holds("FAPI2SP-5.4.1-3")
def test_an_algorithm_we_do_not_offer_is_an_error_of_ours(alg: str, enc: str) -> None:
    with pytest.raises(ValueError, match="not an algorithm"):
        encryption.encrypt(PAYLOAD, BOTH, alg=alg, enc=enc)
