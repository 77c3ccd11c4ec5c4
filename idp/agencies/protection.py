"""How a client document says requests and answers are protected: signatures, encryption, tokens bound to a key."""

from collections.abc import Iterable
from typing import Any

from idp.agencies.authentication import Proof
from idp.agencies.metadata import Encryption, Profile, TokenFormat
from idp.agencies.reading import Reader
from idp.keys.encryption import CONTENT_ALGORITHMS, KEY_ALGORITHMS
from idp.keys.jose import CLIENT_ALGORITHMS, FAPI_ALGORITHMS, SIGNING_ALGORITHMS

# What `enc` is when a document names only `alg` (OpenID Connect Dynamic Client Registration 1.0, 2).
_DEFAULT_ENC = "A128CBC-HS256"


def read(reader: Reader, profile: Profile, proof: Proof) -> dict[str, Any]:
    """Return the fields of the metadata about requests, answers and tokens; problems go to `reader`."""
    is_fapi2 = profile is Profile.FAPI2
    signing = tuple(name for name in SIGNING_ALGORITHMS if not is_fapi2 or name in FAPI_ALGORITHMS)
    return {
        **_requests(reader, proof, is_fapi2=is_fapi2),
        **_tokens(reader),
        "requires_nonce": reader.flag("require_nonce"),
        "requires_acr_values": reader.flag("require_acr_values"),
        "refuses_prompt_none": reader.flag("refuse_prompt_none"),
        "id_token_algorithm": reader.choice("id_token_signed_response_alg", signing, default="ES256"),
        "authorization_response_algorithm": reader.optional_choice("authorization_signed_response_alg", signing),
        "userinfo_algorithm": reader.optional_choice("userinfo_signed_response_alg", signing),
        "introspection_algorithm": reader.optional_choice("introspection_signed_response_alg", signing),
        "id_token_encryption": _encryption(reader, "id_token", proof),
        "userinfo_encryption": _encryption(reader, "userinfo", proof),
        "introspection_encryption": _encryption(reader, "introspection", proof),
    }


def _requests(reader: Reader, proof: Proof, *, is_fapi2: bool) -> dict[str, Any]:
    """Read RFC 9126, 6, and RFC 9101, 10.5: whether requests are pushed and signed, and with what."""
    known = FAPI_ALGORITHMS if is_fapi2 else CLIENT_ALGORITHMS
    chosen = reader.optional_choice("request_object_signing_alg", known)
    wants_signed = reader.flag("require_signed_request_object")
    if not proof.has_keys and not reader.has_problem("jwks"):
        for member in ("request_object_signing_alg", "require_signed_request_object"):
            if reader.members.get(member):
                reader.refuse(member, "needs public keys of yours, as jwks or at jwks_uri")
    algorithms = (chosen,) if chosen else known
    return {
        "wants_pushed_requests": reader.flag("require_pushed_authorization_requests"),
        "wants_signed_requests": wants_signed,
        "request_object_algorithms": algorithms if proof.has_keys else (),
    }


def _tokens(reader: Reader) -> dict[str, Any]:
    formats = tuple(TokenFormat)
    chosen = reader.choice("access_token_format", formats, default=TokenFormat.OPAQUE)
    wants_dpop = reader.flag("dpop_bound_access_tokens")
    wants_tls = reader.flag("tls_client_certificate_bound_access_tokens")
    if wants_dpop and wants_tls:
        reader.refuse("dpop_bound_access_tokens", "stands beside tls_client_certificate_bound_access_tokens; keep one")
    return {
        "token_format": None if chosen is None else TokenFormat(chosen),
        "wants_dpop": wants_dpop,
        "wants_tls_bound_tokens": wants_tls,
    }


def _encryption(reader: Reader, answer: str, proof: Proof) -> Encryption | None:
    chosen = read_encryption(reader, answer, KEY_ALGORITHMS)
    if chosen is not None and not proof.may_encrypt(chosen.alg) and not reader.has_problem("jwks"):
        reader.refuse(
            f"{answer}_encrypted_response_alg", f"needs a public key of yours for {chosen.alg}, as jwks or at jwks_uri"
        )
    return chosen


def read_encryption(reader: Reader, answer: str, algorithms: Iterable[str]) -> Encryption | None:
    """Read `ANSWER_encrypted_response_alg` and `_enc` (OpenID Connect Registration 1.0, 2; RFC 9701, 6)."""
    alg_member, enc_member = f"{answer}_encrypted_response_alg", f"{answer}_encrypted_response_enc"
    alg = reader.optional_choice(alg_member, algorithms)
    enc = reader.choice(enc_member, CONTENT_ALGORITHMS, default=_DEFAULT_ENC)
    if alg_member not in reader.members and enc_member in reader.members:
        reader.refuse(enc_member, f"is only used with {alg_member}; drop it or give both")
    return None if alg is None or enc is None else Encryption(alg, enc)
