"""Who may come to the console and do what there; to others there is nothing."""

from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from idp.core.database import db
from idp.core.ids import new_id
from idp.notify.models import OwedNotice
from idp.sso.models import SsoSession
from idp.staff import invitations, members
from idp.staff.invitations import StaffInvitation
from idp.staff.rights import NATIONAL, RIGHTS, Act, Role
from tests.browser import Browser
from tests.provider import Provider
from tests.unit.console.desk import Worker, hire, with_key

Staff = Callable[[Role], Worker]
SCRIPT = "<script>alert(1)</script>"


def pages(worker: Worker) -> dict[str, Act]:
    """Return every page there is, and what it is for."""
    with worker.provider.app.app_context():
        member = members.on_duty(worker.person.id)
    assert member is not None
    return {
        "/console": Act.HOME,
        "/console/staff": Act.STAFF_READ,
        "/console/staff/invite": Act.STAFF_CHANGE,
        f"/console/staff/{member.id}/end": Act.STAFF_CHANGE,
    }


def invited(provider: Provider, role: Role = Role.SUPPORT) -> str:
    """Return the path of a new invitation."""
    secrets: list[str] = []
    with provider.app.app_context():
        made = invitations.new_secret
        invitations.new_secret = lambda: secrets.append(made()) or secrets[-1]  # type: ignore[assignment,func-returns-value]
        try:
            invitations.invite("moi@vi-du.example", role, language="vi", keyring=provider.services.keyring)
        finally:
            invitations.new_secret = made
        db.session.commit()
    return f"/console/invitation/{secrets[0]}"


def test_stranger_is_asked_to_sign_in_and_a_citizen_finds_nothing(provider: Provider, browser: Browser) -> None:
    paths = ("/console", "/console/staff", "/console/staff/invite")
    assert all("console-signin-form" in browser.get(path).forms for path in paths)
    citizen = with_key(provider)
    citizen.open("/console")
    for path in paths:
        answer = citizen.browser.get(path)
        assert (answer.status, answer.error_code) == (404, "OP-003")
    citizen.join(Role.DEVELOPER)
    assert citizen.browser.get("/console").error_code == "OP-003"


def test_each_role_reaches_what_the_table_says_and_nothing_else(staff: Staff) -> None:
    for role in NATIONAL:
        worker = staff(role)
        worker.open()
        for path, act in pages(worker).items():
            answer = worker.browser.get(path)
            assert (answer.status == 200) is (act in RIGHTS[role]), (role, path)
            if act not in RIGHTS[role]:
                assert answer.error_code == "OP-003"
                assert worker.browser.post(path, {"csrf": ""}).error_code in ("OP-003", "OP-004")


def test_staff_works_with_a_passkey_and_not_with_password_and_code(provider: Provider, staff: Staff) -> None:
    owner = staff(Role.OWNER)
    browser = owner.browser
    browser.get("/console")
    browser.submit("console-signin-form")
    browser.submit("login-form", number=owner.person.number, password=owner.person.password)
    browser.submit("totp-form", code=owner.person.code())
    assert browser.get("/account").status == 200
    assert "console-signin-form" in browser.get("/console/staff").forms
    assert owner.open("/console/staff").path == "/console/staff"
    signed_in = provider.session_of(owner.person)
    mine = sa.update(SsoSession).where(SsoSession.id == signed_in.id)
    provider.run(mine.values(authenticated_at=signed_in.authenticated_at - timedelta(minutes=16)))
    assert "console-signin-form" in browser.get("/console/staff").forms
    owner.open()
    assert owner.submit("console-leave-form").path == "/"
    assert "console-signin-form" in browser.get("/console").forms


def test_form_without_token_of_another_page_or_site_is_refused(staff: Staff) -> None:
    owner = staff(Role.OWNER)
    owner.open("/console/staff/invite")
    action, fields = owner.browser.form("invite-form", mail="a@vi-du.example", role="support")
    for form in ({**fields, "csrf": ""}, {name: value for name, value in fields.items() if name != "csrf"}):
        assert owner.browser.post(action, form).error_code == "ID-008"
    assert owner.browser.post(action, fields | {"mail": "a@vi-du.example\nBcc: b"}).error_code == "PR-003"
    assert owner.browser.post("/console/leave", fields).error_code == "ID-008"
    assert owner.browser.post(action, fields, headers={"Sec-Fetch-Site": "cross-site"}).error_code == "ID-008"


def test_owner_invites_sees_withdraws_and_ends(provider: Provider, staff: Staff) -> None:
    owner = staff(Role.OWNER)
    owner.open("/console/staff/invite")
    refused = owner.submit("invite-form", mail=f"{SCRIPT}", role="developer")
    assert refused.status == 400
    assert {"mail-error", "role-error"} <= set(refused.ids)
    assert SCRIPT not in refused.html
    owner.open("/console/staff/invite")
    page = owner.submit("invite-form", mail="moi@vi-du.example", role="auditor")
    assert "staff-done" in page.ids
    assert "moi@vi-du.example" in page.text
    [link] = [each for each in page.links if each.startswith("/console/staff/invitation/")][:1]
    owner.browser.get(link)
    assert "staff-done" in owner.submit("staff-withdraw-form").ids
    assert owner.browser.get(link).error_code == "OP-003"
    scripted = hire(provider, Role.SUPPORT, full_name="Nguyễn O'Xuân")
    scripted.open()
    page = owner.browser.get("/console/staff")
    assert "Nguyễn O'Xuân" in page.text
    assert "O'Xuân" not in page.html
    with provider.app.app_context():
        member = members.on_duty(scripted.person.id)
    assert member is not None
    owner.browser.get(f"/console/staff/{member.id}/end")
    assert owner.submit("staff-end-form").path == "/console/staff?done=ended"
    # From the next click on there is nothing.
    assert scripted.browser.get("/console").error_code == "OP-003"
    for path in (f"/console/staff/{member.id}/end", f"/console/staff/{new_id()}/end"):
        assert owner.browser.get(path).error_code == "OP-003"


def test_right_lost_in_mid_flow_is_lost_at_the_click(provider: Provider) -> None:
    owner = hire(provider, Role.OWNER)
    hire(provider, Role.OWNER)
    owner.open("/console/staff/invite")
    action, fields = owner.browser.form("invite-form", mail="sau@vi-du.example", role="owner")
    owner.leave()
    owner.join(Role.AUDITOR)
    before = len(provider.scalars(sa.select(StaffInvitation.id)))
    assert owner.browser.post(action, fields).error_code == "OP-003"
    assert len(provider.scalars(sa.select(StaffInvitation.id))) == before


def test_last_owner_is_told_to_invite_another_first(provider: Provider, staff: Staff) -> None:
    owner = staff(Role.OWNER)
    others = sa.update(members.StaffMember).where(
        members.StaffMember.role == "owner", members.StaffMember.citizen_id != owner.person.id
    )
    provider.run(others.values(ended_at=sa.func.now()))
    own = next(path for path in pages(owner) if path.endswith("/end"))
    owner.open(own)
    page = owner.submit("staff-end-form")
    assert (page.status, "error-summary" in page.ids) == (400, True)
    assert owner.browser.get("/console").status == 200


def test_invitation_is_accepted_once_by_whoever_has_a_key_and_a_confirmed_identity(
    provider: Provider, browser: Browser
) -> None:
    path = invited(provider, Role.AUDITOR)
    page = browser.get(path)
    # The link shows what is offered, and signs nobody in.
    assert "console-signin-form" in page.forms
    assert "console-signin-form" in browser.get("/console").forms
    assert browser.post(path, {"csrf": ""}).path == path
    unknown = with_key(provider, level="loa1", totp=False)
    assert "invitation-weak" in unknown.open(path).ids
    newcomer = with_key(provider)
    # Out of order: the console before the invitation, the invitation twice, the button from an old tab.
    assert newcomer.open("/console").error_code == "OP-003"
    newcomer.open(path)
    action, fields = newcomer.browser.form("invitation-form")
    assert newcomer.browser.post(action, {**fields, "csrf": "x"}).error_code == "ID-008"
    page = newcomer.browser.post(action, fields)
    assert {"console-joined", "console-role"} <= set(page.ids)
    assert newcomer.browser.post(action, fields).error_code == "ID-041"
    assert newcomer.browser.get(path).error_code == "ID-041"
    assert browser.get(f"/console/invitation/{'x' * 43}").error_code == "ID-041"
    other = invited(provider, Role.OWNER)
    assert "invitation-already" in newcomer.open(other).ids
    assert newcomer.browser.post(other, fields).path == other
    [fact] = provider.scalars(sa.select(OwedNotice.state).where(OwedNotice.kind == "staff-invited").limit(1))
    assert fact == "pending"
