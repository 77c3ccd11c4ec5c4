"""A client record that changes while somebody signs in: the record of now decides, and there is a way back."""

import pytest

from tests.browser import Browser
from tests.provider import Person, Portal, Provider


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


CHANGES = {
    "redirect URI": lambda portal: {
        "redirect_uris": [portal.redirect_uri + "/new"],
        "sector_identifier": f"{portal.client_id}.example",
    },
    "scope": lambda _: {"scope": "openid"},
}


def change(portal: Portal, what: str) -> None:
    portal.provider.portal(**{**portal.document, "purposes": None, "client_secret": None, **CHANGES[what](portal)})


@pytest.mark.parametrize("what", CHANGES)
def test_no_code_is_given_when_the_record_no_longer_allows_the_request(
    provider: Provider, browser: Browser, person: Person, what: str
) -> None:
    portal = provider.portal(scope="openid name")
    browser.get(portal.address(scope="openid name"))
    page = browser.submit("login-form", number=person.number, password=person.password)
    action, fields = browser.form("consent-form", decision="allow")
    cancel, cancelled = browser.form("cancel")
    change(portal, what)
    for shown in (
        browser.post(action, fields),
        browser.get(page.path),
        browser.get(f"/signin/{page.handle}"),
        # Not even a refusal goes to an address that was withdrawn.
        browser.post(cancel, cancelled),
    ):
        assert (shown.status, shown.error_code, shown.left_for) == (400, "ID-002", None)
        assert f"https://{portal.client_id}.example/" in shown.links


def test_the_way_back_is_of_the_record_when_the_client_names_no_home(provider: Provider, browser: Browser) -> None:
    portal = provider.portal(client_uri=None, redirect_uris=["https://khongnha.example:8443/cb?x=1"])
    page = browser.get(portal.address())
    browser.forget("flow-")
    lost = browser.get(page.path)
    assert lost.error_code == "ID-001"
    assert "https://khongnha.example:8443/" in lost.links
