"""RFC 6749, 4.1.3, 5.1, 5.2 and 10.5: codes are spent once, by whom they were issued to, as they were asked for."""

import secrets

import pytest
import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.core.ids import digest
from idp.oidc.models import AuthorizationCode
from tests.browser import Browser
from tests.provider import Person, Portal, Provider


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(
        redirect_uris=["https://muave.example/cb", "https://muave.example/other"],
        sector_identifier="muave.example",
    )


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture
def code(portal: Portal, browser: Browser, person: Person) -> str:
    return portal.arrive(browser, person)["code"]


@pytest.mark.holds("B25", "OIDCC-3.1.3-2", "RFC6749-4.1.4-1", "RFC6749-5.1-1")
def test_a_success_is_json_that_nobody_keeps(portal: Portal, code: str) -> None:
    response = portal.redeem(code)
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"
    body = response.get_json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "id_token"}
    assert body["token_type"] == "Bearer"
    assert body["scope"] == "openid"
    assert 0 < body["expires_in"] <= 31_536_000


@pytest.mark.holds("B24", "OIDCC-16-1", "RFC6749-4.1.2-2", "RFC6749-10.5-1", "FAPI2SP-5.3.2.2-5")
def test_a_second_use_is_refused_and_ends_what_the_first_gave(provider: Provider, portal: Portal, code: str) -> None:
    token = portal.redeem(code).get_json()["access_token"]
    assert portal.userinfo(token).status_code == 200
    provider.age(AuthorizationCode, AuthorizationCode.digest == digest(code), seconds=90)
    again = portal.redeem(code)
    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")
    assert portal.userinfo(token).status_code == 401
    events = provider.scalars(
        sa.select(AuditEvent).where(AuditEvent.name == Event.CODE_REPLAYED).order_by(AuditEvent.id)
    )
    assert events[-1].outcome == "revoked"


def test_a_second_use_by_another_client_changes_nothing(provider: Provider, portal: Portal, code: str) -> None:
    token = portal.redeem(code).get_json()["access_token"]
    assert provider.portal().redeem(code, redirect_uri=portal.redirect_uri).get_json()["error"] == "invalid_grant"
    assert portal.userinfo(token).status_code == 200


@pytest.mark.holds("F6", "RFC6749-4.1.2-1", "FAPI2SP-5.3.2.2-5")
def test_an_expired_code_is_refused(provider: Provider, portal: Portal, code: str) -> None:
    assert provider.settings.code_lifetime <= 60
    provider.age(AuthorizationCode, AuthorizationCode.digest == digest(code), seconds=provider.settings.code_lifetime)
    refused = portal.redeem(code)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")


@pytest.mark.holds("F6", "OIDCC-3.1.3-1", "RFC6749-4.1.2-3", "RFC6749-4.1.3-1", "FAPI2SP-5.3.2.1-9")
def test_a_code_of_another_client_is_refused_and_stays_good(provider: Provider, portal: Portal, code: str) -> None:
    other = provider.portal()
    stolen = other.redeem(code, redirect_uri=portal.redirect_uri, code_verifier=portal.verifier)
    assert (stolen.status_code, stolen.get_json()["error"]) == (400, "invalid_grant")
    assert portal.redeem(code).status_code == 200


@pytest.mark.parametrize(
    "redirect_uri", ["https://muave.example/other", "https://muave.example/cb/", "https://evil.example/"]
)
@pytest.mark.holds("F6", "OIDCC-3.1.3-1", "RFC6749-4.1.2-3", "RFC6749-4.1.3-2", "RFC6749-10.6-1")
def test_another_redirect_uri_is_refused(portal: Portal, code: str, redirect_uri: str) -> None:
    refused = portal.redeem(code, redirect_uri=redirect_uri)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    assert portal.redeem(code).get_json()["error"] == "invalid_grant"


def test_a_code_dies_when_the_citizen_signs_out(portal: Portal, browser: Browser, person: Person) -> None:
    code = portal.arrive(browser, person)["code"]
    browser.get("/logout")
    browser.submit("logout-form")
    assert portal.redeem(code).get_json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": None}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
        ({"code": "unheard-of"}, "invalid_grant"),
        ({"code": "c" * 30_000}, "invalid_grant"),
        ({"code": "đ"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "authorization_code "}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "unauthorized_client"),
        ({"grant_type": "password", "username": "x", "password": "y"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"}, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "unauthorized_client"),
    ],
)
@pytest.mark.holds(
    "B25",
    "OIDCC-3.1.3-2",
    "RFC6749-4.1.3-2",
    "RFC6749-4.1.4-1",
    "RFC6749-4.3-1",
    "RFC6749-4.4-1",
    "RFC6749-4.5-1",
    "RFC6749-5.2-1",
    "RFC7521-4.1-1",
    "RFC7523-2.1-1",
    "RFC9700-2.4-1",
    "RFC9700-4.15-1",
)
def test_a_wrong_request_is_a_json_error(portal: Portal, code: str, changes: dict[str, str | None], error: str) -> None:
    response = portal.redeem(**{"code": code, **changes})
    assert (response.status_code, response.get_json()["error"]) == (400, error)
    assert response.mimetype == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert set(response.get_json()) == {"error", "error_description"}
    # The code was not touched.
    assert portal.redeem(code).status_code == 200


@pytest.mark.parametrize("name", ["grant_type", "code", "redirect_uri", "code_verifier", "client_id", "extra"])
@pytest.mark.holds("RFC6749-3.2-1")
def test_a_parameter_given_twice_is_refused(provider: Provider, portal: Portal, code: str, name: str) -> None:
    form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", portal.redirect_uri),
        ("code_verifier", portal.verifier),
        ("client_id", portal.client_id),
        ("extra", "1"),
    ]
    from urllib.parse import urlencode

    response = provider.http().post(
        "/token",
        data=urlencode([*form, *[pair for pair in form if pair[0] == name]]),
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": portal.basic()},
    )
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")
    assert portal.redeem(code).status_code == 200


@pytest.mark.holds("RFC6749-2.3.1-2", "RFC6749-3.2-1")
def test_parameters_in_the_query_are_refused(provider: Provider, portal: Portal, code: str) -> None:
    query = {"grant_type": "authorization_code", "code": code, "redirect_uri": portal.redirect_uri}
    headers = {"Authorization": portal.basic()}
    for response in (
        provider.http().post("/token", query_string=query, headers=headers),
        provider.http().post("/token", query_string={"x": "1"}, data=query, headers=headers),
        provider.http().get("/token", query_string=query, headers=headers),
    ):
        assert response.status_code in (400, 405)
        assert response.get_json()["error"] == "invalid_request"
    assert portal.redeem(code).status_code == 200


@pytest.mark.holds("RFC6749-3.2-1")
def test_unknown_parameters_are_ignored(portal: Portal, code: str) -> None:
    assert portal.redeem(code, scope="openid email", foo="bar").status_code == 200


def test_a_code_dies_when_the_account_is_disabled(provider: Provider, portal: Portal, browser: Browser) -> None:
    person = provider.citizen()
    code = portal.arrive(browser, person)["code"]
    person.set(state="disabled")
    response = portal.redeem(code)
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_grant")


def test_a_suspended_client_gets_nothing(provider: Provider, browser: Browser, person: Person) -> None:
    from idp.agencies import apply

    stopped = provider.portal()
    code = stopped.arrive(browser, person)["code"]
    with provider.app.app_context():
        apply.suspend(stopped.client_id)
    provider.forget_caches()
    assert stopped.redeem(code).get_json()["error"] == "invalid_client"


@pytest.mark.holds("F6", "RFC6749-10.10-1", "FAPI2SP-5.4.1-2")
def test_codes_and_tokens_cannot_be_guessed_and_are_kept_as_digests(
    provider: Provider, portal: Portal, code: str
) -> None:
    rows = provider.scalars(sa.select(AuthorizationCode).where(AuthorizationCode.digest == digest(code)))
    assert len(rows) == 1
    assert all(code not in str(value) for value in vars(rows[0]).values())
    assert len(code) >= len(secrets.token_urlsafe(16))
