"""OpenID Connect Discovery 1.0, 3 and 4, and RFC 8414, 2: everything advertised works, nothing else does."""

from typing import Any

import pytest
from authlib.oidc.discovery import OpenIDProviderMetadata

from idp.core.levels import level_of
from tests.browser import Browser
from tests.provider import Person, Portal, Provider, json_of


@pytest.fixture
def document(provider: Provider) -> dict[str, Any]:
    response = provider.http().get("/.well-known/openid-configuration")
    assert response.mimetype == "application/json"
    body: dict[str, Any] = response.get_json()
    return body


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid profile")


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.mark.holds("RFC8414-2-1", "RFC9700-2.6-1")
def test_authlib_finds_the_document_valid(document: dict[str, Any]) -> None:
    OpenIDProviderMetadata(document).validate()


@pytest.mark.holds("B29", "OIDCD-3-3", "RFC8414-2-1")
def test_every_address_is_below_the_issuer_and_answers(provider: Provider, document: dict[str, Any]) -> None:
    issuer = provider.settings.issuer
    assert document["issuer"] == issuer
    addresses = [value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(set(addresses)) == len(addresses) >= 6
    for address in addresses:
        assert address.startswith(issuer + "/")
        assert provider.http().get(address.removeprefix(issuer)).status_code in (200, 400, 401, 405)


@pytest.mark.holds("B29", "OIDCD-3-3")
def test_every_advertised_scope_may_be_registered_and_asked(
    provider: Provider, browser: Browser, person: Person, document: dict[str, Any]
) -> None:
    every = " ".join(document["scopes_supported"])
    lasting = {"scope": every, "grant_types": ["authorization_code", "refresh_token"]}
    tokens = (wide := provider.portal(**lasting)).tokens(wide.arrive(browser, person, scope=every))
    assert set(tokens["scope"].split()) == set(document["scopes_supported"])
    assert set(wide.userinfo(tokens["access_token"]).get_json()) <= set(document["claims_supported"])
    assert set(wide.claims(tokens)) <= set(document["claims_supported"])


@pytest.mark.holds("RFC9470-7-1")
def test_every_advertised_acr_value_is_known(document: dict[str, Any]) -> None:
    assert [level_of(value) for value in document["acr_values_supported"]] == [1, 2, 3]


@pytest.mark.parametrize(
    "mode", ["query", "fragment", "form_post", "jwt", "query.jwt", "form_post.jwt", "fragment.jwt"]
)
@pytest.mark.holds("B29", "OIDCD-3-3", "MULTI-2.1-1", "MULTI-2.1-2")
def test_only_advertised_response_modes_work(
    portal: Portal, browser: Browser, person: Person, document: dict[str, Any], mode: str
) -> None:
    answer = portal.arrive(browser, person, response_mode=mode)
    has_worked = answer.get("code") is not None or answer.get("response") is not None
    assert has_worked is (mode in document["response_modes_supported"])


@pytest.mark.parametrize("response_type", ["code", "token", "id_token", "code id_token", "code token", "none"])
@pytest.mark.holds(
    "B29",
    "OIDCC-3.2-1",
    "OIDCC-3.3-1",
    "OIDCD-3-3",
    "MULTI-3-1",
    "MULTI-4-1",
    "MULTI-5-1",
    "RFC6749-4.2-1",
    "RFC9700-2.1.2-1",
)
def test_only_advertised_response_types_work(
    portal: Portal, browser: Browser, person: Person, document: dict[str, Any], response_type: str
) -> None:
    answer = portal.arrive(browser, person, response_type=response_type)
    assert (answer.get("code") is not None) is (response_type in document["response_types_supported"])


@pytest.mark.parametrize("prompt", ["none", "login", "consent", "select_account", "create"])
@pytest.mark.holds("B29", "OIDCD-3-3")
def test_only_advertised_prompts_work(
    portal: Portal, browser: Browser, person: Person, document: dict[str, Any], prompt: str
) -> None:
    portal.arrive(browser, person)
    answer = portal.arrive(browser, person, prompt=prompt)
    assert (answer.get("code") is not None) is (prompt in document["prompt_values_supported"])


@pytest.mark.parametrize("method", ["S256", "plain"])
@pytest.mark.holds("B29", "RFC7636-7.2-1", "RFC9700-2.1.1-3")
def test_only_advertised_challenge_methods_work(
    portal: Portal, browser: Browser, person: Person, document: dict[str, Any], method: str
) -> None:
    answer = portal.arrive(browser, person, code_challenge_method=method)
    assert (answer.get("code") is not None) is (method in document["code_challenge_methods_supported"])


@pytest.mark.holds("B29", "OIDCD-3-3", "OIDCD-3-4")
def test_advertised_parameters_are_honoured(
    portal: Portal, browser: Browser, person: Person, document: dict[str, Any]
) -> None:
    assert document["claims_parameter_supported"] is True
    tokens = portal.tokens(portal.arrive(browser, person, claims=json_of(userinfo={"name": None})))
    assert portal.userinfo(tokens["access_token"]).get_json()["name"] == person.full_name
    assert document["request_parameter_supported"] is True
    assert document["request_object_signing_alg_values_supported"]
    assert document["request_uri_parameter_supported"] is False
    assert portal.arrive(browser, request_uri="https://x.example/")["error"] == "request_uri_not_supported"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.holds("B23", "OIDCC-10-1", "OIDCD-3-3")
def test_advertised_signatures_are_made(
    provider: Provider, browser: Browser, person: Person, document: dict[str, Any], algorithm: str
) -> None:
    assert algorithm in document["id_token_signing_alg_values_supported"]
    portal = provider.portal(id_token_signed_response_alg=algorithm)
    assert portal.sign_in(browser, person)
    assert any(key["alg"] == algorithm for key in provider.jwks())


@pytest.mark.parametrize(
    "path",
    [
        "/register", "/introspect", "/revoke", "/par", "/device_authorization", "/check_session", "/federation",
        "/.well-known/webfinger", "/refresh",
    ],
)  # fmt: skip
@pytest.mark.holds("B29", "OIDCD-2-1", "SESSION-3-1")
def test_what_is_not_advertised_is_not_there(provider: Provider, document: dict[str, Any], path: str) -> None:
    is_advertised = f"{provider.settings.issuer}{path}" in document.values()
    for method in ("GET", "POST"):
        assert (provider.http().open(path, method=method).status_code == 404) is not is_advertised


@pytest.mark.holds("OIDCD-4.1-1", "RFC8414-3.1-1")
def test_the_document_may_be_kept_for_five_minutes_by_anybody(provider: Provider) -> None:
    first = provider.http().get("/.well-known/openid-configuration")
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    again = provider.http().get("/.well-known/openid-configuration", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.holds("RFC8414-3-1")
def test_the_document_is_at_the_place_of_plain_oauth_too(provider: Provider, document: dict[str, Any]) -> None:
    assert provider.http().get("/.well-known/oauth-authorization-server").get_json() == document
