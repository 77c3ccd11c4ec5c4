"""RFC 8414, 2 and 3, and OpenID Connect Discovery 1.0, 3 and 4.2: the members that must be there, and how they read."""

from typing import Any

import pytest

from tests.provider import Provider

PATH = "/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def published(provider: Provider) -> dict[str, Any]:
    document: dict[str, Any] = provider.http().get(PATH).get_json()
    return document


@pytest.mark.holds("OIDCD-3-1", "OIDCD-3-2", "OIDCD-4.1-1", "RFC8414-3-1", "RIL-2.1-1")
def test_the_required_members_are_there(provider: Provider, published: dict[str, Any]) -> None:
    issuer = provider.settings.issuer
    assert published["issuer"] == issuer
    assert issuer.startswith("https://")
    assert not set(issuer) & set("?#")
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"):
        assert published[name].startswith(f"{issuer}/")
    assert published["response_types_supported"] == ["code"]
    assert published["subject_types_supported"] == ["pairwise"]
    assert "RS256" in published["id_token_signing_alg_values_supported"]
    assert {"openid"} <= set(published["scopes_supported"])


@pytest.mark.holds("RFC8414-2-1")
def test_no_list_of_algorithms_names_none(published: dict[str, Any]) -> None:
    lists = {name: values for name, values in published.items() if "_alg_values" in name or "_enc_values" in name}
    assert lists
    for name, values in lists.items():
        assert "none" not in values, name
        assert not [value for value in values if value.startswith("HS")], name


@pytest.mark.holds("OIDCD-4.2-1", "RFC8414-3.2-1")
def test_members_without_a_value_are_left_out(provider: Provider) -> None:
    response = provider.http().get(PATH)
    assert (response.status_code, response.mimetype) == (200, "application/json")
    for name, value in response.get_json().items():
        assert value not in (None, "", [], {}), name


@pytest.mark.holds("RFC8414-2-2")
@pytest.mark.parametrize("endpoint", ["token", "introspection", "revocation"])
def test_an_endpoint_for_clients_names_how_they_prove_themselves(published: dict[str, Any], endpoint: str) -> None:
    assert published[f"{endpoint}_endpoint"]
    methods = published[f"{endpoint}_endpoint_auth_methods_supported"]
    assert methods
    if {"private_key_jwt", "client_secret_jwt"} & set(methods):
        # RFC 8414, 2: without algorithms a client cannot know which ones an assertion may have.
        assert published[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]


@pytest.mark.holds("FAPI2SP-5.3.2.1-1")
@pytest.mark.parametrize(
    ("member", "value"),
    [
        pytest.param("require_pushed_authorization_requests", False, marks=pytest.mark.holds("RFC9126-5-1")),
        pytest.param("authorization_response_iss_parameter_supported", True, marks=pytest.mark.holds("RFC9207-3-1")),
        ("request_parameter_supported", True),
        ("code_challenge_methods_supported", ["S256"]),
    ],
)
def test_what_is_demanded_and_supported_is_said(published: dict[str, Any], member: str, value: object) -> None:
    assert published[member] == value
    assert published["pushed_authorization_request_endpoint"] == f"{published['issuer']}/par"


@pytest.mark.parametrize(
    "member",
    [
        pytest.param("authorization_signing_alg_values_supported", marks=pytest.mark.holds("JARM-4-1")),
        pytest.param("introspection_signing_alg_values_supported", marks=pytest.mark.holds("RFC9701-7-1")),
        pytest.param("introspection_encryption_alg_values_supported", marks=pytest.mark.holds("RFC9701-7-1")),
        pytest.param("request_object_signing_alg_values_supported", marks=pytest.mark.holds("RFC9101-10.5-1")),
        pytest.param("dpop_signing_alg_values_supported", marks=pytest.mark.holds("RFC9449-5.1-1")),
    ],
)
def test_algorithms_are_listed_where_they_can_be_chosen(published: dict[str, Any], member: str) -> None:
    assert published[member]
    assert {"query.jwt", "form_post.jwt", "jwt"} <= set(published["response_modes_supported"])
