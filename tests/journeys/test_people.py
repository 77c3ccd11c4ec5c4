"""Seven people: those for whom a browser matters, each on their whole way and with at least one wrong turn.

The grandmother without a smartphone, and the woman who lost her phone and has no codes either, are in test_counter.py;
the man whose number was corrected and the attacker, for whom a browser adds nothing, in test_people_over_http.py.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import pyotp
import pytest
import requests
from jose import jwt
from playwright.sync_api import BrowserContext, Page

from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import VN_PIN, Gender
from idp.citizens.registry import table
from tests import canary
from tests.journeys import citizen, newcomer
from tests.journeys.stage import House
from tests.journeys.test_passkeys import Key

pytestmark = pytest.mark.browser
Profile = Callable[..., BrowserContext]
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # of citizen.CHALLENGE: RFC 7636, appendix B


@pytest.fixture(scope="module")
def registry_office(named_house: House) -> dict[str, Any]:
    """Register a client that asks for name and birth date, by consent."""
    words = {"vi": "Để ghi đúng người vào sổ.", "en": "To put the right person on file."}
    return named_house.client(
        "registry-office", scope="openid name birthdate", purposes={"name": words, "birthdate": words}
    )


def redeem(house: House, client: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the claims of ID token and UserInfo for the code that arrived last."""
    found = re.search(r"[?&]code=([^&]+)", house.doorstep.arrivals[-1])
    assert found is not None, house.doorstep.arrivals[-1]
    form = {
        "grant_type": "authorization_code",
        "code": found[1],
        "redirect_uri": client["redirect_uris"][0],
        "code_verifier": VERIFIER,
        "client_id": client["client_id"],
        "client_secret": client["client_secret"],
    }
    tokens = requests.post(f"{house.issuer}/token", data=form, timeout=10).json()
    canary.plant(found[1], *canary.secrets_in(tokens))
    header = jwt.get_unverified_header(tokens["id_token"])
    [key] = [
        key for key in requests.get(f"{house.issuer}/jwks", timeout=10).json()["keys"] if key["kid"] == header["kid"]
    ]
    claims = jwt.decode(
        tokens["id_token"], key, algorithms=[header["alg"]], audience=client["client_id"], issuer=house.issuer,
        access_token=tokens["access_token"],
    )  # fmt: skip
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    return claims, requests.get(f"{house.issuer}/userinfo", headers=bearer, timeout=10).json()


def finish_with_codes(page: Page) -> None:
    """Choose a password and nothing more, and keep the sheet."""
    newcomer.choose_password(page)
    page.click("#factor-later")
    page.dblclick("#codes-submit")


def test_student_enrols_with_a_passkey_and_signs_in_at_a_second_agency_without_a_password(
    named_house: House, profile: Profile, registry_office: dict[str, Any]
) -> None:
    house, person = named_house, newcomer.somebody()
    house.register_knows(person)
    page = profile().new_page()
    key = Key(page)
    page.goto(house.library)
    page.click("#signin")
    page.click("#login-enrol")
    base = page.url.rpartition("/")[0]
    # He types the address of a later page, goes back to an earlier one, and is never lost.
    page.goto(f"{base}/codes")
    assert page.url == f"{base}/person"
    newcomer.prove(page, house, person)
    page.wait_for_selector("#password")
    citizen.back(page)
    page.wait_for_selector("#password")
    newcomer.choose_password(page, newcomer.SHORT_PASSWORD)
    page.click("#factor-passkey")
    key.verify(is_right=False)
    page.click("#passkey-submit")
    page.wait_for_selector("#passkey-cancelled", state="visible")
    key.verify(is_right=True)
    page.click("#passkey-submit")
    page.dblclick("#codes-submit")
    page.click("#consent-allow")
    page.wait_for_selector("#sub")
    # The next day, at an agency that never saw him, with nothing but the finger.
    page.context.clear_cookies()
    key.rest()
    page.goto(citizen.request(house, "registry-office", scope="openid name"))
    page.wait_for_selector("#passkey-submit", state="visible")
    key.rest(touched=True)
    page.click("#passkey-submit")
    page.click("#consent-allow")
    page.wait_for_selector("#arrived")
    token, known = redeem(house, registry_office)
    assert known["name"] == person.full_name
    # No officer has seen him yet: the key is strong, and he is still only what the register matched.
    assert (token["acr"], "pwd" in token["amr"]) == ("loa1", False)


def test_woman_who_lost_her_phone_comes_back_with_a_recovery_code_and_a_new_app(
    named_house: House, profile: Profile
) -> None:
    house, person = named_house, named_house.somebody()
    page = profile(java_script_enabled=False).new_page()
    page.goto(f"{house.issuer}/account/recovery")
    page.click("#space-signin")
    citizen.log_in(page, person)
    citizen.enter_code(page, person)
    page.click("#codes-new")
    page.wait_for_selector("#codes")
    codes = page.locator("#codes li").all_inner_texts()
    canary.plant(*codes)
    page.click("#codes-saved")
    # The phone is gone, and with it the browser.
    page = profile(java_script_enabled=False).new_page()
    page.goto(house.etax)
    page.click("#signin")
    citizen.log_in(page, person)
    page.click("#code-other")
    page.click("#other-recovery")
    # A digit in the wrong place, then a code as she writes it.
    page.fill("#code", codes[0][:-1] + ("C" if codes[0][-1] != "C" else "F"))
    page.click("#recovery-submit")
    page.wait_for_selector("#error-summary")
    page.fill("#code", codes[0].replace("-", " ").lower())
    page.dblclick("#recovery-submit")
    page.wait_for_selector("#recovery-left")
    page.click("#recovery-next")
    page.click("#notice-continue")
    # She is let on, but a code from a sheet is worth loa1: e-tax says that this is not enough, the library is content.
    page.wait_for_selector("#portal-error")
    page.goto(house.library)
    page.click("#signin")
    page.click("#consent-allow")
    page.wait_for_selector("#acr")
    assert page.inner_text("#acr") == "loa1"
    # The new phone first, then the old one goes.
    page.goto(f"{house.issuer}/account")
    page.click("#space-set-up")
    secret = (page.text_content("#app-secret") or "").replace(" ", "")
    canary.plant(secret)
    page.fill("#label", "Máy mới")
    page.fill("#code", "000000")
    page.click("#app-submit")
    assert page.input_value("#label") == "Máy mới"
    page.fill("#code", pyotp.TOTP(secret).now())
    page.dblclick("#app-submit")
    page.wait_for_selector("#apps-done")
    names = page.locator("[id^=app-]:is(h2)").all_inner_texts()
    page.click(f"#app-remove-{3 - names.index('Máy mới') - 1}")
    assert "Máy mới" not in page.inner_text("h1")
    page.click("#app-remove-submit")
    page.wait_for_selector("#apps-done")
    assert page.locator("#app-2").count() == 0
    # Afterwards everything is as before, with the new app alone.
    page.context.clear_cookies()
    page.goto(house.etax)
    page.click("#signin")
    citizen.log_in(page, person)
    assert person.totp_secret is not None
    page.fill("#code", pyotp.TOTP(person.totp_secret).at(time.time() + 30))
    page.click("#totp-submit")
    page.wait_for_selector("#error-summary")
    page.fill("#code", pyotp.TOTP(secret).at(time.time() + 30))
    page.click("#totp-submit")
    page.wait_for_selector("#acr")
    assert page.inner_text("#acr") == "loa2"


def test_citizen_with_a_name_of_one_word_is_called_by_it_and_gets_no_invented_one(
    named_house: House, profile: Profile, registry_office: dict[str, Any]
) -> None:
    house, client = named_house, registry_office
    usual = newcomer.somebody()
    person = table.Person(VN_PIN, usual.number, "K'Brếu", usual.birth, Gender.MALE)
    house.register_knows(person)
    page = profile(java_script_enabled=False).new_page()
    page.goto(citizen.request(house, "registry-office", scope="openid name"))
    page.click("#login-enrol")
    # As forms elsewhere have taught him: a family name that is none.
    newcomer.declare(page, person, full_name="Không K'Brếu")
    page.wait_for_selector("#person-refused")
    page.reload()
    # And then with the sign his telephone puts for an apostrophe.
    newcomer.declare(page, person, full_name="K’Brếu")
    page.fill("#contact", "kbreu@thu.example")
    page.dblclick("#contact-submit")
    page.fill("#code", house.code_mailed())
    page.click("#contact-code-submit")
    finish_with_codes(page)
    page.click("#consent-allow")
    page.wait_for_selector("#arrived")
    _, enrolled = redeem(house, client)
    assert enrolled["name"] == "K'Brếu"
    # Another day, in a browser that knows nothing of him.
    page = profile(java_script_enabled=False).new_page()
    page.goto(citizen.request(house, "registry-office", scope="openid name"))
    page.fill("#number", person.number)
    page.fill("#password", newcomer.PASSWORD)
    page.click("#login-submit")
    page.wait_for_selector("#arrived")
    _, known = redeem(house, client)
    assert known == enrolled
    assert not {"family_name", "middle_name", "given_name"} & set(known)
    page.goto(f"{house.issuer}/account")
    assert "K'Brếu" in page.inner_text("main")


def test_old_man_born_in_a_year_without_a_day_is_never_given_one(
    named_house: House, profile: Profile, registry_office: dict[str, Any]
) -> None:
    house, client = named_house, registry_office
    number = f"979042{newcomer.somebody().number[6:]}"
    person = table.Person(VN_PIN, number, "Phạm Văn Sáu", BirthDate(1942), Gender.MALE)
    house.register_knows(person)
    page = profile(java_script_enabled=False).new_page()
    page.goto(citizen.request(house, "registry-office", scope="openid birthdate"))
    page.click("#login-enrol")
    page.fill("#number", number)
    page.fill("#full_name", person.full_name)
    # A day that nobody knows, guessed as he had to elsewhere.
    page.fill("#day", "1")
    page.fill("#year", "1942")
    page.click("#person-submit")
    page.wait_for_selector("#month-error, #day-error")
    page.fill("#day", "")
    page.click("#person-submit")
    page.wait_for_selector("#look-again")
    page.click("#person-submit")
    page.fill("#contact", "sau@thu.example")
    page.click("#contact-submit")
    page.fill("#code", house.code_mailed())
    page.click("#contact-code-submit")
    finish_with_codes(page)
    page.wait_for_selector("#consent-form")
    assert page.locator(".app-values li").all_inner_texts() == ["1942"]
    page.click("#consent-allow")
    page.wait_for_selector("#arrived")
    token, known = redeem(house, client)
    assert (known["birthdate"], token.get("birthdate", "1942")) == ("1942", "1942")
    wanted = '{"id_token":{"birthdate":null}}'
    page.goto(citizen.request(house, "registry-office", claims=wanted))
    page.wait_for_selector("#arrived")
    token, _ = redeem(house, client)
    assert token["birthdate"] == "1942"
