""" "It was not me": from the history and from a mail, once and for all, and never by only looking."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from idp.audit.events import Event
from idp.audit.models import AuditEvent
from idp.citizens import counter_acts, officers
from idp.citizens.models import CitizenState
from idp.cli import main
from idp.core import clock
from idp.core.database import db
from idp.core.keyring import Key, Keyring, Purpose
from idp.notify import notices, refusals
from idp.notify.models import OwedNotice
from idp.notify.notices import Notice
from idp.sso.disowned import Disowned
from idp.sso.models import LogoutDelivery, SsoSession
from tests.browser import Browser
from tests.listener import listening, register
from tests.provider import Person, Provider
from tests.racers import Shot, racers_at
from tests.unit.account.entering import enter
from tests.unit.account.test_lock import lasting
from tests.unit.account.test_sessions import another, is_in
from tests.unit.oidc.test_secrets_hygiene import everything_logged


def link_of(provider: Provider, person: Person, kind: Notice = Notice.NEW_DEVICE) -> str:
    """Return the path of the link in the latest notice of a kind."""
    mine = sa.select(OwedNotice.id).where(OwedNotice.citizen_id == person.id, OwedNotice.kind == kind.value)
    notice_id = provider.scalars(mine.order_by(OwedNotice.id.desc()))[0]
    whole = refusals.link(notice_id, issuer=provider.settings.issuer, keyring=provider.services.keyring)
    assert whole.startswith(provider.settings.issuer + "/not-me/")
    return urlsplit(whole).path


def owe(provider: Provider, person: Person, kind: Notice) -> str:
    with provider.app.app_context():
        notices.owe(person.id, kind, keyring=provider.services.keyring)
        db.session.commit()
    return link_of(provider, person, kind)


def reports(provider: Provider, person: Person) -> list[Disowned]:
    return provider.scalars(sa.select(Disowned).where(Disowned.citizen_id == person.id))


def test_a_line_of_the_history_is_reported_and_stays_marked(
    provider: Provider, browser: Browser, person: Person
) -> None:
    with listening() as listener:
        portal = provider.portal(**lasting(provider))
        register(portal, backchannel_logout_uri=f"{listener.url}/logout")
        other = another(provider, person)
        tokens = portal.tokens(portal.arrive(other, person, scope="openid offline_access"))
        victim = provider.session_of(person).id
        enter(browser, person)
        page = browser.get("/account/history")
        address = f"/account/history/{victim.hex}"
        assert page.links.count(address) == 2
        page = browser.get(address)
        assert "disown-reference" not in page.ids
        assert listener.received == []
        page = browser.submit("disown-form")
        assert page.path == address
        assert len(listener.received) == 1
    [made] = reports(provider, person)
    assert page.ids["disown-reference"] == made.reference
    assert (is_in(other), is_in(browser)) == (False, True)
    assert portal.refresh(tokens["refresh_token"]).status_code == 400
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    assert made.reference in browser.get("/account/history").text
    assert address not in browser.get("/account/history").links
    # Support finds log line and event by what the citizen was given.
    event = sa.select(AuditEvent.session_id).where(
        AuditEvent.name == Event.SIGN_IN_DISOWNED.value, AuditEvent.reference == made.reference
    )
    assert provider.scalars(event) == [victim]


def test_the_sign_in_in_use_and_those_of_others_cannot_be_reported(
    provider: Provider, browser: Browser, person: Person
) -> None:
    stranger, theirs = provider.citizen(), provider.browser()
    enter(theirs, stranger)
    enter(browser, person)
    own, foreign = provider.session_of(person).id, provider.session_of(stranger).id
    for key in (own.hex, foreign.hex, "0" * 32, "x"):
        assert browser.get(f"/account/history/{key}").path == "/account/history"
    other = another(provider, person)
    browser.get(f"/account/history/{provider.session_of(person).id.hex}")
    action, fields = browser.form("disown-form")
    # The form of one page does nothing on another.
    assert browser.post(f"/account/history/{foreign.hex}", fields).error_code == "ID-008"
    assert browser.post(action, {}).error_code == "ID-008"
    assert is_in(theirs)
    assert is_in(other)
    assert reports(provider, stranger) == []


def test_opening_the_link_of_a_mail_changes_nothing_and_shows_nobody(
    provider: Provider, browser: Browser, person: Person
) -> None:
    device = another(provider, person)
    path = link_of(provider, person)
    for _ in range(3):
        page = browser.get(path)
        assert browser.send("HEAD", path).status_code == 200
    assert "not-me-form" in page.forms
    assert [name for name in browser.cookies() if "sid" in name] == []
    for secret in (person.number, person.full_name, person.number[-3:], person.id.hex):
        assert secret not in page.html.replace(path, "")
    assert is_in(device)
    assert reports(provider, person) == []
    assert page.response.headers["Referrer-Policy"] == "no-referrer"


def test_the_link_of_a_new_device_ends_that_sign_in_alone_then_offers_the_lock(
    provider: Provider, browser: Browser, person: Person
) -> None:
    at_home = another(provider, person)
    with listening() as listener:
        portal = provider.portal()
        register(portal, backchannel_logout_uri=f"{listener.url}/logout")
        thief = provider.browser()
        portal.arrive(thief, person)
        path = link_of(provider, person)
        browser.get(path)
        page = browser.submit("not-me-form")
        assert len(listener.received) == 1
    assert page.path == path
    [made] = reports(provider, person)
    assert page.ids["disown-reference"] == made.reference
    assert (is_in(thief), is_in(at_home)) == (False, True)
    page = browser.submit("not-me-lock-form")
    assert page.path == path
    assert "not-me-locked" in page.ids
    assert "not-me-lock-form" not in page.forms
    assert person.row().state is CitizenState.LOCKED
    assert not is_in(at_home)
    assert [name for name in browser.cookies() if "sid" in name] == []


def test_the_history_and_the_mail_make_one_report(provider: Provider, browser: Browser, person: Person) -> None:
    another(provider, person)
    session, path = provider.session_of(person).id, link_of(provider, person)
    browser.get(path)
    browser.submit("not-me-form")
    enter(browser, person)
    page = browser.get(f"/account/history/{session.hex}")
    [made] = reports(provider, person)
    assert page.ids["disown-reference"] == made.reference


@pytest.mark.parametrize("kind", [Notice.PASSKEY_ADDED, Notice.PASSWORD_DISABLED, Notice.ACCOUNT_LOCKED])
def test_the_link_of_an_act_on_the_account_ends_every_session(
    provider: Provider, browser: Browser, person: Person, kind: Notice
) -> None:
    devices = [another(provider, person) for _ in range(2)]
    browser.get(owe(provider, person, kind))
    browser.submit("not-me-form")
    assert [is_in(device) for device in devices] == [False, False]
    [made] = reports(provider, person)
    assert (made.kind, made.session_id) == (kind.value, None)


def test_the_same_link_again_is_the_same_report_and_ends_nothing_new(
    provider: Provider, browser: Browser, person: Person
) -> None:
    path = owe(provider, person, Notice.PASSKEY_ADDED)
    browser.get(path)
    action, fields = browser.form("not-me-form")
    first = browser.post(action, fields).ids["disown-reference"]
    later = another(provider, person)
    assert browser.post(action, fields).ids["disown-reference"] == first
    assert is_in(later)
    assert len(reports(provider, person)) == 1


def test_two_clicks_at_once_make_one_report(provider: Provider, browser: Browser, person: Person) -> None:
    path = owe(provider, person, Notice.PASSKEY_ADDED)
    browser.get(path)
    action, fields = browser.form("not-me-form")
    with racers_at(provider, processes=2) as racers:
        hits = racers.race(Shot("POST", action, {"data": fields}, browser.cookies()))
    assert [hit.status for hit in hits] == [303, 303]
    assert len(reports(provider, person)) == 1


def test_a_forged_form_and_the_lock_out_of_order_do_nothing(
    provider: Provider, browser: Browser, person: Person
) -> None:
    device = another(provider, person)
    path = link_of(provider, person)
    page = browser.get(path)
    fields = page.forms["not-me-form"].fields
    assert browser.post(path, {}).error_code == "ID-008"
    assert browser.post(path, fields, headers={"Sec-Fetch-Site": "cross-site"}).error_code == "ID-008"
    other_path = owe(provider, person, Notice.PASSKEY_ADDED)
    assert browser.post(other_path, fields).error_code == "ID-008"
    assert browser.get(f"{path}/lock").path == path
    assert browser.post(f"{path}/lock", fields).path == path
    assert is_in(device)
    assert person.row().state is CitizenState.ACTIVE


def test_a_link_that_is_not_ours_too_old_or_about_nobodys_act_has_a_clear_page(
    provider: Provider, browser: Browser, person: Person
) -> None:
    another(provider, person)
    path = link_of(provider, person)
    token = path.rpartition("/")[2]
    mine = sa.select(OwedNotice.id).where(OwedNotice.citizen_id == person.id)
    raw = provider.scalars(mine)[0].bytes
    forged = [
        "x", "đ", token[:-1], token + "=", token[::-1], f"{token[:-4]}AAAA", f"{token[:20]}~{token[20:]}",
        urlsafe_b64encode(raw + bytes(32)).decode(),
    ]  # fmt: skip
    for each in forged:
        page = browser.get(f"/not-me/{each}")
        assert (page.status, page.error_code) == (404, "ID-022"), each
    assert browser.get(owe(provider, person, Notice.ACCOUNT_STOPPED)).error_code == "ID-022"
    provider.run(
        sa.update(OwedNotice)
        .where(OwedNotice.citizen_id == person.id)
        .values(expires_at=clock.now() - timedelta(seconds=1))
    )
    assert browser.get(path).error_code == "ID-022"
    assert browser.get(f"{path}/lock").error_code == "ID-022"


def test_a_link_on_its_way_outlives_the_rotation_of_its_key(
    provider: Provider, browser: Browser, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = owe(provider, person, Notice.PASSKEY_ADDED)
    keyring = provider.services.keyring
    keys = {purpose: tuple(keyring.key(purpose, name) for name in keyring.key_ids(purpose)) for purpose in Purpose}
    keys[Purpose.FORM] = (Key("next", bytes(range(32))), *keys[Purpose.FORM])
    monkeypatch.setattr(keyring, "_keys", Keyring(keys)._keys)
    assert "not-me-form" in browser.get(path).forms


def test_an_old_link_locks_no_account_that_a_counter_has_opened_since(
    provider: Provider, browser: Browser, person: Person
) -> None:
    browser.get(owe(provider, person, Notice.PASSKEY_ADDED))
    browser.submit("not-me-form")
    action, fields = browser.form("not-me-lock-form")
    browser.submit("not-me-lock-form")
    assert person.row().state is CitizenState.LOCKED
    officer, now = provider.citizen(totp=False), clock.now()
    with provider.app.app_context():
        officers.keep_counter("phuong-9", names={"vi": "Phường Chín"}, services=())
        db.session.flush()
        key = officers.add(officer.id, "phuong-9", valid_to=None)
        db.session.flush()
        counter_acts.note_for(
            counter_acts.Act.UNLOCK, officer_id=key, counter="phuong-9", citizen_id=person.id, reference="UNLOCKED"
        )
        db.session.commit()
    person.set(state=CitizenState.ACTIVE)
    provider.run(
        sa.update(OwedNotice).where(OwedNotice.citizen_id == person.id).values(created_at=now - timedelta(hours=1))
    )
    page = browser.post(action, fields)
    assert "not-me-lock-form" not in page.forms
    assert person.row().state is CitizenState.ACTIVE


def test_agencies_hear_of_a_sign_in_whose_session_is_long_forgotten(
    provider: Provider, browser: Browser, person: Person
) -> None:
    portal = provider.portal()
    with listening() as listener:
        register(portal, backchannel_logout_uri=f"{listener.url}/logout")
        portal.arrive(provider.browser(), person)
        session, path = provider.session_of(person).id, link_of(provider, person)
        provider.run(sa.delete(SsoSession).where(SsoSession.id == session))
        browser.get(path)
        browser.submit("not-me-form")
    owed = provider.scalars(sa.select(LogoutDelivery.session_id).where(LogoutDelivery.citizen_id == person.id))
    assert owed == [session]


def test_nothing_of_the_link_or_the_person_is_logged(
    provider: Provider, browser: Browser, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    another(provider, person)
    path = link_of(provider, person)
    with everything_logged() as log:
        browser.get(path)
        browser.submit("not-me-form")
        browser.submit("not-me-lock-form")
        browser.get("/not-me/canary-token")
        text = log.getvalue() + capsys.readouterr().err
    assert '"message": "request"' in text
    for secret in (path.rpartition("/")[2], person.number, person.id.hex, str(person.id), "canary"):
        assert secret not in text


@pytest.fixture
def shell(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the provider's database and keys."""
    monkeypatch.setenv("IDP_DATABASE_URL", provider.url)
    monkeypatch.setenv("IDP_SECRETS_DIR", str(provider.settings.secrets_dir))
    monkeypatch.setenv("IDP_ISSUER", provider.settings.issuer)


def test_support_finds_a_report_by_its_reference(
    provider: Provider, browser: Browser, person: Person, shell: None, capsys: pytest.CaptureFixture[str]
) -> None:
    browser.get(owe(provider, person, Notice.PASSKEY_ADDED))
    reference = browser.submit("not-me-form").ids["disown-reference"]
    with pytest.raises(SystemExit):
        main(["citizens", "report", reference.lower()])
    printed = capsys.readouterr().out
    assert printed.startswith(f"{reference}\tpasskey-added\t")
    assert str(person.id) in printed
