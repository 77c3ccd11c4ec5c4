"""RFC 9126: requests that the client pushes, and the browser only names."""

from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from idp.core.ids import digest
from idp.oidc.models import PushedRequest
from tests.browser import Browser
from tests.keyed import REQUEST_URI, KeyedPortal, keyed
from tests.provider import Answer, Person, Portal, Provider, walk


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def portal(provider: Provider) -> KeyedPortal:
    return keyed(provider, require_pushed_authorization_requests=True)


def request_uri_of(portal: KeyedPortal, **changes: str | None) -> str:
    response = portal.push(**changes)
    assert response.status_code == 201, response.text
    uri: str = response.get_json()["request_uri"]
    return uri


@pytest.mark.holds("F2", "RFC9126-2.2-1", "FAPI2SP-5.3.2.2-6", "FAPI2SP-5.3.2.2-10")
def test_a_pushed_request_leads_to_a_code(provider: Provider, portal: KeyedPortal, person: Person) -> None:
    response = portal.push()
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    assert response.get_json().keys() == {"request_uri", "expires_in"}
    assert response.get_json()["request_uri"].startswith(REQUEST_URI)
    assert response.get_json()["expires_in"] == provider.settings.pushed_lifetime <= 600
    browser = provider.browser()
    page = browser.get(portal.address_of(response.get_json()["request_uri"]))
    answer = Answer(walk(browser, page, person))
    assert (answer["state"], answer["iss"]) == ("state-of-the-portal", provider.settings.issuer)
    assert portal.claims(portal.tokens(answer))["nonce"] == "nonce-of-the-portal"


def test_a_pushed_request_is_answered_at_once_when_the_session_is_warm(
    provider: Provider, portal: KeyedPortal, person: Person
) -> None:
    browser = provider.browser()
    portal.tokens(Answer(walk(browser, browser.get(portal.pushed()), person)))
    page = browser.get(portal.pushed(prompt="none"))
    assert page.left_for is not None
    assert portal.tokens(Answer(page.left_for))


@pytest.mark.holds("F2", "RFC9126-4-2")
def test_what_stands_beside_the_request_uri_is_never_used(
    provider: Provider, portal: KeyedPortal, person: Person
) -> None:
    beside = {"redirect_uri": "https://evil.example/", "state": "evil", "scope": "openid name", "response_mode": "jwt"}
    browser = provider.browser()
    page = browser.get(portal.pushed() + "&" + urlencode(beside))
    answer = Answer(walk(browser, page, person))
    assert answer.location.startswith(portal.redirect_uri)
    assert answer["state"] == "state-of-the-portal"
    assert portal.tokens(answer)["scope"] == "openid"


@pytest.mark.holds("F2", "RFC9126-7.3-1", "RFC9126-4-1", "FAPI2SP-6.5-1")
def test_a_request_is_spent_by_its_code_and_not_by_a_visit(
    provider: Provider, portal: KeyedPortal, person: Person
) -> None:
    address = portal.pushed()
    first, second = provider.browser(), provider.browser()
    assert "login-form" in first.get(address).forms
    assert "login-form" in first.get(address).forms
    assert "login-form" in second.get(address).forms
    assert portal.tokens(Answer(walk(first, first.get(address), person)))
    # Everybody else who came with it goes away empty-handed, before the login and after it.
    assert provider.browser().get(address).error_code == "PR-007"
    assert second.page is not None
    page = second.submit("login-form", number=person.number, password=person.password)
    if "totp-form" in page.forms:
        page = second.submit("totp-form", code=person.code())
    assert page.left_for is None
    assert page.error_code == "ID-007"


@pytest.mark.holds("F2", "RFC9126-2.2-3", "RFC9126-4-1")
def test_a_request_that_was_left_too_long_is_refused(provider: Provider, portal: KeyedPortal) -> None:
    uri = request_uri_of(portal)
    key = digest(uri.removeprefix(REQUEST_URI))
    provider.age(PushedRequest, PushedRequest.digest == key, seconds=provider.settings.pushed_lifetime)
    page = provider.browser().get(portal.address_of(uri))
    assert (page.status, page.error_code) == (400, "PR-007")


@pytest.mark.holds("F2", "RFC9126-2.2-2", "RFC9126-4-1")
def test_a_request_works_for_its_client_only(provider: Provider, portal: KeyedPortal) -> None:
    other = keyed(provider)
    page = provider.browser().get(other.address_of(request_uri_of(portal)))
    assert (page.status, page.error_code) == (400, "PR-007")


@pytest.mark.parametrize("uri", ["x", "", REQUEST_URI + "x", REQUEST_URI, "https://evil.example/request"])
def test_a_made_up_request_uri_is_refused(provider: Provider, portal: KeyedPortal, uri: str) -> None:
    page = provider.browser().get(portal.address_of(uri))
    assert page.status == 400
    assert page.left_for is None


@pytest.mark.holds("F1", "RFC9126-2.3-2")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_pushing_is_done_by_post_only(provider: Provider, portal: KeyedPortal, method: str) -> None:
    form = {**portal.request(), **portal.authentication()}
    response = provider.http().open("/par", method=method, data=form)
    assert response.status_code == 405
    assert response.headers["Allow"] == "OPTIONS, POST"


@pytest.mark.holds("F1", "RFC9126-4-3", "FAPI2SP-5.3.2.2-1", "RFC9126-6-1")
@pytest.mark.parametrize("prompt", [None, "none"])
def test_a_request_that_was_not_pushed_is_refused(portal: KeyedPortal, browser: Browser, prompt: str | None) -> None:
    answer = Answer(walk(browser, browser.get(portal.address(prompt=prompt))))
    assert (answer["error"], answer["state"]) == ("invalid_request", "state-of-the-portal")


REFUSED: list[tuple[dict[str, str | None], str]] = [
    ({"request_uri": REQUEST_URI + "x"}, "invalid_request"),
    ({"redirect_uri": None}, "invalid_request"),
    ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": None}, "invalid_request"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"scope": "email"}, "invalid_scope"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"claims": "["}, "invalid_request"),
    ({"state": "s" * 513}, "invalid_request"),
    ({"resource": "https://api.example/"}, "invalid_target"),
    ({"dpop_jkt": "short"}, "invalid_request"),
    ({"id_token_hint": "x.y.z"}, "invalid_request"),
]


@pytest.mark.holds(
    "F3",
    "F5",
    "RFC9126-2.1-1",
    "RFC9126-2.1-2",
    "RFC9126-2.3-1",
    "RFC9126-2.4-1",
    "FAPI2SP-5.3.2.2-2",
    "FAPI2SP-5.3.2.2-3",
)
@pytest.mark.parametrize(("changes", "error"), REFUSED)
def test_a_wrong_request_is_told_to_the_client(portal: KeyedPortal, changes: dict[str, str | None], error: str) -> None:
    response = portal.push(**changes)
    assert (response.status_code, response.get_json()["error"]) == (400, error)
    assert set(response.get_json()) == {"error", "error_description"}
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.holds("RFC9126-2-1")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_assertion": None, "client_assertion_type": None},
        {"client_assertion": "x"},
        {"client_id": "somebody-else"},
        {"client_assertion": None, "client_assertion_type": None, "client_secret": "guessed"},
    ],
)
@pytest.mark.holds("FAPI2SP-5.3.2.2-1", "FAPI2SP-5.3.2.2-11")
def test_pushing_needs_the_clients_authentication(portal: KeyedPortal, changes: dict[str, str | None]) -> None:
    response = portal.push(**changes)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_client")


def test_a_parameter_given_twice_is_refused(provider: Provider, portal: KeyedPortal) -> None:
    form = [*portal.request().items(), *portal.authentication().items(), ("scope", "openid")]
    response = provider.http().post(
        "/par", data=urlencode(form), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


def test_a_query_string_beside_the_form_is_refused(provider: Provider, portal: KeyedPortal) -> None:
    response = provider.http().post("/par?scope=openid", data={**portal.request(), **portal.authentication()})
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


def test_a_client_with_a_secret_may_push_too(provider: Provider, person: Person) -> None:
    portal: Portal = provider.portal()
    response = portal.post("/par", **portal.request())
    assert response.status_code == 201
    address = "/authorize?" + urlencode({"client_id": portal.client_id, **response.get_json()})
    browser = provider.browser()
    assert portal.tokens(Answer(walk(browser, browser.get(address), person)))


@pytest.mark.holds("RFC9126-7.4-1")
def test_an_address_that_left_the_record_ends_the_request(provider: Provider, portal: KeyedPortal) -> None:
    changing = keyed(provider)
    address = changing.pushed()
    name = changing.client_id
    gone = {"client_secret": None, "redirect_uris": [f"https://{name}.example/new"]}
    provider.portal(**{**changing.document, **gone})
    assert provider.browser().get(address).error_code == "PR-007"


def test_what_was_pushed_is_sealed_at_rest(provider: Provider, portal: KeyedPortal) -> None:
    uri = request_uri_of(portal, login_hint="079191000001")
    key = digest(uri.removeprefix(REQUEST_URI))
    [stored] = provider.scalars(sa.select(PushedRequest.request).where(PushedRequest.digest == key))
    for secret in ("079191000001", "state-of-the-portal", portal.challenge):
        assert secret not in stored


@pytest.mark.holds("F12")
@pytest.mark.parametrize("length", [128, 384, 512])
def test_long_state_and_nonce_come_back_whole(
    provider: Provider, portal: KeyedPortal, person: Person, length: int
) -> None:
    changes: dict[str, Any] = {"state": "s" * length, "nonce": "n" * length}
    browser = provider.browser()
    answer = Answer(walk(browser, browser.get(portal.pushed(**changes)), person))
    assert answer["state"] == "s" * length
    assert portal.claims(portal.tokens(answer))["nonce"] == "n" * length
