"""Two of these providers over real sockets, one the identity provider of the other; sign-outs cross both ways."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from idp.audit.models import AuditEvent
from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import Gender
from idp.citizens.registry import table
from idp.core.database import db
from idp.upstream import apply
from idp.upstream.channel import Channel
from idp.upstream.check import Check
from idp.upstream.document import read
from idp.upstream.finding import Verdict
from idp.upstream.health import Breakers
from tests.browser import Browser, Page
from tests.parties.upstream.served import path_of, served
from tests.provider import Answer, Person, Portal, Provider, json_of, walk

SLUG = "buu-dien"
ENCRYPTED = {
    "id_token_encrypted_response_alg": "ECDH-ES",
    "id_token_encrypted_response_enc": "A256GCM",
    "userinfo_encrypted_response_alg": "ECDH-ES",
    "userinfo_encrypted_response_enc": "A256GCM",
}


@dataclass(frozen=True)
class Pair:
    """Ours, and the provider it federates."""

    ours: Provider
    theirs: Provider

    def person(self, **members: Any) -> Person:
        """Return somebody with an account there, whom our register knows."""
        made = self.theirs.citizen(**members)
        known = table.Person("vn-pin", made.number, made.full_name, BirthDate(1991, 2, 28), Gender.FEMALE)
        with self.ours.app.app_context():
            table.write([known], keyring=self.ours.services.keyring)
            db.session.commit()
        return made

    def sign_in(self, here: Browser, there: Browser, portal: Portal, person: Person, **changes: str) -> Answer:
        """Walk from a portal of ours to the other provider, and back."""
        return self.go_on(here, there, here.get(portal.address(**changes)), person)

    def go_on(self, here: Browser, there: Browser, page: Page, person: Person) -> Answer:
        """Walk on from our sign-in page."""
        left = here.submit(f"upstream-form-{SLUG}").left_for
        assert left is not None, here.page and here.page.text
        back = walk(there, there.get(path_of(left)), person)
        assert page.handle
        return Answer(walk(here, here.get(path_of(back))))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("pair")
    with (
        served(directory / "theirs", service_name="Bưu điện ID") as theirs,
        served(directory / "ours") as ours,
    ):
        home = f"{ours.settings.issuer}/upstream/{SLUG}"
        theirs.portal(
            client_id="lienket",
            client_secret=None,
            client_uri=None,
            token_endpoint_auth_method="private_key_jwt",
            jwks_uri=f"{ours.settings.issuer}/upstream/jwks",
            redirect_uris=[f"{home}/callback"],
            post_logout_redirect_uris=[f"{home}/signed-out"],
            backchannel_logout_uri=f"{home}/backchannel-logout",
            backchannel_logout_session_required=True,
            userinfo_signed_response_alg="ES256",
            **ENCRYPTED,
            scope="openid name birthdate idnum",
        )
        document = {
            "slug": SLUG,
            "issuer": theirs.settings.issuer,
            "client_id": "lienket",
            "scope": "openid name birthdate idnum",
            "userinfo_signed_response_alg": "ES256",
            **ENCRYPTED,
            "levels": {"loa1": "loa1", "loa2": "loa2", "loa3": "loa3"},
            "ceiling": "loa2",
            "amr": ["pwd", "otp", "mfa"],
            "name": {"vi": "Bưu điện ID"},
            "iss_parameter": True,
            "pushed_requests": True,
            "end_session": True,
            "backchannel_logout": True,
        }
        with ours.app.app_context():
            apply.apply(read(document, source=SLUG, is_sandbox=True), keyring=ours.services.keyring)
        yield Pair(ours, theirs)


def test_citizen_of_the_other_provider_signs_in_here(pair: Pair) -> None:
    here, there, portal = pair.ours.browser(), pair.theirs.browser(), pair.ours.portal(scope="openid idnum")
    person = pair.person()
    tokens = portal.tokens(pair.sign_in(here, there, portal, person, scope="openid idnum", acr_values="loa2"))
    claims = portal.claims(tokens)
    assert (claims["acr"], claims["amr"]) == ("loa2", ["pwd", "otp", "mfa"])
    assert portal.userinfo(tokens["access_token"]).get_json()["identification_number"] == person.number
    # The next portal asks nobody.
    assert here.get(pair.ours.portal().address()).step == "consent"


def test_level_is_raised_at_the_same_provider(pair: Pair) -> None:
    here, there, portal = pair.ours.browser(), pair.theirs.browser(), pair.ours.portal()
    person = pair.person()
    assert portal.claims(portal.tokens(pair.sign_in(here, there, portal, person)))["acr"] == "loa1"
    essential = json_of(id_token={"acr": {"essential": True, "values": ["loa2"]}})
    page = here.get(portal.address(claims=essential))
    assert page.step == "login"
    assert portal.claims(portal.tokens(pair.go_on(here, there, page, person)))["acr"] == "loa2"


def test_level_the_citizen_does_not_reach_there_leads_back_to_the_choice(pair: Pair) -> None:
    here, there, portal = pair.ours.browser(), pair.theirs.browser(), pair.ours.portal()
    person = pair.person(totp=False)
    essential = json_of(id_token={"acr": {"essential": True, "values": ["loa2"]}})
    here.get(portal.address(claims=essential))
    left = here.submit(f"upstream-form-{SLUG}").left_for
    page = here.get(path_of(walk(there, there.get(path_of(str(left))), person)))
    assert page.step == "login"
    assert "error-summary" in page.ids


def test_sign_out_there_ends_the_session_here(pair: Pair) -> None:
    here, there, portal = pair.ours.browser(), pair.theirs.browser(), pair.ours.portal()
    pair.sign_in(here, there, portal, pair.person())
    assert here.get(portal.address(prompt="none")).left_for.count("code=") == 1  # type: ignore[union-attr]
    there.get("/logout")
    there.submit("logout-form")
    for _ in range(100):
        answer = Answer(str(here.get(portal.address(prompt="none")).left_for))
        if answer.get("error") == "login_required":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the session lives on")
    events = pair.ours.scalars(sa.select(AuditEvent).where(AuditEvent.name == "upstream:logout:received"))
    assert events[-1].detail == {"provider": SLUG, "sessions": 1}


def test_sign_out_here_leads_to_the_sign_out_there(pair: Pair) -> None:
    here, there, portal = pair.ours.browser(), pair.theirs.browser(), pair.ours.portal()
    person = pair.person()
    pair.sign_in(here, there, portal, person)
    here.get("/logout")
    page = here.submit("logout-form")
    action, fields = page.forms["farewell-form"].action, page.forms["farewell-form"].fields
    assert action == f"{pair.theirs.settings.issuer}/logout"
    # A cross-site post: the cookie of a SameSite=Lax session comes with the redirect that answers it.
    question = there.post("/logout", fields)
    assert "logout-form" in question.forms
    left = there.submit("logout-form").left_for
    if left is None:
        left = next(link for link in there.page.links if "/signed-out" in link)  # type: ignore[union-attr]
    done = here.get(path_of(left))
    assert "signed-out" in done.ids
    assert "farewell-form" not in done.forms
    assert pair.theirs.session_of(person).ended_at is not None


@pytest.mark.parametrize("token", ["", "x.y.z"])
def test_word_of_a_logout_that_nobody_signed_is_refused(token: str, pair: Pair) -> None:
    answer = pair.ours.http().post(f"/upstream/{SLUG}/backchannel-logout", data={"logout_token": token})
    assert answer.status_code == 400


def test_check_finds_nothing_wrong_with_the_other_one(pair: Pair) -> None:
    ours = pair.ours.services
    check = Check(
        ours.outbound, Channel(ours.outbound, ours.signing_keys, Breakers(ours.hot_path)), is_sandbox=True, own_keys=""
    )
    provider = ours.providers.find(SLUG)
    assert provider is not None
    found = list(check.walk(provider, ours.upstream.redirect_uri(provider)))
    assert [finding.words for finding in found if finding.verdict is Verdict.WRONG] == []
    told = " ".join(finding.words for finding in found)
    assert "Our credentials are accepted" in told
    assert "A request was pushed and taken" in told
    # One address that they do not know is told.
    stranger = list(check.walk(provider, "http://127.0.0.1:1/elsewhere"))
    assert [finding.words[:15] for finding in stranger if finding.verdict is Verdict.WRONG] == ["Pushed requests"]
