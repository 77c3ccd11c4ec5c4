"""RFC 7591, 2, and OpenID Connect Dynamic Client Registration 1.0, 2: client metadata, as our documents carry it."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.agencies.document import read
from idp.agencies.metadata import AuthMethod, Basis, ClientMetadata
from idp.agencies.reading import DocumentRefused
from idp.core import clock
from idp.core.levels import Level
from idp.keys import signer
from tests.unit.agencies.documents import document, members

EC_JWK = signer.generate("ES256")[1]
RSA_JWK = signer.generate("RS256")[1]


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
        ({"jwks_uri": "https://thue.example/jwks"}, "jwks_uri: is not supported yet"),
        ({"userinfo_signed_response_alg": "ES256"}, "userinfo_signed_response_alg: is not supported yet"),
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
        ({"jwks": {"keys": []}}, "jwks: is only used with private_key_jwt"),
        ({"grant_types": ["implicit"]}, "grant_types: only authorization_code"),
        ({"response_types": ["code", "token"]}, "response_types: only code"),
        ({"application_type": "native"}, "application_type: only web"),
        ({"subject_type": "public"}, "subject_type: only pairwise"),
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
    ids=str,
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
    assert metadata.auth_signing_algorithms == ("ES256", "PS256", "RS256")
    one = document(**with_keys(EC_JWK), token_endpoint_auth_signing_alg="ES256").metadata
    assert one.auth_signing_algorithms == ("ES256",)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([], "jwks: must be"),
        (["key"], "jwks: must be"),
        ([{**EC_JWK, "d": "AAAA"}], "private"),
        ([{"kty": "oct", "k": "AAAA"}], "private or shared"),
        ([{"kty": "oct"}], "must be an RSA key or an EC key"),
        ([{**EC_JWK, "crv": "P-384"}], "must be an RSA key or an EC key"),
        ([{**EC_JWK, "x": EC_JWK["y"]}], "not a valid public key"),
        ([{**EC_JWK, "use": "enc"}], 'use must be "sig"'),
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


@given(
    st.dictionaries(
        st.sampled_from([*members(), "jwks", "require_pkce", "contacts", "default_acr_values", "sector_identifier"]),
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
