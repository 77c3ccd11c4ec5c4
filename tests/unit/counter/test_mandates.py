"""Mandates and the sign-ins under them: two people present, what it covers, who is named, and that it ends."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from jose import jwt

from idp.citizens import officers
from idp.citizens.credentials import recovery
from idp.citizens.mandates import Mandate
from idp.core import clock
from idp.core.database import db
from idp.core.keyring import is_under_own_key
from idp.sso import assisted
from idp.sso.models import LogoutDelivery, SsoSession
from tests.browser import Browser, Page
from tests.provider import Answer, Person, Portal, Provider, walk
from tests.unit.account.entering import enter
from tests.unit.counter.desk import Clerk, serves


@dataclass
class Visit:
    """A grandmother with a sheet of codes beside an officer, and the service she wants to reach."""

    provider: Provider
    clerk: Clerk
    person: Person
    portal: Portal
    codes: list[str]

    @property
    def browser(self) -> Browser:
        return self.clerk.browser

    def mandate(self, *, code: str | None = None, **changes: str) -> Page:
        self.clerk.sign_in("/counter/mandate")
        typed = {
            "number": self.person.number, "document": "id-card", "face": "yes", "days": "30",
            "purpose": "trợ cấp hằng tháng", "any": "yes", "code": self.codes.pop() if code is None else code,
        }  # fmt: skip
        return self.clerk.submit("mandate-form", **{**typed, **changes})

    def lay_aside(self) -> None:
        self.clerk.sign_in("/counter/help")
        if "help-form" in self.browser.page.forms:  # type: ignore[union-attr]
            self.browser.submit("help-form")

    def help_in(self, portal: Portal | None = None, *, code: str | None = None, **changes: str | None) -> Page:
        """Go to a service's sign-in page and type number and code there."""
        self.lay_aside()
        page = self.browser.get((portal or self.portal).address(**changes))
        if page.step != "login":
            return page
        self.browser.get(f"/signin/{page.handle}/assist")
        typed = self.codes.pop() if code is None else code
        return self.browser.submit("assist-form", number=self.person.number, code=typed)

    def claims(self, portal: Portal | None = None, **changes: str | None) -> dict[str, Any]:
        portal = portal or self.portal
        return portal.claims(portal.tokens(Answer(walk(self.browser, self.help_in(portal, **changes)))))


@pytest.fixture
def visit(provider: Provider, clerk: Clerk) -> Visit:
    """Return a visit at which nothing was done yet."""
    person, portal = provider.citizen(totp=False), provider.portal(backchannel_logout_uri="https://p.example/logout")
    serves(provider, portal)
    codes = list(recovery.new_codes())
    with provider.app.app_context():
        recovery.store(person.id, codes, keyring=provider.services.keyring, now=clock.now())
        db.session.commit()
    return Visit(provider, clerk, person, portal, codes)


def test_assisted_session_carries_act_and_ends_with_the_mandate(visit: Visit) -> None:
    """vietnam.md, 7 (l)."""
    provider, portal = visit.provider, visit.portal
    assert visit.mandate().path == "/counter?done=mandate-made"
    [purpose] = provider.scalars(sa.select(Mandate.purpose).where(Mandate.citizen_id == visit.person.id))
    assert is_under_own_key(purpose)
    tokens = portal.tokens(Answer(walk(visit.browser, visit.help_in())))
    claims = portal.claims(tokens)
    officer_there = portal.sign_in(provider.browser(), visit.clerk.person)
    assert claims["act"] == {"sub": officer_there["sub"]}
    assert (claims["acr"], claims["amr"]) == ("loa1", ["otp", "assisted"])
    assert "act" not in officer_there
    assert claims["sub"] == portal.sign_in(provider.browser(), visit.person)["sub"]
    seen = portal.post("/introspect", token=tokens["access_token"]).get_json()
    assert (seen["active"], seen["act"]) == (True, claims["act"])
    assert portal.userinfo(tokens["access_token"]).status_code == 200
    at_home = provider.browser()
    enter(at_home, visit.person)
    page = at_home.get("/account/mandates")
    assert "trợ cấp hằng tháng" in page.text
    assert "Phường Một" in at_home.get("/account/history").text
    assert "Có cán bộ hỗ trợ" in at_home.page.text  # type: ignore[union-attr]
    [end] = [each for each in page.links if each.endswith("/end")]
    at_home.get(end)
    page = at_home.submit("mandate-end-form")
    assert {"mandates-done", "mandates-none", "mandates-ended"} <= set(page.ids)
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    assert portal.post("/introspect", token=tokens["access_token"]).get_json() == {"active": False}
    # The citizen's own session at home goes on; the agency hears of the other's end.
    assert at_home.get("/account").status == 200
    told = sa.select(LogoutDelivery.session_id).where(LogoutDelivery.citizen_id == visit.person.id)
    assert len(provider.scalars(told)) == 1
    assert visit.help_in().status == 400


def test_assisted_session_opens_neither_own_space_nor_other_services_nor_the_desk(
    visit: Visit, browser: Browser
) -> None:
    other = visit.provider.portal()
    visit.mandate()
    visit.claims()
    held = visit.browser.cookies()
    browser.put({name: value for name, value in held.items() if not name.endswith("officer")})
    assert "space-signin-form" in browser.get("/account").forms
    assert "space-signin-form" in browser.get("/account/passkeys").forms
    assert "counter-signin-form" in browser.get("/counter").forms
    assert browser.get(other.address()).step == "login"
    # Where the mandate reaches, single sign-on works.
    again = browser.get(visit.portal.address())
    assert again.left_for is not None
    assert "code=" in again.left_for
    assert visit.help_in(other).status == 400


def test_mandate_for_one_service_covers_no_other(visit: Visit) -> None:
    other = visit.provider.portal()
    serves(visit.provider, visit.portal, other)
    visit.mandate(any="", **{f"service-{other.client_id}": "yes"})
    assert visit.help_in(visit.portal).status == 400
    assert visit.claims(other)["acr"] == "loa1"
    # Taken from the counter's list, it ends there at once.
    serves(visit.provider, visit.portal)
    assert visit.browser.get(other.address()).step == "login"


def test_assisted_session_never_rises_and_lasts_no_longer_than_its_time(visit: Visit) -> None:
    visit.mandate()
    assert visit.claims(acr_values="loa3")["acr"] == "loa1"
    essential = json.dumps({"id_token": {"acr": {"essential": True, "value": "loa2"}}})
    page = visit.browser.get(visit.portal.address(claims=essential))
    assert page.left_for is not None
    assert "error=unmet_authentication_requirements" in page.left_for
    row = visit.provider.session_of(visit.person)
    assert row.expires_at == row.idle_expires_at
    assert (row.expires_at - row.opened_at).total_seconds() == 1_200
    visit.provider.let_pass(visit.person, minutes=21)
    assert visit.browser.get(visit.portal.address()).step == "login"


def test_session_ends_no_later_than_the_mandate(visit: Visit) -> None:
    visit.mandate()
    soon = clock.now().replace(microsecond=0) + (visit.provider.session_of(visit.clerk.person).expires_at - clock.now())
    visit.provider.run(sa.update(Mandate).where(Mandate.citizen_id == visit.person.id).values(valid_to=soon))
    tokens = visit.portal.tokens(Answer(walk(visit.browser, visit.help_in())))
    assert visit.provider.session_of(visit.person).expires_at == soon
    assert jwt.get_unverified_claims(tokens["id_token"])["exp"] <= soon.timestamp() + 1


def test_no_lasting_access_is_bought_with_help(visit: Visit) -> None:
    words = {"vi": "để dùng", "en": "to use"}
    lasting = visit.provider.portal(
        scope="openid offline_access",
        grant_types=["authorization_code", "refresh_token"],
        purposes={"offline_access": words},
    )
    serves(visit.provider, lasting)
    visit.mandate()
    asked = {"scope": "openid offline_access", "prompt": "consent"}
    tokens = lasting.tokens(Answer(walk(visit.browser, visit.help_in(lasting, **asked))))
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "openid"


def test_both_must_be_present(visit: Visit, browser: Browser) -> None:
    """Neither the citizen's code without the officer, nor the officer without the code, nor a code used before."""
    assert visit.mandate(code="000-000-000-000-000-000").status == 400
    used = visit.codes[-1]
    visit.mandate()
    assert visit.mandate(code=used).status == 400
    assert visit.help_in(code=used).status == 400
    assert visit.help_in(code="123456").status == 400
    page = browser.get(visit.portal.address())
    assert "login-assist" not in page.ids
    assert browser.get(f"/signin/{page.handle}/assist").error_code == "OP-003"
    with visit.provider.app.app_context():
        officers.end(visit.clerk.person.id)
        db.session.commit()
    page = visit.browser.get(visit.portal.address())
    assert visit.browser.get(f"/signin/{page.handle}/assist").error_code == "OP-003"


def test_code_of_an_app_or_card_does_as_well(visit: Visit) -> None:
    person = visit.provider.citizen()
    card = Visit(visit.provider, visit.clerk, person, visit.portal, [])
    assert card.mandate(code=person.code()).path == "/counter?done=mandate-made"
    page = card.help_in(code=person.code())
    assert page.step == "consent"


def test_nobody_helps_themselves(visit: Visit) -> None:
    own = Visit(visit.provider, visit.clerk, visit.clerk.person, visit.portal, [])
    assert own.mandate(code=visit.clerk.person.code()).status == 400


def test_officer_of_another_counter_cannot_use_the_mandate(visit: Visit) -> None:
    visit.mandate()
    with visit.provider.app.app_context():
        officers.end(visit.clerk.person.id)
        officers.keep_counter("phuong-2", names={"vi": "Phường Hai"}, services=[visit.portal.client_id])
        officers.add(visit.clerk.person.id, "phuong-2", valid_to=None)
        db.session.commit()
    assert visit.help_in().status == 400


def test_officer_ends_a_mandate_by_its_reference(visit: Visit) -> None:
    visit.mandate()
    tokens = visit.portal.tokens(Answer(walk(visit.browser, visit.help_in())))
    [reference] = visit.provider.scalars(sa.select(Mandate.reference).where(Mandate.citizen_id == visit.person.id))
    visit.clerk.sign_in("/counter/mandate/end")
    assert visit.clerk.submit("mandate-end-form", number=visit.person.number, reference="0000000000").status == 400
    page = visit.clerk.submit("mandate-end-form", number=visit.person.number, reference=reference.lower())
    assert page.path == "/counter?done=mandate-ended"
    assert visit.portal.userinfo(tokens["access_token"]).status_code == 401
    assert reference in visit.browser.get("/counter/history").text


def test_sessions_end_when_the_officer_does(visit: Visit) -> None:
    visit.mandate()
    visit.claims()
    with visit.provider.app.app_context():
        officer_id = officers.end(visit.clerk.person.id)
        assert officer_id is not None
        assisted.end_of_officer(officer_id, visit.clerk.person.id, settings=visit.provider.settings)
        db.session.commit()
    assert visit.provider.session_of(visit.person).ended_at is not None


def test_second_half_of_a_double_click_gets_the_same_session(visit: Visit) -> None:
    visit.mandate()
    visit.lay_aside()
    page = visit.browser.get(visit.portal.address())
    visit.browser.get(f"/signin/{page.handle}/assist")
    before = visit.browser.cookies()
    action, fields = visit.browser.form("assist-form", number=visit.person.number, code=visit.codes.pop())
    first = visit.browser.post(action, fields)
    secret = visit.browser.cookies()["__Host-sid"]
    visit.browser.put(before)
    second = visit.browser.post(action, fields)
    assert (first.step, second.step) == ("consent", "consent")
    assert visit.browser.cookies()["__Host-sid"] == secret
    opened = sa.select(SsoSession.id).where(SsoSession.citizen_id == visit.person.id)
    assert len(visit.provider.scalars(opened)) == 1


def test_citizen_who_signs_in_on_top_has_a_session_of_their_own(visit: Visit) -> None:
    visit.mandate()
    visit.claims()
    claims = visit.portal.sign_in(visit.browser, visit.person, prompt="login")
    assert "act" not in claims
    assert "assisted" not in claims["amr"]
    assert visit.browser.get("/account").status == 200
    rows = visit.provider.scalars(sa.select(SsoSession).where(SsoSession.citizen_id == visit.person.id))
    assert [row.ended_at is None for row in sorted(rows, key=lambda row: row.id)] == [False, True]
