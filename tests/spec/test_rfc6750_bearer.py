"""RFC 6750: how an access token is presented, and what is said when it is not good."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from idp.agencies import apply
from idp.core.ids import digest
from idp.oidc.models import AccessToken
from tests.browser import Browser
from tests.provider import Person, Portal, Provider


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture
def token(portal: Portal, browser: Browser, person: Person) -> str:
    value: str = portal.tokens(portal.arrive(browser, person))["access_token"]
    return value


@pytest.mark.holds("B21", "RFC6750-3-1")
def test_no_token_is_answered_without_an_error_code(provider: Provider) -> None:
    response = provider.http().get("/userinfo")
    assert response.status_code == 401
    # RFC 6750, 3.1: no error code for a request without any authentication information.
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="userinfo", DPoP ')
    assert "error" not in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer " + "x" * 8_000,
        "Bearer {token} x",
        "Bearer {token},",
        "Bearer\t{token}",
        "Basic eDp5",
        "{token}",
        "Bearer {token}\xff",
        "Bearer \xc4\x91",
    ],
)
@pytest.mark.holds("B21", "OIDCC-5.3-6", "RFC6750-3-1", "RFC6750-3.1-1")
def test_a_token_that_is_not_good_is_invalid_token(provider: Provider, token: str, header: str) -> None:
    response = provider.http().get("/userinfo", headers={"Authorization": header.replace("{token}", token)})
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    assert response.get_json()["error"] == "invalid_token"
    assert token not in response.get_data(as_text=True)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
@pytest.mark.holds("RFC6750-2.1-1")
def test_the_scheme_is_known_in_any_case(provider: Provider, token: str, scheme: str) -> None:
    assert provider.http().get("/userinfo", headers={"Authorization": f"{scheme} {token}"}).status_code == 200


@pytest.mark.holds("RFC6750-2-1", "RFC6750-2.2-1", "RFC6750-2.3-1", "FAPI2SP-5.3.4-1")
def test_a_token_in_query_or_body_is_refused(provider: Provider, token: str) -> None:
    http, headers = provider.http(), {"Authorization": f"Bearer {token}"}
    answers = [
        http.get(f"/userinfo?access_token={token}"),
        http.post("/userinfo", data={"access_token": token}),
        http.get(f"/userinfo?access_token={token}", headers=headers),
        http.post("/userinfo", data={"access_token": token}, headers=headers),
    ]
    for response in answers:
        assert response.status_code in (400, 401)
        assert response.get_json()["error"] == "invalid_request"
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
        assert token not in response.get_data(as_text=True)


ENDINGS: list[Callable[[Provider, Person, str], Any]] = [
    lambda provider, person, token: provider.age(AccessToken, AccessToken.digest == digest(token), hours=1),
    lambda provider, person, token: person.set(state="disabled"),
]


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.holds("FAPI2SP-5.3.4-2")
def test_a_token_that_ended_is_invalid(
    provider: Provider, portal: Portal, person: Person, token: str, end: Callable[[Provider, Person, str], Any]
) -> None:
    assert portal.userinfo(token).status_code == 200
    end(provider, person, token)
    response = portal.userinfo(token)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_token")


def test_a_token_ends_when_the_client_is_suspended(provider: Provider, browser: Browser, person: Person) -> None:
    stopped = provider.portal()
    token = stopped.tokens(stopped.arrive(browser, person))["access_token"]
    with provider.app.app_context():
        apply.suspend(stopped.client_id)
    provider.forget_caches()
    response = stopped.userinfo(token)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_token")


def test_a_token_ends_when_the_citizen_signs_out(portal: Portal, browser: Browser, token: str) -> None:
    browser.get("/logout")
    browser.submit("logout-form")
    assert portal.userinfo(token).status_code == 401


@pytest.mark.holds("OIDCC-5.3-6", "RFC6750-3.1-1", "FAPI2SP-5.3.4-2")
def test_a_token_without_openid_is_insufficient(provider: Provider, portal: Portal, token: str) -> None:
    provider.run(sa.update(AccessToken).where(AccessToken.digest == digest(token)).values(scope="email"))
    response = portal.userinfo(token)
    assert (response.status_code, response.get_json()["error"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


@pytest.mark.holds("RFC8725-3.12-1")
def test_a_code_or_id_token_is_no_access_token(portal: Portal, browser: Browser, person: Person) -> None:
    answer = portal.arrive(browser, person)
    assert portal.userinfo(answer["code"]).status_code == 401
    assert portal.userinfo(portal.tokens(answer)["id_token"]).status_code == 401


@pytest.mark.holds("OIDCC-16-1", "RFC6749-10.3-1", "RFC6749-10.10-1")
def test_a_token_is_stored_as_a_digest_only(provider: Provider, token: str) -> None:
    rows = provider.scalars(sa.select(AccessToken).where(AccessToken.digest == digest(token)))
    assert len(rows) == 1
    assert len(token) >= 43
    assert all(token not in str(value) for value in vars(rows[0]).values())
