"""Providers that are down, hang or are cut off for an incident: nobody else is touched (faults F19 to F21)."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.core import clock
from idp.core.levels import Level
from idp.oidc.endings import end_incident
from idp.oidc.models import OfflineGrant
from idp.sso.models import LogoutDelivery, SsoSession
from idp.upstream import cuts
from idp.upstream.health import LEAST_FAILURES, RESTS, Breakers, Probes
from idp.upstream.models import UpstreamHealth
from idp.upstream.record import Cut
from tests.browser import Browser, Page
from tests.provider import Answer, Portal, Provider, walk
from tests.scripted_upstream import Federated, Reply, ScriptedProvider, federate, reply, somebody

NEVER = threading.Event()


@pytest.fixture
def script() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as made:
        yield made


@pytest.fixture
def federated(provider: Provider, script: ScriptedProvider) -> Iterator[Federated]:
    made = federate(provider, script)
    yield made
    made.disable()


def choice_page(federated: Federated, browser: Browser | None = None, portal: Portal | None = None) -> Page:
    """Return the page on which citizens choose how to sign in, with what the workers know by now."""
    federated.provider.services.providers.forget()
    portal = portal or federated.provider.portal()
    return (browser or federated.provider.browser()).get(portal.address())


def is_offered(federated: Federated, portal: Portal | None = None) -> bool:
    return f"upstream-form-{federated.slug}" in choice_page(federated, portal=portal).forms


def health_of(federated: Federated) -> UpstreamHealth:
    [row] = federated.provider.scalars(sa.select(UpstreamHealth).where(UpstreamHealth.provider_id == key_of(federated)))
    return row


def key_of(federated: Federated) -> Any:
    found = federated.provider.services.providers.find(federated.slug)
    assert found is not None
    return found.id


def probe(federated: Federated) -> int:
    """Probe as the workers do after a minute; return how often this provider was asked."""
    given = federated.provider.services
    federated.provider.age(UpstreamHealth, UpstreamHealth.provider_id == key_of(federated), minutes=1, seconds=1)
    given.providers.forget()
    before = len(federated.script.asked)
    made = Probes(providers=given.providers, hot_path=given.hot_path, outbound=given.outbound)
    made.run_due(NEVER)
    given.providers.forget()
    return len(federated.script.asked) - before


def fall_silent(federated: Federated) -> None:
    """Let its metadata be an answer of nobody."""
    federated.script.answers["/.well-known/openid-configuration"] = lambda _: reply({"issuer": "https://other.example"})


# --- the breaker ---------------------------------------------------------------------------------------------------


def test_silent_provider_is_greyed_with_the_time_and_the_others_stay(
    provider: Provider, federated: Federated, script: ScriptedProvider
) -> None:
    with ScriptedProvider() as second:
        other = federate(provider, second)
        fall_silent(federated)
        portal, browser = provider.portal(), provider.browser()
        for _ in range(LEAST_FAILURES):
            page = choice_page(federated, browser, portal)
            assert f"upstream-form-{federated.slug}" in page.forms
            browser.submit(f"upstream-form-{federated.slug}")
        page = choice_page(federated, browser, portal)
        assert f"upstream-form-{federated.slug}" not in page.forms
        assert f"upstream-form-{other.slug}" in page.forms
        assert "login-form" in page.forms
        row = health_of(federated)
        assert clock.on_the_wall(row.since) in page.text
        # A forged post goes nowhere and asks nobody.
        asked = len(script.asked)
        browser.post(f"/signin/{page.handle}/upstream/{federated.slug}", browser.form(f"upstream-form-{other.slug}")[1])
        assert len(script.asked) == asked
        other.disable()


def test_breaker_opens_by_the_share_of_silence_and_rests_longer_each_time(
    provider: Provider, federated: Federated
) -> None:
    now = 0.0
    breakers = Breakers(provider.services.hot_path, tick=lambda: now)
    found = provider.services.providers.find(federated.slug)
    assert found is not None
    for _ in range(LEAST_FAILURES * 2):
        breakers.answered(found)
    for _ in range(LEAST_FAILURES + 1):
        breakers.silent(found)
    assert is_offered(federated)
    # What was long ago counts no more.
    now = 61.0
    for _ in range(LEAST_FAILURES):
        breakers.silent(found)
    assert not is_offered(federated)
    rests = []
    for _ in range(2):
        before = health_of(federated)
        rests.append(round((before.held_until - before.checked_at).total_seconds()))
        now += 100
        for _ in range(LEAST_FAILURES):
            breakers.silent(found)
    assert rests == list(RESTS[:2])


def test_codes_that_the_provider_refuses_close_no_door(
    provider: Provider, federated: Federated, script: ScriptedProvider, browser: Browser
) -> None:
    script.answers["/token"] = lambda _: reply({"error": "invalid_grant"}, status=400)
    portal = provider.portal()
    for _ in range(LEAST_FAILURES + 1):
        visit = federated.leave(browser, portal)
        visit.back(code="forged")
    assert is_offered(federated)


# --- probes --------------------------------------------------------------------------------------------------------


def test_probes_find_a_provider_down_and_up_again(federated: Federated, script: ScriptedProvider) -> None:
    assert probe(federated) == 2
    assert probe(federated) == 2
    assert health_of(federated).version == 0
    fall_silent(federated)
    probe(federated)
    # One answer that is lost is no outage.
    assert is_offered(federated)
    probe(federated)
    assert not is_offered(federated)
    since = health_of(federated).since
    probe(federated)
    assert health_of(federated).since < since + timedelta(seconds=1)
    script.answers.clear()
    probe(federated)
    assert is_offered(federated)


def test_probe_takes_nothing_back_while_the_breaker_rests(provider: Provider, federated: Federated) -> None:
    breakers, found = Breakers(provider.services.hot_path), provider.services.providers.find(federated.slug)
    assert found is not None
    for _ in range(2):
        for _ in range(LEAST_FAILURES):
            breakers.silent(found)
    # The second rest is a minute: older by a minute and a second it is over.
    provider.age(UpstreamHealth, UpstreamHealth.provider_id == found.id, seconds=-90)
    probe(federated)
    assert not is_offered(federated)
    provider.age(UpstreamHealth, UpstreamHealth.provider_id == found.id, minutes=2)
    probe(federated)
    assert is_offered(federated)


def test_one_worker_at_a_time_probes(provider: Provider, federated: Federated, script: ScriptedProvider) -> None:
    given = provider.services
    probe(federated)
    asked = len(script.asked)
    workers = [Probes(providers=given.providers, hot_path=given.hot_path, outbound=given.outbound) for _ in range(2)]
    for worker in workers:
        worker.run_due(NEVER)
    assert len(script.asked) == asked
    federated.disable()
    assert probe(federated) == 0


def test_word_that_nobody_confirms_is_forgotten(provider: Provider, federated: Federated) -> None:
    breakers, found = Breakers(provider.services.hot_path), provider.services.providers.find(federated.slug)
    assert found is not None
    for _ in range(LEAST_FAILURES):
        breakers.silent(found)
    assert not is_offered(federated)
    provider.age(UpstreamHealth, UpstreamHealth.provider_id == found.id, minutes=6)
    provider.run(sa.update(UpstreamHealth).where(UpstreamHealth.provider_id == found.id).values(version=99))
    assert is_offered(federated)


# --- the bulkhead ----------------------------------------------------------------------------------------------------


def test_hanging_provider_leaves_other_sign_ins_untouched(
    provider: Provider, federated: Federated, script: ScriptedProvider
) -> None:
    hangs, is_over = threading.Semaphore(0), threading.Event()

    def hang(_: dict[str, str]) -> Reply:
        hangs.release()
        is_over.wait(4)
        return reply(script.metadata())

    script.answers["/.well-known/openid-configuration"] = hang
    browsers = [provider.browser() for _ in range(16)]
    portal, person = provider.portal(), provider.citizen()
    for each in browsers:
        each.get(portal.address())
    with ThreadPoolExecutor(len(browsers)) as pool:
        waiting = [pool.submit(each.submit, f"upstream-form-{federated.slug}") for each in browsers]
        assert hangs.acquire(timeout=4)
        assert portal.sign_in(provider.browser(), person)["sub"]
        # Whoever finds no place is told while the provider hangs.
        assert next(as_completed(waiting, timeout=4)).result().step == "login"
        assert federated.events("crowded")
        assert not is_over.is_set()
        is_over.set()
        for each in waiting:
            each.result(10)
    assert script.times("/.well-known/openid-configuration") == 1


# --- the incident switch -----------------------------------------------------------------------------------------


def incident(**changes: Any) -> Cut:
    members = {
        "agencies": frozenset(), "level": None, "reasons": {"vi": "Sự cố ở nơi cấp", "en": "An incident there"},
        "since": clock.now() - timedelta(minutes=1), "until": None,
    }  # fmt: skip
    return Cut(**{**members, **changes})


def cut_off(federated: Federated, **changes: Any) -> None:
    with federated.provider.app.app_context():
        cuts.cut(federated.slug, incident(**changes))
    federated.provider.services.providers.forget()


def signed_in(federated: Federated, browser: Browser, portal: Portal) -> None:
    visit = federated.leave(browser, portal)
    visit.sign_in(somebody(federated.provider))
    assert Answer(walk(browser, visit.back()))["code"]


def test_cut_provider_is_refused_with_the_dated_reason_until_uncut(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    portal = provider.portal()
    signed_in(federated, browser, portal)
    away = federated.leave(provider.browser(), portal)
    away.sign_in(somebody(provider))
    cut_off(federated)
    page = choice_page(federated)
    assert f"upstream-form-{federated.slug}" not in page.forms
    assert "Sự cố ở nơi cấp" in page.text
    assert away.back().step == "login"
    assert federated.events("provider-closed")
    # The session that came by it opens nothing either.
    assert browser.get(portal.address()).step == "login"
    with provider.app.app_context():
        assert cuts.uncut(federated.slug)
        assert not cuts.uncut(federated.slug)
    assert is_offered(federated)
    named = sa.select(AuditEvent.outcome).where(AuditEvent.name == "upstream:provider:cut").order_by(AuditEvent.id)
    assert provider.scalars(named)[-2:] == ["cut", "uncut"]


def test_cut_reaches_the_agencies_the_levels_and_the_time_it_names(provider: Provider, federated: Federated) -> None:
    portal, other = provider.portal(), provider.portal()
    slug = provider.services.clients.find(portal.client_id)
    assert slug is not None
    cut_off(federated, agencies=frozenset({slug.agency_slug}))
    assert not is_offered(federated, portal)
    mine = provider.services.clients.find(other.client_id)
    assert mine is not None
    assert is_offered(federated, other) is (mine.agency_slug != slug.agency_slug)
    cut_off(federated, level=Level.LOA2)
    assert is_offered(federated, portal)
    strong = provider.browser().get(portal.address(acr_values="loa2"))
    assert f"upstream-form-{federated.slug}" not in strong.forms
    # Whoever comes all the same is believed less.
    browser = provider.browser()
    signed_in(federated, browser, portal)
    [level] = provider.scalars(
        sa.select(SsoSession.level).where(SsoSession.provider_id == key_of(federated), SsoSession.ended_at.is_(None))
    )
    assert level == Level.LOA1
    # The same where it is about one agency, which would otherwise get more by asking for less.
    cut_off(federated, agencies=frozenset({slug.agency_slug}), level=Level.LOA2)
    browser = provider.browser()
    signed_in(federated, browser, portal)
    assert portal.claims(portal.tokens(portal.arrive(browser)))["acr"] == "loa1"
    cut_off(federated, since=clock.now() + timedelta(hours=1))
    assert is_offered(federated, portal)
    cut_off(federated, since=clock.now() - timedelta(hours=2), until=clock.now() - timedelta(hours=1))
    assert is_offered(federated, portal)


def test_session_at_a_level_that_is_cut_is_not_told_to_whoever_asks_for_less(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    portal = provider.portal()
    signed_in(federated, browser, portal)
    assert portal.claims(portal.tokens(portal.arrive(browser)))["acr"] == "loa2"
    cut_off(federated, level=Level.LOA2)
    assert "login-form" in browser.get(portal.address(acr_values="loa1")).forms


def test_sessions_of_the_window_end_and_agencies_are_told(provider: Provider, federated: Federated) -> None:
    portal = provider.portal(backchannel_logout_uri="https://portal.example/logout")
    old, new, own = provider.browser(), provider.browser(), provider.browser()
    signed_in(federated, old, portal)
    key = key_of(federated)
    provider.age(SsoSession, SsoSession.provider_id == key, hours=1)
    signed_in(federated, new, portal)
    portal.sign_in(own, provider.citizen())
    with provider.app.app_context():
        window = {"since": clock.now() - timedelta(minutes=30)}
        assert end_incident(federated.slug, level=Level.LOA3, **window) == 0
        assert end_incident(federated.slug, level=None, **window) == 1
    ended = provider.scalars(
        sa.select(SsoSession.id).where(SsoSession.provider_id == key, SsoSession.ended_at.is_not(None))
    )
    assert len(ended) == 1
    assert provider.scalars(sa.select(LogoutDelivery).where(LogoutDelivery.session_id == ended[0]))


def test_session_by_a_door_that_was_shut_opens_no_page_of_ours(provider: Provider, federated: Federated) -> None:
    browser = provider.browser()
    signed_in(federated, browser, provider.portal())
    assert "space-signin-form" not in browser.get("/account").forms
    cut_off(federated)
    assert "space-signin-form" in browser.get("/account").forms


def test_access_that_outlives_sessions_ends_with_those_of_the_window(provider: Provider, federated: Federated) -> None:
    portal = provider.portal(scope="openid offline_access", grant_types=["authorization_code", "refresh_token"])
    browser = provider.browser()
    visit = federated.leave(browser, portal, scope="openid offline_access", prompt="consent")
    visit.sign_in(somebody(provider))
    tokens = portal.tokens(Answer(walk(browser, visit.back())))
    assert tokens["refresh_token"]
    came_by = sa.select(SsoSession.id).where(SsoSession.provider_id == key_of(federated))
    mine = sa.select(OfflineGrant.revoked_at).where(OfflineGrant.session_id.in_(came_by))
    provider.run(sa.update(SsoSession).where(SsoSession.provider_id == key_of(federated)).values(ended_at=clock.now()))
    assert provider.scalars(mine) == [None]
    with provider.app.app_context():
        assert end_incident(federated.slug, level=None, since=clock.now() - timedelta(minutes=30)) == 0
    assert None not in provider.scalars(mine)


# --- the status page -----------------------------------------------------------------------------------------------


def test_status_says_how_it_goes_to_people_and_programs(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    def told() -> dict[str, Any]:
        provider.services.providers.forget()
        response = browser.send("GET", "/status.json")
        assert response.headers["Cache-Control"] == "public, max-age=15"
        document = response.get_json()
        assert (document["sign_in"], document["register"]) == ("up", "up")
        [mine] = [each for each in document["providers"] if each["id"] == federated.slug]
        return dict(mine)

    assert told()["status"] == "up"
    fall_silent(federated)
    probe(federated)
    probe(federated)
    down = told()
    assert (down["status"], "since" in down) == ("down", True)
    assert clock.on_the_wall(health_of(federated).since) in browser.get("/status").text
    cut_off(federated, level=Level.LOA2)
    assert told()["incident"]["partial"]
    assert (told()["status"], told()["incident"]["partial"]) == ("down", True)
    cut_off(federated)
    cut = told()
    assert (cut["status"], cut["reason"]["en"]) == ("cut", "An incident there")
    page = browser.get("/status?lang=en")
    assert "An incident there" in page.text
    # Neither page nor feed tells where its machines are.
    assert federated.script.issuer not in page.html + browser.send("GET", "/status.json").get_data(as_text=True)
