"""A grandmother without a smartphone and the officers of her ward, each with a real browser; and every page of both.

She has no account. An officer sees her card, she chooses a password on a screen at the desk and takes printed codes
home; with one of them she lets the desk help her, with another she is helped into a service.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from idp.sandbox.persona import Persona
from idp.sandbox.personas import personas
from tests.journeys import citizen
from tests.journeys.conftest import DESKTOP
from tests.journeys.stage import ROOT, House, done, operate
from tests.journeys.test_pages import LANGUAGES, LOCALES, Eyes
from tests.journeys.test_passkeys import Key, make_passkey

pytestmark = pytest.mark.browser
PASSWORD = "ca dao bốn câu bà thuộc"
_IN_REGISTER = """
import sys
from idp.citizens.birthdate import parse
from idp.citizens.registry import table
from idp.cli.shared import services
from idp.core.database import db
number, name, birth = sys.stdin.read().split("|")
with services() as provider:
    table.write([table.Person("vn-pin", number, name, parse(birth), None)], keyring=provider.keyring)
    db.session.commit()
"""


def in_register(house: House, person: Persona) -> None:
    """Let the embedded register know somebody who has no account."""
    told = f"{person.number}|{person.full_name}|{person.birthdate.iso()}"
    environment = {"PYTHONPATH": str(ROOT), "PATH": str(Path(sys.executable).parent), **house.settings}
    result = subprocess.run(
        [sys.executable, "-c", _IN_REGISTER], input=told, text=True, capture_output=True, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr


def hire(house: House, person: Persona) -> None:
    """Make somebody an officer, as an operator does."""
    names = ("vi=Bộ phận Một cửa phường Sông Trong (mẫu)", "en=Sample ward one-stop desk", "fr=Guichet (exemple)")
    options = [part for name in names for part in ("--name", name)]
    done(
        operate(
            "officers", "add", "--counter", "song-trong", *options, "--service", "allowance",
            settings=house.settings, typed=f"{person.number}\n",
        )
    )  # fmt: skip


def sign_in_at_desk(page: Page, key: Key, house: House, path: str = "/counter") -> None:
    """Sign in with the officer's key."""
    page.goto(f"{house.issuer}{path}")
    key.rest()
    page.click("#counter-signin")
    page.wait_for_selector("#passkey-submit", state="visible")
    key.rest(touched=True)
    page.click("#passkey-submit")
    page.wait_for_url(f"{house.issuer}{path}")
    # Or it would answer the offers of the next sign-in page by itself.
    key.rest()


def fill_card(page: Page, person: Persona, code: str) -> None:
    """Type what is on the card and on the screen."""
    page.fill("#number", citizen.typed(person))
    page.fill("#full_name", person.full_name)
    birth = person.birthdate
    page.fill("#day", str(birth.day or "00"))
    page.fill("#month", str(birth.month or "00"))
    page.fill("#year", str(birth.year))
    page.check("#document")
    page.check("#face")
    page.fill("#code", code)


@pytest.mark.parametrize("language", LANGUAGES)
def test_grandmother_without_a_smartphone_is_bound_and_helped(
    named_house: House, profile: Callable[..., BrowserContext], language: str
) -> None:
    house, clerk = named_house, named_house.somebody()
    grandmother = personas(70 + LANGUAGES.index(language), 1)[0]
    in_register(house, grandmother)
    house.client("allowance", scope="openid name", basis="legal", legal_basis={"vi": "Luật số 1"},
                 purposes={"name": {"vi": "Trợ cấp hằng tháng."}})  # fmt: skip
    options = {"bypass_csp": True, "locale": LOCALES[language]}
    desk, screen = profile(viewport=DESKTOP, **options).new_page(), profile(**options).new_page()
    key, eyes, hers = Key(desk), Eyes(desk, language), Eyes(screen, language)
    make_passkey(desk, house, clerk)
    hire(house, clerk)
    desk.context.clear_cookies()
    desk.goto(f"{house.issuer}/counter?lang={language}")
    eyes.look("counter-sign-in")
    sign_in_at_desk(desk, key, house)
    eyes.look("counter")
    # Her screen shows a code, the officer types it with what is on the card.
    screen.goto(f"{house.issuer}/?lang={language}")
    screen.goto(citizen.request(house, "allowance", scope="openid name"))
    hers.look("login-with-counter")
    screen.click("#login-counter")
    hers.look("at-counter")
    screen.click("#at-counter-show")
    hers.look("at-counter-code")
    code = screen.inner_text("#at-counter-code")
    desk.click("#counter-card")
    desk.click("#card-submit")
    eyes.look("counter-card")
    fill_card(desk, grandmother, code)
    desk.click("#card-submit")
    eyes.look("counter-visit")
    screen.click("#at-counter-again")
    assert screen.is_visible("#at-counter-seen")
    desk.check("input[name=act][value=new]")
    desk.click("#visit-submit")
    eyes.look("counter-visit-allowed")
    screen.click("#at-counter-again")
    screen.click("#password-submit")
    hers.look("counter-password")
    screen.fill("#password", PASSWORD)
    screen.fill("#again", PASSWORD)
    screen.click("#password-submit")
    hers.look("counter-codes")
    codes = screen.locator("#recovery-codes li").all_inner_texts()
    assert len(codes) == 10
    screen.click("#codes-submit")
    # She lets the desk help her.
    desk.goto(f"{house.issuer}/counter/mandate")
    desk.click("#mandate-submit")
    eyes.look("counter-mandate")
    desk.fill("#number", citizen.typed(grandmother))
    desk.check("#document")
    desk.check("#face")
    desk.check("#any")
    desk.check("#days")
    desk.fill("#purpose", "trợ cấp")
    desk.fill("#code", codes[0])
    desk.click("#mandate-submit")
    desk.wait_for_selector("#counter-done")
    eyes.look("counter-done")
    for name in ("help", "second", "mandate-end", "history"):
        desk.goto(f"{house.issuer}/counter/{name.replace('-', '/', 1) if name == 'mandate-end' else name}")
        eyes.look(f"counter-{name}")
    desk.goto(f"{house.issuer}/counter/help")
    desk.click("#help-submit")
    desk.wait_for_selector("#help-ready")
    eyes.look("counter-help-ready")
    desk.goto(citizen.request(house, "allowance", scope="openid name"))
    eyes.look("login-with-officer")
    desk.click("#login-assist")
    desk.click("#assist-submit")
    eyes.look("assist")
    desk.fill("#number", citizen.typed(grandmother))
    desk.fill("#code", codes[1].replace("-", " ").lower())
    desk.click("#assist-submit")
    desk.click("#notice-continue")
    desk.wait_for_selector("#arrived")
    assert "code=" in house.doorstep.arrivals[-1]
    # At home, with her password, she sees it and ends it.
    screen.goto(f"{house.issuer}/account/mandates")
    screen.click("#space-signin")
    screen.fill("#number", citizen.typed(grandmother))
    screen.fill("#password", PASSWORD)
    screen.click("#login-submit")
    if screen.locator("#code").count():
        screen.fill("#code", codes[2])
        screen.keyboard.press("Enter")
    screen.wait_for_selector("#counter-acts")
    hers.look("mandates")
    screen.goto(f"{house.issuer}/account/history")
    hers.look("history-helped")
    screen.goto(f"{house.issuer}/account/mandates")
    screen.click("#mandate-end-1")
    hers.look("mandate-end")
    screen.click("#mandate-end-submit")
    screen.wait_for_selector("#mandates-done")
    hers.look("mandates-none")
    desk.goto(citizen.request(house, "allowance", scope="openid name"))
    assert desk.is_visible("#login-form")
    assert eyes.faults + hers.faults == []
    assert len(eyes.seen) + len(hers.seen) == 23


def test_new_keys_for_a_bound_account_take_two_officers_and_their_pages_are_for_everyone(
    named_house: House, profile: Callable[..., BrowserContext]
) -> None:
    house, person = named_house, named_house.somebody()
    house.client("allowance", scope="openid name", basis="legal", legal_basis={"vi": "Luật số 1"},
                 purposes={"name": {"vi": "Trợ cấp hằng tháng."}})  # fmt: skip
    screen = profile(bypass_csp=True).new_page()
    screen.goto(citizen.request(house, "allowance", scope="openid name"))
    screen.click("#login-counter")
    screen.click("#at-counter-show")
    code = screen.inner_text("#at-counter-code")
    hers = Eyes(screen, "vi")
    for number in (1, 2):
        clerk, desk = house.somebody(), profile(bypass_csp=True, viewport=DESKTOP).new_page()
        key, eyes = Key(desk), Eyes(desk, "vi")
        make_passkey(desk, house, clerk)
        hire(house, clerk)
        desk.context.clear_cookies()
        sign_in_at_desk(desk, key, house)
        if number == 1:
            desk.click("#counter-card")
            fill_card(desk, person, code)
            desk.click("#card-submit")
            desk.check("input[name=act][value=replace]")
            desk.click("#visit-submit")
            desk.wait_for_selector("#visit-waits")
            eyes.look("counter-visit-waits")
            # She presses too early: one officer is not enough.
            screen.click("#at-counter-again")
            assert not screen.locator("#password").count()
        else:
            desk.click("#counter-second")
            desk.fill("#code", code)
            desk.click("#second-submit")
            desk.wait_for_selector("#confirm-form")
            eyes.look("counter-visit-confirm")
            desk.check("#document")
            desk.check("#face")
            desk.click("#confirm-submit")
            desk.wait_for_selector("#visit-allowed")
        assert eyes.faults == []
    screen.click("#at-counter-again")
    screen.fill("#password", PASSWORD)
    screen.fill("#again", PASSWORD)
    screen.click("#password-submit")
    screen.wait_for_selector("#recovery-codes")
    screen.click("#codes-submit")
    screen.fill("#number", citizen.typed(person))
    screen.fill("#password", PASSWORD)
    screen.click("#login-submit")
    screen.wait_for_selector("#notice-continue")
    assert hers.faults == []
