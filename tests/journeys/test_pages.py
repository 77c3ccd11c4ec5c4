"""Every page as people meet it: readable by everyone (WCAG 2.0 to 2.2, A and AA), on a phone and a desk, light.

With LIENKET_SHOTS=DIRECTORY each page is also photographed, for the eyes of whoever changes a page.
"""

import gzip
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

from idp.citizens.numbers import VN_PIN
from idp.citizens.registry import table
from idp.core import keyring
from idp.core.database import driver_url
from idp.notify import refusals
from idp.notify.models import OwedNotice
from idp.sandbox.demo_people import DEMO_PEOPLE
from idp.sandbox.persona import Persona
from tests.journeys import citizen
from tests.journeys.conftest import DESKTOP, PHONE
from tests.journeys.stage import REGISTRATIONS, House, Running, done, operate
from tests.services import free_port

pytestmark = pytest.mark.browser
LANGUAGES = ("vi", "en", "fr")
LOCALES = {"vi": "vi-VN", "en": "en-GB", "fr": "fr-FR"}
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]}}
FEWEST_RULES = 5
LIGHT = 30_000


class Eyes:
    """Look at one page after the other and remember what is wrong with them."""

    def __init__(self, page: Page, language: str) -> None:
        self.page = page
        self.language = language
        self.faults: list[str] = []
        self.seen: set[str] = set()
        self._axe = Axe()

    def look(self, name: str, *, language: str | None = None) -> None:
        """Examine the page shown now at both widths."""
        self.seen.add(name)
        shown = self.page.get_attribute("html", "lang")
        if shown != (language or self.language):
            self.faults.append(f"{name}: is in {shown}")
        if self.page.locator("h1").count() != 1:
            self.faults.append(f"{name}: needs one h1")
        for size in (DESKTOP, PHONE):
            self.page.set_viewport_size(size)
            width = size["width"]
            if self.page.evaluate("document.documentElement.scrollWidth") > width:
                self.faults.append(f"{name} at {width} px: scrolls sideways")
            verdict = self._axe.run(self.page, options=RULES).response
            if len(verdict["passes"]) < FEWEST_RULES:
                self.faults.append(f"{name}: axe judged next to nothing")
            for fault in verdict["violations"]:
                where = [node["target"] for node in fault["nodes"]]
                self.faults.append(f"{name} at {width} px: {fault['id']} at {where}")
            if directory := os.environ.get("LIENKET_SHOTS"):
                Path(directory).mkdir(parents=True, exist_ok=True)
                self.page.screenshot(path=f"{directory}/{name}-{self.language}-{width}.png", full_page=True)


@pytest.fixture(scope="module")
def clinic(house: House) -> House:
    """Register a client that asks for much, by consent."""
    words = {"vi": "Phòng khám dùng để hẹn ngày khám.", "en": "To arrange your visit.", "fr": "Pour votre rendez-vous."}
    scopes = "openid name birthdate gender idnum email phone address"
    house.client(
        "clinic",
        scope=scopes,
        purposes=dict.fromkeys(scopes.split(), words),
        **{
            "client_name": "Phòng khám",
            "client_name#vi": "Phòng khám đa khoa (mẫu)",
            "client_name#en": "Polyclinic (sample)",
            "client_name#fr": "Polyclinique (exemple)",
        },
    )
    return house


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_for_everyone(clinic: House, profile: Callable[..., BrowserContext], language: str) -> None:
    house, person = clinic, clinic.somebody()
    # The policy of our pages would keep axe's own script out.
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    # The portals speak two languages.
    portals = "vi" if language == "vi" else "en" if language == "en" else None
    eyes = Eyes(page, language)
    page.goto(f"{house.issuer}/?lang={language}")
    eyes.look("home")
    page.goto(house.etax)
    portals = portals or page.get_attribute("html", "lang")
    eyes.look("etax", language=portals)
    page.click("#signin")
    eyes.look("login")
    page.click("#login-submit")
    eyes.look("login-empty")
    citizen.fill_login(page, person, password="khong phai mat khau")
    page.click("#login-submit")
    eyes.look("login-wrong")
    for details in page.locator("details").all():
        details.click()
    eyes.look("login-details-open")
    citizen.log_in(page, person)
    eyes.look("code")
    page.click("#totp-submit")
    eyes.look("code-empty")
    page.fill("#code", "000 000")
    page.click("#totp-submit")
    for details in page.locator("details").all():
        details.click()
    eyes.look("code-wrong")
    citizen.enter_code(page, person)
    eyes.look("notice")
    page.click("#notice-continue")
    eyes.look("etax-in", language=portals)
    page.goto(house.library)
    eyes.look("library", language=portals)
    page.click("#signin")
    eyes.look("consent-only-openid")
    page.click("#consent-allow")
    eyes.look("library-in", language=portals)
    page.click("#step-up")
    eyes.look("library-loans", language=portals)
    page.goto(citizen.request(house, "clinic", scope="openid name birthdate"))
    eyes.look("consent")
    page.click("#consent-allow")
    page.goto(citizen.request(house, "clinic", scope="openid name birthdate idnum gender email phone address"))
    for details in page.locator("details").all():
        details.click()
    eyes.look("consent-remembered")
    page.click("#consent-allow")
    page.goto(citizen.request(house, "clinic", prompt="select_account"))
    eyes.look("select-account")
    page.goto(citizen.request(house, "clinic", prompt="login"))
    eyes.look("login-again")
    page.click("#signin-cancel")
    page.goto(f"{house.etax}/return")
    eyes.look("etax-unmet-level", language=portals)
    page.goto(f"{house.etax}/signin/callback?state=nothing")
    eyes.look("etax-stale", language=portals)
    page.goto(house.library)
    page.click("#signout")
    eyes.look("logout")
    page.click("#logout-confirm")
    eyes.look("library-signed-out", language=portals)
    _look_at_refusals(eyes, house)
    assert eyes.faults == []
    assert len(eyes.seen) == 30


def _look_at_refusals(eyes: Eyes, house: House) -> None:
    page = eyes.page
    deceased = next(person for person in DEMO_PEOPLE if person.key == "deceased")
    page.goto(citizen.request(house, "clinic"))
    citizen.log_in(page, deceased)
    eyes.look("refusal")
    assert page.inner_text("#error-code") == "ID-003"
    page.click("#error-back")
    page.goto(citizen.request(house, "clinic"))
    page.context.clear_cookies(name="sid")
    for cookie in page.context.cookies():
        if cookie["name"].startswith("flow-"):
            page.context.clear_cookies(name=cookie["name"])
    page.reload()
    eyes.look("error-lost")
    page.goto(citizen.request(house, "nobody"))
    eyes.look("error-unknown-client")
    page.goto(f"{house.issuer}/nowhere")
    eyes.look("error-not-found")
    page.goto(f"{house.issuer}/logout")
    eyes.look("signed-out")
    page.goto(citizen.request(house, "clinic"))
    person = house.somebody()
    citizen.log_in(page, person)
    page.goto(f"{house.issuer}/logout")
    page.click("#logout-confirm")
    eyes.look("signed-out-after-question")
    # The doorstep does not understand logout tokens, so this service has not confirmed.
    house.client("pharmacy", backchannel_logout_uri=f"{house.doorstep.url}/logout")
    page.goto(citizen.request(house, "pharmacy"))
    citizen.log_in(page, person)
    page.click("#consent-allow")
    page.goto(f"{house.issuer}/logout")
    page.click("#logout-confirm")
    page.wait_for_selector("#signed-out-count")
    eyes.look("signed-out-services")
    page.click("#look-again")
    page.wait_for_url("**again=1")


@pytest.fixture(scope="module")
def kiosk(house: House) -> Iterator[str]:
    """Yield the address of the counter kiosk, running."""
    registration = str(REGISTRATIONS / "kiosk.json")
    done(operate("clients", "apply", registration, settings=house.settings))
    port = free_port()
    command = [sys.executable, "-m", "clients.portals.kiosk", "--port", str(port), "--issuer", house.issuer]
    server = Running(command, log=house.directory / "kiosk.log")
    server.until_it_answers(port)
    yield f"http://127.0.0.1:{port}"
    server.end()


@pytest.mark.holds("RFC8628-3.3-1", "RFC8628-5.4-1", "CIBA-14-1")
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_for_another_device_is_for_everyone(
    clinic: House, kiosk: str, profile: Callable[..., BrowserContext], language: str
) -> None:
    house, person = clinic, clinic.somebody()
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    screen = profile(bypass_csp=True, locale=LOCALES[language], viewport=DESKTOP).new_page()
    eyes, beside = Eyes(page, language), Eyes(screen, language)
    kiosk_language = "vi" if language == "vi" else "en"
    screen.goto(f"{kiosk}/?lang={kiosk_language}")
    beside.look("kiosk", language=kiosk_language)
    screen.click("#start")
    screen.wait_for_selector("#qr")
    beside.look("kiosk-waiting", language=kiosk_language)
    page.goto(f"{house.issuer}/?lang={language}")
    page.goto(f"{house.issuer}/device")
    eyes.look("device")
    page.click("#device-submit")
    eyes.look("device-empty")
    code = screen.inner_text("#user-code")
    page.goto(f"{house.issuer}/device?user_code={code}")
    page.click("#device-submit")
    page.wait_for_selector("#confirm-shown")
    assert page.inner_text("#confirm-shown") == code
    eyes.look("confirm-device")
    page.click("#confirm-continue")
    eyes.look("login-elsewhere")
    citizen.log_in(page, person)
    eyes.look("consent-elsewhere")
    page.click("#consent-allow")
    page.wait_for_selector("#device-approved")
    eyes.look("device-approved")
    screen.wait_for_selector("#person-name")
    assert screen.inner_text("#person-name") == person.full_name
    beside.look("kiosk-greeting", language=kiosk_language)
    page.goto(f"{house.issuer}/device?user_code={code}")
    page.click("#device-submit")
    eyes.look("device-answered")
    screen.click("#finish")
    screen.click("#start")
    screen.wait_for_selector("#qr")
    page.goto(f"{house.issuer}/device?user_code={screen.inner_text('#user-code')}")
    page.click("#device-submit")
    page.click("#confirm-deny")
    page.wait_for_selector("#device-denied")
    eyes.look("device-denied")
    screen.wait_for_selector("#failed")
    beside.look("kiosk-refused", language=kiosk_language)
    page.goto(f"{house.issuer}/approvals")
    eyes.look("approvals-none")
    hotline = house.client("hotline", grant_types=["authorization_code", "urn:openid:params:grant-type:ciba"])
    for message in ("Hồ sơ 4821", "7391"):
        asked = requests.post(
            f"{house.issuer}/bc-authorize",
            data={
                "client_id": "hotline",
                "client_secret": hotline["client_secret"],
                "scope": "openid",
                "login_hint": person.number,
                "binding_message": message,
            },
            timeout=10,
        )
        assert asked.status_code == 200, asked.text
    page.reload()
    eyes.look("approvals")
    page.click("#approval-open-1")
    page.wait_for_selector("#confirm-shown")
    eyes.look("confirm-backchannel")
    page.context.clear_cookies(name="sid")
    page.goto(f"{house.issuer}/approvals")
    eyes.look("approvals-signed-out")
    page.click("#approvals-signin")
    eyes.look("login-own-page")
    assert eyes.faults + beside.faults == []
    assert len(eyes.seen) + len(beside.seen) == 17


def replaced(house: House, person: Persona) -> None:
    """Let the register give somebody another number, and say so."""
    new = f"{person.number[:6]}{999_999 - int(person.number[6:]):06d}"
    known = (VN_PIN, person.full_name, person.birthdate, person.gender)
    house.register_knows(
        table.Person(known[0], person.number, *known[1:], table.Answer.REPLACED, new),
        table.Person(known[0], new, *known[1:]),
    )
    assert done(operate("citizens", "recheck", settings=house.settings, typed=person.number)) == "replaced\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_the_own_space_is_for_everyone(
    clinic: House, profile: Callable[..., BrowserContext], language: str
) -> None:
    house, person = clinic, clinic.somebody()
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    eyes = Eyes(page, language)
    page.goto(f"{house.issuer}/account?lang={language}")
    eyes.look("space-sign-in")
    citizen.sign_in_at_etax(page, house, person)
    page.goto(citizen.request(house, "clinic", scope="openid name birthdate idnum gender email phone address"))
    page.click("#consent-allow")
    other = profile(locale=LOCALES[language]).new_page()
    other.goto(f"{house.issuer}/account")
    other.click("#space-signin")
    citizen.log_in(other, person)
    other.wait_for_selector("#space-history")
    replaced(house, person)
    for name, path in (
        ("space", "/account"),
        ("space-number", "/account/number"),
        ("space-history", "/account/history"),
        ("space-sessions", "/account/sessions"),
        ("space-agencies", "/account/agencies"),
        ("space-agency-consent", "/account/agencies/clinic"),
        ("space-language", "/account/language"),
        ("space-providers", "/account/providers"),
        ("space-data", "/account/data"),
        ("space-everything", "/account/data/page"),
    ):
        page.goto(f"{house.issuer}{path}")
        assert page.locator("#space-signin").count() == 0
        for details in page.locator("details").all():
            details.click()
        eyes.look(name)
    page.goto(f"{house.issuer}/account/agencies")
    page.click("#agency-law-1")
    eyes.look("space-agency-law")
    page.goto(f"{house.issuer}/account/agencies/clinic")
    page.click("#agency-withdraw-all")
    eyes.look("space-agencies-withdrawn")
    page.goto(f"{house.issuer}/account/sessions")
    page.click("#sessions-end-others")
    eyes.look("space-sessions-ended")
    _look_at_ways(eyes, house, person)
    assert eyes.faults == []
    assert len(eyes.seen) == 28


def _look_at_ways(eyes: Eyes, house: House, person: Persona) -> None:
    """The pages of apps and recovery codes, and those of somebody whose phone is not at hand."""
    page = eyes.page
    for name, path in (
        ("space-ways", "/account/ways"),
        ("space-apps", "/account/apps"),
        ("space-app-add", "/account/apps/add"),
        ("space-recovery", "/account/recovery"),
        ("space-recovery-new", "/account/recovery/new"),
    ):
        page.goto(f"{house.issuer}{path}")
        for details in page.locator("details").all():
            details.click()
        eyes.look(name)
    code = page.locator("#codes li").first.inner_text()
    page.emulate_media(media="print")
    eyes.look("space-recovery-sheet")
    assert not page.locator(".app-footer").is_visible()
    page.emulate_media(media="screen")
    page.click("#codes-saved")
    eyes.look("space-recovery-made")
    page.goto(f"{house.issuer}/account/apps")
    page.click("#app-name-1")
    eyes.look("space-app-name")
    page.goto(f"{house.issuer}/account/apps")
    page.click("#app-remove-1")
    eyes.look("space-app-remove")
    page.context.clear_cookies(name="sid")
    page.goto(citizen.request(house, "clinic", acr_values="loa2"))
    citizen.log_in(page, person)
    page.click("#code-other")
    eyes.look("code-other")
    page.click("#other-recovery")
    page.fill("#code", "123")
    page.click("#recovery-submit")
    eyes.look("recovery-wrong")
    page.fill("#code", code.lower())
    page.click("#recovery-submit")
    page.wait_for_selector("#recovery-left")
    eyes.look("recovery-used")
    page.goto(f"{house.issuer}/account")
    eyes.look("space-recovered")
    page.goto(f"{house.issuer}/account/passkeys")
    eyes.look("space-passkeys-app-first")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_that_guards_an_account_is_for_everyone(
    clinic: House, profile: Callable[..., BrowserContext], language: str
) -> None:
    house, person = clinic, clinic.somebody()
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    other = profile(locale=LOCALES[language]).new_page()
    other.goto(citizen.request(house, "clinic"))
    citizen.log_in(other, person)
    other.click("#consent-allow")
    eyes = Eyes(page, language)
    page.goto(f"{house.issuer}/not-me/nothing?lang={language}")
    eyes.look("not-me-over")
    page.goto(f"{house.issuer}/account/close")
    page.click("#space-signin")
    page.check("#shared")
    eyes.look("login-shared")
    citizen.log_in(page, person)
    citizen.enter_code(page, person)
    page.wait_for_selector("#close-submit")
    eyes.look("close")
    page.click("#close-submit")
    page.wait_for_selector("#closing-keep")
    eyes.look("closing")
    page.goto(f"{house.issuer}/account")
    eyes.look("space-shared-closing")
    page.goto(f"{house.issuer}/account/rights")
    eyes.look("rights")
    page.click("#rights-correction")
    eyes.look("rights-ask")
    page.click("#rights-submit")
    eyes.look("rights-ask-empty")
    page.fill("#words", "Tên đệm ghi thiếu, đúng là Nguyễn Thị Hồng Hoà.")
    page.click("#rights-submit")
    page.wait_for_selector("#rights-asked")
    eyes.look("rights-asked")
    page.goto(f"{house.issuer}/account/history")
    page.locator("[id^=history-not-me-]").first.click()
    eyes.look("disown")
    page.click("#disown-submit")
    page.wait_for_selector("#disown-reference")
    eyes.look("disowned")
    page.goto(f"{house.issuer}/account/history")
    eyes.look("history-reported")
    page.goto(f"{house.issuer}/account/lock")
    page.wait_for_selector("#lock-submit")
    eyes.look("lock")
    page.goto(_newest_link(house, "closing-asked"))
    eyes.look("not-me")
    page.click("#not-me-submit")
    page.wait_for_selector("#not-me-lock")
    eyes.look("not-me-done")
    page.click("#not-me-lock")
    page.wait_for_selector("#not-me-locked")
    eyes.look("not-me-locked")
    page.goto(f"{house.issuer}/account/lock/done")
    eyes.look("locked")
    page.goto(citizen.request(house, "clinic"))
    citizen.log_in(page, person)
    eyes.look("refusal-locked")
    assert page.inner_text("#error-code") == "ID-021"
    assert eyes.faults == []
    assert len(eyes.seen) == 18


def _newest_link(house: House, kind: str) -> str:
    """Return the link that the latest mail of a kind holds."""
    engine = sa.create_engine(driver_url(house.database))
    with engine.connect() as connection:
        newest = sa.select(OwedNotice.id).where(OwedNotice.kind == kind).order_by(OwedNotice.created_at.desc()).limit(1)
        notice_id = connection.scalars(newest).one()
    engine.dispose()
    keys = keyring.load(Path(house.settings["IDP_SECRETS_DIR"]), is_production=False)
    return refusals.link(notice_id, issuer=house.issuer, keyring=keys)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_contacts_and_passwords_is_for_everyone(
    clinic: House, profile: Callable[..., BrowserContext], language: str
) -> None:
    house, person = clinic, clinic.somebody()
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    eyes = Eyes(page, language)
    page.goto(f"{house.issuer}/account/contacts?lang={language}")
    page.click("#space-signin")
    citizen.log_in(page, person)
    citizen.enter_code(page, person)
    signed_in = time.monotonic()
    page.wait_for_selector("#contact-mail")
    eyes.look("contacts")
    page.goto(f"{house.issuer}/account/contacts/mail")
    eyes.look("contact-mail")
    page.click("#contact-submit")
    eyes.look("contact-mail-empty")
    address = f"lan-{language}@thu.example"
    page.fill("#contact", address)
    page.click("#contact-submit")
    page.wait_for_selector("#code")
    asked = time.monotonic()
    code = re.search(r"\b\d{6}\b", house.message_to(address))
    assert time.monotonic() - asked < 5
    assert code is not None
    page.click("#code-submit")
    eyes.look("contact-code-empty")
    page.fill("#code", code.group())
    page.click("#code-submit")
    page.wait_for_selector("#contacts-done")
    page.goto(f"{house.issuer}/account/contacts/phone")
    eyes.look("contact-phone")
    page.fill("#contact", f"0912 00{LANGUAGES.index(language)} 321")
    page.click("#contact-submit")
    page.wait_for_selector("#code")
    eyes.look("contact-code")
    page.fill("#code", house.message_to(f"+8491200{LANGUAGES.index(language)}321")[:6])
    page.click("#code-submit")
    page.wait_for_selector("#contacts-done")
    eyes.look("contacts-kept")
    page.goto(f"{house.issuer}/account/contacts/phone/remove")
    eyes.look("contact-remove")
    page.goto(f"{house.issuer}/account/password")
    eyes.look("password")
    page.fill("#password", "matkhau123")
    page.click("#password-submit")
    eyes.look("password-weak")
    other = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    eyes.page = other
    other.goto(f"{house.issuer}/?lang={language}")
    other.goto(citizen.request(house, "clinic"))
    other.click("#login-forgotten")
    eyes.look("forgotten")
    other.fill("#number", citizen.typed(person))
    other.click("#forgotten-submit")
    other.click("#code-submit")
    for details in other.locator("details").all():
        details.click()
    eyes.look("forgotten-code")
    sent = re.search(r"\b\d{6}\b", house.message_to(address))
    assert sent is not None
    other.fill("#code", sent.group())
    other.click("#code-submit")
    other.wait_for_url("**/factor")
    eyes.look("forgotten-factor")
    # The code of half a minute ago is spent.
    time.sleep(max(0, signed_in + 31 - time.monotonic()))
    other.fill("#code", citizen.code_of(person))
    other.click("#code-submit")
    other.wait_for_selector("#again")
    eyes.look("forgotten-password")
    for name in ("#password", "#again"):
        other.fill(name, "mưa rào trên mái ngói cũ")
    other.click("#password-submit")
    other.wait_for_selector("#login-reset")
    eyes.look("login-reset")
    assert eyes.faults == []
    assert len(eyes.seen) == 15


@pytest.fixture(scope="module")
def federation(house: House) -> House:
    """Register identity providers: one that can be gone to, one with a notice, one that does not answer, one closed."""
    home = house.doorstep.url
    endpoints = {
        "authorization_endpoint": f"{home}/callback",
        "token_endpoint": f"{home}/token",
        "jwks_uri": f"{home}/jwks",
    }
    words = {
        "vi": "Dành cho người có hộp thư tại bưu điện.",
        "en": "For holders of a post box.",
        "fr": "Boîte postale.",
    }
    documents: dict[str, dict[str, Any]] = {
        "post": {"name": {"vi": "Bưu điện ID", "en": "Post ID", "fr": "ID Poste"}, "description": words, **endpoints},
        "notice": {
            "name": {"vi": "Ngân hàng ID", "en": "Bank ID", "fr": "ID Banque"},
            "beta": True,
            "notice": words,
            "banners": [{"from": "2020-01-01", "until": "2199-01-01", "text": words}],
            **endpoints,
        },
        "silent": {"name": {"vi": "Tỉnh ID", "en": "Province ID", "fr": "ID Province"}, "issuer": "http://127.0.0.1:9"},
        "closed": {"name": {"vi": "Trường học ID", "en": "School ID", "fr": "ID École"}, "active": False, **endpoints},
    }
    for slug, members in documents.items():
        whole = {
            "slug": slug,
            "issuer": home,
            "client_id": "lienket",
            "levels": {"LoA2": "loa2"},
            "ceiling": "loa2",
            **members,
        }
        file = house.directory / f"provider-{slug}.json"
        file.write_text(json.dumps(whole), "utf-8")
        done(operate("upstream", "add", str(file), settings=house.settings))
    return house


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_of_identity_providers_are_for_everyone(
    federation: House, profile: Callable[..., BrowserContext], language: str
) -> None:
    house = federation
    page = profile(bypass_csp=True, locale=LOCALES[language]).new_page()
    eyes = Eyes(page, language)
    page.goto(f"{house.issuer}/?lang={language}")
    # What was added is seen within five seconds.
    for _ in range(30):
        page.goto(house.etax)
        page.click("#signin")
        if page.locator("#upstream-closed").count():
            break
        page.wait_for_timeout(300)
    eyes.look("login-providers")
    page.click("#upstream-silent")
    eyes.look("login-provider-refused")
    page.click("#upstream-notice")
    eyes.look("leaving")
    page.goto(f"{house.issuer}/upstream/post/callback?state=unknown&code=x")
    eyes.look("return-unknown")
    page.goto(f"{house.issuer}/status")
    eyes.look("status")
    assert eyes.faults == []


def test_button_of_a_provider_leads_there_under_the_policy_of_the_page(
    federation: House, profile: Callable[..., BrowserContext]
) -> None:
    house, page = federation, profile().new_page()
    page.goto(house.etax)
    page.click("#signin")
    page.wait_for_selector("#upstream-post")
    page.click("#upstream-post")
    page.wait_for_selector("#arrived")
    assert "code_challenge_method=S256" in house.doorstep.arrivals[-1]


def test_sign_in_page_weighs_at_most_30_kilobytes(house: House, profile: Callable[..., BrowserContext]) -> None:
    page = profile(java_script_enabled=False).new_page()
    weights: dict[str, int] = {}

    def weigh(answer: Any) -> None:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind in ("text/html", "text/css", "text/javascript") and answer.status == 200:
            weights[answer.url] = len(gzip.compress(answer.body()))

    page.goto(house.etax)
    page.on("response", weigh)
    page.click("#signin")
    page.wait_for_load_state("networkidle")
    assert len(weights) == 2, json.dumps(weights)
    assert sum(weights.values()) <= LIGHT


@pytest.mark.holds("RFC9700-4.2-1")
def test_browser_has_nothing_to_complain_about_on_the_whole_way(
    clinic: House, profile: Callable[..., BrowserContext]
) -> None:
    """Chromium holds form-action against the redirect after a form: a policy that is too narrow kills the return."""
    house, person = clinic, clinic.somebody()
    context = profile()
    complaints: list[str] = []
    context.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("requestfailed", lambda request: complaints.append(f"failed: {request.url.partition('?')[0]}"))
    page = context.new_page()
    citizen.sign_in_at_etax(page, house, person)
    page.goto(house.library)
    page.click("#signin")
    page.click("#consent-allow")
    page.wait_for_selector("#sub")
    page.goto(citizen.request(house, "clinic", scope="openid name"))
    page.click("#consent-allow")
    page.wait_for_selector("#arrived")
    page.goto(citizen.request(house, "clinic", prompt="login"))
    page.click("#signin-cancel")
    page.wait_for_selector("#arrived")
    assert "error=access_denied" in house.doorstep.arrivals[-1]
    page.goto(house.library)
    page.click("#signout")
    page.click("#logout-confirm")
    page.wait_for_selector("#portal-signed-out")
    assert [each for each in complaints if "favicon.ico" not in each] == []
