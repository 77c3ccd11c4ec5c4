"""One-time things raced by real processes, on SQLite and PostgreSQL: one winner each."""

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from idp.citizens.models import CitizenNumber, PairwiseSubject
from idp.core.ids import digest
from idp.oidc.models import AccessToken, AuthorizationCode
from idp.sso.models import Consent, Interaction, LogoutDelivery, SsoSession
from tests.applicant import Applicant
from tests.browser import Browser
from tests.listener import listening, register
from tests.provider import Answer, Person, Portal, Provider, walk
from tests.racers import Hit, Racers, Shot, racers_at

PROCESSES = 8
ROUNDS = 5
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def racers(provider: Provider) -> Iterator[Racers]:
    with racers_at(provider, processes=PROCESSES) as team:
        yield team


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid email")


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen(email="hoa@example.com")


def post(browser: Browser | None, path: str, form: dict[str, str], **headers: str) -> Shot:
    arguments = {"data": urlencode(form).encode(), "content_type": FORM, "headers": headers}
    return Shot("POST", path, arguments, browser.cookies() if browser else {})


@pytest.mark.holds("B24", "RFC6749-4.1.2-2", "RFC6749-10.5-1")
def test_one_code_buys_at_most_one_token_and_a_replay_ends_it(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    for _ in range(ROUNDS):
        code = portal.arrive(browser)["code"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": portal.redirect_uri,
            "code_verifier": portal.verifier,
        }
        hits = racers.race(post(None, "/token", form, Authorization=portal.basic()))
        assert sorted(hit.status for hit in hits) == [200] + [400] * (PROCESSES - 1)
        assert all("invalid_grant" in hit.text for hit in hits if hit.status == 400)
        [token] = [json.loads(hit.text)["access_token"] for hit in hits if hit.status == 200]
        rows = provider.scalars(sa.select(AccessToken).where(AccessToken.code_digest == digest(code)))
        assert [row.digest for row in rows] == [digest(token)]
        # The seven others were replays, so what the winner got is worth nothing (RFC 6749, 10.5).
        assert rows[0].revoked_at is not None
        assert portal.userinfo(token).status_code == 401


def live_codes(provider: Provider, hits: list[Hit]) -> list[str]:
    codes = [code for hit in hits if hit.location and (code := Answer(hit.location).get("code"))]
    unused = sa.select(AuthorizationCode.digest).where(AuthorizationCode.used_at.is_(None))
    live = set(provider.scalars(unused))
    return [code for code in codes if digest(code) in live]


def test_one_interaction_finished_by_many_tabs_leaves_one_live_code(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.sign_in(browser, person)
    for _ in range(ROUNDS):
        page = browser.get(portal.address(prompt="select_account"))
        action, fields = browser.form("account-form", decision="continue")
        browser.send("POST", action, data=fields)
        hits = racers.race(Shot("GET", f"/signin/{page.handle}", {}, browser.cookies()))
        assert {hit.status for hit in hits} <= {303, 400}
        assert len(live_codes(provider, hits)) <= 1
        row = provider.scalars(sa.select(Interaction).where(Interaction.handle_digest == digest(page.handle)))[0]
        live = provider.scalars(
            sa.select(AuthorizationCode.digest).where(
                AuthorizationCode.session_id == row.session_id, AuthorizationCode.used_at.is_(None)
            )
        )
        assert live == [row.code_digest]
        # The citizen is not stuck: the next click brings a code that works.
        answer = Answer(browser.get(f"/signin/{page.handle}").left_for or "")
        assert portal.redeem(answer["code"]).status_code == 200


def test_one_agreement_sent_many_times_is_one_agreement(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    browser.get(portal.address(scope="openid email"))
    browser.submit("login-form", number=person.number, password=person.password)
    action, fields = browser.form("consent-form", decision="allow")
    hits = racers.race(post(browser, action, fields))
    assert {hit.status for hit in hits} == {303}
    rows = provider.scalars(sa.select(Consent).where(Consent.citizen_id == person.id))
    assert [row.claims for row in rows] == ["email email_verified"]
    assert Answer(browser.get(hits[0].location or "").left_for or "").get("code")


def test_one_one_time_code_opens_one_session(
    provider: Provider, racers: Racers, portal: Portal, person: Person
) -> None:
    browsers = [provider.browser() for _ in range(PROCESSES)]
    shots = []
    for browser in browsers:
        browser.get(portal.address(acr_values="loa2"))
        browser.submit("login-form", number=person.number, password=person.password)
    code = person.code()
    for browser in browsers:
        action, fields = browser.form("totp-form", code=code)
        shots.append(post(browser, action, fields))
    hits = racers.race(*shots)
    assert sorted(hit.status for hit in hits) == [303] + [400] * (PROCESSES - 1)
    raised = provider.scalars(
        sa.select(SsoSession.level).where(SsoSession.citizen_id == person.id, SsoSession.level == 2)
    )
    assert len(raised) == 1


def test_a_double_click_on_the_code_ends_signed_in(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    browser.get(portal.address(acr_values="loa2"))
    page = browser.submit("login-form", number=person.number, password=person.password)
    action, fields = browser.form("totp-form", code=person.code())
    hits = racers.race(post(browser, action, fields))
    assert {hit.status for hit in hits} <= {303, 400}
    row = provider.session_of(person)
    good = [hit for hit in hits if digest(hit.cookies["__Host-sid"]) in (row.digest, row.previous_digest)]
    assert row.level == 2
    assert good
    browser.put(good[-1].cookies)
    assert browser.get(page.path).step == "consent"
    # A browser that kept another answer is asked to sign in, and shown no error.
    for hit in hits:
        if hit not in good:
            browser.put(hit.cookies)
            assert browser.get(page.path).step == "login"


def test_a_double_click_on_the_password_leaves_one_session(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    page = browser.get(portal.address())
    action, fields = browser.form("login-form", number=person.number, password=person.password)
    hits = racers.race(post(browser, action, fields))
    accepted = [hit for hit in hits if hit.status == 303]
    assert accepted
    assert {hit.status for hit in hits} <= {303, 429, 503}
    browser.put(accepted[-1].cookies)
    assert Answer(walk(browser, browser.get(page.path), person)).get("code")


@pytest.mark.holds("OIDCC-8-1")
def test_many_first_visits_agree_on_one_subject(
    provider: Provider, racers: Racers, browser: Browser, person: Person
) -> None:
    portal = provider.portal()
    browser.get(portal.address())
    browser.submit("login-form", number=person.number, password=person.password)
    action, fields = browser.form("consent-form", decision="allow")
    browser.send("POST", action, data=fields)
    handles = []
    for _ in range(PROCESSES):
        handles.append(browser.get(portal.address(prompt="select_account")).handle)
        action, fields = browser.form("account-form", decision="continue")
        browser.send("POST", action, data=fields)
    hits = racers.race(*[Shot("GET", f"/signin/{handle}", {}, browser.cookies()) for handle in handles])
    subs = {portal.claims(portal.tokens(Answer(hit.location or "")))["sub"] for hit in hits}
    rows = provider.scalars(sa.select(PairwiseSubject.sub).where(PairwiseSubject.citizen_id == person.id))
    assert list(subs) == rows


def test_a_sign_out_racing_with_codes_wins(
    provider: Provider, racers: Racers, portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person)
    browser.get("/logout")
    action, fields = browser.form("logout-form")
    leave = post(browser, action, fields)
    ask = Shot("GET", portal.address(), {}, browser.cookies())
    hits = racers.race(leave, *[ask] * (PROCESSES - 1))
    assert hits[0].status == 303
    for hit in hits[1:]:
        code = Answer(hit.location).get("code") if hit.location and hit.location.startswith("https") else None
        if code is not None:
            assert portal.redeem(code).get_json()["error"] == "invalid_grant"


def test_one_sign_out_tells_each_client_once(
    provider: Provider, racers: Racers, browser: Browser, person: Person
) -> None:
    with listening() as listener:
        told = provider.portal()
        register(told, backchannel_logout_uri=f"{listener.url}/out")
        told.arrive(browser, person)
        browser.get("/logout")
        action, fields = browser.form("logout-form")
        hits = racers.race(post(browser, action, fields))
        assert {hit.status for hit in hits} == {303}
        rows = provider.scalars(sa.select(LogoutDelivery).where(LogoutDelivery.citizen_id == person.id))
        assert [(row.state, row.attempts) for row in rows] == [("confirmed", 1)]
        assert len(listener.received) == 1
        assert all("signed-out" in browser.get(hit.location or "").ids for hit in hits)


def test_many_enrolments_of_one_person_make_one_account(provider: Provider, racers: Racers, portal: Portal) -> None:
    first = Applicant(provider).known()
    everyone = [first, *(Applicant(provider, first.number) for _ in range(PROCESSES - 1))]
    shots = []
    for applicant in everyone:
        applicant.until_codes(portal)
        shots.append(post(applicant.browser, *applicant.browser.form("codes-form")))
    hits = racers.race(*shots)
    assert {hit.status for hit in hits} == {303}
    citizen = first.account()
    assert citizen is not None
    winners = [hit for hit in hits if "__Host-sid" in hit.cookies]
    assert len(winners) == 1
    numbers = sa.select(CitizenNumber.id).where(CitizenNumber.citizen_id == citizen.id)
    assert len(provider.scalars(numbers)) == 1
    for applicant, hit in zip(everyone, hits, strict=True):
        applicant.browser.put(hit.cookies)
        assert applicant.browser.get(str(hit.location)).step == ("consent" if hit in winners else "known")


def test_many_clicks_on_the_last_page_make_one_account_and_one_session(
    provider: Provider, racers: Racers, portal: Portal
) -> None:
    applicant = Applicant(provider).known()
    applicant.until_codes(portal)
    hits = racers.race(post(applicant.browser, *applicant.browser.form("codes-form")))
    assert {hit.status for hit in hits} == {303}
    citizen = applicant.account()
    assert citizen is not None
    [session] = provider.scalars(sa.select(SsoSession).where(SsoSession.citizen_id == citizen.id))
    assert {digest(hit.cookies["__Host-sid"]) for hit in hits} == {session.digest}
