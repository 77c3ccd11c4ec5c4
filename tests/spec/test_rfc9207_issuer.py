"""RFC 9207: the issuer stands in every answer, and is the one that discovery and ID tokens name."""

import pytest

from tests.browser import Browser
from tests.provider import Portal, Provider


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.mark.holds("B4", "F11", "OIDCD-3-1", "RFC9207-2-1", "RFC9207-3-1", "RFC9700-2.1-3", "FAPI2SP-5.3.2.2-4")
def test_the_issuer_is_in_a_success(provider: Provider, portal: Portal, browser: Browser) -> None:
    answer = portal.arrive(browser, provider.citizen())
    published = provider.http().get("/.well-known/openid-configuration").get_json()
    assert published["authorization_response_iss_parameter_supported"] is True
    assert answer["iss"] == published["issuer"] == portal.claims(portal.tokens(answer))["iss"]


@pytest.mark.parametrize(
    "changes", [{"prompt": "none"}, {"response_type": "token"}, {"scope": "x"}, {"request": "x"}, {"claims": "{"}]
)
@pytest.mark.holds("B4", "F11", "RFC9207-2-1", "FAPI2SP-5.3.2.2-4")
def test_the_issuer_is_in_an_error(
    provider: Provider, portal: Portal, browser: Browser, changes: dict[str, str]
) -> None:
    answer = portal.arrive(browser, **changes)
    assert answer.get("error")
    assert answer["iss"] == provider.settings.issuer


@pytest.mark.holds("RFC9207-2-1")
def test_the_issuer_never_follows_the_request(provider: Provider, portal: Portal, browser: Browser) -> None:
    spoofed = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "Forwarded": "host=evil.example"}
    response = browser.send("GET", portal.address(prompt="none", iss="https://evil.example"), headers=spoofed)
    assert "evil.example" not in response.headers["Location"]
    assert provider.http().get("/.well-known/openid-configuration", headers=spoofed).get_json()["issuer"] == (
        provider.settings.issuer
    )
