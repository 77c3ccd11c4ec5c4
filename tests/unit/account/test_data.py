"""Everything that is held about a person, for that person alone, and no secret in it."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from idp.account.data import holdings
from idp.account.history import ledger
from idp.audit.events import Event
from idp.audit.models import IS_PERSONAL, AuditEvent
from idp.citizens.models import CitizenState, PasswordCredential, TotpCredential
from tests.browser import Browser
from tests.provider import Person, Portal, Provider
from tests.unit.account.entering import enter
from tests.unit.account.test_history import HOSTILE, disclose

PATHS = ("/account/data/file", "/account/data/page")
SCOPE = "openid name idnum offline_access"


@pytest.fixture
def portal(provider: Provider) -> Portal:
    """Return a portal that asks by consent, for lasting access too."""
    return provider.portal(scope=SCOPE, grant_types=["authorization_code", "refresh_token"])


def fresh(browser: Browser, person: Person) -> None:
    """Sign in as the pages of the own data want it."""
    assert "data-file" in enter(browser, person, "/account/data").ids


def read(browser: Browser) -> dict[str, Any]:
    response = browser.send("GET", "/account/data/file")
    assert response.headers["Content-Disposition"].startswith("attachment;")
    assert response.mimetype == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    document: dict[str, Any] = json.loads(response.get_data(as_text=True))
    return document


def test_file_holds_everything(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    tokens = portal.tokens(portal.arrive(browser, person, scope=SCOPE))
    fresh(browser, person)
    found = read(browser)
    assert found["account"][0]["proofing"] == "bound"
    assert found["profile"][0]["name"] == person.full_name
    assert found["numbers"][0]["number"] == person.number
    assert {each["kind"] for each in found["credentials"]} == {"password", "one-time code"}
    assert portal.claims(tokens)["sub"] in {each["sub"] for each in found["identifiers"]}
    [agency] = found["agencies"]
    assert agency["service"] == portal.document["client_name"]
    assert {"name", "offline_access"} <= {each["item"] for each in agency["items"]}
    assert len(agency["lasting"]) == 1
    assert portal.document["client_name"] in {line.get("service") for line in found["history"]}
    assert found["sessions"][-1]["network"] == "192.0.2.0/24"
    names = [event["event"] for event in found["events"]]
    assert Event.SESSION_OPENED in names
    assert Event.DATA_HANDED_OUT in names


def test_no_secret_is_in_it(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    tokens = portal.tokens(portal.arrive(browser, person, scope=SCOPE))
    fresh(browser, person)
    secrets = [
        person.password,
        person.totp_secret or "",
        tokens["access_token"],
        tokens["refresh_token"],
        *provider.scalars(sa.select(PasswordCredential.hash).where(PasswordCredential.citizen_id == person.id)),
        *provider.scalars(sa.select(TotpCredential.secret).where(TotpCredential.citizen_id == person.id)),
        *(value for value in browser.cookies().values() if len(value) > 20),
    ]
    for path in PATHS:
        text = browser.send("GET", path).get_data(as_text=True)
        assert person.number in text.replace(" ", "")
        assert [secret for secret in secrets if secret in text] == []


def test_page_says_the_same_in_words(provider: Provider, portal: Portal, browser: Browser, person: Person) -> None:
    portal.arrive(browser, person, scope=SCOPE)
    fresh(browser, person)
    browser.get("/account/data?lang=en")
    page = browser.get("/account/data/page")
    assert page.html.rstrip().endswith("</html>")
    for words in (person.full_name, "Identification numbers, present and past", "to use idnum", "Your consent"):
        assert words in page.text
    assert "Content-Security-Policy" in page.response.headers


@pytest.mark.parametrize("path", PATHS)
def test_everything_is_there_when_it_takes_many_bites(
    provider: Provider, browser: Browser, person: Person, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "BITE", 7)
    portal = provider.portal(scope="openid name")
    disclose(provider, person, portal, 40, days_ago=300)
    fresh(browser, person)
    if path.endswith("file"):
        found = read(browser)
        assert sum(line.get("service") == portal.document["client_name"] for line in found["history"]) == 40
        with provider.app.app_context():
            chosen = sa.select(sa.func.count()).where(AuditEvent.citizen_id == person.id, IS_PERSONAL)
        assert len(found["events"]) == provider.scalars(chosen)[0]
    else:
        assert browser.get(path).text.count(portal.document["client_name"]) == 40


def test_nothing_is_read_before_it_is_sent(provider: Provider, browser: Browser, person: Person) -> None:
    disclose(provider, person, provider.portal(), 30)
    with provider.app.app_context():
        pages = []
        real = ledger.page

        def counted(*arguments: Any, **options: Any) -> ledger.Page:
            pages.append(options)
            return real(*arguments, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "page", counted)
            patch.setattr(holdings, "BITE", 10)
            for section in holdings.sections(person.id, language="vi", provider=provider.services):
                if section.name == "history":
                    next(section.records)
                    assert len(pages) == 1
                    assert len(list(section.records)) == 29
                    assert len(pages) >= 3


@pytest.mark.parametrize("path", ["/account/data", *PATHS])
def test_old_session_must_confirm_first(provider: Provider, browser: Browser, person: Person, path: str) -> None:
    enter(browser, person)
    page = browser.get(path)
    # One factor was enough for the front page, and is not for this.
    assert "space-signin-form" in page.forms
    assert person.number not in page.html
    fresh(browser, person)
    assert browser.send("GET", path).status_code == 200
    provider.let_pass(person, minutes=9)
    assert "space-signin-form" not in browser.get(path).forms
    provider.let_pass(person, minutes=2)
    assert "space-signin-form" in browser.get(path).forms


def test_account_without_second_factor_confirms_by_password(provider: Provider, browser: Browser) -> None:
    person = provider.citizen(totp=False)
    enter(browser, person)
    assert "data-file" in browser.get("/account/data").ids
    provider.let_pass(person, minutes=11)
    assert "space-signin-form" in browser.get("/account/data").forms
    browser.submit("space-signin-form")
    assert "data-file" in browser.submit("login-form", number=person.number, password=person.password).ids


@pytest.mark.parametrize("path", PATHS)
def test_handing_out_is_on_record_and_never_for_another_site(
    provider: Provider, browser: Browser, person: Person, path: str
) -> None:
    fresh(browser, person)
    refused = browser.send("GET", path, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 400
    browser.send("GET", path).get_data()
    name = Event.DATA_HANDED_OUT.value
    chosen = sa.select(AuditEvent.detail).where(AuditEvent.citizen_id == person.id, AuditEvent.name == name)
    assert provider.scalars(chosen) == [{"form": path.rpartition("/")[2]}]


def test_nothing_of_another_citizen_is_in_it(
    provider: Provider, portal: Portal, browser: Browser, person: Person
) -> None:
    other, theirs = provider.citizen(full_name="Trần Văn Khác"), provider.browser()
    sub = portal.claims(portal.tokens(portal.arrive(theirs, other, scope=SCOPE)))["sub"]
    fresh(browser, person)
    for path in PATHS:
        text = browser.send("GET", path).get_data(as_text=True)
        assert [word for word in (other.number, other.full_name, sub) if word in text] == []
        assert other.number not in text.replace(" ", "")


def test_disabled_account_gets_nothing(browser: Browser, person: Person) -> None:
    fresh(browser, person)
    person.set(state=CitizenState.DISABLED)
    for path in PATHS:
        assert person.full_name not in browser.get(path).html


def test_hostile_names_are_text(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(
        scope="openid name",
        agency={"slug": f"hostile-{person.id.hex}", "name": {"vi": HOSTILE, "en": HOSTILE}},
        purposes={"name": {"vi": HOSTILE, "en": HOSTILE}},
        **{"client_name": HOSTILE, "client_name#en": HOSTILE},
    )
    portal.arrive(browser, person, scope="openid name")
    fresh(browser, person)
    page = browser.get("/account/data/page")
    assert HOSTILE not in page.html
    assert "&lt;script&gt;" in page.html
