"""The history: what is shown is what was agreed at that time, page by page, for its own citizen alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from idp.account.history import ledger
from idp.account.history.ledger import Cursor
from idp.agencies import apply, document
from idp.core import clock
from idp.core.database import db
from idp.core.i18n import translate
from idp.core.ids import new_id
from idp.sso.agreements import Agreement, Wording
from idp.sso.devices import NOWHERE, SessionOrigin, origin
from idp.sso.models import Disclosure
from tests.browser import Browser
from tests.provider import Person, Portal, Provider
from tests.unit.account.entering import enter

PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36"
HOSTILE = "<script>alert(1)</script>"


def rewrite(provider: Provider, portal: Portal, **members: Any) -> None:
    """Change the document of a client, as its agency would."""
    changed = {**portal.document, **members}
    with provider.app.app_context():
        apply.apply([document.read(changed, source="changed", is_sandbox=True)], is_sandbox=True)
    provider.forget_caches()


def disclose(provider: Provider, person: Person, portal: Portal, count: int, *, days_ago: float = 0) -> None:
    """Write lines as so many sign-ins would, one second apart."""
    with provider.app.app_context():
        client = provider.services.clients.find(portal.client_id)
        assert client is not None
        newest = clock.now() - timedelta(days=days_ago)
        db.session.add_all(
            Disclosure(
                id=new_id(), at=newest - timedelta(seconds=number), citizen_id=person.id, client_id=client.id,
                session_id=UUID(int=0), basis="consent", claims="name", acr="loa1",
            )
            for number in range(count)
        )  # fmt: skip
        db.session.commit()


# --- words --------------------------------------------------------------------------------------------------------


def test_line_says_who_when_from_where_and_why(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid name email")
    browser._client.environ_base["HTTP_USER_AGENT"] = PHONE
    portal.arrive(browser, person, scope="openid name email", acr_values="loa2")
    enter(browser, person, "/account/history")
    page = browser.get("/account/history?lang=en")
    name = portal.document["client_name#en"]
    line = page.text[page.text.index(f"{name} ") :]
    assert f"Agency {portal.document['agency']['name']['en']}" in line
    assert "Device Chrome, Android, network 192.0.2.0/24" in line
    assert "Assurance Substantial" in line
    assert "to use name" in line
    assert "Basis You agreed" in line
    assert "Viet Nam time" in line
    assert "Signed in to LienKet" in page.text


def test_line_keeps_the_words_that_were_agreed_when_the_agency_writes_others(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal(scope="openid name")
    portal.arrive(browser, person, scope="openid name")
    others = {"name": {"vi": "để bán hàng", "en": "to sell you something"}}
    rewrite(provider, portal, purposes=others, **{"client_name#en": "Quite another name"})
    # Nothing new is asked, so nobody is asked: what was agreed stays what was agreed.
    portal.arrive(browser, scope="openid name")
    enter(browser, person, "/account/history")
    page = browser.get("/account/history?lang=en")
    assert page.text.count("to use name") == 2
    assert "to sell you something" not in page.text
    assert "Quite another name" not in page.text
    portal.arrive(browser, scope="openid name", prompt="consent")
    page = browser.get("/account/history?lang=en")
    assert page.text.count("to sell you something") == 1
    assert page.text.count("to use name") == 2


def test_line_names_the_law_that_was_told(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid name", basis="legal")
    portal.arrive(browser, person, scope="openid name")
    rewrite(provider, portal, legal_basis={"vi": "Luật số 2", "en": "Law 2"})
    portal.arrive(browser, scope="openid name")
    enter(browser, person, "/account/history")
    page = browser.get("/account/history?lang=en")
    assert page.text.count("By law: Law 1") == 2
    assert "Law 2" not in page.text


def test_line_names_every_item_and_nothing_when_nothing_was_sent(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal(
        scope="openid name idnum offline_access", grant_types=["authorization_code", "refresh_token"]
    )
    portal.arrive(browser, person, scope="openid")
    enter(browser, person, "/account/history")
    assert "No personal data" in browser.get("/account/history?lang=en").text
    portal.arrive(browser, scope="openid idnum offline_access", prompt="consent")
    page = browser.get("/account/history?lang=en")
    assert "Personal identification number" in page.text
    assert "Looking again after you have signed out" in page.text
    assert person.number not in page.html


def test_same_words_are_kept_once(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid name")
    portal.arrive(browser, person, scope="openid name")
    for _ in range(3):
        portal.arrive(browser, scope="openid name", prompt="consent")
    assert len(provider.scalars(sa.select(Agreement.at).where(Agreement.citizen_id == person.id))) == 1
    before = len(provider.scalars(sa.select(Wording.digest)))
    portal.arrive(provider.browser(), provider.citizen(), scope="openid name")
    assert len(provider.scalars(sa.select(Wording.digest))) == before


def test_words_nobody_kept_are_not_made_up(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid name")
    disclose(provider, person, portal, 1)
    enter(browser, person, "/account/history")
    page = browser.get("/account/history?lang=en")
    assert "The words of that time were not kept" in page.text
    assert portal.document["client_name#en"] in page.text


def test_hostile_names_purposes_and_browsers_are_text(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(
        scope="openid name",
        agency={"slug": f"hostile-{person.id.hex}", "name": {"vi": HOSTILE, "en": HOSTILE}},
        purposes={"name": {"vi": HOSTILE, "en": HOSTILE}},
        **{"client_name": HOSTILE, "client_name#en": HOSTILE},
    )
    browser._client.environ_base["HTTP_USER_AGENT"] = f"{HOSTILE} Chrome/1 {HOSTILE} Windows"
    portal.arrive(browser, person, scope="openid name")
    page = enter(browser, person, "/account/history")
    assert HOSTILE not in page.html
    assert page.html.count("&lt;script&gt;") >= 3
    assert "Chrome, Windows" in page.text


def test_each_item_says_where_its_value_comes_from(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid name email gender")
    portal.arrive(browser, person, scope="openid name email gender", ui_locales="en")
    page = enter(browser, person, "/account/history")
    for source in ("register", "citizen", "record"):
        assert page.text.count(translate("vi", f"history.source.{source}")) == 1, source


# --- pages --------------------------------------------------------------------------------------------------------


def test_every_line_is_on_one_page_when_paging_to_the_end(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid name")
    disclose(provider, person, portal, 47)
    page = enter(browser, person, "/account/history")
    lines = sum(name.startswith("history-not-me-") for name in page.ids)
    pages = 1
    while "history-older" in page.ids:
        assert pages < 5
        page = browser.get(next(link for link in page.links if "before=" in link and "lang=" not in link))
        lines += sum(name.startswith("history-not-me-") for name in page.ids)
        pages += 1
    assert (lines, pages) == (47, 3)
    assert "history-newest" in page.ids


def test_lines_of_one_moment_are_shown_once_each(provider: Provider, person: Person) -> None:
    portal = provider.portal()
    disclose(provider, person, portal, 30)
    moment = clock.now()
    provider.run(sa.update(Disclosure).where(Disclosure.citizen_id == person.id).values(at=moment))
    seen: list[UUID] = []
    before = None
    with provider.app.app_context():
        for _ in range(7):
            page = ledger.page(person.id, before=before, language="vi", most=5)
            seen += [line.id for line in page.lines]
            before = page.next
            if before is None:
                break
    assert len(seen) == len(set(seen)) == 30


def test_six_months_are_shown_until_all_is_asked_for(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal()
    disclose(provider, person, portal, 1, days_ago=200)
    page = enter(browser, person, "/account/history")
    assert portal.document["client_name"] not in page.text
    page = browser.get(next(link for link in page.links if "all=1" in link))
    assert portal.document["client_name"] in page.text


def test_one_agency_is_shown_alone_when_chosen(provider: Provider, browser: Browser, person: Person) -> None:
    first, second = provider.portal(), provider.portal()
    first.arrive(browser, person)
    second.arrive(browser)
    page = enter(browser, person, "/account/history")
    link = next(link for link in page.links if f"agency={first.client_id}" in link)
    page = browser.get(link)
    assert first.document["client_name"] in page.text
    assert second.document["client_name"] not in page.text
    assert "Đăng nhập vào LienKet" not in page.text


def test_rare_agency_is_found_page_by_page_with_bounded_work(
    provider: Provider, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "LOOKED_THROUGH", 10)
    rare, frequent = provider.portal(), provider.portal()
    disclose(provider, person, frequent, 25)
    disclose(provider, person, rare, 1, days_ago=1)
    slug, pages, found, before = rare.document["agency"]["slug"], 0, 0, None
    with provider.app.app_context():
        while True:
            page = ledger.page(person.id, before=before, agency=slug, language="vi")
            found += len(page.lines)
            pages += 1
            before = page.next
            if before is None:
                break
    assert (found, pages) == (1, 3)


@pytest.mark.parametrize(
    "query",
    [
        "before=x", "before=1-2", f"before={'9' * 17}-{'0' * 32}", f"before=0-{'0' * 32}", "agency=nobody", "all=2",
        "before=&agency=&all=", "agency=%27%20OR%201=1",
    ],
)  # fmt: skip
def test_made_up_addresses_show_a_page(browser: Browser, person: Person, query: str) -> None:
    enter(browser, person)
    assert browser.get(f"/account/history?{query}").status == 200


def test_another_citizens_place_in_the_history_shows_own_lines_alone(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal, stranger = provider.portal(scope="openid name"), provider.citizen()
    disclose(provider, stranger, portal, 30)
    with provider.app.app_context():
        theirs = ledger.page(stranger.id, language="vi")
    assert theirs.next is not None
    enter(browser, person)
    page = browser.get(f"/account/history?before={theirs.next}&all=1&agency={portal.client_id}")
    assert portal.document["client_name"] not in page.text


def test_history_asks_to_sign_in_when_the_session_is_over(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal()
    portal.arrive(browser, person)
    provider.let_pass(person, hours=13)
    page = browser.get("/account/history")
    assert portal.document["client_name"] not in page.text
    assert portal.document["client_name"] in enter(browser, person, "/account/history").text


def test_cursor_is_read_as_it_was_written() -> None:
    cursor = Cursor(clock.now(), new_id())
    assert Cursor.read(str(cursor)) == cursor
    assert Cursor.read(str(replace(cursor, id=UUID(int=0)))) == replace(cursor, id=UUID(int=0))


# --- where from ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (PHONE, "Chrome, Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120 Safari/537.36 Edg/120", "Edge, Windows"),
        ("Mozilla/5.0 (Windows NT 10.0) coc_coc_browser/115 Chrome/109 Safari/537.36", "Cốc Cốc, Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox, Linux"),
        ("curl/8", ""),
        ("x" * 600 + "Firefox/1", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_browser_is_two_words_of_ours(user_agent: str, device: str) -> None:
    assert origin(user_agent, "").device == device


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("somewhere", ""),
        ("", ""),
    ],
)
def test_address_is_kept_as_its_network(address: str, network: str) -> None:
    assert origin("", address).network == network
    assert origin("", "") == NOWHERE


def test_signing_in_again_on_one_browser_is_one_session(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal()
    portal.arrive(browser, person)
    portal.arrive(browser, person, prompt="login")
    assert len(provider.scalars(sa.select(SessionOrigin.device).where(SessionOrigin.citizen_id == person.id))) == 1
