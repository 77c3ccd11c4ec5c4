"""OpenID Connect Core 1.0, 3.1.2.1 and 5.5.1.1: levels asked for, proven, answered; step-up in a running session."""

import pytest

from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, json_of, walk


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.mark.parametrize(
    ("acr_values", "acr", "amr"),
    [
        (None, "loa1", ["pwd"]),
        ("loa1", "loa1", ["pwd"]),
        ("LoA1", "LoA1", ["pwd"]),
        ("eidas1", "eidas1", ["pwd"]),
        ("loa2", "loa2", ["pwd", "otp", "mfa"]),
        ("LoA2", "LoA2", ["pwd", "otp", "mfa"]),
        ("eidas2", "eidas2", ["pwd", "otp", "mfa"]),
        ("unheard-of eidas2 x", "eidas2", ["pwd", "otp", "mfa"]),
        ("loa3 loa1", "loa1", ["pwd"]),
        ("loa2 loa1", "loa1", ["pwd"]),
        ("loa2 loa3", "loa2", ["pwd", "otp", "mfa"]),
        # Out of reach for a password and a code: as far as it goes, and the token says how far.
        ("loa3", "loa2", ["pwd", "otp", "mfa"]),
        ("eidas3", "loa2", ["pwd", "otp", "mfa"]),
        ("urn:mace:incommon:iap:silver", "loa1", ["pwd"]),
        ("1 2 \u0110", "loa1", ["pwd"]),
    ],
)
@pytest.mark.holds("B12", "OIDCC-2-6", "OIDCC-3.1.2.1-10", "OIDCC-15.1-1")
def test_any_mix_of_values_succeeds_and_the_answer_is_true(
    portal: Portal, browser: Browser, person: Person, acr_values: str | None, acr: str, amr: list[str]
) -> None:
    claims = portal.sign_in(browser, person, acr_values=acr_values)
    assert (claims["acr"], claims["amr"]) == (acr, amr)
    # The same in the terms of Decree 69/2024; the level of the account only where this sign-in proves it.
    national = (2, 2) if len(amr) > 1 else (None, 1)
    assert (claims.get("vn_account_level"), claims["vn_auth_level"]) == national


@pytest.mark.holds("B12", "OIDCC-2-6")
def test_what_was_proven_is_said_when_it_is_more_than_was_asked(
    portal: Portal, browser: Browser, person: Person
) -> None:
    portal.arrive(browser, person, acr_values="loa2")
    assert portal.sign_in(browser, person)["acr"] == "loa2"
    assert portal.sign_in(browser, person, acr_values="loa1")["acr"] == "loa1"
    assert portal.sign_in(browser, person, acr_values="loa1 LoA2")["acr"] == "LoA2"


def test_the_level_of_the_clients_record_is_asked_when_the_request_names_none(
    provider: Provider, browser: Browser, person: Person
) -> None:
    strict = provider.portal(default_acr_values=["loa2"])
    assert strict.sign_in(browser, person)["acr"] == "loa2"
    assert strict.sign_in(provider.browser(), person, acr_values="loa1")["acr"] == "loa1"


@pytest.mark.holds("RFC9470-5-1")
def test_a_higher_level_leads_to_step_up_and_not_to_a_new_login(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    first = portal.sign_in(browser, person)
    before = browser.cookies()["__Host-sid"]
    provider.let_pass(person, minutes=3)
    page = browser.get(portal.address(acr_values="loa2"))
    assert page.step == "code"
    answer = Answer(browser.submit("totp-form", code=person.code()).left_for or "")
    claims = portal.claims(portal.tokens(answer))
    assert (claims["acr"], claims["amr"]) == ("loa2", ["pwd", "otp", "mfa"])
    assert claims["sub"] == first["sub"]
    assert claims["auth_time"] == first["auth_time"] - 180
    after = browser.cookies()["__Host-sid"]
    assert after != before
    # The session raised is worth nothing to whoever copied its cookie before.
    browser.put({"__Host-sid": before})
    assert portal.arrive(browser, prompt="none")["error"] == "login_required"
    browser.put({"__Host-sid": after})
    assert portal.arrive(browser, prompt="none", acr_values="loa2").get("code")


def test_the_level_is_not_asked_again_in_the_same_session(portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person, acr_values="loa2")
    page = browser.get(portal.address(acr_values="eidas2"))
    assert Answer(page.left_for or "").get("code")


def test_a_wrong_code_is_refused_and_may_be_tried_again(portal: Portal, browser: Browser, person: Person) -> None:
    browser.get(portal.address(acr_values="loa2"))
    browser.submit("login-form", number=person.number, password=person.password)
    for typed in ("", "12345", "abcdef", "1234567", "000000", "\u0661\u0662\u0663\u0664\u0665\u0666"):
        page = browser.submit("totp-form", code=typed)
        assert (page.status, page.step) == (400, "code")
        assert "error-summary" in page.ids
    code = person.code()
    page = browser.submit("totp-form", code=f" {code[:3]} {code[3:]} ")
    assert Answer(walk(browser, page, person)).get("code")


def test_a_code_counts_once(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    code = person.code()
    browser.get(portal.address(acr_values="loa2"))
    browser.submit("login-form", number=person.number, password=person.password)
    assert Answer(walk(browser, browser.submit("totp-form", code=code), person)).get("code")
    other = provider.browser()
    other.get(portal.address(acr_values="loa2"))
    other.submit("login-form", number=person.number, password=person.password)
    assert other.submit("totp-form", code=code).status == 400


ESSENTIAL = [
    json_of(id_token={"acr": {"essential": True, "values": ["loa2"]}}),
    json_of(id_token={"acr": {"essential": True, "value": "eidas2"}}),
    json_of(id_token={"acr": {"essential": True, "values": ["unheard-of", "LoA2", "loa3"]}}),
]


@pytest.mark.parametrize("claims", ESSENTIAL)
@pytest.mark.holds("OIDCC-5.5.1.1-1")
def test_an_essential_level_is_reached_by_login_or_step_up(
    portal: Portal, provider: Provider, browser: Browser, person: Person, claims: str
) -> None:
    assert portal.sign_in(browser, person, claims=claims)["acr"].lower() in ("loa2", "eidas2")
    later = provider.browser()
    portal.arrive(later, person)
    page = later.get(portal.address(claims=claims))
    assert page.step == "code"
    assert portal.claims(portal.tokens(Answer(walk(later, page, person))))["amr"] == ["pwd", "otp", "mfa"]


@pytest.mark.parametrize("values", [["loa3"], ["eidas3", "LoA3"]])
@pytest.mark.holds("OIDCC-5.5.1.1-1")
def test_an_essential_level_out_of_reach_is_an_error_to_the_portal(
    portal: Portal, browser: Browser, person: Person, values: list[str]
) -> None:
    claims = json_of(id_token={"acr": {"essential": True, "values": values}})
    answer = portal.arrive(browser, person, claims=claims)
    assert answer["error"] == "unmet_authentication_requirements"
    assert answer["state"] == "state-of-the-portal"
    # With a session there is not even a page.
    response = browser.send("GET", portal.address(claims=claims))
    assert Answer(response.headers["Location"])["error"] == "unmet_authentication_requirements"


@pytest.mark.holds("OIDCC-5.5.1.1-1")
def test_an_essential_level_without_the_means_is_an_error_to_the_portal(
    provider: Provider, portal: Portal, browser: Browser
) -> None:
    plain = provider.citizen(totp=False)
    answer = portal.arrive(browser, plain, claims=ESSENTIAL[0])
    assert answer["error"] == "unmet_authentication_requirements"
    assert portal.sign_in(browser, plain, acr_values="loa2")["acr"] == "loa1"


def test_an_essential_level_nobody_knows_is_an_error_at_once(portal: Portal, browser: Browser) -> None:
    claims = json_of(id_token={"acr": {"essential": True, "values": ["urn:x"]}})
    assert portal.arrive(browser, claims=claims)["error"] == "unmet_authentication_requirements"


@pytest.mark.holds("OIDCC-3.1.2.1-10")
def test_a_level_that_is_only_wished_for_is_no_error(portal: Portal, browser: Browser, person: Person) -> None:
    claims = json_of(id_token={"acr": {"values": ["loa3", "urn:x"]}})
    assert portal.sign_in(browser, person, claims=claims)["acr"] == "loa2"


def test_a_person_matched_but_never_seen_stays_at_the_lowest_level(
    provider: Provider, portal: Portal, browser: Browser
) -> None:
    matched = provider.citizen(level=None)
    assert portal.sign_in(browser, matched, acr_values="loa2")["acr"] == "loa1"
