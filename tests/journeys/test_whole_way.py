"""The whole way of a citizen: one sign-in, two agencies, sign-out everywhere; Vietnamese, a phone, no scripts."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, Response

from tests.journeys import citizen
from tests.journeys.stage import House

pytestmark = pytest.mark.browser


def words(page: Page) -> str:
    """Return what a person can read on the page."""
    return " ".join(page.inner_text("body").split())


@pytest.mark.holds("FAPI2SP-5.3.2.3-1")
def test_citizen_walks_the_whole_way_without_scripts(any_house: House, profile: Callable[..., BrowserContext]) -> None:
    house, person = any_house, any_house.somebody()
    page = profile(java_script_enabled=False).new_page()
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 (Playwright cannot mark a builtin)

    page.goto(house.etax)
    page.click("#signin")
    assert page.url.startswith(f"{house.issuer}/signin/")
    assert page.get_attribute("html", "lang") == "vi"
    assert "Thuế điện tử cá nhân" in words(page)

    dotted = ".".join((person.number[:3], person.number[3:6], person.number[6:]))
    citizen.fill_login(page, person, number=f" {dotted} ", password="khong phai mat khau")
    page.click("#login-submit")
    assert page.input_value("#password") == ""
    assert "Số định danh cá nhân hoặc mật khẩu không đúng" in page.inner_text("#error-summary")

    citizen.fill_login(page, person, number=citizen.typed(person))
    page.click("#login-submit")
    assert page.url.endswith("/code")
    citizen.enter_code(page, person)

    assert page.url.endswith("/notice")
    shown = words(page)
    # The very values, not their names.
    assert person.full_name in page.inner_text("dl")
    assert person.number in "".join(page.inner_text("dl").split())
    assert "Thông tư số 86/2024/TT-BTC" in shown
    assert "để tìm đúng hồ sơ thuế của bạn" in shown
    assert "Số định danh cá nhân của Việt Nam" in page.inner_text("dl")
    page.click("#notice-continue")

    assert page.url == f"{house.etax}/account"
    assert page.inner_text("#person-name") == person.full_name
    assert page.inner_text("#person-number") == person.number
    assert page.inner_text("#acr") == "loa2"
    tax_sub = page.inner_text("#sub")

    page.goto(house.library)
    page.click("#signin")
    # Nothing to type: the library only asks whether it may know that somebody is there.
    assert page.url.endswith("/consent")
    assert "Không gửi thông tin nào về bạn" in words(page)
    assert person.full_name not in "".join(page.locator("dl").all_inner_texts())
    page.click("#consent-allow")
    library_sub = page.inner_text("#sub")
    assert library_sub != tax_sub
    assert page.inner_text("#acr") in ("loa1", "loa2")

    page.click("#step-up")
    assert page.url == f"{house.library}/loans"
    assert page.inner_text("#acr") == "loa2"

    page.click("#signout")
    assert page.url.startswith(f"{house.issuer}/logout")
    assert "Thuế điện tử cá nhân" in words(page)
    # The tax portal keeps a session of its own, and whoever shares a phone must know.
    assert "Một số dịch vụ có thể vẫn mở" in words(page)
    page.click("#logout-confirm")
    assert page.url.startswith(f"{house.library}/signed-out")

    # LienKet told the tax portal, too.
    page.goto(house.etax)
    assert page.locator("#person-name").count() == 0

    page.goto(house.library)
    page.click("#signin")
    assert page.url.endswith("/login")
    assert page.locator("#login-form").count() == 1

    secrets = (person.number, person.password, tax_sub, library_sub)
    assert [answer.url for answer in answers if any(secret in answer.url for secret in secrets)] == []
    assert [answer.url for answer in answers if answer.status >= 500] == []
    log = (house.directory / "provider.log").read_text("utf-8")
    assert [secret for secret in (*secrets, person.full_name) if secret in log] == []


@pytest.mark.holds("RFC9470-5-1")
def test_step_up_asks_for_the_code_only_when_the_session_lacks_it(
    house: House, profile: Callable[..., BrowserContext]
) -> None:
    person = house.somebody()
    page = profile(java_script_enabled=False).new_page()
    page.goto(house.library)
    page.click("#signin")
    citizen.log_in(page, person)
    page.click("#consent-allow")
    assert page.inner_text("#acr") == "loa1"
    sub = page.inner_text("#sub")
    page.click("#step-up")
    assert page.url.endswith("/code")
    assert "Thư viện số" in words(page)
    citizen.enter_code(page, person)
    assert page.inner_text("#acr") == "loa2"
    page.goto(house.library)
    assert page.inner_text("#sub") == sub


def test_second_visit_asks_nothing_when_all_is_remembered(house: House, profile: Callable[..., BrowserContext]) -> None:
    person = house.somebody()
    context = profile(java_script_enabled=False)
    page = context.new_page()
    citizen.sign_in_at_etax(page, house, person)
    page.click("#signout")
    page.click("#logout-confirm")
    page.goto(house.library)
    page.click("#signin")
    citizen.log_in(page, person)
    page.click("#consent-allow")
    page.goto(f"{house.library}/signin")
    assert page.url == f"{house.library}/"
    assert page.inner_text("#sub")


@pytest.mark.holds("OIDCC-5.5.1.1-1")
def test_level_that_cannot_be_met_is_told_to_the_portal(house: House, profile: Callable[..., BrowserContext]) -> None:
    page = profile(java_script_enabled=False).new_page()
    citizen.sign_in_at_etax(page, house, house.somebody())
    page.click("#step-up")
    assert page.url.startswith(house.etax)
    assert page.get_attribute("#portal-error", "data-code") == "unmet-level"
    page.goto(f"{house.etax}/account")
    assert page.inner_text("#acr") == "loa2"


@pytest.mark.holds("L3")
def test_sign_out_leads_back_only_where_the_portal_is_known(
    house: House, profile: Callable[..., BrowserContext]
) -> None:
    page = profile(java_script_enabled=False).new_page()
    citizen.sign_in_at_etax(page, house, house.somebody())
    page.goto(f"{house.issuer}/logout?post_logout_redirect_uri=https://elsewhere.example/")
    page.click("#logout-confirm")
    assert page.locator("#signed-out").count() == 1
    assert "Thuế điện tử cá nhân" in page.inner_text("#signed-out")
    assert page.locator("a[href*='elsewhere']").count() == 0
