"""Reading compact JWS: what must never be believed (RFC 8725; OpenID Connect Core 1.0, 3.1.3.6)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from jose import jwt as python_jose
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OKPKey, RSAKey

from idp.keys import jose, signer
from idp.keys.jose import TokenRefused

CLAIMS = {"iss": "https://issuer.example", "sub": "someone", "exp": 4_000_000_000}
PEM, JWK = signer.generate("ES256")
OTHER_PEM, OTHER_JWK = signer.generate("ES256")
RSA_PEM, RSA_JWK = signer.generate("RS256")
PSS_PEM, PSS_JWK = signer.generate("PS256")
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
ED_JWK = ED.as_dict(private=False)
SIGNER = signer.load(PEM, JWK)
ALGORITHMS = jose.CLIENT_ALGORITHMS


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_bytes(pem: str, encoding: str) -> bytes:
    """Return what an attacker takes for an HMAC secret (CVE-2024-37568 and its incomplete mending)."""
    from cryptography.hazmat.primitives import serialization

    public = serialization.load_pem_private_key(pem.encode(), None).public_key()
    return public.public_bytes(
        getattr(serialization.Encoding, encoding), serialization.PublicFormat.SubjectPublicKeyInfo
    )


def forged(header: Mapping[str, Any], payload: Any = CLAIMS) -> str:
    """Return a token with any header at all, truly signed by SIGNER's key."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    signed = f"{encoded(dict(header))}.{encoded(payload)}"
    key = serialization.load_pem_private_key(PEM.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{encoded(r.to_bytes(32) + s.to_bytes(32))}"


SIGNED_BY_ED25519 = {
    # Its header says EdDSA, as RFC 8037 and FAPI 2.0 do; joserfc itself warns when it is asked to.
    name: f"{signed}.{encoded(ED.get_op_key('sign').sign(signed.encode()))}"
    for name in ("EdDSA", "Ed25519")
    if (signed := f"{encoded({'alg': name, 'kid': 'ed'})}.{encoded(CLAIMS)}")
}


def test_ps256_is_signed_with_a_key_of_its_own_when_asked_for() -> None:
    token = signer.load(PSS_PEM, PSS_JWK).sign(CLAIMS, typ="JWT")
    assert jose.verify_with({"keys": [RSA_JWK, PSS_JWK]}, token, algorithms=("PS256",), typ="JWT") == CLAIMS
    independent = joserfc_jwt.decode(token, RSAKey.import_key(PSS_JWK), algorithms=["PS256"])
    assert independent.claims == CLAIMS
    for key_set, algorithms in (([PSS_JWK], ("RS256",)), ([{**PSS_JWK, "alg": "RS256"}], ALGORITHMS)):
        with pytest.raises(TokenRefused):
            jose.verify_with({"keys": key_set}, token, algorithms=algorithms)


@pytest.mark.parametrize("name", SIGNED_BY_ED25519)
@pytest.mark.parametrize("registered", [{}, {"alg": "EdDSA"}, {"alg": "Ed25519"}])
@pytest.mark.filterwarnings("error")
def test_ed25519_holds_by_either_name_when_registered_by_either(name: str, registered: dict[str, str]) -> None:
    key_set = {"keys": [{**ED_JWK, **registered}]}
    for algorithms in (("EdDSA",), ("Ed25519",), ALGORITHMS):
        assert jose.verify_with(key_set, SIGNED_BY_ED25519[name], algorithms=algorithms) == CLAIMS
    with pytest.raises(TokenRefused):
        jose.verify_with(key_set, SIGNED_BY_ED25519[name], algorithms=("ES256", "PS256", "RS256"))
    with pytest.raises(TokenRefused):
        jose.verify_with(key_set, SIGNED_BY_ED25519[name][:-6] + "AAAAAA", algorithms=ALGORITHMS)
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [{**JWK, "kid": "ed"}]}, SIGNED_BY_ED25519[name], algorithms=ALGORITHMS)


@pytest.mark.parametrize(("pem", "jwk"), [(PEM, JWK), (RSA_PEM, RSA_JWK)], ids=["ES256", "RS256"])
def test_a_token_holds_here_and_with_another_library_when_we_signed_it(pem: str, jwk: dict[str, Any]) -> None:
    ours = signer.load(pem, jwk)
    token = ours.sign(CLAIMS, typ="JWT")
    assert jose.verify_with({"keys": [jwk]}, token, algorithms=ALGORITHMS, typ="JWT") == CLAIMS
    assert python_jose.decode(token, {"keys": [jwk]}, algorithms=[jwk["alg"]]) == CLAIMS
    assert python_jose.get_unverified_header(token) == {"alg": jwk["alg"], "kid": jwk["kid"], "typ": "JWT"}


def test_the_key_is_found_when_a_valid_token_names_no_kid() -> None:
    assert jose.verify_with({"keys": [JWK, RSA_JWK]}, forged({"alg": "ES256"}), algorithms=ALGORITHMS) == CLAIMS


def test_unknown_header_members_are_ignored_when_not_critical() -> None:
    token = forged({"alg": "ES256", "kid": JWK["kid"], "x-trace": "1"})
    assert jose.verify_with({"keys": [JWK]}, token, algorithms=ALGORITHMS) == CLAIMS


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"alg": "EdDSA"},
        {"alg": "Ed448"},
        {"alg": "ES256", "pad": "x" * 2_048},
        {"alg": "RS256"},
        {"alg": ["ES256"]},
        {"alg": "ES256", "kid": "unknown"},
        {"alg": "ES256", "kid": 7},
        {"alg": "ES256", "kid": "k" * 201},
        {"alg": "ES256", "crit": ["exp"]},
        {"alg": "ES256", "zip": "DEF"},
        {"alg": "ES256", "b64": False},
        {"alg": "ES256", "jku": "https://evil.example/keys"},
        {"alg": "ES256", "jwk": JWK},
        {"alg": "ES256", "x5u": "https://evil.example/"},
        {"alg": "ES256", "x5c": []},
        {"kid": JWK["kid"]},
    ],
)
@pytest.mark.holds("RFC8725-3.1-1", "RFC8725-3.2-1", "RFC8725-3.10-1", "RFC8725-3.6-1")
def test_a_token_is_refused_when_its_header_asks_for_more(header: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [JWK]}, forged(header), algorithms=ALGORITHMS)


@pytest.mark.parametrize(
    "payload", [b"[]", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"\xff", b'"text"', b"[" * 5_000], ids=lambda raw: raw[:9]
)
@pytest.mark.holds("RFC8725-3.7-1")
def test_a_token_is_refused_when_its_payload_is_no_plain_object(payload: bytes) -> None:
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [JWK]}, forged({"alg": "ES256"}, payload), algorithms=ALGORITHMS)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"payload": encoded(CLAIMS), "protected": encoded({"alg": "ES256"}), "signature": ""}),
        json.dumps({"payload": encoded(CLAIMS), "signatures": []}),
        "a" * 200_000,
        "a.b.c.d.e",
        forged({"alg": "ES256"}) + "=",
        forged({"alg": "ES256"}).replace(".", "..", 1),
        " " + forged({"alg": "ES256"}),
    ],
    ids=lambda text: text[:12],
)
def test_a_token_is_refused_when_it_has_another_serialization(text: str) -> None:
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [JWK]}, text, algorithms=ALGORITHMS)


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c.d", "..", "é.b.c", "a b.c.d", "\0.\0.\0", "{}.{}.{}"])
def test_a_text_is_refused_when_it_is_no_compact_jws(text: str) -> None:
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [JWK]}, text, algorithms=ALGORITHMS)


def test_a_token_is_refused_when_it_is_larger_than_16_kb() -> None:
    token = SIGNER.sign({"a": "b" * 16_384}, typ="JWT")
    with pytest.raises(TokenRefused, match="too large"):
        jose.verify_with({"keys": [JWK]}, token, algorithms=ALGORITHMS)


@pytest.mark.holds("RFC8725-3.8-1")
def test_a_token_is_refused_when_another_key_signed_it() -> None:
    for key_set in ([OTHER_JWK], [{**OTHER_JWK, "kid": JWK["kid"]}]):
        with pytest.raises(TokenRefused):
            jose.verify_with({"keys": key_set}, SIGNER.sign(CLAIMS, typ="JWT"), algorithms=ALGORITHMS)


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.holds("RFC8725-3.3-1")
def test_a_token_is_refused_when_one_part_comes_from_another(part: int) -> None:
    mixed = SIGNER.sign(CLAIMS, typ="JWT").split(".")
    mixed[part] = signer.load(OTHER_PEM, OTHER_JWK).sign({"sub": "other"}, typ="JWT").split(".")[part]
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [JWK]}, ".".join(mixed), algorithms=ALGORITHMS)


@pytest.mark.parametrize(
    "secret",
    [
        b"",
        json.dumps(RSA_JWK).encode(),
        RSA_JWK["n"].encode(),
        public_bytes(RSA_PEM, "PEM"),
        b" " + public_bytes(RSA_PEM, "PEM"),
        public_bytes(RSA_PEM, "DER"),
    ],
    ids=["empty", "jwk", "n", "pem", "pem-after-a-space", "der"],
)
@pytest.mark.holds("RFC8725-3.1-1")
def test_an_hmac_token_is_refused_when_made_from_what_is_public(secret: bytes) -> None:
    signed = f"{encoded({'alg': 'HS256', 'kid': RSA_JWK['kid']})}.{encoded(CLAIMS)}"
    token = f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"
    for algorithms in (ALGORITHMS, (*ALGORITHMS, "HS256"), ("HS256",)):
        with pytest.raises(TokenRefused):
            jose.verify_with({"keys": [RSA_JWK]}, token, algorithms=algorithms)


def test_several_keys_are_refused_when_the_token_names_none() -> None:
    with pytest.raises(TokenRefused, match="kid"):
        jose.verify_with({"keys": [JWK, OTHER_JWK]}, forged({"alg": "ES256"}), algorithms=ALGORITHMS)


def test_a_token_is_refused_when_its_algorithm_is_not_registered() -> None:
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [JWK]}, SIGNER.sign(CLAIMS, typ="JWT"), algorithms=("PS256",))
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [{**JWK, "use": "enc"}]}, SIGNER.sign(CLAIMS, typ="JWT"), algorithms=ALGORITHMS)


@pytest.mark.holds("RFC8725-3.12-1")
def test_the_type_decides_when_one_is_expected() -> None:
    token = SIGNER.sign(CLAIMS, typ="logout+jwt")
    assert jose.verify_with({"keys": [JWK]}, token, algorithms=ALGORITHMS, typ="logout+jwt") == CLAIMS
    with pytest.raises(TokenRefused):
        jose.verify_with({"keys": [JWK]}, token, algorithms=ALGORITHMS, typ="JWT")
    longer = forged({"alg": "ES256", "typ": "application/Logout+JWT"})
    assert jose.verify_with({"keys": [JWK]}, longer, algorithms=ALGORITHMS, typ="logout+jwt") == CLAIMS


@pytest.mark.parametrize("key_set", [{}, {"keys": None}, {"keys": [{"kty": "EC", "crv": "P-256"}]}, {"keys": [7]}])
def test_a_token_is_refused_when_the_key_set_is_broken(key_set: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        jose.verify_with(key_set, SIGNER.sign(CLAIMS, typ="JWT"), algorithms=ALGORITHMS)


@pytest.mark.holds("OIDCC-3.1.3-3")
def test_at_hash_is_the_one_of_the_specification_when_computed() -> None:
    # OpenID Connect Core 1.0, A.3: the access token and at_hash of its example.
    assert jose.at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y") == "77QmUPtjPfzWtF2AnpK9RQ"


def test_a_signer_keeps_the_private_half_to_itself_when_printed_or_exported() -> None:
    assert "d" not in SIGNER._key.as_dict()
    assert PEM not in repr(SIGNER)
    assert set(JWK) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
