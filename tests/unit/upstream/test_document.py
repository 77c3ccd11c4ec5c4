"""The provider document: every problem named by its member, and never a secret in a message."""

from typing import Any

import pytest

from idp.agencies.reading import DocumentRefused
from idp.core.levels import Level
from idp.upstream.document import ProviderDocument, read


def members(**changes: Any) -> dict[str, Any]:
    """Return a document that is accepted, changed; None drops a member."""
    whole = {
        "slug": "buu-dien",
        "issuer": "https://id.buudien.example",
        "client_id": "lienket",
        "levels": {"LoA1": "loa1", "LoA2": "loa2"},
        "ceiling": "loa2",
        "name": {"vi": "Bưu điện ID"},
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def accepted(**changes: Any) -> ProviderDocument:
    return read(members(**changes), source="file", is_sandbox=False)


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"slug": "Bưu điện"}, "slug"),
        ({"issuer": None}, "issuer"),
        ({"issuer": "http://id.example"}, "issuer"),
        ({"issuer": "https://id.example?x=1"}, "issuer"),
        ({"client_id": None}, "client_id"),
        ({"name": {"en": "Post"}}, "name.vi"),
        ({"levels": None}, "levels"),
        ({"levels": {"x": "loa9"}}, "levels.x"),
        ({"ceiling": None}, "ceiling"),
        ({"ceiling": "high"}, "ceiling"),
        ({"amr": ["pwd", "magic"]}, "amr[1]"),
        ({"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
        ({"userinfo_signed_response_alg": "HS256"}, "userinfo_signed_response_alg"),
        ({"id_token_encrypted_response_alg": "RSA1_5"}, "id_token_encrypted_response_alg"),
        ({"id_token_encrypted_response_enc": "A256GCM"}, "id_token_encrypted_response_enc"),
        ({"userinfo_encrypted_response_alg": "ECDH-ES"}, "userinfo_encrypted_response_alg"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "client_secret"),
        ({"client_secret": "not with a key of ours"}, "client_secret"),
        ({"scope": "profile"}, "scope"),
        ({"claims": {"e-mail": "email"}}, "claims.e-mail"),
        ({"claims": {"number": 7}}, "claims.number"),
        ({"agencies": {"allow": [], "deny": []}}, "agencies"),
        ({"agencies": ["tax"]}, "agencies"),
        ({"logo": "https://id.example/logo.png"}, "logo"),
        ({"order": -1}, "order"),
        ({"display": "yes"}, "display"),
        ({"origins": ["https://id.example/path"]}, "origins[0]"),
        ({"token_endpoint": "http://id.example/token"}, "token_endpoint"),
        ({"banners": [{"from": "soon", "until": "2026-01-01", "text": {"vi": "x"}}]}, "banners[0]"),
        ({"banners": [{"text": {"vi": "x"}}]}, "banners[0]"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_problem_is_named_by_its_member(changes: dict[str, Any], member: str) -> None:
    with pytest.raises(DocumentRefused) as refused:
        accepted(**changes)
    assert [problem for problem in refused.value.problems if problem.startswith(f"file: {member}: ")]
    assert "not with a key of ours" not in str(refused.value)


def test_secret_is_kept_apart_from_what_is_stored() -> None:
    read_ = accepted(token_endpoint_auth_method="client_secret_post", client_secret="a secret of two")
    assert read_.secret == "a secret of two"
    assert "client_secret" not in read_.members
    assert "a secret" not in repr(read_)


def test_what_is_left_out_is_the_careful_choice() -> None:
    record = accepted().record
    assert (record.auth_method, record.id_token_algorithm) == ("private_key_jwt", "ES256")
    assert record.amr == ()
    assert record.level_without_acr is None
    assert record.claims["number"] == ("identification_number", "SoDinhDanh")
    assert record.levels == {"LoA1": Level.LOA1, "LoA2": Level.LOA2}


def test_loopback_is_for_the_sandbox() -> None:
    assert read(members(issuer="http://127.0.0.1:9"), source="file", is_sandbox=True).record.issuer
    with pytest.raises(DocumentRefused):
        read(members(issuer="http://127.0.0.1:9"), source="file", is_sandbox=False)
