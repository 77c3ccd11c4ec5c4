"""OpenID Connect Core 1.0, 5.1, 5.3 and 5.4: UserInfo, the standard claims and their types."""

from typing import Any

import pytest

from tests.browser import Browser
from tests.provider import Person, Portal, Provider

STANDARD: dict[str, Any] = {
    "family_name": "Nguyễn",
    "given_name": "Hoà",
    "middle_name": "Thị",
    "nickname": "Hoà",
    "preferred_username": "hoa",
    "profile": "https://hoa.example/",
    "picture": "https://hoa.example/p.png",
    "website": "https://hoa.example/w",
    "zoneinfo": "Asia/Ho_Chi_Minh",
    "locale": "vi-VN",
    "email": "hoa@example.com",
    "email_verified": True,
    "phone_number": "+84301234567",
    "phone_number_verified": False,
    "address": {"formatted": "1 Tràng Tiền\nHà Nội", "country": "VN"},
}
SCOPES = "openid profile email address phone"


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope=f"{SCOPES} name birthdate gender idnum birthplace nationality")


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen(**STANDARD)


def userinfo_for(portal: Portal, browser: Browser, person: Person, scope: str) -> dict[str, Any]:
    tokens = portal.tokens(portal.arrive(browser, person, scope=scope))
    response = portal.userinfo(tokens["access_token"])
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    body: dict[str, Any] = response.get_json()
    assert body["sub"] == portal.claims(tokens)["sub"]
    return body


@pytest.mark.holds("B19", "B20", "OIDCC-5.1-1", "OIDCC-5.3-2", "OIDCC-5.3-4", "OIDCC-15.2-1")
def test_every_standard_claim_is_sent_with_its_type(portal: Portal, browser: Browser, person: Person) -> None:
    body = userinfo_for(portal, browser, person, SCOPES)
    body.pop("sub")
    updated_at = body.pop("updated_at")
    assert isinstance(updated_at, int)
    assert not isinstance(updated_at, bool)
    assert body == {**STANDARD, "name": person.full_name, "gender": "female", "birthdate": "1991-02-28"}


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", set()),
        ("openid email", {"email", "email_verified"}),
        ("openid phone", {"phone_number", "phone_number_verified"}),
        ("openid address", {"address"}),
        ("openid name", {"name", "family_name", "middle_name", "given_name"}),
        ("openid birthdate", {"birthdate"}),
        ("openid gender", {"gender"}),
        ("openid idnum", {"identification_number", "identification_number_scheme"}),
        ("openid birthplace nationality", set()),
    ],
)
@pytest.mark.holds("OIDCC-5.4-1", "FAPI2SP-5.3.2.1-11")
def test_a_scope_gives_its_claims_and_no_other(
    portal: Portal, browser: Browser, person: Person, scope: str, names: set[str]
) -> None:
    assert set(userinfo_for(portal, browser, person, scope)) == {"sub", *names}


@pytest.mark.holds("B18", "OIDCC-5.4-2")
def test_claims_of_scopes_are_not_in_the_id_token(portal: Portal, browser: Browser, person: Person) -> None:
    claims = portal.sign_in(browser, person, scope=SCOPES)
    assert not set(claims) & ({*STANDARD, "name", "gender", "birthdate", "updated_at"})


@pytest.mark.holds("B20", "OIDCC-5.1-1", "OIDCC-5.3-3")
def test_absent_claims_are_left_out(provider: Provider, portal: Portal, browser: Browser) -> None:
    bare = provider.citizen(gender=None, birthdate="1991")
    body = userinfo_for(portal, browser, bare, SCOPES)
    assert set(body) == {"sub", "name", "birthdate", "updated_at"}
    assert body["birthdate"] == "1991"
    assert all(value not in ("", None) for value in body.values())


@pytest.mark.holds("B21", "OIDCC-5.3-1", "OIDCC-15.2-1")
def test_userinfo_takes_get_and_post_with_the_header(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    token = portal.tokens(portal.arrive(browser, person, scope="openid email"))["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    got = provider.http().get("/userinfo", headers=headers)
    posted = provider.http().post("/userinfo", headers=headers)
    form = provider.http().post("/userinfo", headers=headers, data={"foo": "bar"})
    assert got.get_json() == posted.get_json() == form.get_json()
    assert got.headers["Cache-Control"] == "no-store"


def test_userinfo_says_what_is_known_now(provider: Provider, portal: Portal, browser: Browser) -> None:
    person = provider.citizen(email="old@example.com")
    token = portal.tokens(portal.arrive(browser, person, scope="openid email"))["access_token"]
    provider.citizen(number=person.number, email="new@example.com")
    assert portal.userinfo(token).get_json()["email"] == "new@example.com"


@pytest.mark.holds("OIDCC-5.1-2", "OIDCC-5.3-4")
def test_letters_arrive_as_they_are(portal: Portal, browser: Browser, person: Person) -> None:
    token = portal.tokens(portal.arrive(browser, person, scope="openid name"))["access_token"]
    raw = portal.userinfo(token).get_data()
    assert "Nguyễn Thị Hoà".encode() in raw
