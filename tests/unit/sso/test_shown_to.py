"""A page about one person, posted after somebody else signed in on another tab: shown anew, and nothing recorded."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from idp.core.database import db
from idp.core.ids import digest, new_id
from idp.sso import interaction
from idp.sso.interaction import Visit
from idp.sso.models import Consent, Interaction
from tests.browser import Browser
from tests.provider import Answer, Person, Portal, Provider, walk

FORMS = {
    "consent": ("consent-form", {"decision": "allow"}),
    "refusal": ("consent-form", {"decision": "deny"}),
    "notice": ("notice-form", {}),
    "account": ("account-form", {"decision": "continue"}),
    "other account": ("account-form", {"decision": "other"}),
}


@pytest.fixture
def hoa(provider: Provider) -> Person:
    return provider.citizen(full_name="Nguyễn Thị Hoà")


@pytest.fixture
def binh(provider: Provider) -> Person:
    return provider.citizen(full_name="Trần Văn Bình")


def row_of(provider: Provider, handle: str) -> Interaction:
    [row] = provider.scalars(sa.select(Interaction).where(Interaction.handle_digest == digest(handle)))
    return row


@pytest.mark.parametrize("name", FORMS)
def test_the_page_is_shown_anew_when_somebody_else_signed_in(
    provider: Provider, browser: Browser, hoa: Person, binh: Person, name: str
) -> None:
    form, typed = FORMS[name]
    portal = provider.portal(scope="openid name", basis="legal" if name == "notice" else "consent")
    elsewhere = provider.portal()
    if form == "account-form":
        elsewhere.arrive(browser, hoa)
        page = browser.get(portal.address(scope="openid name", prompt="select_account"))
    else:
        browser.get(portal.address(scope="openid name"))
        page = browser.submit("login-form", number=hoa.number, password=hoa.password)
    assert hoa.full_name in page.text
    action, fields = browser.form(form, **typed)
    elsewhere.arrive(browser, binh, prompt="login")

    again = browser.post(action, fields)

    assert (again.left_for, again.step) == (None, page.step)
    assert binh.full_name in again.text
    assert hoa.full_name not in again.text
    row = row_of(provider, page.handle)
    assert (row.agreed_at, row.selected_at, row.denied_at, row.finished_at) == (None, None, None, None)
    given = sa.select(Consent).join(Interaction, Interaction.client_id == Consent.client_id)
    assert not provider.scalars(given.where(Interaction.id == row.id))
    assert provider.session_of(binh).ended_at is None
    # What is shown now is for the one who sees it.
    answer = Answer(walk(browser, again, binh))
    assert portal.userinfo(portal.tokens(answer)["access_token"]).get_json()["name"] == binh.full_name


@pytest.mark.parametrize("shown_to", [None, "", "x", "đ"])
def test_the_page_is_shown_anew_when_it_names_nobody(
    provider: Provider, browser: Browser, hoa: Person, shown_to: str | None
) -> None:
    portal = provider.portal()
    browser.get(portal.address())
    browser.submit("login-form", number=hoa.number, password=hoa.password)
    action, fields = browser.form("consent-form", decision="allow")
    del fields["shown_to"]
    again = browser.post(action, fields if shown_to is None else {**fields, "shown_to": shown_to})
    assert (again.left_for, again.step) == (None, "consent")


MARKS = [interaction.mark_raised, interaction.mark_selected, interaction.mark_agreed]


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.__name__)
@pytest.mark.parametrize("is_same", [True, False])
def test_progress_is_forgotten_when_another_session_goes_on(
    provider: Provider,
    browser: Browser,
    hoa: Person,
    mark: Callable[[Visit, object], None],
    is_same: bool,
) -> None:
    portal: Portal = provider.portal()
    browser.get(portal.address())
    handle = browser.submit("login-form", number=hoa.number, password=hoa.password).handle
    flow_secret = browser.cookies()[f"__Host-{interaction.cookie_name(handle)}"]
    session_id = provider.session_of(hoa).id
    with provider.app.app_context():
        keyring, hot_path = provider.services.keyring, provider.services.hot_path
        interaction.mark_agreed(interaction.visit(handle, flow_secret, keyring=keyring, hot_path=hot_path), session_id)
        db.session.commit()
        visited = interaction.visit(handle, flow_secret, keyring=keyring, hot_path=hot_path)
        assert visited.has_authenticated
        assert visited.has_agreed
        went_on = session_id if is_same else new_id()
        mark(visited, went_on)
        db.session.commit()
        after = interaction.visit(handle, flow_secret, keyring=keyring, hot_path=hot_path)
    assert after.session_id == went_on
    assert after.has_authenticated is is_same
    assert after.has_agreed is (is_same or mark is interaction.mark_agreed)
    assert after.has_selected is (mark is interaction.mark_selected)
