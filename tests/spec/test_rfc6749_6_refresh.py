"""RFC 6749, 6; OpenID Connect Core 1.0, 11 and 12; RFC 9700, 4.14: tokens that outlive the session."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.oidc.models import OfflineGrant
from tests.browser import Browser
from tests.keyed import KeyedPortal, keyed
from tests.provider import Person, Portal, Provider
from tests.racers import Racers, Shot, racers_at

LASTING: dict[str, Any] = {
    "scope": "openid name offline_access",
    "grant_types": ["authorization_code", "refresh_token"],
}
ASKED = "openid name offline_access"


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(**LASTING)


@pytest.fixture
def tokens(portal: Portal, browser: Browser, person: Person) -> dict[str, Any]:
    return portal.tokens(portal.arrive(browser, person, scope=ASKED))


@pytest.fixture(scope="module")
def racers(provider: Provider) -> Iterator[Racers]:
    with racers_at(provider, processes=6) as team:
        yield team


def grant_of(provider: Provider, person: Person) -> OfflineGrant:
    newest = sa.select(OfflineGrant).where(OfflineGrant.citizen_id == person.id).order_by(OfflineGrant.id.desc())
    grant: OfflineGrant = provider.scalars(newest.limit(1))[0]
    return grant


@pytest.mark.holds("B27", "OIDCC-12-1", "OIDCC-12-2", "RFC6749-6-1")
def test_refreshing_keeps_what_the_sign_in_was(portal: Portal, tokens: dict[str, Any]) -> None:
    before = portal.claims(tokens)
    time.sleep(1.1)
    response = portal.refresh(tokens["refresh_token"])
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    refreshed = response.get_json()
    assert refreshed["scope"] == tokens["scope"] == "openid offline_access name"
    after = portal.claims(refreshed)
    for name in ("iss", "sub", "aud", "auth_time", "acr", "amr"):
        assert after[name] == before[name]
    assert after["iat"] > before["iat"]
    assert "nonce" not in after
    assert portal.userinfo(refreshed["access_token"]).status_code == 200


@pytest.mark.holds("OIDCC-11-1", "BCL-2.7-2")
def test_access_goes_on_when_the_citizen_has_signed_out(
    portal: Portal, browser: Browser, tokens: dict[str, Any], person: Person
) -> None:
    browser.get("/logout")
    browser.submit("logout-form")
    assert portal.userinfo(tokens["access_token"]).status_code == 200
    refreshed = portal.refresh(tokens["refresh_token"]).get_json()
    assert portal.userinfo(refreshed["access_token"]).get_json()["name"] == person.full_name


@pytest.mark.holds("OIDCC-11-1", "OIDCC-11-2")
def test_the_citizen_is_asked_before_access_may_last(provider: Provider, browser: Browser) -> None:
    portal, person = provider.portal(**LASTING), provider.citizen()
    portal.sign_in(browser, person, scope="openid name")
    assert portal.arrive(browser, scope=ASKED, prompt="none")["error"] == "consent_required"
    page = browser.get(portal.address(scope=ASKED))
    assert "consent-form" in page.forms
    assert "30 ngày" in page.text
    assert "code" in portal.arrive(browser, person, scope=ASKED).parameters
    assert "code" in portal.arrive(browser, scope=ASKED, prompt="none").parameters


@pytest.mark.holds("OIDCC-11-1")
@pytest.mark.parametrize("members", [{"grant_types": None}, {"scope": "openid name"}])
def test_offline_access_is_ignored_when_the_client_is_not_registered_for_it(
    provider: Provider, browser: Browser, person: Person, members: dict[str, Any]
) -> None:
    whole = {**LASTING, **members}
    if members.get("scope") or members.get("grant_types", ()) is None:
        whole = {"scope": "openid name"}
    portal = provider.portal(**whole)
    tokens = portal.tokens(portal.arrive(browser, person, scope=ASKED))
    assert "refresh_token" not in tokens
    assert "offline_access" not in tokens["scope"].split()
    refused = portal.refresh("k1.x.y")
    assert (refused.status_code, refused.get_json()["error"]) == (400, "unauthorized_client")


def test_nothing_lasts_that_was_not_asked_for(portal: Portal, browser: Browser, person: Person) -> None:
    assert "refresh_token" not in portal.tokens(portal.arrive(browser, person))


# --- rotation, and what happens to a stolen token -----------------------------------------------------------------


@pytest.mark.holds("RFC6749-6-3", "RFC6749-10.4-1", "RFC9700-2.2.2-1")
def test_a_used_token_ends_the_whole_family(provider: Provider, portal: Portal, tokens: dict[str, Any]) -> None:
    second = portal.refresh(tokens["refresh_token"]).get_json()
    third = portal.refresh(second["refresh_token"]).get_json()
    assert len({token["refresh_token"] for token in (tokens, second, third)}) == 3
    stolen = portal.refresh(tokens["refresh_token"])
    assert (stolen.status_code, stolen.get_json()["error"]) == (400, "invalid_grant")
    assert portal.refresh(third["refresh_token"]).get_json()["error"] == "invalid_grant"
    for token in (tokens, second, third):
        assert portal.userinfo(token["access_token"]).status_code == 401


def test_a_replay_is_on_record(provider: Provider, browser: Browser) -> None:
    portal, person = provider.portal(**LASTING), provider.citizen()
    tokens = portal.tokens(portal.arrive(browser, person, scope=ASKED))
    portal.refresh(tokens["refresh_token"])
    portal.refresh(tokens["refresh_token"])
    names = provider.scalars(sa.select(AuditEvent.name).where(AuditEvent.citizen_id == person.id))
    assert [name for name in names if name.startswith("oidc:")] == [
        "oidc:code:issued",
        "oidc:token:issued",
        "oidc:token:refreshed",
        "oidc:refresh:replayed",
    ]


@pytest.mark.holds("B24", "RFC6749-4.1.2-2")
def test_a_replayed_code_ends_the_family_too(portal: Portal, browser: Browser, person: Person) -> None:
    answer = portal.arrive(browser, person, scope=ASKED)
    tokens = portal.tokens(answer)
    assert portal.redeem(answer["code"]).get_json()["error"] == "invalid_grant"
    assert portal.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert portal.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.holds("B27", "RFC6749-6-1", "RFC6749-10.4-1")
def test_a_token_works_for_its_client_only(provider: Provider, portal: Portal, tokens: dict[str, Any]) -> None:
    thief = provider.portal(**LASTING)
    refused = thief.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    assert portal.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.holds("RFC6749-10.4-1", "RFC6749-10.10-1")
def test_a_made_up_token_is_refused(provider: Provider, portal: Portal, tokens: dict[str, Any]) -> None:
    key, name, mac = tokens["refresh_token"].split(".")
    for token in (
        "x", "..", f"{key}.{name}", f"k9.{name}.{mac}", f"{key}.{name}.{'A' * 43}", f"{key}.{'A' * 27}.{mac}",
        f"{key}.{name}.{mac}.", f"{key}.{name}=.{mac}", f"{key}.{name}. {mac}", "đ.x.y", "x" * 20_000,
        tokens["access_token"],
    ):  # fmt: skip
        refused = portal.refresh(token)
        assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    assert portal.post("/token", grant_type="refresh_token").get_json()["error"] == "invalid_request"
    assert portal.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.holds("RFC9700-2.2.2-1")
def test_one_of_many_wins_when_a_token_is_raced(
    provider: Provider, portal: Portal, racers: Racers, tokens: dict[str, Any], person: Person
) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    arguments = {"data": form, "headers": {"Authorization": portal.basic()}}
    hits = racers.race(Shot("POST", "/token", arguments, {}))
    won = [json.loads(hit.text) for hit in hits if hit.status == 200]
    assert len(won) == 1
    # The others were replays of a used token: the winner's tokens are worth nothing either (RFC 9700, 4.14.2).
    assert portal.userinfo(won[0]["access_token"]).status_code == 401
    assert grant_of(provider, person).revoked_at is not None


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", ["refresh_idle", "refresh_absolute"])
@pytest.mark.holds("RFC9700-4.14-1")
def test_a_token_ends_when_its_time_is_over(
    provider: Provider, portal: Portal, tokens: dict[str, Any], person: Person, seconds: str
) -> None:
    grant = grant_of(provider, person)
    if seconds == "refresh_idle":
        provider.age(OfflineGrant, OfflineGrant.id == grant.id, seconds=provider.settings.refresh_idle - 60)
        tokens = portal.refresh(tokens["refresh_token"]).get_json()
        provider.age(OfflineGrant, OfflineGrant.id == grant.id, seconds=provider.settings.refresh_idle)
    else:
        ended = grant.created_at
        provider.run(sa.update(OfflineGrant).where(OfflineGrant.id == grant.id).values(expires_at=ended))
    assert portal.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"


@pytest.mark.holds("RFC9700-4.14-1")
def test_a_disabled_account_refreshes_nothing(provider: Provider, portal: Portal, browser: Browser) -> None:
    person = provider.citizen()
    tokens = portal.tokens(portal.arrive(browser, person, scope=ASKED))
    person.set(state="disabled")
    assert portal.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert portal.userinfo(tokens["access_token"]).status_code == 401


# --- less than was agreed -----------------------------------------------------------------------------------------


@pytest.mark.holds("RFC6749-6-2")
def test_scope_may_be_narrowed_and_never_widened(portal: Portal, tokens: dict[str, Any]) -> None:
    for scope in ("openid name email", "openid birthdate", "unheard-of"):
        refused = portal.refresh(tokens["refresh_token"], scope=scope)
        assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_scope")
    narrow = portal.refresh(tokens["refresh_token"], scope="openid").get_json()
    assert narrow["scope"] == "openid"
    assert portal.userinfo(narrow["access_token"]).get_json().keys() == {"sub"}
    # What was agreed stays agreed.
    whole = portal.refresh(narrow["refresh_token"]).get_json()
    assert "name" in portal.userinfo(whole["access_token"]).get_json()
    without = portal.refresh(whole["refresh_token"], scope="name").get_json()
    assert "id_token" not in without
    assert portal.userinfo(without["access_token"]).status_code == 403


# --- clients whose tokens are bound to a key ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def bound(provider: Provider) -> KeyedPortal:
    return keyed(provider, binds=True, dpop_bound_access_tokens=True, **LASTING)


def refresh(portal: KeyedPortal, token: str, *, binds: bool | None = None) -> Any:
    return portal.send("/token", {"grant_type": "refresh_token", "refresh_token": token}, binds=binds)


def test_the_same_request_again_gets_the_same_token(
    provider: Provider, bound: KeyedPortal, browser: Browser, person: Person
) -> None:
    tokens = bound.tokens(bound.arrive(browser, person, scope=ASKED))
    first = refresh(bound, tokens["refresh_token"]).get_json()
    again = refresh(bound, tokens["refresh_token"]).get_json()
    assert again["refresh_token"] == first["refresh_token"] != tokens["refresh_token"]
    assert bound.userinfo(again["access_token"]).status_code == 200
    # Once the next token was used, the answer cannot have been lost.
    third = refresh(bound, first["refresh_token"])
    assert third.status_code == 200
    assert refresh(bound, tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert refresh(bound, third.get_json()["refresh_token"]).get_json()["error"] == "invalid_grant"


@pytest.mark.holds("RFC9700-2.2.2-1")
def test_the_same_request_is_a_replay_when_it_comes_late(
    provider: Provider, bound: KeyedPortal, browser: Browser, person: Person
) -> None:
    tokens = bound.tokens(bound.arrive(browser, person, scope=ASKED))
    first = refresh(bound, tokens["refresh_token"]).get_json()
    provider.age(OfflineGrant, OfflineGrant.id == grant_of(provider, person).id, seconds=11)
    assert refresh(bound, tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert refresh(bound, first["refresh_token"]).get_json()["error"] == "invalid_grant"


@pytest.mark.holds("F10")
def test_a_bound_client_proves_its_key_when_it_refreshes(bound: KeyedPortal, browser: Browser, person: Person) -> None:
    tokens = bound.tokens(bound.arrive(browser, person, scope=ASKED))
    refused = refresh(bound, tokens["refresh_token"], binds=False)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_dpop_proof")
    assert refresh(bound, tokens["refresh_token"]).status_code == 200


@pytest.mark.holds("F10", "FAPI2SP-5.3.2.1-7")
def test_a_fapi_client_keeps_its_token(provider: Provider, browser: Browser, person: Person) -> None:
    portal = keyed(provider, profile="fapi2", **LASTING)
    tokens = portal.tokens(portal.arrive(browser, person, scope=ASKED))
    for _ in range(3):
        response = refresh(portal, tokens["refresh_token"])
        assert response.status_code == 200
        assert response.get_json()["refresh_token"] == tokens["refresh_token"]
        assert portal.userinfo(response.get_json()["access_token"]).status_code == 200
        provider.age(OfflineGrant, OfflineGrant.id == grant_of(provider, person).id, seconds=30)
    without = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_assertion": None}
    assert portal.send("/token", without).status_code == 401


def test_no_refresh_token_is_stored(provider: Provider, portal: Portal, tokens: dict[str, Any], person: Person) -> None:
    grant = grant_of(provider, person)
    stored = " ".join(str(getattr(grant, column.key)) for column in sa.inspect(OfflineGrant).columns)
    assert not any(part in stored for part in tokens["refresh_token"].split(".")[1:])
