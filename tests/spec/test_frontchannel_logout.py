"""OpenID Connect Front-Channel Logout 1.0 (L6 of the requirements)."""

import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest

from idp.agencies import document
from idp.agencies.reading import DocumentRefused
from tests.browser import Browser, Page
from tests.listener import listening, register
from tests.provider import Person, Portal, Provider


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def framed(provider: Provider, path: str = "/front", **members: object) -> Portal:
    portal = provider.portal(**members)
    register(portal, frontchannel_logout_uri=f"https://{portal.client_id}.example{path}")
    return portal


def frames(page: Page) -> list[str]:
    return [unescape(address) for address in re.findall(r'<iframe[^>]*\ssrc="([^"]*)"', page.html)]


def sign_out(browser: Browser, **parameters: str) -> Page:
    browser.get("/logout", query_string={"ui_locales": "en", **parameters})
    return browser.submit("logout-form")


@pytest.mark.parametrize("is_required", [False, True])
@pytest.mark.holds("L6", "FCL-2-3", "FCL-3-1")
def test_the_page_loads_the_registered_address_with_iss_and_sid(
    provider: Provider, browser: Browser, person: Person, is_required: bool
) -> None:
    portal = framed(provider)
    register(portal, wants_frontchannel_sid=is_required)
    claims = portal.sign_in(browser, person)
    [address] = frames(sign_out(browser))
    assert address.startswith(f"https://{portal.client_id}.example/front?")
    assert dict(parse_qsl(urlsplit(address).query)) == {"iss": provider.settings.issuer, "sid": claims["sid"]}


@pytest.mark.holds("L6", "FCL-2-2")
def test_the_query_as_registered_is_kept(provider: Provider, browser: Browser, person: Person) -> None:
    portal = framed(provider, "/front?tenant=a%26b&logout=get")
    portal.arrive(browser, person)
    [address] = frames(sign_out(browser))
    assert address.startswith(f"https://{portal.client_id}.example/front?tenant=a%26b&logout=get&iss=")


@pytest.mark.holds("L6", "FCL-2-4")
def test_the_policy_allows_these_frames_on_this_page_and_nothing_else(
    provider: Provider, browser: Browser, person: Person
) -> None:
    first, second = framed(provider), framed(provider)
    for portal in (first, second):
        portal.arrive(browser, person)
    question = browser.get("/logout")
    assert "frame-src" not in question.response.headers["Content-Security-Policy"]
    page = browser.submit("logout-form")
    assert len(frames(page)) == 2
    origins = sorted(f"https://{portal.client_id}.example" for portal in (first, second))
    policy = dict(part.strip().split(" ", 1) for part in page.response.headers["Content-Security-Policy"].split(";"))
    assert policy["frame-src"].split() == origins
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert "frame-src" not in browser.get("/logout").response.headers["Content-Security-Policy"]


@pytest.mark.holds("L6", "FCL-4-1")
def test_the_browser_goes_on_to_the_portal_after_a_moment(provider: Provider, browser: Browser, person: Person) -> None:
    portal = framed(provider)
    hint = portal.tokens(portal.arrive(browser, person))["id_token"]
    [back] = portal.document["post_logout_redirect_uris"]
    page = sign_out(browser, id_token_hint=hint, post_logout_redirect_uri=back, state="a b")
    assert page.left_for is None
    assert len(frames(page)) == 1
    assert page.response.headers["Refresh"] == f"4;url={back}?state=a%20b"
    assert f"{back}?state=a%20b" in page.links
    assert "<script" not in page.html


def test_the_browser_stays_where_nobody_asked_it_back(provider: Provider, browser: Browser, person: Person) -> None:
    framed(provider).arrive(browser, person)
    page = sign_out(browser)
    assert len(frames(page)) == 1
    assert "Refresh" not in page.response.headers
    assert "Told through your browser" in page.text


def test_each_client_of_the_session_is_told_in_its_own_way(
    provider: Provider, browser: Browser, person: Person
) -> None:
    with listening() as listener:
        front, back, both, silent = framed(provider), provider.portal(), framed(provider), provider.portal()
        for portal in (back, both):
            register(portal, backchannel_logout_uri=f"{listener.url}/out")
        for portal in (front, back, both, silent):
            portal.arrive(browser, person)
        page = sign_out(browser)
        assert len(listener.received) == 2
    [address] = frames(page)
    assert f"https://{front.client_id}.example" in address, "who has confirmed needs no frame"
    assert "2 of 4" in page.ids["signed-out-count"]
    assert "Told through your browser" in page.text
    assert "May still be open" in page.text


def test_a_frame_is_the_way_that_is_left_when_the_server_does_not_answer(
    provider: Provider, browser: Browser, person: Person
) -> None:
    with listening() as listener:
        listener.status = 500
        portal = framed(provider)
        register(portal, backchannel_logout_uri=f"{listener.url}/out")
        hint = portal.tokens(portal.arrive(browser, person))["id_token"]
        [back] = portal.document["post_logout_redirect_uris"]
        page = sign_out(browser, id_token_hint=hint, post_logout_redirect_uri=back)
    assert len(frames(page)) == 1
    assert "Refresh" not in page.response.headers, "there is something to read"
    [again] = [link for link in page.links if "again=1" in link]
    assert frames(browser.get(again)) == [], "looking again signs nobody out again"


def test_a_second_click_gets_the_frames_too(provider: Provider, browser: Browser, person: Person) -> None:
    framed(provider).arrive(browser, person)
    browser.get("/logout")
    action, fields = browser.form("logout-form")
    kept = browser.cookies()
    for _ in range(2):
        browser.put(kept)
        assert len(frames(browser.post(action, fields))) == 1


@pytest.mark.holds("FCL-3-1")
def test_metadata_says_so(provider: Provider) -> None:
    metadata = provider.http().get("/.well-known/openid-configuration").get_json()
    assert metadata["frontchannel_logout_supported"] is True
    assert metadata["frontchannel_logout_session_supported"] is True


@pytest.mark.holds("FCL-2-1")
def test_the_address_shares_the_origin_of_a_redirect_uri(provider: Provider) -> None:
    whole = {**provider.portal().document, "client_id": "front-address"}
    origin = whole["redirect_uris"][0].removesuffix("/callback")
    assert document.read({**whole, "frontchannel_logout_uri": f"{origin}/front?a=b"}, source="x", is_sandbox=True)
    for address in ("https://elsewhere.example/front", origin.replace("https", "http") + "/front", f"{origin}:444/"):
        with pytest.raises(DocumentRefused, match="frontchannel_logout_uri"):
            document.read({**whole, "frontchannel_logout_uri": address}, source="x", is_sandbox=True)
