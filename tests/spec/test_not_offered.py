"""What is not offered is neither advertised nor half there (the refused rows of docs/specifications.md)."""

from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from idp.agencies.reading import DocumentRefused
from tests.browser import Browser
from tests.keyed import REQUEST_URI, keyed
from tests.provider import Answer, Person, Portal, Provider


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid email")


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com")


@pytest.fixture(scope="module")
def published(provider: Provider) -> dict[str, Any]:
    document: dict[str, Any] = provider.http().get("/.well-known/openid-configuration").get_json()
    return document


@pytest.mark.parametrize(
    "member",
    [
        pytest.param("check_session_iframe", marks=pytest.mark.holds("SESSION-3-1")),
        pytest.param("authorization_details_types_supported", marks=pytest.mark.holds("RFC9396-2-1")),
        pytest.param("initiate_login_uri", marks=pytest.mark.holds("OIDCC-4-1")),
        pytest.param("protected_resource_signing_alg_values_supported", marks=pytest.mark.holds("FAPI2MS-5.6-1")),
        "federation_registration_endpoint",
    ],
)
def test_the_metadata_do_not_name_it(published: dict[str, Any], member: str) -> None:
    assert member not in published


@pytest.mark.holds("OIDCC-5.6-1")
def test_claims_are_normal_ones_only(
    portal: Portal, browser: Browser, person: Person, published: dict[str, Any]
) -> None:
    assert published["claim_types_supported"] == ["normal"]
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid email"))
    for claims in (portal.claims(tokens), portal.userinfo(tokens["access_token"]).get_json()):
        assert not {"_claim_names", "_claim_sources"} & set(claims)


@pytest.mark.holds("SESSION-2-1")
def test_no_answer_carries_a_session_state(portal: Portal, browser: Browser, person: Person) -> None:
    assert set(portal.arrive(browser, person).parameters) == {"code", "state", "iss"}
    assert "session_state" not in portal.arrive(browser, scope="nothing").parameters


@pytest.mark.holds("RFC9396-2-1")
def test_authorization_details_grant_nothing(portal: Portal, browser: Browser, person: Person) -> None:
    wish = '[{"type":"openid_credential","claims":["email"],"actions":["everything"]}]'
    answer = portal.arrive(browser, person, authorization_details=wish)
    if answer.get("error"):
        assert answer["error"] in ("invalid_request", "invalid_authorization_details")
        return
    tokens = portal.tokens(answer)
    assert "authorization_details" not in tokens
    assert tokens["scope"] == "openid"
    assert set(portal.userinfo(tokens["access_token"]).get_json()) == {"sub"}


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("fragment", marks=pytest.mark.holds("MULTI-2.1-2")),
        pytest.param("fragment.jwt", marks=pytest.mark.holds("JARM-2.3.2-1")),
        "web_message",
    ],
)
def test_other_response_modes_are_refused_in_the_query(
    portal: Portal, browser: Browser, person: Person, mode: str
) -> None:
    answer = portal.arrive(browser, person, response_mode=mode)
    assert answer["error"] == "invalid_request"
    assert "#" not in answer.location


@pytest.mark.holds("RFC9101-6.1-1")
def test_encrypted_request_objects_are_refused(provider: Provider, published: dict[str, Any]) -> None:
    assert not [name for name in published if name.startswith("request_object_encryption")]
    keys = keyed(provider)
    inside = keys.request_object()
    sealing = ECKey.generate_key("P-256")
    sealed = jwe.encrypt_compact({"alg": "ECDH-ES", "enc": "A256GCM", "cty": "JWT"}, inside, sealing)
    response = keys.send("/par", {"request": sealed})
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request_object")


@pytest.mark.holds("OIDCC-6.1-2", "RFC9101-5-1")
def test_a_request_object_and_an_address_for_one_are_refused_together(provider: Provider, browser: Browser) -> None:
    keys = keyed(provider)
    address = "/authorize?" + urlencode({"client_id": keys.client_id, "request": keys.request_object()})
    page = browser.get(f"{address}&request_uri=https%3A%2F%2Fevil.example%2Fr")
    assert page.left_for is None or Answer(page.left_for)["error"] in ("invalid_request", "request_uri_not_supported")
    # The client's name is needed outside too.
    bare = browser.get("/authorize", query_string={"request": keys.request_object()})
    assert (bare.status, bare.left_for, bare.error_code) == (400, None, "PR-003")


@pytest.mark.holds("CIBA-4-2")
@pytest.mark.parametrize("mode", ["ping", "push"])
def test_no_client_is_called_back_with_tokens(provider: Provider, published: dict[str, Any], mode: str) -> None:
    assert published["backchannel_token_delivery_modes_supported"] == ["poll"]
    with pytest.raises(DocumentRefused, match="backchannel_token_delivery_mode"):
        provider.portal(backchannel_token_delivery_mode=mode)


@pytest.mark.holds("FAPI2SP-5.3.2.1-2")
@pytest.mark.parametrize("grant_type", ["password", "client_credentials", "implicit"])
def test_a_fapi_client_is_confidential_and_takes_no_password(provider: Provider, grant_type: str) -> None:
    keys = keyed(provider, profile="fapi2")
    form = {"grant_type": grant_type, "username": "x", "password": "y"}
    response = keys.send("/token", form)
    assert (response.status_code, response.get_json()["error"]) == (400, "unsupported_grant_type")
    with pytest.raises(DocumentRefused, match="token_endpoint_auth_method"):
        keyed(provider, profile="fapi2", token_endpoint_auth_method="none")


@pytest.mark.holds("RFC9126-7.1-1")
def test_a_pushed_request_cannot_be_guessed(provider: Provider) -> None:
    keys = keyed(provider)
    found = {keys.push().get_json()["request_uri"].removeprefix(REQUEST_URI) for _ in range(20)}
    assert len(found) == 20
    # 256 bits as base64url, and nothing in common.
    assert {len(each) for each in found} == {43}
    assert all(len({each[place] for each in found}) > 1 for place in range(43))
