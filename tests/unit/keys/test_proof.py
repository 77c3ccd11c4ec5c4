"""RFC 9449, 4.2 and 4.3: the form and signature of a proof, before anybody asks what it was made for."""

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from idp.keys import proof
from idp.keys.jose import TokenRefused
from tests.proofs import ProofKey, encoded

ADDRESS = "https://dangnhap.example/token"
EC = ProofKey("ES256")
KEYS = {algorithm: ProofKey(algorithm) for algorithm in ("ES256", "PS256", "Ed25519")}


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.holds("RFC9449-4.3-1", "RFC9449-4.3-2")
def test_claims_and_thumbprint_are_returned_when_the_proof_is_well_made(algorithm: str) -> None:
    key = KEYS[algorithm]
    for _ in range(2):
        found = proof.read(key.proof("POST", ADDRESS, jti="one"))
        assert (found.claims["jti"], found.claims["htm"], found.claims["htu"]) == ("one", "POST", ADDRESS)
        assert found.thumbprint == key.thumbprint


@pytest.mark.filterwarnings("error")
def test_ed25519_may_call_itself_eddsa() -> None:
    key = KEYS["Ed25519"]
    assert proof.read(key.proof("POST", ADDRESS, header={"alg": "EdDSA"})).thumbprint == key.thumbprint


def test_members_nobody_asked_for_are_tolerated() -> None:
    members = {"kid": "mine", "jwk": {**EC.public, "use": "sig", "alg": "ES256", "ext": True}, "x": 1}
    assert proof.read(EC.proof("POST", ADDRESS, header=members, exp=1, nbf=1, other="x")).claims["other"] == "x"


@pytest.mark.parametrize(
    "header",
    [
        {"typ": None},
        {"typ": "JWT"},
        {"typ": "jwt+dpop"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "ES384"},
        {"alg": "Ed25519"},
        {"jwk": None},
        {"jwk": "key"},
        {"jwk": {}},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": EC.key.as_dict(private=True)},
        {"jwk": {**EC.public, "d": ""}},
        {"jwk": {**EC.public, "use": "enc"}},
        {"jwk": {**EC.public, "alg": "ES384"}},
        {"jwk": {**EC.public, "x": "AA"}},
        {"jwk": {**EC.public, "x": 7}},
        {"jwk": {**EC.public, "crv": "P-384"}},
        {"jwk": ProofKey("ES256").public},
        {"jwk": KEYS["PS256"].public},
        {"jwk": KEYS["PS256"].public, "alg": "RS256"},
        {"jku": "https://evil.example/keys"},
        {"x5c": ["MII"]},
        {"x5u": "https://evil.example/"},
        {"crit": ["exp"]},
        {"zip": "DEF"},
        {"b64": False},
    ],
    # Keys are new in each process of a run, and names must not be.
    ids="-".join,
)
@pytest.mark.holds(
    "RFC8725-3.1-1", "RFC8725-3.6-1", "RFC8725-3.10-1", "RFC9449-4.3-1", "RFC9449-4.3-2", "RFC9449-11.6-1"
)
def test_a_proof_is_refused_when_its_header_is_not_one_of_a_proof(header: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        proof.read(EC.proof("POST", ADDRESS, header=header))


@pytest.mark.holds("RFC8725-3.5-1", "FAPI2SP-5.4.1-2")
def test_a_weak_or_odd_rsa_key_is_refused() -> None:
    key = KEYS["PS256"]
    short = encoded(b"\xc1" * 128)
    for jwk in ({**key.public, "n": short}, {**key.public, "e": "Aw"}, {**key.public, "n": encoded(b"\xc1" * 1_024)}):
        with pytest.raises(TokenRefused):
            proof.read(key.proof("POST", ADDRESS, header={"jwk": jwk}))


@pytest.mark.holds("RFC8725-3.1-1", "RFC9449-11.6-1")
def test_a_proof_signed_with_a_public_key_as_secret_is_refused() -> None:
    import hashlib
    import hmac

    for secret in (json.dumps(EC.public).encode(), b""):
        signed = ".".join(
            encoded(json.dumps(part).encode())
            for part in ({"typ": "dpop+jwt", "alg": "HS256", "jwk": EC.public}, {"jti": "x"})
        )
        with pytest.raises(TokenRefused):
            proof.read(f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}")


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "a.b", "a" * 200_000, "é.é.é", "a.b.c,a.b.c", "[]"])
def test_a_text_is_refused_when_it_is_no_proof(text: str) -> None:
    with pytest.raises(TokenRefused):
        proof.read(text)


@pytest.mark.holds("RFC9449-4.3-2")
def test_a_changed_proof_is_refused() -> None:
    whole = EC.proof("POST", ADDRESS).split(".")
    other = EC.proof("GET", ADDRESS, header={"kid": "x"}).split(".")
    for part in range(3):
        with pytest.raises(TokenRefused):
            proof.read(".".join([*whole[:part], other[part], *whole[part + 1 :]]))


def test_other_kinds_of_key_are_refused() -> None:
    assert isinstance(EC.key, ECKey)
    for key in (ECKey.generate_key("P-384"), OctKey.generate_key(256), RSAKey.generate_key(2_048)):
        with pytest.raises(TokenRefused):
            proof.read(EC.proof("POST", ADDRESS, header={"jwk": key.as_dict(private=False)}))
