"""RFC 7591, 2, and OpenID Connect Dynamic Client Registration 1.0, 2: client metadata, as our documents carry it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.agencies.document import KNOWN, read
from idp.agencies.metadata import (
    AuthMethod,
    Basis,
    ClientMetadata,
    Encryption,
    GrantType,
    Profile,
    Rule,
    TokenFormat,
)
from idp.agencies.reading import DocumentRefused
from idp.agencies.written import members_of
from idp.core import clock
from idp.core.levels import Level
from idp.keys import signer
from tests.unit.agencies.documents import document, members

EC_JWK = signer.generate("ES256")[1]
RSA_JWK = signer.generate("RS256")[1]
EC_HIDING = {**signer.generate("ES256")[1], "use": "enc", "alg": "ECDH-ES"}
DEVICE = ["urn:ietf:params:oauth:grant-type:device_code"]
TLS = {"token_endpoint_auth_method": "tls_client_auth", "client_secret": None}
FAPI = {
    "profile": "fapi2",
    "client_secret": None,
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks": {"keys": [EC_JWK]},
}


def said(value: dict[str, Any] | str) -> str:
    """Return the name of a case, the same in every process: keys and days differ."""
    return value if isinstance(value, str) else "+".join(value)


def problems(*, is_sandbox: bool = True, **changes: Any) -> list[str]:
    """Return what a document with `changes` is refused for, without the source."""
    with pytest.raises(DocumentRefused) as refused:
        document(is_sandbox=is_sandbox, **changes)
    assert all(problem.startswith("etax.json: ") for problem in refused.value.problems)
    return [problem.removeprefix("etax.json: ") for problem in refused.value.problems]


@pytest.mark.holds("RFC7591-2-3")
def test_defaults_are_filled_in_when_members_are_absent() -> None:
    metadata = document(scope=None, basis="consent", legal_basis=None, purposes=None).metadata
    assert metadata.scopes == ("openid",)
    assert metadata.auth_method is AuthMethod.SECRET_BASIC
    assert metadata.id_token_algorithm == "ES256"
    assert metadata.sector == "thue.example"
    assert metadata.basis is Basis.CONSENT
    assert metadata.default_level is None
    assert metadata.exemptions == {}
    assert metadata.names == {"vi": "Thuế điện tử", "en": "Personal e-tax"}


def test_a_document_comes_back_whole_when_stored() -> None:
    until = (clock.now() + timedelta(days=30)).date().isoformat()
    exception = {"value": False, "reason": "Cổng cũ, thay trong quý này", "until": until}
    read_one = document(
        client_secret=None,
        require_pkce=exception,
        default_acr_values=["LoA3", "eidas2"],
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [EC_JWK, RSA_JWK]},
    ).metadata
    assert read_one.default_level is Level.LOA2
    assert ClientMetadata.of_stored(read_one.stored()) == read_one


@pytest.mark.parametrize(
    "uri",
    [
        "https://thue.example/callback?keep=1&b=%C3%A9",
        "https://xn--thu-hoa.example:8443/",
        "https://192.0.2.1/cb",
        "http://127.0.0.1:8001/cb",
        "http://localhost:9/cb",
        "http://[::1]:8001/cb",
    ],
)
def test_a_redirect_uri_is_kept_letter_by_letter_when_allowed(uri: str) -> None:
    assert document(redirect_uris=[uri], sector_identifier="thue.example").metadata.redirect_uris == {uri}


@pytest.mark.parametrize(
    "uri",
    [
        "http://thue.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://localhost.evil.example/cb",
        "https://*.thue.example/cb",
        "https://thue.example/*",
        "https://thue.example/cb#x",
        "https://thue.example/cb#",
        "https://user@thue.example/cb",
        "https://user:pw@thue.example/cb",
        "https://thue.example\\@evil.example/cb",
        "https://thue.example/c\tb",
        "https://thue.example/c\nb",
        " https://thue.example/cb",
        "https://thue.example/c b",
        "https://thuế.example/cb",
        "https://Thue.example/../cb",
        "https://thue.example/a/../cb",
        "https://thue.example/a/%2e%2E/cb",
        "https://thue.example/%zz",
        "https://thue.example:0/cb",
        "https://thue.example:/cb",
        "https://thue.example:99999/cb",
        "https:///cb",
        "https:thue.example/cb",
        "//thue.example/cb",
        "/cb",
        "cb",
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "com.example.app:/cb",
        "https://-thue.example/cb",
        "https://[::1/cb",
        "https://thue..example/cb",
    ],
)
@pytest.mark.holds("RFC6749-3.1.2-1", "RFC6749-3.1.2.2-1", "RFC9700-2.1-2", "RFC9700-4.1-1", "RIL-3.1-1")
def test_a_redirect_uri_is_refused_when_it_could_lead_elsewhere(uri: str) -> None:
    assert any(problem.startswith("redirect_uris[0]: ") for problem in problems(redirect_uris=[uri]))
    assert any(
        problem.startswith("post_logout_redirect_uris[0]: ") for problem in problems(post_logout_redirect_uris=[uri])
    )


@pytest.mark.holds("RFC9700-2.1-2", "FAPI2SP-5.3.2.2-8", "RIL-3.1-1")
def test_loopback_http_is_refused_when_in_production() -> None:
    found = problems(
        is_sandbox=False,
        client_secret=None,
        redirect_uris=["http://127.0.0.1/cb"],
        post_logout_redirect_uris=None,
        client_uri="http://localhost/",
    )
    assert found == ["redirect_uris[0]: must be https", "client_uri: must be https"]


@pytest.mark.parametrize("redirect_uris", [None, [], "https://thue.example/cb", [7], ["https://a.example/"] * 2])
@pytest.mark.holds("RFC6749-3.1.2.2-1")
def test_redirect_uris_are_refused_when_no_list_of_distinct_texts(redirect_uris: Any) -> None:
    assert any("redirect_uris:" in problem for problem in problems(redirect_uris=redirect_uris))


@pytest.mark.holds("OIDCC-8-2")
def test_a_sector_is_needed_when_redirect_hosts_differ() -> None:
    uris = ["https://thue.example/cb", "https://www.thue.example/cb"]
    assert [problem.split(":")[0] for problem in problems(redirect_uris=uris)] == ["sector_identifier"]
    assert document(redirect_uris=uris, sector_identifier="thue.example").metadata.sector == "thue.example"
    for sector in ("https://thue.example", "Thue.example", "thue.example/x", "thue.example:443", "", 7):
        assert problems(redirect_uris=uris, sector_identifier=sector)[0].startswith("sector_identifier")


def test_portals_on_loopback_have_their_own_sectors_when_they_name_none() -> None:
    sectors = {
        document(redirect_uris=[f"http://127.0.0.1:{port}/cb"], post_logout_redirect_uris=None).metadata.sector
        for port in (8001, 8002)
    }
    assert len(sectors) == 2


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"redirect_uri": "x"}, "redirect_uri: there is no such member; did you mean redirect_uris?"),
        ({"jwks_uri": "http://thue.example/jwks"}, "jwks_uri: must be https"),
        ({"jwks_uri": "https://thue.example/jwks", "jwks": {"keys": [EC_JWK]}}, "jwks: stands beside jwks_uri"),
        ({"userinfo_signed_response_alg": "none"}, "userinfo_signed_response_alg: must be one of"),
        ({"userinfo_signed_response_alg": None, "userinfo_signing_alg": "ES256"}, "userinfo_signing_alg: there is no"),
        ({"request_uris": ["https://thue.example/r"]}, "request_uris: is not supported"),
        ({"software_statement": "a.b.c"}, "software_statement: is not supported"),
        ({"default_max_age": 60}, "default_max_age: is not supported"),
        ({"client_name#de": "Steuer"}, "client_name#de: languages are"),
        ({"client_name": None, "client_name#en": "Tax"}, "client_name: is missing"),
        ({"client_name": "a" * 101}, "client_name: must have at most"),
        ({"client_name": "Thuế\u202e"}, "client_name: must not hold"),
        ({"client_name": "Thuế\x00"}, "client_name: must not hold"),
        ({"client_name": 7}, "client_name: must be a text"),
        ({"client_id": "e tax"}, "client_id: must have"),
        ({"client_id": 7}, "client_id: must have"),
        ({"client_secret": "short"}, "client_secret: must have"),
        ({"agency": None}, "agency: is missing"),
        ({"agency": {"slug": "Thuế"}}, "agency.slug: must have"),
        ({"agency": {"slug": "tax", "names": {}}}, "agency.names: there is no such member"),
        ({"scope": "openid name everything"}, "scope: must be distinct scopes"),
        ({"scope": "openid  name"}, "scope: must be distinct scopes"),
        ({"scope": "openid name name"}, "scope: must be distinct scopes"),
        ({"scope": "name"}, "scope: must contain openid"),
        ({"scope": ["openid"]}, "scope: must be distinct scopes"),
        ({"purposes": None}, "purposes.name: is missing"),
        ({"purposes": {"name": {"en": "To find you"}}}, "purposes.name.vi: is missing"),
        ({"purposes": {"name": {"vi": " "}}}, "purposes.name.vi: must be a text"),
        ({"purposes": {"name": "Tìm hồ sơ", "email": "Gửi thư"}}, "purposes.email: names a scope"),
        ({"purposes": []}, "purposes: must be texts"),
        ({"basis": None}, "basis: is missing"),
        ({"basis": "law"}, "basis: must be one of consent, legal"),
        ({"legal_basis": None}, "legal_basis: is missing"),
        ({"basis": "consent"}, "legal_basis: is only used"),
        ({"default_acr_values": ["loa9"]}, "default_acr_values[0]: must be one of"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg: must be one of RS256, ES256"),
        ({"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg: must be one of"),
        ({"token_endpoint_auth_method": "none"}, "token_endpoint_auth_method: must be one of"),
        ({"jwks": {"keys": []}}, "jwks: must be"),
        ({"grant_types": ["implicit"]}, "grant_types[0]: must be one of"),
        ({"grant_types": ["authorization_code", "password"]}, "grant_types[1]: must be one of"),
        ({"grant_types": ["refresh_token"], "response_types": []}, "grant_types: refresh_token needs a grant"),
        ({"grant_types": ["authorization_code", "refresh_token"]}, "grant_types: refresh_token needs the scope"),
        ({"grant_types": DEVICE, "redirect_uris": None}, "sector_identifier: is needed because there are no"),
        ({"grant_types": DEVICE, "response_types": ["code"]}, "response_types: only an empty list"),
        ({"response_types": ["code", "token"]}, "response_types: only code"),
        ({"application_type": "native"}, "application_type: only web"),
        ({"subject_type": "public"}, "subject_type: only pairwise"),
        ({"backchannel_token_delivery_mode": "push"}, "backchannel_token_delivery_mode: only poll"),
        ({"token_endpoint_auth_signing_alg": "ES256"}, "token_endpoint_auth_signing_alg: is only used"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks: is missing"),
        ({"token_endpoint_auth_method": "self_signed_tls_client_auth"}, "jwks: is missing"),
        (
            {"token_endpoint_auth_method": "tls_client_auth"},
            "token_endpoint_auth_method: tls_client_auth needs",
        ),
        ({"tls_client_auth_san_dns": "thue.example"}, "tls_client_auth_san_dns: is only used"),
        ({**TLS, "tls_client_auth_san_dns": "Thue.example"}, "tls_client_auth_san_dns: must be a host"),
        ({**TLS, "tls_client_auth_san_ip": "1.2.3"}, "tls_client_auth_san_ip: must be an IP"),
        ({**TLS, "tls_client_auth_subject_dn": "no name"}, "tls_client_auth_subject_dn: must be a distinguished"),
        ({**TLS, "tls_client_auth_san_ip": "::1", "tls_client_auth_san_uri": "x:y"}, "token_endpoint_auth_method: tls"),
        ({"request_object_signing_alg": "none"}, "request_object_signing_alg: must be one of"),
        ({"request_object_signing_alg": "ES256"}, "request_object_signing_alg: needs public keys"),
        ({"require_signed_request_object": True}, "require_signed_request_object: needs public keys"),
        ({"require_signed_request_object": "yes"}, "require_signed_request_object: must be true or false"),
        ({"id_token_encrypted_response_alg": "RSA1_5"}, "id_token_encrypted_response_alg: must be one of"),
        ({"id_token_encrypted_response_alg": "ECDH-ES"}, "id_token_encrypted_response_alg: needs a public key"),
        ({"userinfo_encrypted_response_enc": "A256GCM"}, "userinfo_encrypted_response_enc: is only used"),
        (
            {"jwks": {"keys": [EC_JWK]}, "introspection_encrypted_response_alg": "ECDH-ES"},
            "introspection_encrypted_response_alg: needs a public key",
        ),
        (
            {"dpop_bound_access_tokens": True, "tls_client_certificate_bound_access_tokens": True},
            "dpop_bound_access_tokens: stands beside",
        ),
        ({"access_token_format": "paseto"}, "access_token_format: must be one of"),
        ({"require_nonce": 1}, "require_nonce: must be true or false"),
        ({"backchannel_logout_uri": "http://thue.example/out"}, "backchannel_logout_uri: must be https"),
        ({"backchannel_logout_uri": "https://thue.example/out#x"}, "backchannel_logout_uri: has a fragment"),
        ({"backchannel_logout_session_required": True}, "backchannel_logout_session_required: is only used"),
        ({"frontchannel_logout_uri": "https://khac.example/out"}, "frontchannel_logout_uri: must have scheme, host"),
        ({"frontchannel_logout_uri": "https://thue.example:8443/out"}, "frontchannel_logout_uri: must have scheme"),
        ({"resources": ["https://api.example/#x"]}, "resources[0]: has a fragment"),
        ({"resource_identifiers": ["/api"]}, "resource_identifiers[0]: must be an absolute https address or a urn"),
        ({"sector_identifier_uri": "thue.example"}, "sector_identifier_uri: must be an absolute"),
        (
            {"sector_identifier_uri": "https://a.example/s.json", "sector_identifier": "b.example"},
            "sector_identifier: differs from the host",
        ),
        ({"policy_uri#de": "https://thue.example/p"}, "policy_uri#de: languages are"),
        ({"tos_uri#en": "ftp://thue.example/p"}, "tos_uri#en: must be an absolute https"),
        ({"logo_uri": "data:image/png;base64,x"}, "logo_uri: must be an absolute https"),
        ({"profile": "fapi1"}, "profile: must be one of standard, fapi2"),
        ({"exceptions": ["pkce"]}, "exceptions: must be by rule"),
        ({"exceptions": {"tls": {}}}, "exceptions.tls: there is no such rule"),
        ({"exceptions": {"pkce": {"reason": "x"}}}, "exceptions.pkce.until: must be the last day"),
        ({"exceptions": {"pkce": {"until": "2026-12-01"}}}, "exceptions.pkce.reason: must be a text"),
        ({"exceptions": {"pkce": True}}, "exceptions.pkce: must be {"),
        (
            {"exceptions": {"pushed_authorization_requests": {"reason": "x", "until": "2026-12-01"}}},
            "exceptions.pushed_authorization_requests: does not bind a client of profile standard",
        ),
        ({"require_pkce": False}, "require_pkce: must be true, or an exception"),
        ({"require_pkce": {"value": False, "reason": "x"}}, "require_pkce.until: must be the last day"),
        ({"require_pkce": {"value": False, "until": "2026-12-01"}}, "require_pkce.reason: must be a text"),
        (
            {"require_pkce": {"value": False, "reason": "x", "until": "2126-12-01"}},
            "require_pkce.until: must be at most",
        ),
        ({"contacts": ["nobody"]}, "contacts[0]: must be an e-mail address"),
        ({"policy_uri": "http://thue.example/p"}, "policy_uri: must be https"),
    ],
    ids=said,
)
@pytest.mark.holds("OIDCC-2-4", "OIDCC-9-3", "RFC7591-2-2", "RFC7591-2-3", "RFC7591-2.1-1")
def test_a_document_is_refused_when_a_member_is_wrong(changes: dict[str, Any], member: str) -> None:
    assert any(problem.startswith(member) for problem in problems(**changes)), problems(**changes)


def test_every_problem_is_told_when_there_are_several() -> None:
    found = problems(scope="nothing", basis="law", redirect_uris=["x"], client_name="")
    assert {problem.split(":")[0].partition("[")[0] for problem in found} == {
        "scope",
        "basis",
        "redirect_uris",
        "client_name",
    }


def test_identity_is_refused_when_given_in_production() -> None:
    assert problems(is_sandbox=False) == [
        "client_secret: is only allowed in the sandbox; drop it, a secret is made and shown once"
    ]


def with_keys(*keys: Any) -> dict[str, Any]:
    return {"client_secret": None, "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": list(keys)}}


def test_public_keys_are_kept_without_decoration_when_registered() -> None:
    metadata = document(**with_keys({**EC_JWK, "x5c": ["..."], "comment": "ours"}, RSA_JWK)).metadata
    assert metadata.jwks == {"keys": [EC_JWK, RSA_JWK]}
    assert metadata.auth_signing_algorithms == ("ES256", "PS256", "Ed25519", "EdDSA", "RS256")
    one = document(**with_keys(EC_JWK), token_endpoint_auth_signing_alg="ES256").metadata
    assert one.auth_signing_algorithms == ("ES256",)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([], "jwks: must be"),
        (["key"], "jwks: must be"),
        ([{**EC_JWK, "d": "AAAA"}], "private"),
        ([{"kty": "oct", "k": "AAAA"}], "private or shared"),
        ([{"kty": "oct"}], "must be an RSA key, an EC key on P-256 or"),
        ([{**EC_JWK, "crv": "P-384"}], "must be an RSA key, an EC key on P-256 or"),
        ([{**EC_JWK, "x": EC_JWK["y"]}], "not a valid public key"),
        ([{**EC_JWK, "use": "both"}], 'use must be "sig" or "enc"'),
        ([{**EC_JWK, "use": "enc"}], "alg must fit"),
        ([EC_HIDING], "none can sign with"),
        ([{**EC_JWK, "alg": "HS256"}], "alg must fit"),
        ([{**RSA_JWK, "n": RSA_JWK["n"][:170]}], "2048 to 4096 bits"),
        ([{**RSA_JWK, "e": "Aw"}], "exponent 65537"),
        ([{**RSA_JWK, "n": 7}], "not a valid public key"),
        ([EC_JWK, {**RSA_JWK, "kid": EC_JWK["kid"]}], "need a kid each"),
        ([EC_JWK, {name: value for name, value in RSA_JWK.items() if name != "kid"}], "need a kid each"),
        ([{**EC_JWK, "kid": "k" * 201}], "kid must be a text"),
    ],
)
@pytest.mark.holds("RFC8725-3.4-1", "RFC8725-3.5-1", "FAPI2SP-5.4.1-2")
def test_a_key_set_is_refused_when_a_key_is_unfit(keys: list[Any], words: str) -> None:
    assert any(words in problem for problem in problems(**with_keys(*keys)))


def in_days(days: int) -> str:
    return (clock.now() + timedelta(days=days)).date().isoformat()


WHOLE: dict[str, Any] = {
    "client_secret": None,
    "token_endpoint_auth_method": "private_key_jwt",
    "token_endpoint_auth_signing_alg": "ES256",
    "jwks": {"keys": [EC_JWK, EC_HIDING]},
    "grant_types": ["refresh_token", "authorization_code", *DEVICE],
    "scope": "openid name offline_access",
    "logo_uri": "https://thue.example/logo.png",
    "policy_uri": "https://thue.example/chinh-sach",
    "policy_uri#en": "https://thue.example/policy",
    "tos_uri#fr": "https://thue.example/conditions",
    "backchannel_logout_uri": "https://other.example/out?x=1",
    "backchannel_logout_session_required": True,
    "frontchannel_logout_uri": "https://thue.example/out",
    "frontchannel_logout_session_required": True,
    "require_pushed_authorization_requests": True,
    "require_signed_request_object": True,
    "request_object_signing_alg": "ES256",
    "authorization_signed_response_alg": "ES256",
    "id_token_encrypted_response_alg": "ECDH-ES",
    "userinfo_signed_response_alg": "RS256",
    "userinfo_encrypted_response_alg": "ECDH-ES",
    "userinfo_encrypted_response_enc": "A256GCM",
    "introspection_signed_response_alg": "PS256",
    "introspection_encrypted_response_alg": "ECDH-ES",
    "introspection_encrypted_response_enc": "A256GCM",
    "dpop_bound_access_tokens": True,
    "resources": ["https://api.example/v1", "urn:vn:thue:api"],
    "resource_identifiers": ["https://thue.example/api"],
    "access_token_format": "jwt",
    "require_nonce": True,
    "require_acr_values": True,
    "refuse_prompt_none": True,
    "default_acr_values": ["loa2"],
    "exceptions": {"pkce": {"reason": "Cổng cũ", "until": in_days(30)}},
}


@pytest.mark.holds("RFC7591-2-3", "OIDCR-2-5")
def test_every_member_is_understood_when_written() -> None:
    metadata = document(**WHOLE).metadata
    assert metadata.grant_types == (GrantType.CODE, GrantType.REFRESH, GrantType.DEVICE)
    assert metadata.policy_uris == {"vi": WHOLE["policy_uri"], "en": WHOLE["policy_uri#en"]}
    assert metadata.tos_uris == {"fr": WHOLE["tos_uri#fr"]}
    assert metadata.logo_uri == WHOLE["logo_uri"]
    assert metadata.backchannel_logout_uri == WHOLE["backchannel_logout_uri"]
    assert metadata.frontchannel_logout_uri == WHOLE["frontchannel_logout_uri"]
    assert metadata.wants_backchannel_sid
    assert metadata.wants_frontchannel_sid
    assert metadata.wants_pushed_requests
    assert metadata.wants_signed_requests
    assert metadata.request_object_algorithms == ("ES256",)
    assert metadata.authorization_response_algorithm == "ES256"
    # A client that names no `enc` means this one (OpenID Connect Dynamic Client Registration 1.0, 2).
    assert metadata.id_token_encryption == Encryption("ECDH-ES", "A128CBC-HS256")
    assert (metadata.userinfo_algorithm, metadata.introspection_algorithm) == ("RS256", "PS256")
    assert metadata.userinfo_encryption == metadata.introspection_encryption == Encryption("ECDH-ES", "A256GCM")
    assert metadata.wants_dpop
    assert metadata.resources == ("https://api.example/v1", "urn:vn:thue:api")
    assert metadata.resource_identifiers == ("https://thue.example/api",)
    assert metadata.token_format is TokenFormat.JWT
    assert metadata.requires_nonce
    assert metadata.requires_acr_values
    assert metadata.refuses_prompt_none
    assert metadata.exemptions[Rule.PKCE].reason == "Cổng cũ"
    assert ClientMetadata.of_stored(json.loads(json.dumps(metadata.stored()))) == metadata


@pytest.mark.parametrize(
    "changes",
    [
        {},
        WHOLE,
        FAPI,
        {**TLS, "tls_client_auth_san_dns": "thue.example", "default_acr_values": ["eidas3"]},
        {"grant_types": DEVICE, "redirect_uris": None, "sector_identifier": "thue.example"},
        {"sector_identifier_uri": "https://nhom.example/thue.json", "jwks_uri": "https://thue.example/jwks"},
    ],
)
def test_a_record_says_the_same_when_it_is_written_and_read_again(changes: dict[str, Any]) -> None:
    first = document(**changes)
    written = members_of(first.metadata)
    again = read({**written, "agency": "tax"}, source="again", is_sandbox=True)
    assert again.metadata == first.metadata
    assert members_of(again.metadata) == written
    assert set(written) <= KNOWN | {"client_name#en", "policy_uri#en", "tos_uri#fr"}


def test_a_record_written_before_these_members_reads_as_their_defaults() -> None:
    stored = document().metadata.stored()
    first = {
        *("names", "client_uri", "policy_uris", "tos_uris", "contacts", "redirect_uris", "post_logout_redirect_uris"),
        *("sector", "scopes", "purposes", "basis", "legal_bases", "default_level", "auth_method"),
        *("auth_signing_algorithms", "jwks", "id_token_algorithm", "software_id", "software_version", "exemptions"),
    }
    assert ClientMetadata.of_stored({name: stored[name] for name in first}) == document().metadata


def test_published_keys_are_enough_when_none_are_written() -> None:
    metadata = document(
        client_secret=None,
        token_endpoint_auth_method="private_key_jwt",
        jwks_uri="https://thue.example/jwks",
        id_token_encrypted_response_alg="RSA-OAEP-256",
        require_signed_request_object=True,
    ).metadata
    assert (metadata.jwks, metadata.jwks_uri) == (None, "https://thue.example/jwks")
    assert metadata.request_object_algorithms == metadata.auth_signing_algorithms


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("tls_client_auth_subject_dn", "CN=thue.example,O=Cục Thuế,C=VN"),
        ("tls_client_auth_san_dns", "thue.example"),
        ("tls_client_auth_san_uri", "urn:vn:thue"),
        ("tls_client_auth_san_ip", "192.0.2.1"),
        ("tls_client_auth_san_email", "thue@thue.example"),
    ],
)
def test_a_certificate_is_named_in_one_way_when_it_authenticates(member: str, value: str) -> None:
    assert document(**TLS, **{member: value}).metadata.tls_subject == {member: value}


def test_a_sector_comes_from_its_address_when_it_has_one() -> None:
    uris = ["https://thue.example/cb", "https://www.thue.example/cb"]
    metadata = document(redirect_uris=uris, sector_identifier_uri="https://nhom.example/thue.json").metadata
    assert (metadata.sector, metadata.sector_identifier_uri) == ("nhom.example", "https://nhom.example/thue.json")


def test_a_device_needs_no_redirect_uri_when_it_names_its_sector() -> None:
    metadata = document(grant_types=DEVICE, redirect_uris=None, sector_identifier="thue.example").metadata
    assert (metadata.redirect_uris, metadata.sector) == (frozenset(), "thue.example")


@pytest.mark.parametrize("written", ["require_pkce", "exceptions"])
def test_an_exception_is_the_same_however_it_is_written(written: str) -> None:
    entry = {"reason": "Cổng cũ", "until": in_days(10)}
    changes = {"require_pkce": {"value": False, **entry}, "exceptions": {"pkce": entry}}
    assert document(**{written: changes[written]}).metadata.exemptions[Rule.PKCE].reason == "Cổng cũ"
    assert problems(**changes) == ["require_pkce: stands beside exceptions.pkce; keep one of them"]


# --- profile fapi2 ----------------------------------------------------------------------------------------------


@pytest.mark.holds("FAPI2SP-5.4.1-1", "FAPI2SP-5.3.2.1-3")
def test_fapi2_fills_in_what_it_demands_when_the_document_says_little() -> None:
    metadata = document(**FAPI).metadata
    assert metadata.profile is Profile.FAPI2
    assert metadata.wants_dpop
    assert not metadata.wants_tls_bound_tokens
    assert metadata.id_token_algorithm == "ES256"
    assert "RS256" not in {*metadata.auth_signing_algorithms, *metadata.request_object_algorithms}
    own = {**TLS, "tls_client_auth_san_dns": "thue.example", "jwks": None}
    bound = document(**{**FAPI, **own}).metadata
    assert (bound.wants_tls_bound_tokens, bound.wants_dpop) == (True, False)


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"token_endpoint_auth_method": "client_secret_basic"}, "token_endpoint_auth_method: must be private_key_jwt"),
        ({"token_endpoint_auth_signing_alg": "RS256"}, "token_endpoint_auth_signing_alg: must be one of"),
        ({"jwks": {"keys": [RSA_JWK]}}, "jwks.keys[0]: alg must fit"),
        ({"id_token_signed_response_alg": "RS256"}, "id_token_signed_response_alg: must be one of"),
        ({"userinfo_signed_response_alg": "RS256"}, "userinfo_signed_response_alg: must be one of"),
        ({"introspection_signed_response_alg": "RS256"}, "introspection_signed_response_alg: must be one of"),
        ({"authorization_signed_response_alg": "RS256"}, "authorization_signed_response_alg: must be one of"),
        ({"request_object_signing_alg": "RS256"}, "request_object_signing_alg: must be one of"),
        ({"require_pushed_authorization_requests": False}, "require_pushed_authorization_requests: is always true"),
    ],
    ids=said,
)
@pytest.mark.holds("FAPI2SP-5.4.1-1", "FAPI2SP-5.3.2.1-4")
def test_fapi2_is_refused_when_something_is_weaker(changes: dict[str, Any], member: str) -> None:
    assert any(problem.startswith(member) for problem in problems(**{**FAPI, **changes}))


def test_fapi2_lets_weaker_things_pass_when_an_exception_lasts() -> None:
    weaker = {
        "profile": "fapi2",
        "token_endpoint_auth_method": "client_secret_basic",
        "require_pushed_authorization_requests": False,
    }

    def until(day: str) -> dict[str, Any]:
        rules = [rule for rule in Rule if rule is not Rule.PKCE]
        return {"exceptions": {rule.value: {"reason": "Đang chuyển", "until": day} for rule in rules}}

    metadata = document(**weaker, **until(in_days(0))).metadata
    assert metadata.auth_method is AuthMethod.SECRET_BASIC
    assert not metadata.wants_dpop
    assert any("token_endpoint_auth_method" in problem for problem in problems(**weaker, **until(in_days(-1))))


@given(
    st.dictionaries(
        st.sampled_from(sorted({*members(), *KNOWN, "policy_uri#en"})),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_any_json_is_read_or_refused_when_members_are_odd(changes: dict[str, Any]) -> None:
    found: tuple[str, ...] = ()
    try:
        read({**members(), **changes}, source="any", is_sandbox=True)
    except DocumentRefused as refused:
        found = refused.problems
    assert all(problem.startswith("any: ") for problem in found)


@pytest.mark.parametrize("document_itself", [None, [], "text", 7])
def test_a_document_is_refused_when_it_is_no_object(document_itself: Any) -> None:
    with pytest.raises(DocumentRefused):
        read(document_itself, source="any", is_sandbox=True)
