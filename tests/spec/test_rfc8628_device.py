"""RFC 8628: a device shows a code, the citizen types it elsewhere, and the device asks until there is an answer."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.core.ids import digest
from idp.core.limits import RateLimit
from idp.oidc.decoupled.models import DecoupledRequest
from idp.oidc.decoupled.views import ENTRIES_FROM_ONE_ADDRESS
from idp.oidc.models import AccessToken
from idp.sso.models import Disclosure
from tests.browser import Browser, Page
from tests.provider import Person, Portal, Provider, walk

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def kiosk(provider: Provider) -> Portal:
    return provider.portal(scope="openid name email", grant_types=["authorization_code", GRANT])


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com")


@pytest.fixture(autouse=True)
def nobody_typed_codes_before(provider: Provider) -> None:
    """All browsers of this file have one address."""
    provider.run(sa.delete(RateLimit))


def ask(portal: Portal, **form: str) -> TestResponse:
    """Send a device authorization request."""
    parameters = {"scope": "openid", **form}
    return portal.provider.http().post(
        "/device_authorization", data=parameters, headers={"Authorization": portal.basic()}
    )


def asked(portal: Portal, **form: str) -> dict[str, Any]:
    response = ask(portal, **form)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.get_json()
    return body


def poll(portal: Portal, device: dict[str, Any], **form: str) -> TestResponse:
    """Poll as the device does, but at once."""
    data = {"grant_type": GRANT, "device_code": device["device_code"], **form}
    return portal.provider.http().post("/token", data=data, headers={"Authorization": portal.basic()})


def error(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["error"]


def row(provider: Provider, device: dict[str, Any]) -> DecoupledRequest:
    key = digest(device["device_code"])
    [found] = provider.scalars(sa.select(DecoupledRequest).where(DecoupledRequest.digest == key))
    return found


def wait(provider: Provider, device: dict[str, Any], **duration: float) -> None:
    """Let time pass for a request."""
    provider.age(DecoupledRequest, DecoupledRequest.digest == digest(device["device_code"]), **duration)


def enter(browser: Browser, user_code: str) -> Page:
    browser.get("/device")
    return browser.submit("device-form", user_code=user_code)


def say_yes(browser: Browser, device: dict[str, Any], person: Person | None = None) -> Page:
    """Type the code and go through every page to the end."""
    assert enter(browser, device["user_code"]).step == "confirm"
    return go_on(browser, person)


def go_on(browser: Browser, person: Person | None = None) -> Page:
    """Confirm, and answer every page that comes."""
    browser.submit("confirm-form", decision="continue")
    return finish(browser, person)


def finish(browser: Browser, person: Person | None = None) -> Page:
    """Answer every page until the last one, which leads nowhere."""
    assert browser.page is not None
    with pytest.raises(AssertionError, match="no way on"):
        walk(browser, browser.page, person)
    return browser.page


# --- asking -----------------------------------------------------------------------------------------------------


@pytest.mark.holds("RFC8628-3.1-1", "RFC8628-3.2-1", "RFC8628-5.2-1", "RFC8628-6.1-1")
def test_answer_has_everything_a_device_needs(provider: Provider, kiosk: Portal) -> None:
    response = ask(kiosk, unknown="ignored")
    device = response.get_json()
    assert set(device) == {
        "device_code", "user_code", "verification_uri", "verification_uri_complete", "expires_in", "interval",
    }  # fmt: skip
    assert response.headers["Cache-Control"] == "no-store"
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", device["user_code"])
    assert len(device["device_code"]) == 43
    assert device["verification_uri"] == f"{provider.settings.issuer}/device"
    assert device["verification_uri_complete"] == f"{provider.settings.issuer}/device?user_code={device['user_code']}"
    assert (device["expires_in"], device["interval"]) == (600, 5)


def test_no_code_is_stored_in_clear(provider: Provider, kiosk: Portal) -> None:
    device = asked(kiosk, nonce="a-nonce-to-look-for")
    stored = row(provider, device)
    values = [getattr(stored, column.key) for column in sa.inspect(DecoupledRequest).columns]
    text = " ".join(value.hex() if isinstance(value, bytes) else str(value) for value in values)
    for secret in (device["device_code"], device["user_code"], device["user_code"].replace("-", ""), "a-nonce"):
        assert secret not in text
    assert stored.user_code_digest != digest(device["user_code"].replace("-", ""))


@pytest.mark.holds("RFC8628-3.1-1")
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"scope": "email"}, (400, "invalid_scope")),
        ({"scope": "openid idnum"}, (400, "invalid_scope")),
        ({"claims": "{"}, (400, "invalid_request")),
        ({"max_age": "soon"}, (400, "invalid_request")),
        ({"request": "e30.e30."}, (400, "request_not_supported")),
        ({"request_uri": "https://elsewhere.example/request"}, (400, "request_uri_not_supported")),
        ({"resource": "https://nobody.example/"}, (400, "invalid_target")),
    ],
)
def test_request_is_judged_by_the_rules_of_an_authorization_request(
    kiosk: Portal, form: dict[str, str], expected: tuple[int, str]
) -> None:
    assert error(ask(kiosk, **form)) == expected


def test_duplicates_query_strings_and_gets_are_refused(provider: Provider, kiosk: Portal) -> None:
    headers = {"Authorization": kiosk.basic()}
    twice = provider.http().post(
        "/device_authorization",
        data="scope=openid&scope=openid",
        content_type="application/x-www-form-urlencoded",
        headers=headers,
    )
    assert error(twice) == (400, "invalid_request")
    beside = provider.http().post("/device_authorization?scope=openid", data={"scope": "openid"}, headers=headers)
    assert error(beside) == (400, "invalid_request")
    assert provider.http().get("/device_authorization", headers=headers).status_code == 405


@pytest.mark.holds("RFC8628-3.1-1")
def test_only_registered_authenticated_clients_may_ask(provider: Provider, kiosk: Portal) -> None:
    nobody = provider.http().post("/device_authorization", data={"scope": "openid", "client_id": kiosk.client_id})
    assert error(nobody) == (401, "invalid_client")
    other = provider.portal()
    assert error(ask(other)) == (400, "unauthorized_client")
    assert error(poll(other, {"device_code": "anything"})) == (400, "unauthorized_client")


@pytest.mark.holds("RFC8628-4-1")
def test_metadata_names_the_endpoint_and_the_grant(provider: Provider) -> None:
    metadata = provider.http().get("/.well-known/openid-configuration").get_json()
    assert metadata["device_authorization_endpoint"] == f"{provider.settings.issuer}/device_authorization"
    assert GRANT in metadata["grant_types_supported"]


# --- the whole way ------------------------------------------------------------------------------------------------


@pytest.mark.holds("RFC8628-3.3-1", "RFC8628-3.4-1", "RFC8628-3.5-1")
def test_device_is_signed_in_once_the_citizen_said_yes(
    provider: Provider, kiosk: Portal, browser: Browser, person: Person
) -> None:
    device = asked(kiosk, scope="openid name", acr_values="loa2", nonce="of-the-kiosk")
    assert error(poll(kiosk, device)) == (400, "authorization_pending")
    page = enter(browser, device["user_code"])
    assert page.ids["confirm-shown"] == device["user_code"]
    assert "Portal" in page.text or "Cổng" in page.text
    end = go_on(browser, person)
    assert "device-approved" in end.ids
    response = poll(kiosk, device)
    assert response.status_code == 200
    tokens = response.get_json()
    assert tokens["token_type"] == "Bearer"
    claims = kiosk.claims(tokens)
    assert (claims["acr"], claims["nonce"]) == ("loa2", "of-the-kiosk")
    userinfo = kiosk.userinfo(tokens["access_token"]).get_json()
    assert (userinfo["sub"], userinfo["name"]) == (claims["sub"], person.full_name)


def test_warm_session_still_needs_an_explicit_yes(
    kiosk: Portal, provider: Provider, browser: Browser, person: Person
) -> None:
    kiosk.sign_in(browser, person)
    device = asked(kiosk, prompt="none")
    page = enter(browser, device["user_code"])
    assert page.step == "confirm"
    assert person.full_name in page.text
    browser.get(f"/signin/{page.handle}")
    assert browser.page is not None
    assert browser.page.step == "confirm"
    assert error(poll(kiosk, device)) == (400, "authorization_pending")
    assert "device-approved" in go_on(browser).ids
    assert poll(kiosk, device).status_code == 200


@pytest.mark.holds("RFC8628-3.3.1-1", "RFC8628-5.4-1")
def test_complete_address_fills_in_the_code_and_skips_nothing(kiosk: Portal, browser: Browser, person: Person) -> None:
    kiosk.sign_in(browser, person)
    device = asked(kiosk)
    page = browser.get(device["verification_uri_complete"].removeprefix(browser.origin))
    assert page.forms["device-form"].fields["user_code"] == device["user_code"]
    page = browser.submit("device-form")
    assert page.step == "confirm"
    assert page.ids["confirm-shown"] == device["user_code"]
    assert error(poll(kiosk, device)) == (400, "authorization_pending")


@pytest.mark.holds("RFC8628-3.3-2")
@pytest.mark.parametrize(
    "change", [str.lower, lambda code: code.replace("-", " "), lambda code: f"  {code[:2]} {code[2:]}- "]
)
def test_code_is_read_as_people_type_it(kiosk: Portal, browser: Browser, change: Any) -> None:
    device = asked(kiosk)
    assert enter(browser, change(device["user_code"])).step == "confirm"


def test_events_and_ledger_are_written(provider: Provider, kiosk: Portal, browser: Browser, person: Person) -> None:
    device = asked(kiosk, scope="openid name")
    say_yes(browser, device, person)
    assert poll(kiosk, device).status_code == 200
    client_id = row(provider, device).client_id
    names = provider.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id))
    assert {Event.CODE_ISSUED, Event.TOKEN_ISSUED, Event.CONSENT_GIVEN} <= set(names)
    of_client = provider.scalars(sa.select(AuditEvent.name).where(AuditEvent.client_id == client_id))
    assert {Event.DECOUPLED_ASKED, Event.DEVICE_CONFIRMED} <= set(of_client)
    [line] = provider.scalars(sa.select(Disclosure).where(Disclosure.citizen_id == person.id))
    assert line.client_id == client_id
    assert "name" in line.claims.split()


# --- no -----------------------------------------------------------------------------------------------------------


@pytest.mark.holds("RFC8628-3.5-1")
def test_this_was_not_me_tells_the_device(provider: Provider, kiosk: Portal, browser: Browser) -> None:
    device = asked(kiosk)
    enter(browser, device["user_code"])
    page = browser.submit("confirm-form", decision="deny")
    assert "device-denied" in page.ids
    assert error(poll(kiosk, device)) == (400, "access_denied")
    assert "device-denied" in browser.get(page.path).ids
    denied = sa.select(AuditEvent).where(
        AuditEvent.name == Event.DECOUPLED_DENIED, AuditEvent.client_id == row(provider, device).client_id
    )
    assert provider.scalars(denied)


def test_refusing_consent_tells_the_device(kiosk: Portal, browser: Browser, person: Person) -> None:
    device = asked(kiosk, scope="openid email")
    enter(browser, device["user_code"])
    browser.submit("confirm-form", decision="continue")
    browser.submit("login-form", number=person.number, password=person.password)
    page = browser.submit("consent-form", decision="deny")
    assert "device-denied" in page.ids
    assert error(poll(kiosk, device)) == (400, "access_denied")


def test_cancelling_on_the_way_tells_the_device(kiosk: Portal, browser: Browser) -> None:
    device = asked(kiosk)
    enter(browser, device["user_code"])
    browser.submit("confirm-form", decision="continue")
    assert "device-denied" in browser.cancel().ids
    assert error(poll(kiosk, device)) == (400, "access_denied")


def test_level_that_is_essential_and_out_of_reach_tells_the_device(
    provider: Provider, kiosk: Portal, browser: Browser
) -> None:
    poor = provider.citizen(totp=False)
    device = asked(kiosk, claims='{"id_token":{"acr":{"essential":true,"value":"loa2"}}}')
    enter(browser, device["user_code"])
    browser.submit("confirm-form", decision="continue")
    page = browser.submit("login-form", number=poor.number, password=poor.password)
    assert page.error_code == "ID-006"
    assert error(poll(kiosk, device)) == (400, "access_denied")


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.holds("RFC8628-3.5-1")
def test_polling_too_soon_slows_down_for_good(provider: Provider, kiosk: Portal) -> None:
    device = asked(kiosk)
    assert error(poll(kiosk, device)) == (400, "authorization_pending")
    assert error(poll(kiosk, device)) == (400, "slow_down")
    wait(provider, device, seconds=5)
    # Ten seconds are due now.
    assert error(poll(kiosk, device)) == (400, "slow_down")
    wait(provider, device, seconds=10)
    assert error(poll(kiosk, device)) == (400, "slow_down")
    wait(provider, device, seconds=20)
    assert error(poll(kiosk, device)) == (400, "authorization_pending")


def test_polling_at_the_interval_is_never_too_soon(provider: Provider, kiosk: Portal) -> None:
    device = asked(kiosk)
    for _ in range(3):
        assert error(poll(kiosk, device)) == (400, "authorization_pending")
        wait(provider, device, seconds=4.8)


@pytest.mark.holds("RFC8628-3.3-2", "RFC8628-3.5-1")
def test_expired_code_is_good_for_nobody(provider: Provider, kiosk: Portal, browser: Browser, person: Person) -> None:
    device = asked(kiosk)
    wait(provider, device, seconds=601)
    assert error(poll(kiosk, device)) == (400, "expired_token")
    page = enter(browser, device["user_code"])
    assert page.status == 400
    assert "user_code-error" in page.ids


def test_request_that_expires_on_the_pages_ends_with_a_page(
    provider: Provider, kiosk: Portal, browser: Browser, person: Person
) -> None:
    device = asked(kiosk)
    enter(browser, device["user_code"])
    browser.submit("confirm-form", decision="continue")
    wait(provider, device, seconds=601)
    browser.submit("login-form", number=person.number, password=person.password)
    page = browser.submit("consent-form", decision="allow")
    assert page.error_code == "ID-102"
    assert error(poll(kiosk, device)) == (400, "expired_token")


def test_confirmation_of_an_expired_request_says_so(provider: Provider, kiosk: Portal, browser: Browser) -> None:
    device = asked(kiosk)
    page = enter(browser, device["user_code"])
    wait(provider, device, seconds=601)
    assert browser.get(page.path).error_code == "ID-102"


def test_approval_that_was_never_fetched_expires_with_the_request(
    provider: Provider, kiosk: Portal, browser: Browser, person: Person
) -> None:
    device = asked(kiosk)
    say_yes(browser, device, person)
    from idp.oidc.models import AuthorizationCode

    provider.age(AuthorizationCode, AuthorizationCode.citizen_id == person.id, seconds=601)
    wait(provider, device, seconds=601)
    assert error(poll(kiosk, device)) == (400, "expired_token")


# --- one answer, one token ------------------------------------------------------------------------------------------


@pytest.mark.holds("RFC8628-3.4-1")
def test_device_code_buys_one_token_and_a_replay_ends_it(
    provider: Provider, kiosk: Portal, browser: Browser, person: Person
) -> None:
    device = asked(kiosk)
    say_yes(browser, device, person)
    tokens = poll(kiosk, device).get_json()
    assert kiosk.userinfo(tokens["access_token"]).status_code == 200
    assert error(poll(kiosk, device)) == (400, "invalid_grant")
    assert kiosk.userinfo(tokens["access_token"]).status_code == 401
    assert len(provider.scalars(sa.select(AccessToken).where(AccessToken.citizen_id == person.id))) == 1


@pytest.mark.holds("RFC8628-3.4-1")
def test_device_code_of_another_client_is_refused(
    provider: Provider, kiosk: Portal, browser: Browser, person: Person
) -> None:
    other = provider.portal(grant_types=["authorization_code", GRANT])
    device = asked(kiosk)
    say_yes(browser, device, person)
    assert error(poll(other, device)) == (400, "invalid_grant")
    assert row(provider, device).polled_at is None
    assert poll(kiosk, device).status_code == 200


def test_device_code_is_no_authorization_code_and_no_auth_req_id(
    kiosk: Portal, browser: Browser, person: Person
) -> None:
    device = asked(kiosk)
    say_yes(browser, device, person)
    for secret in (device["device_code"], device["user_code"]):
        assert error(kiosk.redeem(secret)) == (400, "invalid_grant")
        assert error(kiosk.redeem(secret, redirect_uri="")) == (400, "invalid_request")
    assert poll(kiosk, device).status_code == 200


@pytest.mark.parametrize("form", [{"device_code": ""}, {"device_code": "x" * 43}])
def test_unknown_and_missing_device_codes(kiosk: Portal, form: dict[str, str]) -> None:
    expected = "invalid_grant" if form["device_code"] else "invalid_request"
    assert error(poll(kiosk, {"device_code": ""}, **form)) == (400, expected)


def test_second_browser_is_told_that_the_code_was_used(
    provider: Provider, kiosk: Portal, browser: Browser, person: Person
) -> None:
    device = asked(kiosk)
    second = provider.browser()
    page = enter(second, device["user_code"])
    third = provider.browser()
    enter(third, device["user_code"])
    third.submit("confirm-form", decision="continue")
    stranger = provider.citizen()
    third.submit("login-form", number=stranger.number, password=stranger.password)
    say_yes(browser, device, person)
    # At the end, on the confirmation, and at the field for the code.
    assert third.submit("consent-form", decision="allow").error_code == "ID-101"
    assert second.get(page.path).error_code == "ID-101"
    late = enter(provider.browser(), device["user_code"])
    assert late.status == 400
    assert "user_code-error" in late.ids
    sub = kiosk.claims(poll(kiosk, device).get_json())["sub"]
    assert sub == kiosk.sign_in(browser, person)["sub"]


def test_cancelling_after_another_browser_approved_changes_nothing(
    provider: Provider, kiosk: Portal, browser: Browser, person: Person
) -> None:
    device = asked(kiosk)
    second = provider.browser()
    enter(second, device["user_code"])
    second.submit("confirm-form", decision="continue")
    say_yes(browser, device, person)
    assert second.cancel().error_code == "ID-101"
    assert poll(kiosk, device).status_code == 200


def test_last_page_may_be_loaded_again(kiosk: Portal, browser: Browser, person: Person) -> None:
    device = asked(kiosk)
    page = say_yes(browser, device, person)
    assert "device-approved" in browser.get(page.path).ids
    assert poll(kiosk, device).status_code == 200
    assert "device-approved" in browser.get(page.path).ids


def test_sign_out_before_the_device_asks_ends_it(
    provider: Provider, kiosk: Portal, browser: Browser, person: Person
) -> None:
    device = asked(kiosk)
    say_yes(browser, device, person)
    browser.get("/logout")
    browser.submit("logout-form")
    assert error(poll(kiosk, device)) == (400, "access_denied")
    assert provider.scalars(sa.select(AccessToken).where(AccessToken.citizen_id == person.id)) == []


# --- out of order, and from elsewhere ---------------------------------------------------------------------------------


def test_addresses_typed_out_of_order_lead_to_the_confirmation(kiosk: Portal, browser: Browser) -> None:
    page = enter(browser, asked(kiosk)["user_code"])
    for step in ("login", "code", "consent", "notice", "account"):
        assert browser.get(f"/signin/{page.handle}/{step}").step == "confirm"


def test_confirmation_without_the_flow_cookie_is_lost(provider: Provider, kiosk: Portal, browser: Browser) -> None:
    page = enter(browser, asked(kiosk)["user_code"])
    assert provider.browser().get(page.path).error_code == "ID-001"


def test_confirmation_page_of_an_ordinary_sign_in_is_not_served(kiosk: Portal, browser: Browser) -> None:
    page = browser.get(kiosk.address())
    assert browser.get(f"/signin/{page.handle}/confirm").step == "login"


def test_forged_yes_is_refused(provider: Provider, kiosk: Portal, browser: Browser, person: Person) -> None:
    kiosk.sign_in(browser, person)
    device = asked(kiosk)
    page = enter(browser, device["user_code"])
    _, fields = browser.form("confirm-form", decision="continue")
    forged = browser.post(page.path, fields | {"csrf": "another"})
    assert forged.error_code == "ID-008"
    browser.get(page.path)
    from_elsewhere = browser.post(page.path, fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert from_elsewhere.error_code == "ID-008"
    assert error(poll(kiosk, device)) == (400, "authorization_pending")


def test_code_sent_by_another_site_is_refused(kiosk: Portal, browser: Browser) -> None:
    device = asked(kiosk)
    page = browser.post("/device", {"user_code": device["user_code"]}, headers={"Sec-Fetch-Site": "cross-site"})
    assert page.error_code == "ID-008"


def test_yes_shown_to_nobody_is_not_the_yes_of_who_signed_in_since(
    kiosk: Portal, browser: Browser, person: Person
) -> None:
    page = enter(browser, asked(kiosk)["user_code"])
    action, fields = browser.form("confirm-form", decision="continue")
    kiosk.arrive(browser, person)
    shown_again = browser.post(action, fields)
    assert shown_again.path == page.path
    assert person.full_name in shown_again.text


def test_suspended_client_ends_with_a_page(provider: Provider, browser: Browser) -> None:
    from idp.agencies.models import Client

    portal = provider.portal(grant_types=["authorization_code", GRANT])
    device = asked(portal)
    provider.run(sa.update(Client).where(Client.client_id == portal.client_id).values(state="suspended"))
    provider.forget_caches()
    assert enter(browser, device["user_code"]).error_code == "PR-005"


# --- guessing -----------------------------------------------------------------------------------------------------


def from_address(provider: Provider, address: str) -> Browser:
    browser = provider.browser()
    browser._client.environ_base["REMOTE_ADDR"] = address
    return browser


@pytest.mark.holds("RFC8628-5.1-1", "RFC6749-10.10-2")
def test_guessing_codes_ends_after_so_many_from_one_address(provider: Provider, kiosk: Portal) -> None:
    guesser = from_address(provider, "198.51.100.23")
    for _ in range(ENTRIES_FROM_ONE_ADDRESS):
        assert guesser.post("/device", {"user_code": "BCDF-GHJK"}).status == 400
    right = asked(kiosk)["user_code"]
    refused = guesser.post("/device", {"user_code": right})
    assert refused.status == 429
    assert int(refused.response.headers["Retry-After"]) > 0
    # A right code looks no better than a wrong one from there, and works from elsewhere.
    assert guesser.post("/device", {"user_code": "BCDF-GHJK"}).text == refused.text
    assert enter(from_address(provider, "198.51.100.24"), right).step == "confirm"


@pytest.mark.holds("RFC8628-5.1-1")
def test_guessing_codes_in_one_session_ends_after_ten(provider: Provider, kiosk: Portal, person: Person) -> None:
    guesser = from_address(provider, "203.0.113.1")
    kiosk.sign_in(guesser, person)
    for number in range(10):
        guesser._client.environ_base["REMOTE_ADDR"] = f"203.0.113.{number + 2}"
        assert guesser.post("/device", {"user_code": "BCDF-GHJK"}).status == 400
    guesser._client.environ_base["REMOTE_ADDR"] = "203.0.113.99"
    assert guesser.post("/device", {"user_code": asked(kiosk)["user_code"]}).status == 429


@pytest.mark.parametrize("typed", ["", "   ", "ABCD-EFGH", "BCDF", "B" * 500, "<script>", "ĐĐĐĐ", "\u202e" * 8])
def test_what_is_no_code_is_said_at_the_field(provider: Provider, typed: str) -> None:
    browser = from_address(provider, "203.0.113.200")
    page = browser.post("/device", {"user_code": typed})
    assert page.status == 400
    assert "user_code-error" in page.ids
    assert "<script>" not in page.html
