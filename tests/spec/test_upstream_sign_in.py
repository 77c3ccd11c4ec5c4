"""Signing in by an identity provider: FranceConnect's cases 12 to 25, 34 to 44 at this door (franceconnect.md, 6.2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.lookup import find_number
from idp.citizens.models import Citizen, CitizenNumber, PairwiseSubject
from idp.citizens.registry import table
from idp.core.database import db
from idp.sso.models import SsoSession
from idp.upstream.models import UpstreamIdentity
from tests.browser import Browser, Page
from tests.provider import Answer, Provider, json_of, walk
from tests.scripted_upstream import CLIENT_ID, Federated, ScriptedProvider, federate, reply, somebody

ESSENTIAL = json_of(id_token={"acr": {"essential": True, "values": ["loa2"]}})


@pytest.fixture(scope="module")
def script() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as made:
        yield made


@pytest.fixture
def federated(provider: Provider, script: ScriptedProvider) -> Iterator[Federated]:
    """Yield a provider nobody has used, gone from the page afterwards."""
    made = federate(provider, script)
    yield made
    made.disable()


def finish(browser: Browser, page: Page) -> Answer:
    """Agree to whatever is asked, and arrive at the portal."""
    return Answer(walk(browser, page))


def citizen_of(provider: Provider, sub: str) -> Citizen:
    [found] = provider.scalars(
        sa.select(Citizen)
        .join(PairwiseSubject, PairwiseSubject.citizen_id == Citizen.id)
        .where(PairwiseSubject.sub == sub)
    )
    return found


# --- who somebody is ---------------------------------------------------------------------------------------------


def test_first_visit_makes_the_citizen_as_far_as_the_provider_proved(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    for word, proofing, acr in (("low", "matched", "loa1"), ("sub", "bound", "loa2")):
        browser.forget()
        portal = provider.portal(scope="openid name birthdate idnum")
        person = somebody(provider)
        visit = federated.leave(browser, portal, scope="openid name birthdate idnum")
        visit.sign_in(person, acr=word)
        tokens = portal.tokens(finish(browser, visit.back()))
        claims = portal.claims(tokens)
        assert claims["acr"] == acr
        assert claims["amr"] == ["pwd", "otp", "fpt"]
        told = portal.userinfo(tokens["access_token"]).get_json()
        assert (told["name"], told["birthdate"]) == (person.full_name, person.birth)
        assert told["identification_number"] == person.number
        assert citizen_of(provider, claims["sub"]).proofing.value == proofing


def test_the_way_back_ends_the_chain_that_a_form_of_the_provider_began(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    """Chromium holds the provider's form-action against every redirect after its form; it knows this address only."""
    for query in ({}, {"code": None, "error": "access_denied"}):
        visit = federated.leave(browser, provider.portal())
        visit.sign_in(somebody(provider))
        visit.back(**query)
        [answer] = [each for each in browser.seen if each.request.path.endswith("/callback")]
        assert (answer.status_code, answer.headers.get("Location")) == (200, None)
        path = answer.headers["Refresh"].removeprefix("0; url=")
        assert path.startswith("/signin/")
        assert f'href="{path}"' in answer.get_data(as_text=True)
        assert "form-action 'self';" in answer.headers["Content-Security-Policy"]
        browser.forget()
        browser.seen.clear()


def test_two_providers_and_the_own_account_are_one_citizen(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    portal = provider.portal()
    own = provider.citizen(level="loa1")
    sub = portal.sign_in(browser, own)["sub"]
    with ScriptedProvider() as second_script:
        second = federate(provider, second_script, levels={"sub": "loa1"})
        for door in (federated, second):
            browser.forget()
            visit = door.leave(browser, portal)
            person = somebody(provider, None)
            visit.sign_in(person)
            door.script.claims |= {
                "identification_number": own.number, "name": own.full_name.upper(), "birthdate": "19910228",
            }  # fmt: skip
            assert portal.claims(portal.tokens(finish(browser, visit.back())))["sub"] == sub
        second.disable()
    assert len(provider.scalars(sa.select(UpstreamIdentity).where(UpstreamIdentity.citizen_id == own.id))) == 2
    # What somebody set as a password before the provider saw the person is worth no more than before.
    assert own.row().proofing.value == "matched"


def test_what_a_provider_vouches_for_is_not_lent_to_credentials_of_ours(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    portal, own = provider.portal(), provider.citizen(level="loa1")
    visit = federated.leave(browser, portal, acr_values="loa2")
    visit.sign_in(somebody(provider, None))
    federated.script.claims |= {"identification_number": own.number, "name": own.full_name}
    assert portal.claims(portal.tokens(finish(browser, visit.back())))["acr"] == "loa2"
    browser.forget()
    assert portal.sign_in(browser, own, acr_values="loa2")["acr"] == "loa1"


def test_names_of_the_national_register_are_read(provider: Provider, federated: Federated, browser: Browser) -> None:
    portal, person = provider.portal(), somebody(provider)
    visit = federated.leave(browser, portal)
    visit.sign_in(person)
    federated.script.claims = {
        "sub": person.subject,
        "SoDinhDanh": person.number,
        "HoVaTen": {"Ho": "Trần", "ChuDem": "Văn", "Ten": "Đức"},
        "NgayThangNamSinh": {"NgayThangNam": "28/02/1991"},
        "GioiTinh": "1",
    }
    assert finish(browser, visit.back())["code"]


def test_vouched_claims_count_and_nothing_beside_them(
    provider: Provider, script: ScriptedProvider, browser: Browser
) -> None:
    federated = federate(provider, script, trust_frameworks=["vn-eid-69-2024"])
    person, other = somebody(provider), somebody(provider)
    for framework, step in (("made-up", "login"), ("vn-eid-69-2024", "consent")):
        browser.forget()
        visit = federated.leave(browser, provider.portal())
        visit.sign_in(person)
        script.claims = {
            **other.claims,
            "sub": person.subject,
            "verified_claims": {"verification": {"trust_framework": framework}, "claims": person.claims},
        }
        assert visit.back().step == step
    [number] = provider.scalars(
        sa.select(CitizenNumber).join(UpstreamIdentity, UpstreamIdentity.citizen_id == CitizenNumber.citizen_id)
        .join(AuditEvent, AuditEvent.citizen_id == CitizenNumber.citizen_id)
        .where(AuditEvent.name == "upstream:identity:linked").order_by(AuditEvent.id.desc()).limit(1)
    )  # fmt: skip
    services = provider.services
    with provider.app.app_context():
        assert find_number("vn-pin", person.number, keyring=services.keyring).id == number.id
        assert find_number("vn-pin", other.number, keyring=services.keyring) is None
        db.session.rollback()
    federated.disable()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "register-mismatch"),
        (table.Answer.MISMATCH, "register-mismatch"),
        (table.Answer.DECEASED, "register-deceased"),
        (table.Answer.LOCKED, "register-locked"),
        (table.Answer.SILENT, "register-silent"),
    ],
)
def test_whom_the_register_does_not_confirm_is_not_let_in(
    answer: table.Answer | None, reason: str, provider: Provider, federated: Federated, browser: Browser
) -> None:
    person = somebody(provider, answer)
    visit = federated.leave(browser, provider.portal())
    visit.sign_in(person)
    page = visit.back()
    assert page.step == "login"
    assert federated.events(reason)
    with provider.app.app_context():
        assert find_number("vn-pin", person.number, keyring=provider.services.keyring) is None
        db.session.rollback()


def test_known_subject_with_another_number_is_refused_and_alarmed(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    person, victim = somebody(provider), somebody(provider)
    for who, step in ((person, "consent"), (victim, "login")):
        browser.forget()
        visit = federated.leave(browser, provider.portal())
        visit.sign_in(person)
        federated.script.claims |= who.claims
        assert visit.back().step == step
    assert federated.events("number-changed")
    alarms = provider.scalars(sa.select(AuditEvent).where(AuditEvent.name == "upstream:identity:changed"))
    assert [event for event in alarms if event.detail["provider"] == federated.slug]


# --- the way there and back --------------------------------------------------------------------------------------


def test_provider_does_not_learn_who_asks(provider: Provider, federated: Federated, browser: Browser) -> None:
    portal = provider.portal()
    visit = federated.leave(browser, portal, login_hint="979091123456", max_age="300", prompt="login")
    assert portal.client_id not in visit.address
    assert visit.request.keys() == {
        *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge"),
        *("code_challenge_method", "acr_values", "prompt", "max_age", "ui_locales"),
    }
    assert visit.request["redirect_uri"] == f"{provider.settings.issuer}/upstream/{federated.slug}/callback"
    assert (visit.request["prompt"], visit.request["max_age"]) == ("login", "300")
    assert len(visit.request["state"]) == len(visit.request["nonce"]) == 43


def test_max_age_is_held_against_the_provider_too(provider: Provider, federated: Federated, browser: Browser) -> None:
    visit = federated.leave(browser, provider.portal(), max_age="300")
    visit.sign_in(somebody(provider), auth_time=None)
    assert visit.back().step == "login"
    assert federated.events("id-token-auth-time")


def test_answer_counts_once_and_a_second_click_is_harmless(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    visit = federated.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    assert visit.back().step == "consent"
    asked = federated.script.times("/token")
    assert visit.back().step == "consent"
    assert federated.script.times("/token") == asked


def test_answer_belongs_to_the_browser_that_asked(provider: Provider, federated: Federated, browser: Browser) -> None:
    visit = federated.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    asked = federated.script.times("/token")
    visit.browser = provider.browser()
    assert visit.back().error_code == "ID-001"
    assert federated.script.times("/token") == asked
    assert federated.events("browser-lost")


@pytest.mark.parametrize("state", [None, "x" * 43])
def test_return_without_a_known_state_is_a_clear_page(
    state: str | None, federated: Federated, browser: Browser
) -> None:
    visit = federated.leave(browser, federated.provider.portal())
    page = visit.back(state=state)
    assert (page.status, page.error_code) == (400, "ID-201")


def test_another_providers_answer_is_refused(
    provider: Provider, federated: Federated, script: ScriptedProvider, browser: Browser
) -> None:
    other = federate(provider, script)
    visit = federated.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    visit.federated = other
    assert visit.back().step == "login"
    assert other.events("other-provider")
    other.disable()


def test_who_cancels_there_comes_back_to_the_choice_and_may_try_again(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    visit = federated.leave(browser, provider.portal())
    page = visit.back(code=None, error="access_denied")
    assert page.step == "login"
    assert f"Nhà cung cấp {federated.slug} mà chưa đăng nhập" in page.text
    again = federated.choose(browser, page)
    again.sign_in(somebody(provider))
    assert finish(browser, again.back())["code"]


def test_who_cancels_here_goes_back_to_the_portal(provider: Provider, federated: Federated, browser: Browser) -> None:
    portal = provider.portal()
    visit = federated.leave(browser, portal)
    visit.back(code=None, error="server_error")
    answer = Answer(str(browser.cancel().left_for))
    assert (answer["error"], answer["state"]) == ("access_denied", "state-of-the-portal")


def test_notice_is_read_before_leaving(provider: Provider, script: ScriptedProvider, browser: Browser) -> None:
    federated = federate(provider, script, notice={"vi": "Chỉ dành cho người có hộp thư."})
    page = browser.get(provider.portal().address())
    page = browser.submit(f"upstream-form-{federated.slug}")
    assert "Chỉ dành cho người có hộp thư." in page.text
    left = browser.submit("leaving-form", notice="read").left_for
    assert str(left).startswith(script.issuer)
    federated.disable()


def test_secret_and_verifier_travel_in_the_back_channel_only(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    visit = federated.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    visit.back()
    form = next(form for path, form in reversed(federated.script.asked) if path == "/token")
    assert set(form) == {"grant_type", "code", "redirect_uri", "code_verifier"}
    assert form["code_verifier"] not in visit.address


# --- which providers ---------------------------------------------------------------------------------------------


def test_what_cannot_be_used_is_shown_with_its_reason_and_refused(
    provider: Provider, script: ScriptedProvider, browser: Browser
) -> None:
    portal = provider.portal()
    closed = [
        federate(provider, script, active=False),
        federate(provider, script, agencies={"deny": [portal.document["agency"]["slug"]]}),
        federate(provider, script, agencies={"allow": ["somebody-else"]}),
        federate(provider, script, ceiling="loa1"),
    ]
    hidden = federate(provider, script, display=False)
    page = browser.get(portal.address(claims=ESSENTIAL))
    csrf = page.forms["login-form"].fields["csrf"]
    for each in closed:
        assert f"upstream-{each.slug}" in page.ids
        assert f"upstream-form-{each.slug}" not in page.forms
        forged = browser.post(f"/signin/{page.handle}/upstream/{each.slug}", {"csrf": csrf})
        assert forged.step == "login"
        assert forged.left_for is None
    assert f"upstream-{hidden.slug}" not in page.ids
    assert browser.post(f"/signin/{page.handle}/upstream/unknown", {"csrf": csrf}).step == "login"
    for each in (*closed, hidden):
        each.disable()


def test_level_below_an_essential_one_is_refused(provider: Provider, federated: Federated, browser: Browser) -> None:
    visit = federated.leave(browser, provider.portal(), claims=ESSENTIAL)
    assert visit.request["acr_values"] == "sub high"
    visit.sign_in(somebody(provider), acr="low")
    assert visit.back().step == "login"
    assert federated.events("level-too-low")


def test_ceiling_caps_what_a_provider_asserts(provider: Provider, script: ScriptedProvider, browser: Browser) -> None:
    federated, portal = federate(provider, script, ceiling="loa2", amr=["pwd"]), provider.portal()
    visit = federated.leave(browser, portal, acr_values="loa3 loa2 loa1")
    visit.sign_in(somebody(provider), acr="high")
    claims = portal.claims(portal.tokens(finish(browser, visit.back())))
    assert (claims["acr"], claims["amr"]) == ("loa2", ["pwd"])
    federated.disable()


def test_highest_level_is_of_these_pages_only(provider: Provider, federated: Federated, browser: Browser) -> None:
    portal, second = provider.portal(), provider.portal()
    visit = federated.leave(browser, portal, acr_values="loa3")
    visit.sign_in(somebody(provider), acr="high")
    assert portal.claims(portal.tokens(finish(browser, visit.back())))["acr"] == "loa3"
    # By single sign-on loa2 is what is left of it (case 23): the provider is asked again, and made to ask.
    page = browser.get(second.address(acr_values="loa3"))
    assert page.step == "login"
    assert federated.choose(browser, page).request["prompt"] == "login"


def test_provider_disabled_in_mid_flow_is_refused_at_return(
    provider: Provider, script: ScriptedProvider, browser: Browser
) -> None:
    federated = federate(provider, script)
    visit = federated.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    federated.disable()
    assert visit.back().step == "login"
    assert federated.events("provider-closed")


def test_session_opens_nothing_once_its_provider_is_closed_or_not_for_this_agency(
    provider: Provider, script: ScriptedProvider, browser: Browser
) -> None:
    first, second, third = provider.portal(), provider.portal(), provider.portal()
    federated = federate(provider, script, agencies={"deny": [third.document["agency"]["slug"]]})
    visit = federated.leave(browser, first)
    visit.sign_in(somebody(provider), acr="low")
    finish(browser, visit.back())
    assert browser.get(second.address()).step == "consent"
    assert browser.get(third.address()).step == "login"
    assert Answer(str(browser.get(third.address(prompt="none")).left_for))["error"] == "login_required"
    federated.disable()
    assert browser.get(second.address()).step == "login"


def test_last_used_provider_stands_first(provider: Provider, script: ScriptedProvider, browser: Browser) -> None:
    early, late = federate(provider, script, order=1), federate(provider, script, order=2)
    visit = late.leave(browser, provider.portal())
    visit.sign_in(somebody(provider))
    visit.back()
    browser.forget("sid")
    page = browser.get(provider.portal().address())
    offered = [name for name in page.forms if name.startswith("upstream-form-")]
    assert offered.index(f"upstream-form-{late.slug}") < offered.index(f"upstream-form-{early.slug}")
    early.disable()
    late.disable()


def test_portal_may_name_a_provider_where_its_record_says_so(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    portal = provider.portal(idp_hints=[federated.slug])
    left = browser.get(portal.address(idp_hint=federated.slug)).left_for
    assert str(left).startswith(federated.script.issuer)
    state = dict(parse_qsl(urlsplit(str(left)).query))["state"]
    # Once there and back, the citizen chooses.
    page = browser.get(f"/upstream/{federated.slug}/callback?error=access_denied&state={state}")
    assert page.step == "login"
    for stranger in (provider.portal(), portal):
        hint = federated.slug if stranger is not portal else "unknown"
        refused = Answer(str(browser.get(stranger.address(idp_hint=hint)).left_for))
        assert refused["error"] == "invalid_idp_hint"


def test_hint_is_ignored_under_single_sign_on(provider: Provider, federated: Federated, browser: Browser) -> None:
    portal = provider.portal(idp_hints=[federated.slug])
    portal.sign_in(browser, provider.citizen())
    assert Answer(str(browser.get(portal.address(idp_hint=federated.slug)).left_for))["code"]


def test_own_code_raises_what_a_provider_began(provider: Provider, federated: Federated, browser: Browser) -> None:
    portal, own = provider.portal(), provider.citizen()
    visit = federated.leave(browser, portal)
    visit.sign_in(somebody(provider, None), acr="low")
    federated.script.claims |= {"identification_number": own.number, "name": own.full_name}
    assert portal.claims(portal.tokens(finish(browser, visit.back())))["acr"] == "loa1"
    page = browser.get(portal.address(acr_values="loa2"))
    assert page.step == "code"
    claims = portal.claims(portal.tokens(Answer(walk(browser, page, own))))
    assert (claims["acr"], claims["amr"]) == ("loa2", ["pwd", "otp", "fpt", "mfa"])
    [row] = provider.scalars(sa.select(SsoSession).where(SsoSession.citizen_id == own.id))
    assert row.provider_level == 1
    assert (row.provider_amr, row.own_amr) == ("pwd otp fpt", "otp mfa")


def test_requests_are_pushed_and_signed_for_where_the_record_says_so(provider: Provider, browser: Browser) -> None:
    with ScriptedProvider() as script:
        script.answers["/.well-known/openid-configuration"] = lambda _: reply(
            {**script.metadata(), "pushed_authorization_request_endpoint": f"{script.issuer}/par"}
        )
        script.answers["/par"] = lambda _: reply({"request_uri": "urn:x:1", "expires_in": 60})
        federated = federate(
            provider, script, pushed_requests=True, token_endpoint_auth_method="private_key_jwt", client_secret=None
        )
        visit = federated.leave(browser, provider.portal())
        assert visit.request == {"client_id": CLIENT_ID, "request_uri": "urn:x:1"}
        [pushed] = [form for path, form in script.asked if path == "/par"]
        assert {"state", "nonce", "code_challenge", "redirect_uri", "client_assertion"} <= set(pushed)
        federated.disable()


# --- what it costs -----------------------------------------------------------------------------------------------


@contextmanager
def asked_by_pages(provider: Provider) -> Iterator[tuple[list[str], list[str]]]:
    """Yield what the pages ask the database for meanwhile, and their commits; prepared statements go elsewhere."""
    statements: list[str] = []
    commits: list[str] = []

    def note_statement(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(" ".join(statement.split()))

    def note_commit(_connection: object) -> None:
        commits.append("COMMIT")

    with provider.app.app_context():
        engine = db.engine
    noted = (("before_cursor_execute", note_statement), ("commit", note_commit))
    for name, note in noted:
        sa.event.listen(engine, name, note)
    try:
        yield statements, commits
    finally:
        for name, note in noted:
            sa.event.remove(engine, name, note)


def test_return_of_a_known_person_keeps_to_its_statements(
    provider: Provider, federated: Federated, browser: Browser
) -> None:
    portal = provider.portal()
    person = somebody(provider)
    for _ in range(2):
        browser.forget()
        visit = federated.leave(browser, portal)
        visit.sign_in(person)
        with asked_by_pages(provider) as (statements, commits):
            page = visit.back()
        finish(browser, page)
    # All of it goes over prepared statements, which tests/bench/test_statements.py counts.
    assert statements == []
    assert commits == []
