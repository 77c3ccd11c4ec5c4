"""What may change while a sign-in or its tokens live: scopes, redirect URIs, states of accounts (RFC 9126, 7.4)."""

from typing import Any

import pytest

from idp.agencies import apply, document
from idp.citizens.models import CitizenState
from tests.browser import Browser
from tests.keyed import keyed
from tests.provider import Person, Portal, Provider, json_of
from tests.registering import plain, post

LASTING: dict[str, Any] = {
    "scope": "openid name gender offline_access",
    "grant_types": ["authorization_code", "refresh_token"],
}


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(totp=False)


@pytest.fixture
def portal(provider: Provider) -> Portal:
    return provider.portal(**LASTING)


@pytest.fixture
def tokens(portal: Portal, browser: Browser, person: Person) -> dict[str, Any]:
    return portal.tokens(portal.arrive(browser, person, scope=LASTING["scope"]))


def rewrite(portal: Portal, **members: Any) -> None:
    """Apply the portal's document again with other members, as its operator does."""
    changed = {**portal.document, **members}
    kept = changed["scope"].split()
    changed["purposes"] = {scope: text for scope, text in changed["purposes"].items() if scope in kept}
    with portal.provider.app.app_context():
        apply.apply([document.read(changed, source="test", is_sandbox=True)], is_sandbox=True)
    portal.provider.forget_caches()


@pytest.mark.holds("FAPI2SP-5.3.2.1-11", "RFC9700-2.3-1")
def test_a_scope_taken_from_a_client_opens_nothing_any_more(portal: Portal, tokens: dict[str, Any]) -> None:
    assert "gender" in portal.userinfo(tokens["access_token"]).get_json()
    rewrite(portal, scope="openid name offline_access")
    released = portal.userinfo(tokens["access_token"]).get_json()
    assert "gender" not in released
    assert "name" in released


@pytest.mark.holds("RFC6749-6-1", "FAPI2SP-5.3.2.1-11")
def test_a_grant_ends_when_it_holds_more_than_its_client_may_have(portal: Portal, tokens: dict[str, Any]) -> None:
    rewrite(portal, scope="openid name offline_access")
    for scope in ({}, {"scope": "openid"}):
        refused = portal.refresh(tokens["refresh_token"], **scope)
        assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    assert portal.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.holds("RFC6749-6-1")
def test_a_narrowed_refresh_narrows_the_id_token_too(portal: Portal, browser: Browser, person: Person) -> None:
    asked = {"scope": LASTING["scope"], "claims": json_of(id_token={"gender": None, "name": None})}
    tokens = portal.tokens(portal.arrive(browser, person, **asked))
    assert "gender" in portal.claims(tokens)
    narrowed = portal.claims(portal.refresh(tokens["refresh_token"], scope="openid name").get_json())
    assert "gender" not in narrowed
    assert "name" in narrowed


@pytest.mark.holds("RFC9700-2.2.2-1", "RFC9700-4.14-1")
def test_a_replay_ends_the_family_also_while_the_citizen_is_disabled(
    portal: Portal, person: Person, tokens: dict[str, Any]
) -> None:
    newest = portal.refresh(tokens["refresh_token"]).get_json()["refresh_token"]
    person.set(state=CitizenState.DISABLED)
    assert portal.refresh(tokens["refresh_token"]).status_code == 400
    person.set(state=CitizenState.ACTIVE)
    assert portal.refresh(newest).status_code == 400


@pytest.mark.holds("RFC6749-6-1")
def test_a_citizen_who_was_disabled_for_a_time_loses_no_grant(
    portal: Portal, person: Person, tokens: dict[str, Any]
) -> None:
    person.set(state=CitizenState.DISABLED)
    assert portal.refresh(tokens["refresh_token"]).status_code == 400
    person.set(state=CitizenState.ACTIVE)
    assert portal.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("identifier", ["https://api.bank.gov.example/", "urn:gov:bank", "https://localhost:1/x"])
def test_nobody_registers_the_name_of_a_foreign_api(provider: Provider, identifier: str) -> None:
    """Tokens for it would be told to them (RFC 8707, 2; RFC 7662, 2.2)."""
    refused = post(provider, plain(resource_identifiers=[identifier]))
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_client_metadata")


def test_a_client_registers_the_name_of_an_api_of_its_own(provider: Provider) -> None:
    members = plain()
    own = members["redirect_uris"][0].replace("/cb", "/api")
    assert post(provider, {**members, "resource_identifiers": [own]}).status_code == 201


@pytest.mark.holds("RFC9126-7.3-1", "RFC9126-4-1", "FAPI2SP-6.5-1")
def test_a_pushed_request_that_the_citizen_declined_leads_nowhere(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = keyed(provider, profile="fapi2", scope="openid name")
    address = portal.pushed(scope="openid name")
    browser.get(address)
    browser.submit("login-form", number=person.number, password=person.password)
    assert "error=access_denied" in (browser.cancel().left_for or "")
    again = browser.get(address)
    assert again.left_for is None
    assert again.status == 400


@pytest.mark.holds("RFC9126-7.3-1")
def test_a_pushed_request_that_led_to_an_error_leads_to_no_code(
    provider: Provider, browser: Browser, person: Person
) -> None:
    """Keycloak CVE-2026-96446: one request_uri tried with prompt=none until a session is there."""
    portal = keyed(provider, profile="fapi2")
    address = portal.pushed(prompt="none")
    assert "error=login_required" in (browser.get(address).left_for or "")
    portal.arrive(browser, person)
    assert browser.get(address).status == 400


@pytest.mark.holds("RFC9126-2.3-2")
def test_too_much_for_an_endpoint_for_programs_is_413(provider: Provider, portal: Portal) -> None:
    for path in ("/par", "/token", "/introspect", "/revoke", "/device_authorization", "/bc-authorize"):
        response = portal.post(path, pad="x" * 70_000)
        assert (response.status_code, response.get_json()["error"]) == (413, "invalid_request")
