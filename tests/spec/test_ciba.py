"""CIBA Core 1.0, poll mode: a portal names a citizen, who says yes in their own browser."""

import time
from typing import Any

import pytest
import sqlalchemy as sa
from jose import jwk, jwt
from sqlalchemy import event
from werkzeug.test import TestResponse

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.core.database import db
from idp.core.ids import digest
from idp.core.limits import RateLimit
from idp.oidc.decoupled.asking import ASKS_A_MINUTE
from idp.oidc.decoupled.models import DecoupledRequest
from idp.sso.models import Interaction
from tests.browser import Browser, Page
from tests.provider import Person, Portal, Provider, walk

GRANT = "urn:openid:params:grant-type:ciba"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def hotline(provider: Provider, **members: Any) -> Portal:
    return provider.portal(**{"scope": "openid name", "grant_types": ["authorization_code", GRANT], **members})


@pytest.fixture
def portal(provider: Provider) -> Portal:
    """Return a portal of its own for each test: requests that wait are counted by client."""
    return hotline(provider)


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def ask(portal: Portal, person: Person | None = None, **form: str | None) -> TestResponse:
    """Send a backchannel authentication request; a change to None drops the parameter."""
    parameters: dict[str, str | None] = {"scope": "openid", "binding_message": "Quầy 7", **form}
    if person is not None:
        parameters.setdefault("login_hint", person.number)
    return portal.provider.http().post(
        "/bc-authorize",
        data={name: value for name, value in parameters.items() if value is not None},
        headers={"Authorization": portal.basic()},
    )


def asked(portal: Portal, person: Person | None = None, **form: str | None) -> dict[str, Any]:
    response = ask(portal, person, **form)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.get_json()
    return body


def poll(portal: Portal, request: dict[str, Any], **form: str) -> TestResponse:
    data = {"grant_type": GRANT, "auth_req_id": request["auth_req_id"], **form}
    return portal.provider.http().post("/token", data=data, headers={"Authorization": portal.basic()})


def error(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["error"]


def row(provider: Provider, request: dict[str, Any]) -> DecoupledRequest:
    key = digest(request["auth_req_id"])
    [found] = provider.scalars(sa.select(DecoupledRequest).where(DecoupledRequest.digest == key))
    return found


def wait(provider: Provider, request: dict[str, Any], **duration: float) -> None:
    provider.age(DecoupledRequest, DecoupledRequest.digest == digest(request["auth_req_id"]), **duration)


def arrive(browser: Browser, person: Person) -> Page:
    """Open the page of waiting requests, signing in if need be."""
    page = browser.get("/approvals")
    if "approvals-signin-form" in page.forms:
        browser.submit("approvals-signin-form")
        page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.path == "/approvals"
    return page


def finish(browser: Browser, person: Person) -> Page:
    assert browser.page is not None
    with pytest.raises(AssertionError, match="no way on"):
        walk(browser, browser.page, person)
    return browser.page


def say_yes(browser: Browser, person: Person) -> Page:
    arrive(browser, person)
    browser.submit("approval-form-1")
    browser.submit("confirm-form", decision="continue")
    return finish(browser, person)


# --- the whole way -----------------------------------------------------------------------------------------------


@pytest.mark.holds("CIBA-7.3-1", "CIBA-10.1-1", "CIBA-10.1.1-1", "CIBA-11-1", "CIBA-14-1", "CIBA-7.1-5")
def test_portal_is_answered_once_the_citizen_said_yes(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    response = ask(portal, person, scope="openid name", acr_values="loa2")
    assert response.headers["Cache-Control"] == "no-store"
    request = response.get_json()
    assert set(request) == {"auth_req_id", "expires_in", "interval"}
    assert (len(request["auth_req_id"]), request["expires_in"], request["interval"]) == (43, 300, 5)
    assert error(poll(portal, request)) == (400, "authorization_pending")
    page = arrive(browser, person)
    assert "Quầy 7" in page.text
    page = browser.submit("approval-form-1")
    assert page.step == "confirm"
    assert page.ids["confirm-shown"] == "Quầy 7"
    assert person.full_name in page.text
    page = browser.submit("confirm-form", decision="continue")
    # The session was opened at loa1: the level asked for needs the one-time code.
    assert page.step == "code"
    assert "device-approved" in finish(browser, person).ids
    tokens = poll(portal, request).get_json()
    claims = portal.claims(tokens)
    assert claims["acr"] == "loa2"
    assert portal.userinfo(tokens["access_token"]).get_json()["name"] == person.full_name
    assert "approvals-none" in browser.get("/approvals").ids
    names = set(provider.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id)))
    assert {Event.DECOUPLED_ASKED, Event.DEVICE_CONFIRMED, Event.CODE_ISSUED, Event.TOKEN_ISSUED} <= names


@pytest.mark.holds("CIBA-7.1-2")
def test_every_hint_finds_the_citizen(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    tokens = portal.tokens(portal.arrive(browser, person))
    sub = portal.claims(tokens)["sub"]
    number = person.number
    grouped = f"{number[:3]} {number[3:6]} {number[6:]}"
    for hint in ({"login_hint": sub}, {"login_hint": grouped}, {"id_token_hint": tokens["id_token"]}):
        request = asked(portal, **hint)
        assert row(provider, request).citizen_id == person.id
        assert "device-approved" in say_yes(browser, person).ids
        assert portal.claims(poll(portal, request).get_json())["sub"] == sub


def test_first_visit_gives_the_sub_of_every_later_one(portal: Portal, browser: Browser, person: Person) -> None:
    request = asked(portal, person)
    say_yes(browser, person)
    assert portal.claims(poll(portal, request).get_json())["sub"] == portal.sign_in(browser, person)["sub"]


def test_warm_session_still_needs_an_explicit_yes(portal: Portal, browser: Browser, person: Person) -> None:
    portal.sign_in(browser, person)
    request = asked(portal, person)
    arrive(browser, person)
    page = browser.submit("approval-form-1")
    assert browser.get(f"/signin/{page.handle}").step == "confirm"
    assert error(poll(portal, request)) == (400, "authorization_pending")


@pytest.mark.holds("CIBA-11-1", "CIBA-14-1")
def test_this_was_not_me_tells_the_portal(portal: Portal, browser: Browser, person: Person) -> None:
    request = asked(portal, person)
    arrive(browser, person)
    browser.submit("approval-form-1")
    assert "device-denied" in browser.submit("confirm-form", decision="deny").ids
    assert error(poll(portal, request)) == (400, "access_denied")
    assert "approvals-none" in browser.get("/approvals").ids


# --- the request -------------------------------------------------------------------------------------------------


@pytest.mark.holds("CIBA-4-1")
def test_metadata_says_poll_and_nothing_else(provider: Provider) -> None:
    metadata = provider.http().get("/.well-known/openid-configuration").get_json()
    assert metadata["backchannel_authentication_endpoint"] == f"{provider.settings.issuer}/bc-authorize"
    assert metadata["backchannel_token_delivery_modes_supported"] == ["poll"]
    assert metadata["backchannel_user_code_parameter_supported"] is False
    assert GRANT in metadata["grant_types_supported"]


@pytest.mark.holds("CIBA-7.1-1", "CIBA-7.1-2", "CIBA-7.1-3", "CIBA-7.1-4", "CIBA-13-1")
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"scope": "name"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "openid idnum"}, "invalid_scope"),
        ({"login_hint": None}, "invalid_request"),
        ({"id_token_hint": "e30.e30.e30"}, "invalid_request"),
        ({"login_hint": None, "id_token_hint": "e30.e30.e30"}, "invalid_request"),
        ({"login_hint": None, "login_hint_token": "e30.e30.e30"}, "invalid_request"),
        ({"login_hint_token": "e30.e30.e30"}, "invalid_request"),
        ({"claims": '{"id_token":{"sub":{"value":"somebody"}}}'}, "invalid_request"),
        ({"binding_message": None}, "invalid_binding_message"),
        ({"binding_message": "123456789012345678901"}, "invalid_binding_message"),
        ({"binding_message": " 1"}, "invalid_binding_message"),
        ({"binding_message": "<b>1</b>"}, "invalid_binding_message"),
        ({"binding_message": "\u202e7391"}, "invalid_binding_message"),
        ({"binding_message": "\u0410\u0412"}, "invalid_binding_message"),
        ({"binding_message": "a\u0300\u0301\u0302\u0303\u0304"}, "invalid_binding_message"),
        ({"requested_expiry": "0"}, "invalid_request"),
        ({"requested_expiry": "-5"}, "invalid_request"),
        ({"requested_expiry": "soon"}, "invalid_request"),
        ({"requested_expiry": "9" * 30}, "invalid_request"),
        ({"user_code": "1234"}, "invalid_request"),
        ({"client_notification_token": "8d67dc78-7faa-4d41-aabd-67707b374255"}, "invalid_request"),
        ({"acr_values": "loa2", "claims": "["}, "invalid_request"),
        ({"login_hint": "9" * 600}, "invalid_request"),
        ({"request_uri": "https://elsewhere.example/"}, "request_uri_not_supported"),
        ({"resource": "https://nobody.example/"}, "invalid_target"),
    ],
)
def test_faulty_requests_are_refused(
    portal: Portal, person: Person, form: dict[str, str | None], expected: str
) -> None:
    assert error(ask(portal, person, **form)) == (400, expected)


@pytest.mark.holds("CIBA-7.1-4")
@pytest.mark.parametrize(("wish", "given"), [("60", 60), ("1", 30), ("86400", 600)])
def test_requested_expiry_is_bounded(portal: Portal, person: Person, wish: str, given: int) -> None:
    assert asked(portal, person, requested_expiry=wish)["expires_in"] == given


@pytest.mark.holds("CIBA-13-1")
def test_only_registered_authenticated_clients_may_ask(provider: Provider, person: Person) -> None:
    portal = provider.portal()
    assert error(ask(portal, person)) == (400, "unauthorized_client")
    nobody = provider.http().post(
        "/bc-authorize", data={"client_id": portal.client_id, "scope": "openid", "login_hint": person.number}
    )
    assert error(nobody) == (401, "invalid_client")


def test_duplicates_and_query_strings_are_refused(provider: Provider, portal: Portal, person: Person) -> None:
    headers = {"Authorization": portal.basic()}
    form = f"scope=openid&binding_message=1&login_hint={person.number}"
    for path, body in (("/bc-authorize", form + "&login_hint=1"), ("/bc-authorize?scope=openid", form)):
        answer = provider.http().post(
            path, data=body, content_type="application/x-www-form-urlencoded", headers=headers
        )
        assert error(answer) == (400, "invalid_request")


def test_hint_of_another_clients_id_token_is_refused(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    other = hotline(provider)
    tokens = other.tokens(other.arrive(browser, person))
    assert error(ask(portal, id_token_hint=tokens["id_token"])) == (400, "invalid_request")


def test_sub_of_another_sector_names_nobody(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    sub = hotline(provider).sign_in(browser, person)["sub"]
    assert row(provider, asked(portal, login_hint=sub)).citizen_id is None


# --- signed requests ---------------------------------------------------------------------------------------------

_KEY = {
    "kty": "EC", "crv": "P-256", "kid": "hotline", "use": "sig", "alg": "ES256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}  # fmt: skip
_PRIVATE = {**_KEY, "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}  # RFC 7515, appendix A.3


def signing(provider: Provider) -> Portal:
    return hotline(
        provider,
        jwks={"keys": [_KEY]},
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="ES256",
        client_secret=None,
    )


def signed(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, jwk.construct(_PRIVATE, "ES256").to_dict() | _PRIVATE, "ES256", {"kid": "hotline"})


def send_signed(portal: Portal, person: Person, drop: str = "", beside: dict[str, str] | None = None) -> TestResponse:
    now, issuer = int(time.time()), portal.provider.settings.issuer
    common = {"iss": portal.client_id, "aud": issuer, "iat": now, "nbf": now, "exp": now + 60}
    inside = {
        **common,
        "jti": f"request {time.time_ns()}",
        "scope": "openid",
        "binding_message": "7391",
        "login_hint": person.number,
        "requested_expiry": 120,
    }
    assertion = signed({**common, "sub": portal.client_id, "jti": f"assertion {time.time_ns()}"})
    form = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
        "request": signed({name: value for name, value in inside.items() if name != drop}),
        **(beside or {}),
    }
    return portal.provider.http().post("/bc-authorize", data=form)


@pytest.mark.holds("CIBA-7.1.1-1")
def test_signed_request_counts_whole(provider: Provider, person: Person) -> None:
    portal = signing(provider)
    response = send_signed(portal, person)
    assert response.status_code == 200, response.text
    assert response.get_json()["expires_in"] == 120
    assert row(provider, response.get_json()).citizen_id == person.id
    for drop in ("iss", "aud", "exp", "iat", "nbf", "jti"):
        assert send_signed(portal, person, drop).status_code == 400
    beside = send_signed(portal, person, beside={"binding_message": "0000"})
    assert error(beside) == (400, "invalid_request_object")


# --- who exists is not told --------------------------------------------------------------------------------------


def statements_of(portal: Portal, hint: str) -> list[str]:
    """Return the statements that a request runs, without their values."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    with portal.provider.app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        asked(portal, login_hint=hint)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return seen


@pytest.mark.holds("CIBA-7.2-1")
def test_hint_for_nobody_gets_the_same_answer_by_the_same_statements(
    provider: Provider, portal: Portal, person: Person
) -> None:
    locked = provider.citizen()
    locked.set(state="disabled")
    known = statements_of(portal, person.number)
    for hint in ("979191999999", locked.number, "not a number at all", "Nguyễn Thị Hoà", "A" * 43):
        assert statements_of(portal, hint) == known
        request = asked(portal, login_hint=hint)
        assert row(provider, request).citizen_id is None
        assert error(poll(portal, request)) == (400, "authorization_pending")
        wait(provider, request, seconds=301)
        assert error(poll(portal, request)) == (400, "expired_token")


@pytest.mark.holds("CIBA-14-1")
def test_citizen_is_shown_three_requests_of_one_client_and_five_in_all(
    provider: Provider, browser: Browser, person: Person
) -> None:
    first, second = hotline(provider), hotline(provider)
    requests = [asked(first, person) for _ in range(4)]
    assert [row(provider, request).citizen_id for request in requests] == [person.id] * 3 + [None]
    # The answer is the same, so that nobody learns from it that the hint named somebody.
    assert set(requests[3]) == set(requests[0])
    more = [asked(second, person) for _ in range(3)]
    assert [row(provider, request).citizen_id for request in more] == [person.id] * 2 + [None]
    page = arrive(browser, person)
    assert len([name for name in page.forms if name.startswith("approval-form")]) == 5
    say_yes(browser, person)
    # One is answered, so there is room again.
    assert row(provider, asked(first, person)).citizen_id == person.id


def test_one_client_may_ask_so_often_in_a_minute(provider: Provider, portal: Portal, person: Person) -> None:
    services = provider.services
    counted = f"{GRANT} {portal.client_id}"
    for _ in range(ASKS_A_MINUTE):
        services.limiter.hit("decoupled", counted, amount=ASKS_A_MINUTE, per_seconds=60)
    refused = ask(portal, person)
    assert error(refused) == (429, "temporarily_unavailable")
    assert refused.headers["Retry-After"] == "60"
    provider.run(sa.delete(RateLimit))


# --- polling -----------------------------------------------------------------------------------------------------


@pytest.mark.holds("CIBA-11-1")
def test_polling_says_what_it_means(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    request = asked(portal, person)
    assert error(poll(portal, request)) == (400, "authorization_pending")
    assert error(poll(portal, request)) == (400, "slow_down")
    wait(provider, request, seconds=6)
    assert error(poll(portal, request)) == (400, "slow_down")
    wait(provider, request, seconds=301)
    assert error(poll(portal, request)) == (400, "expired_token")
    assert error(poll(portal, {"auth_req_id": "x" * 43})) == (400, "invalid_grant")
    assert error(poll(portal, {"auth_req_id": ""})) == (400, "invalid_request")


@pytest.mark.holds("CIBA-10.1-1", "CIBA-11-1")
def test_auth_req_id_is_of_one_client_and_counts_once(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    request = asked(portal, person)
    say_yes(browser, person)
    assert error(poll(hotline(provider), request)) == (400, "invalid_grant")
    tokens = poll(portal, request).get_json()
    assert error(poll(portal, request)) == (400, "invalid_grant")
    assert portal.userinfo(tokens["access_token"]).status_code == 401


def test_auth_req_id_is_no_device_code_and_no_code(provider: Provider, browser: Browser, person: Person) -> None:
    portal = hotline(provider, grant_types=["authorization_code", GRANT, DEVICE_GRANT])
    request = asked(portal, person)
    say_yes(browser, person)
    as_device = poll(portal, request, grant_type=DEVICE_GRANT, device_code=request["auth_req_id"])
    assert error(as_device) == (400, "invalid_grant")
    assert error(portal.redeem(request["auth_req_id"])) == (400, "invalid_grant")
    assert poll(portal, request).status_code == 200


def test_sign_out_before_the_portal_asks_ends_it(portal: Portal, browser: Browser, person: Person) -> None:
    request = asked(portal, person)
    say_yes(browser, person)
    browser.get("/logout")
    browser.submit("logout-form")
    assert error(poll(portal, request)) == (400, "access_denied")


# --- only that citizen -------------------------------------------------------------------------------------------


def test_another_citizen_sees_nothing(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    asked(portal, person)
    assert "approvals-none" in arrive(browser, provider.citizen()).ids


def test_another_citizen_on_the_opened_pages_is_told_and_ends_nothing(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    request = asked(portal, person)
    stranger = provider.citizen()
    arrive(browser, person)
    browser.submit("approval-form-1")
    browser.submit("confirm-form", decision="continue")
    assert browser.page is not None
    opened = browser.page.path
    # Somebody else signs in on this browser, in another tab.
    browser.get("/logout")
    browser.submit("logout-form")
    arrive(browser, stranger)
    assert browser.get(opened).step == "login"
    page = browser.submit("login-form", number=stranger.number, password=stranger.password)
    assert page.error_code == "ID-103"
    assert error(poll(portal, request)) == (400, "authorization_pending")
    assert "device-approved" in say_yes(provider.browser(), person).ids
    assert poll(portal, request).status_code == 200


def test_token_of_the_list_works_in_its_own_session_only(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    asked(portal, person)
    arrive(browser, person)
    action, fields = browser.form("approval-form-1")
    elsewhere = provider.browser()
    arrive(elsewhere, person)
    before = len(provider.scalars(sa.select(Interaction.id)))
    assert elsewhere.post(action, fields).path == "/approvals"
    assert elsewhere.post(action, {"token": ""}).path == "/approvals"
    assert provider.browser().post(action, fields).path == "/approvals"
    assert len(provider.scalars(sa.select(Interaction.id))) == before
    assert browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"}).error_code == "ID-008"
    assert browser.post(action, fields).step == "confirm"


def test_request_answered_meanwhile_leads_back_to_the_list(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    asked(portal, person)
    arrive(browser, person)
    action, fields = browser.form("approval-form-1")
    say_yes(provider.browser(), person)
    assert "approvals-none" in browser.post(action, fields).ids


# --- signing in to the page itself -------------------------------------------------------------------------------


def test_own_page_sign_in_has_no_portal_and_no_code(provider: Provider, browser: Browser, person: Person) -> None:
    browser.get("/approvals")
    page = browser.submit("approvals-signin-form")
    assert page.step == "login"
    handle = page.handle
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.path == "/approvals"
    [interaction] = provider.scalars(sa.select(Interaction).where(Interaction.handle_digest == digest(handle)))
    assert interaction.client_id is None
    assert interaction.finished_at is not None
    assert interaction.code_digest is None
    assert browser.get(f"/signin/{handle}").path == "/approvals"


def test_cancelling_the_own_sign_in_leads_back_to_the_page(browser: Browser) -> None:
    browser.get("/approvals")
    browser.submit("approvals-signin-form")
    assert browser.cancel().path == "/approvals"


@pytest.mark.parametrize("client_id", ["", "lienket", "00000000-0000-0000-0000-000000000000"])
def test_provider_is_no_client_that_anybody_can_ask_for(browser: Browser, client_id: str) -> None:
    page = browser.get(f"/authorize?client_id={client_id}&response_type=code&scope=openid&redirect_uri=/approvals")
    assert page.status == 400


def test_typed_addresses_of_posts_lead_to_the_page(browser: Browser) -> None:
    assert browser.get("/approvals/signin").path == "/approvals"
