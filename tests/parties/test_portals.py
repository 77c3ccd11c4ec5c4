"""Portals made with openid-client, oauth4webapi and Authlib: the libraries check each answer themselves."""

import sys
from collections.abc import Iterator

import pytest

from tests.parties.sandbox import PARTIES, Client, Party, Sandbox, node
from tests.parties.walker import Walker

# One worker for all of them: a provider and many portals are started once.
pytestmark = pytest.mark.xdist_group("parties")

OFFLINE = "openid name email offline_access"
CLIENTS = (
    Client("basic"),
    Client("post", "client_secret_post", members={"id_token_signed_response_alg": "RS256"}),
    Client("key", "private_key_jwt"),
    Client("lasting", scope=OFFLINE, members={"grant_types": ["authorization_code", "refresh_token"]}),
    Client("impostor", configuration={"client_secret": "not-the-secret-of-this-client"}),
)
# Letters that the form encoding of the header changes (RFC 6749, 2.3.1), which Authlib leaves out.
ODD = {"client_secret": "secret+of/the%20tests&=:alone"}
NEWCOMER = Client(
    "newcomer",
    "client_secret_post",
    scope="openid profile email",
    members={"scope": "openid profile email"},
    registers_itself=True,
)
COMMANDS = {
    "openid-client": lambda: [node(), str(PARTIES / "openid_client.mjs")],
    "oauth4webapi": lambda: [node(), str(PARTIES / "oauth4webapi.mjs")],
    "authlib": lambda: [sys.executable, str(PARTIES / "authlib_portal.py")],
}


@pytest.fixture(scope="module", params=COMMANDS)
def portals(town: Sandbox, request: pytest.FixtureRequest) -> Iterator[Party]:
    """Yield the portals made with one library."""
    library = request.param
    more = () if library == "authlib" else (Client("odd", members=ODD, configuration=ODD),)
    with town.party(library, COMMANDS[library](), (*CLIENTS, *more)) as running:
        yield running


@pytest.mark.parametrize("client", ["basic", "post", "key"])
@pytest.mark.holds("L1", "OIDCC-9-1", "FAPI2SP-5.3.2.3-1")
def test_citizen_signs_in_and_out_when_the_client_proves_itself(portals: Party, walker: Walker, client: str) -> None:
    arrived = portals.sign_in(walker, client, acr_values="loa2")
    assert arrived["status"] == 200, arrived
    assert walker.seen == {"login-form", "totp-form", "consent-form"}
    assert arrived["claims"]["acr"] == "loa2"
    assert arrived["token_type"] == "bearer"
    person = portals.act(walker, client, "userinfo")
    assert person["status"] == 200, person
    assert person["sub"] == arrived["claims"]["sub"]
    assert person["name"] == walker.person.full_name
    assert portals.act(walker, client, "introspect")["active"] is True

    out = portals.act(walker, client, "signout")
    assert out == {"status": 200, "signed_out": True, "state_is_mine": True}
    refused = portals.sign_in(walker, client, prompt="none")
    assert (refused["status"], refused["error"]) == (502, "login_required")


@pytest.mark.holds("RFC9470-5-1")
def test_portal_steps_up_when_it_needs_a_higher_level(portals: Party, walker: Walker) -> None:
    assert portals.sign_in(walker, "basic")["claims"]["acr"] == "loa1"
    walker.seen.clear()
    stepped = portals.sign_in(walker, "basic", acr_values="loa2")
    assert walker.seen == {"totp-form"}
    assert stepped["claims"]["acr"] == "loa2"


@pytest.mark.holds("B10")
def test_portal_gets_a_fresh_sign_in_when_it_says_how_old_it_may_be(portals: Party, walker: Walker) -> None:
    first = portals.sign_in(walker, "key", max_age="600")
    walker.seen.clear()
    second = portals.sign_in(walker, "key", max_age="600")
    assert walker.seen == set()
    assert second["claims"]["auth_time"] == first["claims"]["auth_time"]
    third = portals.sign_in(walker, "key", max_age="0")
    assert walker.seen == {"login-form"}
    assert third["claims"]["auth_time"] >= first["claims"]["auth_time"]


def test_portal_refreshes_until_it_gives_the_access_back(portals: Party, walker: Walker) -> None:
    first = portals.sign_in(walker, "lasting", prompt="consent")
    assert first["refreshable"], first
    for _ in range(2):
        assert portals.act(walker, "lasting", "refresh")["status"] == 200
        assert portals.act(walker, "lasting", "userinfo")["sub"] == first["claims"]["sub"]
    assert portals.act(walker, "lasting", "revoke", token="refresh_token")["status"] == 200
    refused = portals.act(walker, "lasting", "refresh")
    assert (refused["status"], refused["error"]) == (502, "invalid_grant")


def test_second_portal_asks_nothing_typed_when_the_citizen_is_signed_in(portals: Party, walker: Walker) -> None:
    first = portals.sign_in(walker, "basic")
    walker.seen.clear()
    second = portals.sign_in(walker, "post")
    assert walker.seen == {"consent-form"}
    assert second["claims"]["sub"] == first["claims"]["sub"]


def test_portal_is_told_when_its_secret_is_wrong(portals: Party, walker: Walker) -> None:
    refused = portals.sign_in(walker, "impostor")
    assert refused["status"] == 502, refused
    if portals.name == "authlib":
        assert refused["error"] == "invalid_client"
    else:
        assert refused["code"] == "OAUTH_WWW_AUTHENTICATE_CHALLENGE"
        assert [challenge["scheme"] for challenge in refused["challenges"]] == ["basic"]


@pytest.mark.parametrize("portals", ["openid-client", "oauth4webapi"], indirect=True)
@pytest.mark.holds("B26", "RFC6749-2.3.1-1")
def test_secret_of_odd_letters_is_understood_when_it_is_form_encoded(portals: Party, walker: Walker) -> None:
    assert portals.sign_in(walker, "odd")["status"] == 200


@pytest.mark.holds("F11")
def test_portal_is_told_when_the_citizen_turns_back(portals: Party, walker: Walker) -> None:
    walker.open(portals.address("basic", "signin"))
    walker.submit("cancel")
    assert walker.answer.json()["error"] == "access_denied"


@pytest.mark.parametrize("library", ["openid-client", "oauth4webapi"])
def test_citizen_signs_in_when_the_portal_registered_itself(town: Sandbox, walker: Walker, library: str) -> None:
    # A portal of its own: nobody registers for a host that an agency already has.
    with town.party(f"new-{library}", COMMANDS[library](), [NEWCOMER]) as newcomer:
        arrived = newcomer.sign_in(walker, "newcomer")
        assert arrived["status"] == 200, arrived
        assert newcomer.act(walker, "newcomer", "userinfo")["name"] == walker.person.full_name
        assert newcomer.act(walker, "newcomer", "signout")["signed_out"]
