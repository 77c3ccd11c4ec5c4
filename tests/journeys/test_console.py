"""The first owner: invited by mail, signed in with a key, and through the console, looked at by axe."""

import json
import quopri
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext

from tests.journeys.conftest import DESKTOP
from tests.journeys.stage import House, done, operate
from tests.journeys.test_pages import Eyes
from tests.journeys.test_passkeys import Key, make_passkey

pytestmark = pytest.mark.browser
DOCUMENT = {
    "slug": "buu-dien",
    "issuer": "https://id.buudien.example",
    "client_id": "lienket",
    "levels": {"LoA1": "loa1", "LoA2": "loa2"},
    "ceiling": "loa2",
    "name": {"vi": "Bưu điện ID (mẫu)", "en": "Post ID (sample)"},
}


def test_owner_is_invited_and_keeps_a_provider(named_house: House, profile: Callable[..., BrowserContext]) -> None:
    house, person = named_house, named_house.somebody()
    page = profile(viewport=DESKTOP, bypass_csp=True, locale="vi-VN").new_page()
    key, eyes = Key(page), Eyes(page, "vi")
    make_passkey(page, house, person)
    done(operate("staff", "invite", "chu@vi-du.example", "--role", "owner", settings=house.settings))
    mail = quopri.decodestring(house.message_to("chu@vi-du.example").encode()).decode("utf-8", "replace")
    found = re.search(r"/console/invitation/[A-Za-z0-9_-]{43}", mail)
    assert found
    page.context.clear_cookies()
    page.goto(f"{house.issuer}{found[0]}")
    key.rest()
    page.click("#console-signin")
    page.wait_for_selector("#passkey-submit", state="visible")
    key.rest(touched=True)
    page.click("#passkey-submit")
    page.wait_for_selector("#invitation-accept")
    eyes.look("console-invitation")
    page.click("#invitation-accept")
    eyes.look("console")
    page.click("#console-staff")
    page.click("#staff-invite")
    page.click("#invite-submit")
    eyes.look("console-staff-invite")
    page.fill("#mail", "hai@vi-du.example")
    page.check("[name=role][value=auditor]")
    page.click("#invite-submit")
    eyes.look("console-staff")
    page.goto(f"{house.issuer}/console/new-provider")
    page.fill("#document", json.dumps(DOCUMENT | {"ceiling": "loa9", "isuer": "x"}, ensure_ascii=False, indent=2))
    page.click("#change-submit")
    eyes.look("console-provider-refused")
    page.fill("#document", json.dumps(DOCUMENT, ensure_ascii=False, indent=2))
    page.click("#change-submit")
    page.click("#confirm-submit")
    page.click("#provider-change")
    changed = DOCUMENT | {"token_endpoint_auth_method": "client_secret_basic", "ceiling": "loa1"}
    page.fill("#document", json.dumps(changed, ensure_ascii=False, indent=2))
    page.click("#change-submit")
    eyes.look("console-provider-confirm")
    page.click("#confirm-back")
    page.goto(f"{house.issuer}/console/providers/buu-dien/cut")
    page.click("#cut-submit")
    eyes.look("console-provider-cut")
    page.fill("#reason-vi", "Sự cố ở nhà cung cấp (mẫu).")
    page.click("#cut-submit")
    eyes.look("console-provider-incident")
    assert eyes.faults == []
