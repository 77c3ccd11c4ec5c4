"""The register asked again at sign-in: what each answer does to a login, and that silence takes nothing away."""

from datetime import timedelta

import pytest

from idp.citizens.assurance import RegistryStatus
from idp.citizens.registry.table import Answer as Says
from idp.core import clock
from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, walk


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal(scope="openid name idnum")


@pytest.fixture
def person(provider: Provider) -> Person:
    return provider.citizen()


ENDINGS = [
    (Says.DECEASED, "ID-003"),
    (Says.LOCKED, "ID-003"),
    (Says.MISMATCH, "ID-004"),
    (Says.NOT_FOUND, "ID-004"),
]


@pytest.mark.parametrize(("says", "code"), ENDINGS)
@pytest.mark.parametrize("has_session", [False, True])
def test_an_answer_that_forbids_ends_the_login_with_a_page(
    provider: Provider, portal: Portal, browser: Browser, person: Person, says: Says, code: str, has_session: bool
) -> None:
    if has_session:
        portal.arrive(browser, person)
    person.register_says(says)
    page = browser.get(portal.address())
    if not has_session:
        page = browser.submit("login-form", number=person.number, password=person.password)
    assert (page.error_code, page.left_for) == (code, None)
    assert page.status == 403
    assert page.ids["error-reference"]
    assert person.full_name not in page.text
    # Signed in no more; the way back tells the portal.
    assert provider.session_of(person).ended_at is not None
    refused = Answer(browser.submit("cancel").left_for or "")
    assert (refused["error"], refused["state"]) == ("access_denied", "state-of-the-portal")


def test_tokens_stop_when_the_register_forbids(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    token = portal.tokens(portal.arrive(browser, person))["access_token"]
    person.register_says(Says.DECEASED)
    browser.get(portal.address())
    assert portal.userinfo(token).status_code == 401


def test_a_living_person_comes_back_when_the_register_corrects_itself(
    portal: Portal, browser: Browser, person: Person
) -> None:
    before = portal.sign_in(browser, person)["sub"]
    person.register_says(Says.NOT_FOUND)
    assert browser.get(portal.address()).error_code == "ID-004"
    person.register_says(Says.MATCH)
    assert portal.sign_in(browser, person)["sub"] == before


@pytest.mark.parametrize("has_session", [False, True])
def test_silence_keeps_the_level_already_proven(
    provider: Provider, portal: Portal, browser: Browser, person: Person, has_session: bool
) -> None:
    if has_session:
        portal.arrive(browser, person)
    person.register_says(Says.SILENT)
    assert portal.sign_in(browser, person, acr_values="loa2")["acr"] == "loa2"
    asked = person.row().registry_asked_at
    assert asked is not None
    assert clock.now() - asked < timedelta(minutes=1)
    # It is left alone for a while.
    portal.arrive(browser, person)
    assert person.row().registry_asked_at == asked


def test_an_account_the_register_never_confirmed_stays_outside(
    provider: Provider, portal: Portal, browser: Browser
) -> None:
    pending = provider.citizen(register={"outcome": "silent"}, level=None)
    assert pending.row().registry_status is RegistryStatus.PENDING
    browser.get(portal.address())
    page = browser.submit("login-form", number=pending.number, password=pending.password)
    assert (page.status, page.error_code) == (503, "ID-005")


@pytest.mark.parametrize("totp", [False, True])
def test_an_account_confirmed_during_its_login_goes_on_without_a_detour(
    provider: Provider, portal: Portal, browser: Browser, totp: bool
) -> None:
    pending = provider.citizen(register={"outcome": "silent"}, level=None, totp=totp)
    pending.register_says(Says.MATCH)
    page = browser.get(portal.address())
    page = browser.submit("login-form", number=pending.number, password=pending.password)
    assert page.step == "consent"
    claims = portal.claims(portal.tokens(Answer(walk(browser, page, pending))))
    assert (claims["acr"], claims["amr"]) == ("loa1", ["pwd"])


def test_a_fresh_answer_is_not_asked_for_again(portal: Portal, browser: Browser, person: Person) -> None:
    before = person.row().registry_asked_at
    portal.arrive(browser, person)
    assert person.row().registry_asked_at == before


def test_a_replaced_number_is_taken_over(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    new = f"979191{int(person.number[6:]) + 600_000:06d}"
    before = portal.sign_in(browser, person)["sub"]
    person.register_says(Says.REPLACED, replaced_by=new)
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid idnum"))
    assert portal.claims(tokens)["sub"] == before
    assert portal.userinfo(tokens["access_token"]).get_json()["identification_number"] == new
    # Both numbers lead to the same account.
    for number in (person.number, new):
        other = provider.browser()
        other.get(portal.address())
        page = other.submit("login-form", number=number, password=person.password)
        assert "error-summary" not in page.ids
        assert portal.claims(portal.tokens(Answer(walk(other, page, person))))["sub"] == before


def test_the_registers_spelling_is_shown_and_sent(portal: Portal, browser: Browser, person: Person) -> None:
    before = portal.sign_in(browser, person)["sub"]
    person.register_says(Says.MATCH, full_name="NGUYỄN THỊ HÒA")
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid name"))
    assert portal.claims(tokens)["sub"] == before
    assert portal.userinfo(tokens["access_token"]).get_json()["name"] == "NGUYỄN THỊ HÒA"


def test_a_disabled_account_is_told_so_only_with_the_right_password(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    person.set(state="disabled")
    browser.get(portal.address())
    wrong = browser.submit("login-form", number=person.number, password="sai mật khẩu rồi")
    assert (wrong.status, wrong.step, wrong.error_code) == (400, "login", None)
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert (page.status, page.error_code, page.left_for) == (403, "ID-003", None)
    refused = Answer(browser.submit("cancel").left_for or "")
    assert refused["error"] == "access_denied"


@pytest.mark.parametrize("step", ["code", "consent"])
def test_an_account_disabled_in_mid_flow_gets_no_code(
    portal: Portal, browser: Browser, person: Person, step: str
) -> None:
    browser.get(portal.address(acr_values="loa2" if step == "code" else "loa1"))
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.step == step
    name = {"code": "totp-form", "consent": "consent-form"}[step]
    action, fields = browser.form(name, decision="allow", code=person.code())
    person.set(state="disabled")
    page = browser.post(action, fields)
    assert page.left_for is None
    assert (page.status, page.error_code) == (403, "ID-003")


def test_unknown_numbers_and_wrong_passwords_are_told_the_same(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    without = provider.citizen(password=None)
    texts = set()
    for number in (person.number, "979191999999", without.number, "not a number"):
        browser.get(portal.address())
        page = browser.submit("login-form", number=number, password="sai mật khẩu rồi")
        assert page.status == 400
        assert browser.cookies().keys().isdisjoint({"__Host-sid"})
        assert page.forms["login-form"].fields["password"] == ""
        texts.add(page.text)
    assert len(texts) == 1


@pytest.mark.parametrize("shape", ["{0} {1} {2}", "{0}.{1}.{2}", " {0}-{1}\u00a0{2} "])
def test_the_number_may_be_typed_in_groups(portal: Portal, browser: Browser, person: Person, shape: str) -> None:
    typed = shape.format(person.number[:3], person.number[3:6], person.number[6:])
    browser.get(portal.address())
    assert browser.submit("login-form", number=typed, password=person.password).step == "consent"


@pytest.mark.parametrize(
    ("number", "password"),
    [("", ""), ("", "x"), ("979191000001", ""), ("9" * 65, "x"), ("979191000001", "x" * 1025), ("\ufffe", "\ufffe")],
)
def test_a_form_that_cannot_be_meant_says_what_to_mend(
    portal: Portal, browser: Browser, number: str, password: str
) -> None:
    browser.get(portal.address())
    page = browser.submit("login-form", number=number, password=password)
    assert (page.status, page.step) == (400, "login")
    assert "error-summary" in page.ids


@pytest.mark.holds("RFC6749-10.10-2")
def test_guessing_a_password_is_slowed_down_and_says_when_to_come_back(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    browser.get(portal.address())
    for _ in range(4):
        assert browser.submit("login-form", number=person.number, password="sai mật khẩu rồi").status == 400
    page = browser.submit("login-form", number=person.number, password=person.password)
    assert page.status == 429
    assert int(page.response.headers["Retry-After"]) >= 1
    assert "login-form" in page.forms
