"""What a portal does when LienKet says that a citizen has signed out elsewhere."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey

from clients.agency_login.sessions import MemorySessions, Person
from tests.unit.clients.conftest import Browser, make_app
from tests.unit.clients.scripted_provider import SUB, ScriptedProvider, sign

EVENT = "http://schemas.openid.net/event/backchannel-logout"
ADDRESS = "http://127.0.0.1/signin/backchannel-logout"


@pytest.fixture
def browser(provider: ScriptedProvider) -> Browser:
    provider.change_claims = lambda claims: {**claims, "sid": "sid-of-the-test"}
    browser = Browser(make_app(provider, backchannel_logout_uri=ADDRESS))
    assert browser.sign_in().status_code == 303
    assert browser.sub() == SUB
    return browser


def token(provider: ScriptedProvider, *, key: Any = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": provider.issuer,
        "aud": "portal",
        "iat": now,
        "exp": now + 120,
        "jti": f"jti-{time.perf_counter_ns()}",
        "sub": SUB,
        "sid": "sid-of-the-test",
        "events": {EVENT: {}},
        **changes,
    }
    members = {"typ": "logout+jwt", **(header or {})}
    present = {name: value for name, value in claims.items() if value is not None}
    return sign(present, **({"key": key} if key else {}), **members)


def told(browser: Browser, logout_token: str | None) -> int:
    form = {} if logout_token is None else {"logout_token": logout_token}
    response = browser.portal.application.test_client().post("/signin/backchannel-logout", data=form)
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code


@pytest.mark.parametrize("changes", [{}, {"sub": None}, {"sid": None}, {"aud": ["portal"]}])
def test_the_session_ends_when_the_token_names_it(
    provider: ScriptedProvider, browser: Browser, changes: dict[str, Any]
) -> None:
    assert told(browser, token(provider, **changes)) == 200
    assert browser.sub() == ""


@pytest.mark.parametrize("changes", [{"sid": "another"}, {"sub": "somebody-else"}, {"sid": None, "sub": "another"}])
def test_nobody_else_is_signed_out(provider: ScriptedProvider, browser: Browser, changes: dict[str, Any]) -> None:
    assert told(browser, token(provider, **changes)) == 200
    assert browser.sub() == SUB


WRONG: list[Callable[[ScriptedProvider], str | None]] = [
    lambda provider: None,
    lambda provider: "x.y.z",
    lambda provider: "x" * 20_000,
    lambda provider: token(provider, iss="https://other.example"),
    lambda provider: token(provider, aud="another"),
    lambda provider: token(provider, exp=int(time.time()) - 120),
    lambda provider: token(provider, iat=int(time.time()) + 120),
    lambda provider: token(provider, iat=None),
    lambda provider: token(provider, exp=None),
    lambda provider: token(provider, jti=None),
    lambda provider: token(provider, jti=""),
    lambda provider: token(provider, events=None),
    lambda provider: token(provider, events={"http://other.example/": {}}),
    lambda provider: token(provider, events={EVENT: None}),
    lambda provider: token(provider, nonce="n"),
    lambda provider: token(provider, sub=None, sid=None),
    lambda provider: token(provider, sub=7),
    lambda provider: token(provider, header={"typ": "JWT"}),
    lambda provider: token(provider, header={"typ": "at+jwt"}),
    lambda provider: token(provider, key=ECKey.generate_key("P-256", {"kid": "es-1"})),
    lambda provider: token(provider, header={"kid": "unheard-of"}),
    lambda provider: token(provider)[:-4] + "AAAA",
]


@pytest.mark.parametrize("made", WRONG)
def test_a_wrong_token_ends_nothing(
    provider: ScriptedProvider, browser: Browser, made: Callable[[ScriptedProvider], str | None]
) -> None:
    assert told(browser, made(provider)) == 400
    assert browser.sub() == SUB


def test_a_token_counts_once(provider: ScriptedProvider, browser: Browser) -> None:
    again = token(provider)
    assert told(browser, again) == 200
    assert browser.sign_in().status_code == 303
    assert told(browser, again) == 400
    assert browser.sub() == SUB


def test_the_portal_asks_to_be_told_later_when_the_keys_cannot_be_read(provider: ScriptedProvider) -> None:
    browser = Browser(make_app(provider, backchannel_logout_uri=ADDRESS))
    provider.hanging = {"discovery", "jwks"}
    assert told(browser, token(provider)) == 503


def test_a_portal_that_did_not_register_has_no_such_address(provider: ScriptedProvider) -> None:
    browser = Browser(make_app(provider))
    assert browser.portal.post("/signin/backchannel-logout", data={"logout_token": token(provider)}).status_code == 404


def test_all_sessions_of_a_person_end_when_no_session_is_named() -> None:
    sessions = MemorySessions()
    later = int(time.time()) + 60
    people = [("a", "s1"), ("a", "s2"), ("b", "s1")]
    names = [sessions.open(Person(sub, "loa1", None, 0, later, {}, "", sid)) for sub, sid in people]
    sessions.close_all(sub="a", sid=None)
    assert [sessions.get(name) is not None for name in names] == [False, False, True]
