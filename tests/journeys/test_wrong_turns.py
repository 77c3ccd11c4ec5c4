"""Everything people do that is not on the straight way, and that must neither lose nor frighten them."""

import hashlib
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import BrowserContext, Page

from tests.journeys import citizen
from tests.journeys.stage import House

pytestmark = pytest.mark.browser
Profile = Callable[..., BrowserContext]


def step(page: Page) -> str:
    """Return the last part of the page's path."""
    return urlsplit(page.url).path.rpartition("/")[2]


def handle(page: Page) -> str:
    """Return the handle of the login the page belongs to."""
    return urlsplit(page.url).path.split("/")[2]


def start(page: Page, portal: str) -> None:
    """Go from a portal to its first page here."""
    page.goto(portal)
    page.click("#signin")


def assert_is_error(page: Page, code: str) -> None:
    """Hold the page to what every error page has: its code and a reference to read out."""
    assert page.inner_text("#error-code") == code
    assert len(page.inner_text("#error-reference")) == 10


def test_back_button_leads_forward_again_at_every_step(house: House, profile: Profile) -> None:
    person, page = house.somebody(), profile().new_page()
    start(page, house.etax)
    citizen.log_in(page, person)
    assert step(page) == "code"
    citizen.back(page)
    assert step(page) == "code"
    citizen.enter_code(page, person)
    assert step(page) == "notice"
    citizen.back(page)
    assert step(page) == "notice"
    page.click("#notice-continue")
    assert page.inner_text("#person-name") == person.full_name
    citizen.back(page)
    # The code is spent: the page says that all is done, and where to go on.
    assert_is_error(page, "ID-007")
    page.click("#error-back")
    assert page.url.startswith(house.etax)
    assert page.inner_text("#person-name") == person.full_name


def test_reload_keeps_the_place_at_every_step(house: House, profile: Profile) -> None:
    person, page = house.somebody(), profile().new_page()
    start(page, house.etax)
    page.reload()
    citizen.fill_login(page, person, password="khong phai mat khau")
    page.click("#login-submit")
    page.wait_for_selector("#error-summary")
    page.reload()
    assert step(page) == "login"
    citizen.log_in(page, person)
    page.wait_for_selector("#totp-form")
    page.reload()
    citizen.enter_code(page, person)
    page.wait_for_selector("#notice-form")
    page.reload()
    assert step(page) == "notice"
    page.click("#notice-continue")
    assert page.inner_text("#person-name") == person.full_name


def test_double_click_on_every_button_is_one_click(any_house: House, profile: Profile) -> None:
    """Several times: the two posts are judged side by side, and which of them is first is chance."""
    house = any_house
    for pause in (0, 5, 30, 80):
        person, page = house.somebody(), profile().new_page()
        start(page, house.etax)
        citizen.fill_login(page, person)
        page.dblclick("#login-submit", delay=pause)
        page.wait_for_selector("#totp-form")
        page.fill("#code", citizen.code_of(person))
        page.dblclick("#totp-submit", delay=pause)
        page.wait_for_selector("#notice-form")
        page.dblclick("#notice-continue", delay=pause)
        arrive_at_etax(page)
    start(page, house.library)
    page.dblclick("#consent-allow")
    page.wait_for_selector("#sub")
    page.click("#signout")
    page.dblclick("#logout-confirm")
    page.wait_for_selector("#portal-signed-out")
    start(page, house.library)
    assert step(page) == "login"


def arrive_at_etax(page: Page) -> None:
    """Expect the portal after the last button.

    When the portal took the code of the first click and the browser threw the portal's answer away, our page says
    that all is done and leads to the portal, where nothing needs to be typed.
    """
    page.wait_for_selector("#person-name, #error-code")
    if page.locator("#error-code").count():
        assert_is_error(page, "ID-007")
        page.click("#error-back")
        page.wait_for_selector("#person-name, #signin")
        if page.locator("#signin").count():
            page.click("#signin")
    page.wait_for_selector("#person-name")


def test_lost_cookie_leads_back_to_the_agency(house: House, profile: Profile) -> None:
    person, context = house.somebody(), profile(java_script_enabled=False)
    page = context.new_page()
    start(page, house.etax)
    citizen.fill_login(page, person)
    context.clear_cookies(name=f"flow-{handle(page)[:8]}")
    page.click("#login-submit")
    assert_is_error(page, "ID-001")
    page.click("#error-back")
    assert page.url == f"{house.etax}/"
    page.click("#signin")
    citizen.log_in(page, person)
    assert step(page) == "code"


def test_all_cookies_lost_in_mid_flow_ask_to_sign_in_anew(house: House, profile: Profile) -> None:
    person, context = house.somebody(), profile(java_script_enabled=False)
    page = context.new_page()
    start(page, house.etax)
    citizen.log_in(page, person)
    context.clear_cookies(name="sid")
    page.fill("#code", "123456")
    page.click("#totp-submit")
    assert step(page) == "login"
    citizen.log_in(page, person)
    assert step(page) == "code"


@pytest.mark.parametrize("at", ["login", "code", "notice"])
@pytest.mark.holds("F11")
def test_cancel_leads_back_to_the_portal_from_every_page(house: House, profile: Profile, at: str) -> None:
    person, page = house.somebody(), profile().new_page()
    start(page, house.etax)
    if at != "login":
        citizen.log_in(page, person)
    if at == "notice":
        citizen.enter_code(page, person)
    assert step(page) == at
    page.click("#signin-cancel")
    page.wait_for_selector("#portal-error")
    assert page.url.startswith(house.etax)
    assert page.get_attribute("#portal-error", "data-code") == "access-denied"
    page.goto(f"{house.etax}/")
    assert page.locator("#signin").count() == 1


@pytest.mark.parametrize("button", ["#consent-deny", "#signin-cancel"])
@pytest.mark.holds("OIDCC-3.1.2.4-1")
def test_consent_refused_sends_nothing_and_is_asked_again(house: House, profile: Profile, button: str) -> None:
    person, page = house.somebody(), profile().new_page()
    start(page, house.library)
    citizen.log_in(page, person)
    assert step(page) == "consent"
    page.click(button)
    page.wait_for_selector("#portal-error")
    assert page.get_attribute("#portal-error", "data-code") == "access-denied"
    page.click("#signin")
    assert step(page) == "consent"


def test_several_tabs_finish_in_any_order(house: House, profile: Profile) -> None:
    person, context = house.somebody(), profile()
    first, second, third = (context.new_page() for _ in range(3))
    start(first, house.etax)
    start(second, house.library)
    start(third, house.etax)
    citizen.log_in(second, person)
    assert step(second) == "consent"
    # The other tabs still show the login form: sending it must not hurt, and need not be right.
    citizen.log_in(third, person)
    assert step(third) == "code"
    citizen.enter_code(third, person)
    second.click("#consent-allow")
    assert second.inner_text("#acr") in ("loa1", "loa2")
    citizen.log_in(first, person)
    assert step(first) == "notice"
    first.click("#notice-continue")
    assert first.inner_text("#person-name") == person.full_name
    third.reload()
    assert third.inner_text("#person-name") == person.full_name


def test_address_typed_out_of_order_leads_to_the_right_step(house: House, profile: Profile) -> None:
    person, page = house.somebody(), profile().new_page()
    start(page, house.etax)
    login = f"{house.issuer}/signin/{handle(page)}"
    for name in ("consent", "notice", "code", "account", ""):
        page.goto(f"{login}/{name}" if name else login)
        assert step(page) == "login"
    citizen.log_in(page, person)
    for name in ("login", "notice", "consent"):
        page.goto(f"{login}/{name}")
        assert step(page) == "code"
    page.goto(f"{login}/nowhere")
    assert_is_error(page, "OP-003")
    page.goto(f"{login}/cancel")
    assert_is_error(page, "OP-004")
    page.goto(login)
    assert step(page) == "code"


def test_address_of_a_login_opens_nothing_in_another_browser(house: House, profile: Profile) -> None:
    person, page, stranger = house.somebody(), profile().new_page(), profile().new_page()
    start(page, house.etax)
    citizen.log_in(page, person)
    stranger.goto(page.url)
    assert_is_error(stranger, "ID-001")
    assert person.full_name not in stranger.content()


@pytest.mark.parametrize("at", ["login", "code"])
def test_expired_login_leads_back_to_the_agency(house: House, profile: Profile, at: str) -> None:
    person, page = house.somebody(), profile(java_script_enabled=False).new_page()
    start(page, house.etax)
    if at == "code":
        citizen.log_in(page, person)
    engine = sa.create_engine(house.database)
    with engine.begin() as connection:
        expire = sa.text("UPDATE interaction SET expires_at = created_at WHERE handle_digest = :digest")
        digest = hashlib.sha256(handle(page).encode()).digest()
        assert connection.execute(expire, {"digest": digest}).rowcount == 1
    engine.dispose()
    if at == "login":
        citizen.log_in(page, person)
    else:
        page.fill("#code", "123456")
        page.click("#totp-submit")
    assert_is_error(page, "ID-002")
    page.click("#error-back")
    assert page.url == f"{house.etax}/"


def test_language_switch_keeps_the_place(house: House, profile: Profile) -> None:
    person, page = house.somebody(), profile(java_script_enabled=False).new_page()

    def switch(language: str) -> None:
        before = step(page)
        page.click(f"a[hreflang={language}]")
        assert page.get_attribute("html", "lang") == language
        assert step(page) == before

    start(page, house.etax)
    switch("en")
    switch("fr")
    citizen.log_in(page, person)
    assert page.get_attribute("html", "lang") == "fr"
    switch("vi")
    citizen.enter_code(page, person)
    switch("en")
    assert "to find your tax file" in page.inner_text("dl")
    page.click("#notice-continue")
    assert page.inner_text("#person-name") == person.full_name
    page.click("#signout")
    switch("fr")
    page.click("#logout-confirm")
    assert page.locator("#portal-signed-out").count() == 1


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"client_id": "nobody"}, "PR-001"),
        ({"client_id": ""}, "PR-003"),
        ({"redirect_uri": "https://elsewhere.example/callback"}, "PR-002"),
        ({"redirect_uri": ""}, "PR-002"),
    ],
)
@pytest.mark.holds("B1")
def test_unproven_portal_gets_a_page_without_a_link_out(
    house: House, profile: Profile, parameters: dict[str, str], code: str
) -> None:
    page = profile(java_script_enabled=False).new_page()
    answer = page.goto(citizen.request(house, "library", **parameters))
    assert answer is not None
    assert answer.status == 400
    assert_is_error(page, code)
    for link in page.locator("a").all():
        assert (link.get_attribute("href") or "")[0] in "/#"
    assert page.locator("form").count() == 0
    page.click("a[hreflang=en]")
    assert_is_error(page, code)
    assert page.get_attribute("html", "lang") == "en"


def test_phone_owner_is_not_signed_in_as_the_person_before(house: House, profile: Profile) -> None:
    """A shared phone: the second person chooses "another account" and nothing of the first is kept."""
    house.client("shared-phone", scope="openid")
    first, second = house.somebody(), house.somebody()
    page = profile(java_script_enabled=False).new_page()
    page.goto(citizen.request(house, "shared-phone"))
    citizen.log_in(page, first)
    page.click("#consent-allow")
    page.goto(citizen.request(house, "shared-phone", prompt="select_account"))
    assert step(page) == "account"
    assert first.full_name in page.inner_text("main")
    page.click("#account-other")
    assert step(page) == "login"
    assert first.full_name not in page.content()
    citizen.log_in(page, second)
    assert second.full_name in page.inner_text("main")
    assert first.full_name not in page.content()
