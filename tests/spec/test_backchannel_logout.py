"""OpenID Connect Back-Channel Logout 1.0 (L5 of the requirements)."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from jose import jwt
from joserfc import jwe
from joserfc.jwk import RSAKey

from idp.agencies import document
from idp.agencies.reading import DocumentRefused
from idp.audit.models import AuditEvent
from idp.oidc.logout import backchannel
from idp.sso.models import LogoutDelivery
from tests.browser import Browser, Page
from tests.listener import Listener, Received, listening, register
from tests.provider import Person, Portal, Provider

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as opened:
        yield opened


@pytest.fixture
def portal(provider: Provider, listener: Listener) -> Portal:
    """Return a portal of its own for each test: a breaker must not open into the next one."""
    made = provider.portal()
    register(made, backchannel_logout_uri=f"{listener.url}/backchannel?tenant=7")
    return made


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


def sign_out(browser: Browser) -> Page:
    browser.get("/logout?lang=en")
    return browser.submit("logout-form")


def delivery_of(provider: Provider, portal: Portal) -> LogoutDelivery:
    client = provider.services.clients.find(portal.client_id)
    assert client is not None
    [row] = provider.scalars(sa.select(LogoutDelivery).where(LogoutDelivery.client_id == client.id))
    assert isinstance(row, LogoutDelivery)
    return row


def verified(portal: Portal, received: Received) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims once python-jose, a second implementation, has verified the token."""
    header = jwt.get_unverified_header(received.token)
    [key] = [key for key in portal.provider.jwks() if key["kid"] == header["kid"]]
    issuer = portal.provider.settings.issuer
    claims = jwt.decode(received.token, key, algorithms=[header["alg"]], audience=portal.client_id, issuer=issuer)
    return header, claims


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.holds("L5", "BCL-2.4-1", "BCL-2.4-2", "BCL-2.4-3", "BCL-2.5-1", "RIL-2-6")
def test_the_client_is_told_with_a_token_like_its_id_tokens(
    provider: Provider, portal: Portal, listener: Listener, browser: Browser, person: Person, algorithm: str
) -> None:
    register(portal, id_token_algorithm=algorithm)
    id_token = portal.tokens(portal.arrive(browser, person))["id_token"]
    known = jwt.get_unverified_claims(id_token)
    before = int(time.time())
    page = sign_out(browser)
    [received] = listener.received
    assert received.path == "/backchannel?tenant=7"
    assert received.content_type == "application/x-www-form-urlencoded"
    assert list(received.form) == ["logout_token"]
    header, claims = verified(portal, received)
    assert (header["alg"], header["typ"]) == (algorithm, "logout+jwt")
    assert set(claims) == {"iss", "sub", "aud", "iat", "exp", "jti", "events", "sid"}
    assert claims["iss"] == provider.settings.issuer
    assert claims["aud"] == portal.client_id
    assert claims["events"] == {EVENT: {}}
    assert (claims["sub"], claims["sid"]) == (known["sub"], known["sid"])
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == 120
    assert "1 of 1" in page.ids["signed-out-count"]
    assert delivery_of(provider, portal).state == "confirmed"


@pytest.mark.holds("L5", "BCL-2.1-1", "FCL-3-1")
def test_every_id_token_of_a_registered_client_names_the_session(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    first, second = portal.sign_in(browser, person), portal.sign_in(browser, person)
    assert first["sid"] == second["sid"]
    other = provider.portal()
    register(other, frontchannel_logout_uri="https://other.example/front")
    assert other.sign_in(browser, person)["sid"] != first["sid"]
    assert "sid" not in provider.portal().sign_in(browser, person)
    assert portal.sign_in(provider.browser(), person)["sid"] != first["sid"]


@pytest.mark.holds("BCL-2.4-1")
def test_two_tokens_never_share_their_jti(
    portal: Portal, listener: Listener, provider: Provider, person: Person
) -> None:
    for _ in range(2):
        browser = provider.browser()
        portal.arrive(browser, person)
        sign_out(browser)
    first, second = (verified(portal, received)[1] for received in listener.received)
    assert first["jti"] != second["jti"]
    assert first["sid"] != second["sid"]


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [(200, "confirmed", "Signed out"), (204, "confirmed", "Signed out"), (400, "refused", "Not confirmed")],
)
@pytest.mark.holds("BCL-2.5-2", "BCL-2.8-1")
def test_what_the_client_answers_is_recorded(
    provider: Provider,
    portal: Portal,
    listener: Listener,
    browser: Browser,
    person: Person,
    status: int,
    state: str,
    words: str,
) -> None:
    listener.status = status
    portal.arrive(browser, person)
    page = sign_out(browser)
    assert words in page.text
    row = delivery_of(provider, portal)
    assert (row.state, row.outcome, row.attempts, row.due_at) == (state, f"status {status}", 1, None)
    assert row.finished_at is not None
    events = provider.scalars(sa.select(AuditEvent).where(AuditEvent.session_id == row.session_id))
    assert [event.outcome for event in events if event.name == f"oidc:logout:{state}"] == [f"status {status}"]


@pytest.mark.parametrize("status", [302, 307, 401, 404, 500, 503])
@pytest.mark.holds("BCL-2.5-2", "BCL-2.5-3", "BCL-2.8-1")
def test_whatever_else_it_answers_is_tried_again(
    provider: Provider, portal: Portal, listener: Listener, browser: Browser, person: Person, status: int
) -> None:
    listener.status = status
    listener.location = f"{listener.url}/elsewhere" if status < 400 else None
    portal.arrive(browser, person)
    page = sign_out(browser)
    assert "No answer yet" in page.text
    assert "0 of 1" in page.ids["signed-out-count"]
    assert [received.path for received in listener.received] == ["/backchannel?tenant=7"], "a redirect was followed"
    row = delivery_of(provider, portal)
    assert (row.state, row.attempts, row.finished_at) == ("pending", 1, None)
    assert row.outcome == ("redirect" if status < 400 else f"status {status}")
    assert row.due_at is not None


@pytest.mark.holds("BCL-2.5-2", "BCL-2.3-1", "RIL-2-6")
def test_a_client_that_hangs_holds_nobody(
    provider: Provider, portal: Portal, listener: Listener, browser: Browser, person: Person
) -> None:
    with listening() as quick:
        other = provider.portal()
        register(other, backchannel_logout_uri=f"{quick.url}/out")
        for signing_in in (portal, other):
            signing_in.arrive(browser, person)
        listener.hold.clear()
        start = time.monotonic()
        page = sign_out(browser)
        assert time.monotonic() - start < backchannel.WAIT_SECONDS + 2
        assert len(quick.received) == 1
        assert "1 of 2" in page.ids["signed-out-count"]
        assert "No answer yet" in page.text
        assert not browser.cookies().get("__Host-sid")
        listener.hold.set()
        again = [link for link in page.links if "again=1" in link]
        for _ in range(50):
            page = browser.get(again[0])
            if "2 of 2" in page.ids["signed-out-count"]:
                break
            time.sleep(0.1)
        assert "2 of 2" in page.ids["signed-out-count"]
        assert "look-again" not in page.ids


def test_the_citizen_goes_straight_back_when_all_have_confirmed(
    portal: Portal, listener: Listener, browser: Browser, person: Person
) -> None:
    hint = portal.tokens(portal.arrive(browser, person))["id_token"]
    [address] = portal.document["post_logout_redirect_uris"]
    asked = {"id_token_hint": hint, "post_logout_redirect_uri": address, "state": "s"}
    browser.get("/logout", query_string=asked)
    assert browser.submit("logout-form").left_for == f"{address}?state=s"
    assert len(listener.received) == 1


def test_the_citizen_learns_of_a_service_that_has_not_confirmed_and_then_goes_back(
    portal: Portal, listener: Listener, browser: Browser, person: Person
) -> None:
    listener.status = 500
    hint = portal.tokens(portal.arrive(browser, person))["id_token"]
    [address] = portal.document["post_logout_redirect_uris"]
    browser.get("/logout", query_string={"id_token_hint": hint, "post_logout_redirect_uri": address, "state": "s"})
    page = browser.submit("logout-form")
    assert page.left_for is None
    assert f"{address}?state=s" in page.links
    assert "Refresh" not in page.response.headers


def test_the_page_is_nobody_elses_and_not_for_long(
    provider: Provider, portal: Portal, listener: Listener, browser: Browser, person: Person, monkeypatch: Any
) -> None:
    listener.status = 500
    portal.arrive(browser, person)
    page = sign_out(browser)
    address = page.path
    client = provider.services.clients.find(portal.client_id)
    assert client is not None
    sealed = address.partition("result=")[2]
    for secret in (client.id.hex, portal.client_id, person.id.hex):
        raw = base64.urlsafe_b64decode(sealed.rpartition(".")[2] + "==")
        assert secret not in address
        assert secret.encode() not in raw
    altered = f"/logout/done?result={sealed[:-3]}AAA"
    page = browser.get(altered)
    assert "signed-out-count" not in page.ids
    assert browser.get("/logout/done").status == 200
    from idp.core import clock

    later = clock.now().timestamp() + 3_600
    monkeypatch.setattr("idp.core.clock.epoch", lambda instant: int(later))
    assert "signed-out-count" not in browser.get(address).ids


@pytest.mark.holds("BCL-2.3-1")
def test_a_session_that_ends_otherwise_is_told_too(
    provider: Provider, portal: Portal, listener: Listener, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    browser.get(portal.address(prompt="select_account"))
    browser.submit("account-form", decision="other")
    row = delivery_of(provider, portal)
    assert (row.state, row.attempts) == ("pending", 0)
    assert listener.received == []


def test_a_session_whose_time_is_over_can_still_be_signed_out_elsewhere(
    provider: Provider, portal: Portal, listener: Listener, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    provider.let_pass(person, hours=20)
    sign_out(browser)
    assert len(listener.received) == 1


@pytest.mark.holds("BCL-4-1", "RFC8725-3.12-1")
def test_a_logout_token_is_no_hint(
    provider: Provider, portal: Portal, listener: Listener, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    sign_out(browser)
    token = listener.received[0].token
    assert browser.get("/logout", query_string={"id_token_hint": token}).error_code == "PR-006"
    page = browser.get(portal.address(prompt="none", id_token_hint=token))
    assert "error=invalid_request" in (page.left_for or "")


@pytest.mark.holds("BCL-2.1-1")
def test_metadata_says_so(provider: Provider) -> None:
    metadata = provider.http().get("/.well-known/openid-configuration").get_json()
    assert metadata["backchannel_logout_supported"] is True
    assert metadata["backchannel_logout_session_supported"] is True


@pytest.mark.holds("BCL-2.4-3")
def test_the_header_is_that_of_the_spec(portal: Portal, listener: Listener, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person)
    sign_out(browser)
    header = json.loads(base64.urlsafe_b64decode(listener.received[0].token.split(".")[0] + "=="))
    assert set(header) == {"alg", "kid", "typ"}


@pytest.mark.holds("BCL-2.4-4")
def test_the_token_is_encrypted_where_id_tokens_are(
    portal: Portal, listener: Listener, browser: Browser, person: Person
) -> None:
    key = RSAKey.generate_key(2048, {"kid": "enc-1", "use": "enc", "alg": "RSA-OAEP-256"})
    register(
        portal,
        jwks={"keys": [key.as_dict(private=False)]},
        id_token_encryption={"alg": "RSA-OAEP-256", "enc": "A256GCM"},
    )
    portal.arrive(browser, person)
    sign_out(browser)
    opened = jwe.decrypt_compact(listener.received[0].token, key, algorithms=["RSA-OAEP-256", "A256GCM"])
    assert opened.headers()["cty"] == "JWT"
    inner = Received("", "", {"logout_token": [(opened.plaintext or b"").decode()]})
    header, claims = verified(portal, inner)
    assert header["typ"] == "logout+jwt"
    assert claims["events"] == {EVENT: {}}


@pytest.mark.parametrize("is_required", [False, True])
@pytest.mark.holds("BCL-2.2-2")
def test_the_session_is_named_whether_the_client_asked_for_it_or_not(
    portal: Portal, listener: Listener, browser: Browser, person: Person, is_required: bool
) -> None:
    register(portal, wants_backchannel_sid=is_required)
    claims = portal.sign_in(browser, person)
    sign_out(browser)
    assert verified(portal, listener.received[0])[1]["sid"] == claims["sid"]


@pytest.mark.holds("BCL-2.2-1")
def test_the_address_is_absolute_without_fragment_and_https_in_production(provider: Provider) -> None:
    whole = {**provider.portal().document, "client_id": "logout-address"}
    for address in ("/out", "https://a.example/out#x", "ftp://a.example/out", "https://u:p@a.example/out"):
        with pytest.raises(DocumentRefused, match="backchannel_logout_uri"):
            document.read({**whole, "backchannel_logout_uri": address}, source="x", is_sandbox=True)
    plain = {**whole, "backchannel_logout_uri": "http://127.0.0.1:9/out"}
    assert document.read(plain, source="x", is_sandbox=True)
    with pytest.raises(DocumentRefused, match="backchannel_logout_uri"):
        document.read(plain, source="x", is_sandbox=False)
