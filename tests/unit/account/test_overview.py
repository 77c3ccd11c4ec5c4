"""The way into the own space, and its first page: who may come in, and what is said."""

import pytest
import sqlalchemy as sa

from idp.citizens.assurance import Proofing, RegistryStatus
from idp.citizens.models import CitizenState
from idp.core.i18n import translate
from idp.sso.models import Interaction
from tests.browser import Browser
from tests.provider import Person, Provider
from tests.unit.account.entering import enter

PATHS = ("/account", "/account/number")


@pytest.mark.parametrize("path", PATHS)
def test_page_offers_to_sign_in_and_is_there_afterwards(browser: Browser, person: Person, path: str) -> None:
    page = browser.get(path)
    assert page.status == 200
    assert person.full_name not in page.text
    assert person.full_name in enter(browser, person, path).text


def test_looking_signed_out_stores_nothing(provider: Provider, browser: Browser) -> None:
    before = len(provider.scalars(sa.select(Interaction.id)))
    for path in PATHS:
        browser.get(path)
    assert len(provider.scalars(sa.select(Interaction.id))) == before
    assert browser.cookies() == {}


@pytest.mark.parametrize("path", ["/account/signin", "/account/SIGNIN", "/account/nowhere", "/account/"])
def test_typed_address_leads_to_the_front_or_nowhere(browser: Browser, path: str) -> None:
    page = browser.get(path)
    assert page.path == "/account" if path == "/account/signin" else page.error_code == "OP-003"


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/account/../authorize", "/account\\@evil.example", ""]
)
def test_sign_in_leads_to_our_own_page_whatever_the_form_names(browser: Browser, person: Person, wanted: str) -> None:
    browser.post("/account/signin", {"page": wanted})
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.left_for is None
    assert page.path == "/account"


def test_sign_in_is_not_begun_for_another_site(browser: Browser) -> None:
    page = browser.post("/account/signin", {"page": "/account"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert page.error_code == "ID-008"


def test_each_state_of_the_identity_has_words_of_its_own(browser: Browser, person: Person) -> None:
    enter(browser, person)
    texts = set()
    for proofing in Proofing:
        person.set(proofing=proofing)
        text = browser.get("/account").text
        texts.add(text[: text.index(translate("vi", "space.account-level"))])
        assert translate("vi", f"proofing.{proofing.value}") in text
    assert len(texts) == len(Proofing)


def test_number_is_masked_until_asked_for(browser: Browser, person: Person) -> None:
    page = enter(browser, person)
    assert person.number not in page.html.replace(" ", "")
    assert person.number[-3:] in page.text
    whole = browser.get("/account/number")
    assert person.number in whole.ids["space-number"].replace(" ", "")
    assert person.number not in "".join(response.request.path for response in browser.seen)


@pytest.mark.parametrize(
    ("proofing", "account", "this"),
    [(Proofing.BOUND, "Substantial", "Low, with one step"), (Proofing.MATCHED, "Low", "Low, with one step")],
)
def test_levels_of_account_and_sign_in_are_told_apart(
    browser: Browser, person: Person, proofing: Proofing, account: str, this: str
) -> None:
    person.set(proofing=proofing)
    enter(browser, person)
    page = browser.get("/account?lang=en")
    assert f"Level of assurance of the account {account}" in page.text
    assert f"This sign-in {this}" in page.text


def test_account_that_no_register_confirmed_is_told_so(browser: Browser, person: Person) -> None:
    enter(browser, person)
    person.set(registry_status=RegistryStatus.MISMATCH)
    assert "Level of assurance of the account Not confirmed" in browser.get("/account?lang=en").text


def test_waiting_requests_are_counted(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(grant_types=["authorization_code", "urn:openid:params:grant-type:ciba"])
    assert "(1)" not in enter(browser, person).text
    asked = portal.post("/bc-authorize", scope="openid", login_hint=person.number, binding_message="Quầy 7")
    assert asked.status_code == 200
    page = browser.get("/account?lang=en")
    assert "Waiting requests (1)" in page.text
    assert "/approvals" in page.links


@pytest.mark.parametrize("path", PATHS)
def test_session_that_is_over_or_account_disabled_shows_nothing(
    provider: Provider, browser: Browser, person: Person, path: str
) -> None:
    enter(browser, person)
    person.set(state=CitizenState.DISABLED)
    page = browser.get(path)
    assert "space-signin-form" in page.forms
    assert person.full_name not in page.text
    person.set(state=CitizenState.ACTIVE)
    assert person.full_name in browser.get(path).text
    provider.let_pass(person, hours=1)
    assert person.full_name not in browser.get(path).text


def test_disabled_account_does_not_come_in(browser: Browser, person: Person) -> None:
    person.set(state=CitizenState.DISABLED)
    browser.get("/account")
    browser.submit("space-signin-form")
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.path != "/account"
    assert "space-signin-form" in browser.get("/account").forms


def test_home_page_leads_to_the_own_space(browser: Browser) -> None:
    assert "/account" in browser.get("/").links
