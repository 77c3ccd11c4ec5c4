"""The life of codes, refresh tokens, access tokens and sessions, walked at random beside a model of the specifications.

The model below was written from RFC 6749, 4.1.2, 5.2 and 6, RFC 7009, RFC 7662, RFC 9700, 4.14, and OpenID Connect
Core 1.0, 11 and 12.2: it knows nothing of rows. Hypothesis chooses what happens; a failure prints every step.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from werkzeug.test import TestResponse

from idp.agencies.models import Client, ClientState
from idp.citizens.models import CitizenState
from idp.oidc.models import AccessToken, AuthorizationCode, OfflineGrant
from idp.sso.models import SsoSession
from tests.browser import Browser
from tests.keyed import keyed
from tests.provider import Answer, Person, Portal, Provider

LASTING: dict[str, Any] = {
    "scope": "openid name offline_access",
    "grant_types": ["authorization_code", "refresh_token"],
    "basis": "legal",
}
SHORT, LONG = "openid name", "openid name offline_access"
# Seconds that pass at a time, chosen so that no sum of them comes near the end of a life below.
ACTS = (
    *["come back"] * 5, *["redeem"] * 5, "redeem wrongly", "redeem again", *["refresh"] * 6, "revoke access",
    "revoke refresh", "sign out", *["wait"] * 2, "trouble", "end trouble", "end trouble", "look",
)  # fmt: skip
STEPS = (*[13] * 6, *[45] * 3, 660, 475_200, 475_200, 691_200)
Thing = TypeVar("Thing")
AGED = (AuthorizationCode, AccessToken, OfflineGrant, SsoSession)
WALKS, LONGEST_WALK = 24, 35


@dataclass(eq=False)
class Session:
    """One session in one browser; `is_certain` while the model knows that nothing but time can have ended it."""

    browser: Browser
    seen_at: int
    has_ended: bool = False
    is_certain: bool = True


@dataclass(eq=False)
class Family:
    """All that one code buys. `generation` is the refresh token that works now, where tokens rotate."""

    portal: Portal
    session: Session
    is_lasting: bool
    was_revoked: bool = False
    generation: int = 0
    rotates: bool = True
    made_at: int = 0
    used_at: int = 0
    first: dict[str, Any] = field(default_factory=dict)
    code: "Code | None" = None


@dataclass(eq=False)
class Code:
    """A code on its way to its client."""

    text: str
    family: Family
    until: int
    was_spent: bool = False


@dataclass(eq=False)
class Received:
    """What one token response brought: an access token, and a refresh token with its place in its family."""

    access: str
    family: Family
    until: int
    scope: str
    refresh: str | None
    generation: int
    was_revoked: bool = False

    @property
    def is_newest(self) -> bool:
        """Tell whether the refresh token is the one to use now."""
        return not self.family.rotates or self.generation == self.family.generation


@dataclass(frozen=True)
class World:
    """What all walks on one provider share."""

    provider: Provider
    person: Person
    portals: tuple[Portal, Portal, Portal]

    def begin_anew(self) -> None:
        """Forget what the last walk left, so that moving times in rows stays cheap."""
        self.put_in_order()
        for model in AGED:
            self.provider.run(sa.delete(model).where(model.citizen_id == self.person.id))

    def put_in_order(self) -> None:
        """Let citizen and clients be as they were before the first walk."""
        self.person.set(state=CitizenState.ACTIVE)
        for portal in self.portals:
            self.set_client(portal, ClientState.ACTIVE)

    def set_client(self, portal: Portal, state: ClientState) -> None:
        self.provider.run(sa.update(Client).where(Client.client_id == portal.client_id).values(state=state))
        self.provider.forget_caches()


@pytest.fixture(scope="module")
def world(provider: Provider) -> Iterator[World]:
    portals = (provider.portal(**LASTING), provider.portal(**LASTING), keyed(provider, profile="fapi2", **LASTING))
    made = World(provider, provider.citizen(totp=False), portals)
    for portal in portals:
        # What is agreed to once for good is agreed to here, so that every walk begins alike.
        browser = provider.browser()
        portal.arrive(browser, made.person, scope=SHORT)
        portal.arrive(browser, scope=LONG)
    yield made
    made.put_in_order()


class Life(RuleBasedStateMachine):
    """What may happen, in any order, and what must then be true."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.begin_anew()
        self.now = 0
        self.chance = Random()
        self.is_enabled = True
        self.suspended: set[str] = set()
        self.session: Session | None = None
        self.codes: list[Code] = []
        self.received: list[Received] = []
        chosen = self.world.provider.settings
        self.idle, self.absolute = chosen.refresh_idle, chosen.refresh_absolute
        self.code_life, self.session_idle = chosen.code_lifetime, chosen.session_idle

    # --- what the specifications say

    def may_ask(self, portal: Portal) -> bool:
        return portal.client_id not in self.suspended

    def is_grant_alive(self, family: Family) -> bool:
        is_over = self.now - family.used_at > self.idle or self.now - family.made_at > self.absolute
        return family.is_lasting and not family.was_revoked and not is_over

    def is_alive(self, access: Received) -> bool:
        """RFC 6749, 4.1.2; RFC 7009, 2.1; OpenID Connect Core 1.0, 11: by the session, or by the offline grant."""
        family = access.family
        if access.was_revoked or family.was_revoked or self.now >= access.until or not self.is_enabled:
            return False
        return family.is_lasting or not family.session.has_ended

    def is_uncertain(self, family: Family) -> bool:
        return not family.is_lasting and not family.session.has_ended and not family.session.is_certain

    # --- what happens

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        # Hypothesis repeats what it drew before and leaves rules out, which finds small things soon; a walk of thirty
        # acts needs even chances.
        self.chance = Random(seed)
        portal = self.chance.randrange(3)
        self._sign_in(portal, self.chance.choice((LONG, LONG, SHORT)))
        self._redeem(self.codes[-1], portal)

    @rule()
    def happens(self) -> None:
        choose = self.chance.choice
        act, back, by = choose(ACTS), choose((0, 0, 0, 1, 2, 3)), choose((None, None, None, None, 0, 1, 2))
        portal, lasting, seconds = self.chance.randrange(3), choose((True, True, False)), choose(STEPS)
        scope = choose((None, None, None, None, "openid", "openid offline_access", "openid email", " "))
        note(f"{act} {back=} {by=} {portal=} {lasting=} {scope=} {seconds=}")
        asked = LONG if lasting else SHORT
        match act:
            case "come back" if self.session is not None and not self.session.has_ended:
                self._come_back(portal, asked)
            case "come back" if self.is_enabled and self.may_ask(self.world.portals[portal]):
                self._sign_in(portal, asked)
            case "sign out" if self.session is not None and not self.session.has_ended:
                self._sign_out(self.session)
            case "wait":
                self._let_pass(seconds)
            case "trouble" if self.is_enabled and not self.suspended:
                self._trouble(None if lasting else self.world.portals[portal])
            case "trouble" | "end trouble":
                self._end_trouble()
            case _:
                self._happens_to_tokens(act, back, by, scope)

    def _happens_to_tokens(self, act: str, back: int, by: int | None, scope: str | None) -> None:
        match act:
            case "redeem":
                fresh = [code for code in self.codes if not code.was_spent and self.now < code.until]
                self._redeem(self._of(fresh or self.codes, back), by)
            case "redeem wrongly":
                self._redeem(self._of(self.codes, back), by, knows_verifier=False)
            case "redeem again":
                self._redeem(self._of(self.received, back).family.code, by)
            case "refresh":
                self._refresh(self._of(self.received, back), by, scope)
            case "revoke access":
                self._revoke_access(self._of(self.received, back), by)
            case "revoke refresh":
                self._revoke_refresh(self._of(self.received, back), by)
            case "look":
                self._look(self._of(self.received, back))

    def _of(self, things: "list[Thing]", back: int) -> "Thing":
        return things[-1 - back % len(things)]

    def _sign_in(self, number: int, scope: str) -> None:
        portal = self.world.portals[number]
        browser = self.world.provider.browser()
        self.session = Session(browser, self.now)
        self._take_code(portal, portal.arrive(browser, self.world.person, scope=scope), scope)

    def _take_code(self, portal: Portal, answer: Answer, scope: str) -> None:
        assert self.session is not None
        family = Family(portal, self.session, is_lasting="offline_access" in scope)
        family.rotates = portal.document.get("profile") != "fapi2"
        self.session.seen_at = self.now
        family.code = Code(answer["code"], family, self.now + self.code_life)
        self.codes.append(family.code)

    def _come_back(self, portal: int, scope: str) -> None:
        """Single sign-on without a page, by whatever is left of the session."""
        assert self.session is not None
        chosen, session = self.world.portals[portal], self.session
        if not self.may_ask(chosen):
            page = session.browser.get(chosen.address(prompt="none", scope=scope))
            assert page.left_for is None
            assert 400 <= page.status < 500
            return
        answer = chosen.arrive(session.browser, prompt="none", scope=scope)
        self._check_statuses(session.browser)
        rested = self.now - session.seen_at
        if not self.is_enabled or session.has_ended or rested > self.session_idle:
            assert answer.get("code") is None
            session.is_certain = False
        elif rested < self.session_idle * 0.8 and session.is_certain:
            assert answer.get("code") is not None, answer
        if answer.get("code") is not None:
            self._take_code(chosen, answer, scope)

    def _redeem(self, code: Code | None, by: int | None = None, *, knows_verifier: bool = True) -> None:
        """RFC 6749, 4.1.2 and 4.1.3: once, for its client, with its verifier; a second time takes everything back."""
        assert code is not None
        family = code.family
        asking = family.portal if by is None else self.world.portals[by]
        changes = {} if knows_verifier else {"code_verifier": "x" * 43}
        if asking is not family.portal:
            changes |= {"redirect_uri": family.portal.redirect_uri, "code_verifier": family.portal.verifier}
        response = self._seen(asking.redeem(code.text, **changes))
        if not self.may_ask(asking):
            assert response.status_code == 401
            return
        if asking is not family.portal:
            self._is_refused(response)
            self._look_at_family(family)
            return
        if code.was_spent:
            self._is_refused(response)
            family.was_revoked = True
            self._look_at_family(family)
            return
        can_spend = self.is_enabled and self.now < code.until and not family.session.has_ended
        if can_spend and not family.session.is_certain:
            can_spend = response.status_code == 200 or not knows_verifier
        if not can_spend:
            self._is_refused(response)
            return
        code.was_spent = True
        if not knows_verifier:
            self._is_refused(response)
            return
        assert response.status_code == 200, response.text
        document = response.get_json()
        family.first = self._claims(family.portal, document)
        family.made_at = family.used_at = self.now
        assert ("refresh_token" in document) is family.is_lasting
        self._receive(family, document)

    def _receive(self, family: Family, document: dict[str, Any]) -> None:
        received = Received(
            document["access_token"],
            family,
            self.now + document["expires_in"],
            document["scope"],
            document.get("refresh_token"),
            family.generation,
        )
        self.received.append(received)

    def _refresh(self, refresh: Received, by: int | None, scope: str | None) -> None:
        """RFC 6749, 6; RFC 9700, 4.14.2: the newest works, an older one ends its family, nobody else may use it."""
        family = refresh.family
        if refresh.refresh is None:
            return
        asking = family.portal if by is None else self.world.portals[by]
        response = self._seen(self._ask_again(asking, refresh.refresh, scope))
        if not self.may_ask(asking):
            assert response.status_code == 401
            return
        is_current = refresh.is_newest
        if asking is not family.portal or not self.is_grant_alive(family):
            self._is_refused(response, "invalid_scope")
            return
        if not self.is_enabled and is_current:
            self._is_refused(response, "invalid_scope")
            return
        if scope in ("openid email", " "):
            # Too much, or nothing at all; a wrong question is not yet a theft.
            self._is_refused(response, "invalid_scope")
            family.was_revoked = family.was_revoked or (
                response.get_json()["error"] == "invalid_grant" and not is_current
            )
            return
        if not is_current:
            self._is_refused(response)
            family.was_revoked = True
            self._look_at_family(family)
            return
        assert response.status_code == 200, response.text
        document = response.get_json()
        assert set(document["scope"].split()) == set((scope or LONG).split())
        claims = self._claims(asking, document)
        for name in ("iss", "sub", "aud", "acr", "amr"):
            assert claims[name] == family.first[name]
        # Here the past moves, and not the clock.
        assert claims["auth_time"] == family.first["auth_time"] - (self.now - family.made_at)
        assert claims.get("nonce", family.first["nonce"]) == family.first["nonce"]
        if family.rotates:
            assert document["refresh_token"] != refresh.refresh
            family.generation += 1
        family.used_at = self.now
        self._receive(family, document)

    def _ask_again(self, asking: Portal, text: str, scope: str | None) -> TestResponse:
        changes = {} if scope is None else {"scope": scope}
        form = {"grant_type": "refresh_token", "refresh_token": text, **changes}
        send = getattr(asking, "send", None)
        response: TestResponse = send("/token", form) if send is not None else asking.post("/token", **form)
        return response

    def _revoke_access(self, access: Received, by: int | None) -> None:
        """RFC 7009, 2.1: the client it was issued to, and nobody else."""
        asking = access.family.portal if by is None else self.world.portals[by]
        response = self._seen(self._post(asking, "/revoke", token=access.access))
        if not self.may_ask(asking):
            assert response.status_code == 401
        elif asking is access.family.portal:
            assert response.status_code == 200
            access.was_revoked = True
        self._look_at_family(access.family)

    def _revoke_refresh(self, refresh: Received, by: int | None) -> None:
        """RFC 7009, 2.1: with it go the access tokens of the same grant."""
        if refresh.refresh is None:
            return
        asking = refresh.family.portal if by is None else self.world.portals[by]
        form = {"token": refresh.refresh, "token_type_hint": "refresh_token"}
        response = self._seen(self._post(asking, "/revoke", **form))
        if not self.may_ask(asking):
            assert response.status_code == 401
        elif asking is refresh.family.portal:
            assert response.status_code == 200
            refresh.family.was_revoked = True
        self._look_at_family(refresh.family)

    def _sign_out(self, session: Session) -> None:
        page = session.browser.get("/logout")
        if "logout-form" in page.forms:
            session.browser.submit("logout-form")
        session.has_ended = True
        self._check_statuses(session.browser)

    def _let_pass(self, seconds: int) -> None:
        for model in AGED:
            self.world.provider.age(model, model.citizen_id == self.world.person.id, seconds=seconds)
        self.now += seconds

    def _trouble(self, portal: Portal | None) -> None:
        """Suspend one client, or else disable the citizen."""
        if portal is None:
            self.world.person.set(state=CitizenState.DISABLED)
            self.is_enabled = False
        else:
            self.world.set_client(portal, ClientState.SUSPENDED)
            self.suspended.add(portal.client_id)
        # At once, because such a time is short.
        self._refresh(self.received[-1], None, None)

    def _end_trouble(self) -> None:
        self.world.put_in_order()
        self.is_enabled = True
        self.suspended.clear()

    # --- what must be true

    def _look_at_family(self, family: Family) -> None:
        """Look at the newest that a family received, which an act just now may have ended, or not."""
        for received in [each for each in self.received if each.family is family][-2:]:
            self._look(received)

    def _look_at_access(self, access: Received) -> None:
        """UserInfo and introspection agree with the model about one access token, and nobody else learns of it."""
        family = access.family
        response = self._seen(family.portal.userinfo(access.access))
        is_uncertain = self.is_uncertain(family)
        works = self.is_alive(access) and self.may_ask(family.portal)
        if not works:
            assert response.status_code == 401
        elif not is_uncertain:
            assert response.status_code == 200, response.text
            body = response.get_json()
            assert body["sub"] == family.first["sub"]
            assert ("name" in body) == ("name" in access.scope.split())
        for portal in (family.portal, self.chance.choice(self.world.portals)):
            if not self.may_ask(portal):
                continue
            told = self._introspected(portal, access.access)
            if portal is not family.portal or not works:
                assert told == {"active": False}
            elif not is_uncertain:
                assert told["active"] is True
                assert (told["sub"], told["acr"]) == (family.first["sub"], family.first["acr"])
                assert told["scope"] == access.scope

    def _look(self, received: Received) -> None:
        self._look_at_access(received)
        self._look_at_refresh(received)

    def _look_at_refresh(self, refresh: Received) -> None:
        family = refresh.family
        if refresh.refresh is None:
            return
        for portal in (family.portal, self.chance.choice(self.world.portals)):
            if not self.may_ask(portal):
                continue
            told = self._introspected(portal, refresh.refresh)
            works = portal is family.portal and self.is_grant_alive(family) and refresh.is_newest and self.is_enabled
            assert told["active"] is works

    def teardown(self) -> None:
        """Look at everything that was ever received, whatever became of it."""
        for _ in range(2):
            for received in self.received:
                self._look(received)
            # What seemed dead only because of its citizen or client must not have slept through its own end.
            self._end_trouble()

    # --- asking

    def _introspected(self, portal: Portal, token: str) -> dict[str, Any]:
        response = self._seen(self._post(portal, "/introspect", token=token))
        assert response.status_code == 200, response.text
        told: dict[str, Any] = response.get_json()
        return told

    def _post(self, portal: Portal, path: str, **form: str) -> TestResponse:
        send = getattr(portal, "send", None)
        response: TestResponse = send(path, form, binds=False) if send is not None else portal.post(path, **form)
        return response

    def _claims(self, portal: Portal, document: dict[str, Any]) -> dict[str, Any]:
        claims: dict[str, Any] = portal.claims(document)
        return claims

    def _is_refused(self, response: TestResponse, *others: str) -> None:
        assert response.status_code == 400, response.text
        assert response.get_json()["error"] in ("invalid_grant", *others)
        assert "access_token" not in response.text

    def _seen(self, response: TestResponse) -> TestResponse:
        assert response.status_code < 500, response.text
        return response

    def _check_statuses(self, browser: Browser) -> None:
        assert all(response.status_code < 500 for response in browser.seen)


@pytest.mark.holds(
    "B24", "B27", "F6", "F10", "RFC9700-4.14-1", "RFC9700-2.2.2-1", "FAPI2SP-5.3.2.1-7", "FAPI2SP-5.3.4-2"
)
def test_codes_and_tokens_live_as_the_specifications_say_when_anything_happens(world: World) -> None:
    class LifeHere(Life):
        pass

    LifeHere.world = world
    run_state_machine_as_test(
        LifeHere,
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=LONGEST_WALK,
            suppress_health_check=list(HealthCheck),
            # Shrinking a walk takes minutes; thirty steps can be read.
            phases=[Phase.generate],
            print_blob=False,
        ),
    )
