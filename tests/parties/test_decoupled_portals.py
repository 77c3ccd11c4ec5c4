"""Signing in on another device through the libraries: the device flow and backchannel authentication (CIBA)."""

from collections.abc import Iterator

import pytest

from tests.parties.sandbox import PARTIES, Client, Party, Sandbox, node

# One worker for all of them: a provider and many portals are started once.
pytestmark = pytest.mark.xdist_group("parties")

DEVICE = {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]}
CIBA = {"grant_types": ["authorization_code", "urn:openid:params:grant-type:ciba"]}


@pytest.fixture(scope="module", params=["openid_client", "oauth4webapi"])
def portals(town: Sandbox, request: pytest.FixtureRequest) -> Iterator[Party]:
    """Yield the portals made with one library."""
    library = request.param
    command = [node(), str(PARTIES / f"{library}.mjs")]
    clients = (Client("device", members=DEVICE), Client("ciba", members=CIBA))
    with town.party(f"decoupled-{library.replace('_', '-')}", command, clients) as running:
        yield running


@pytest.mark.holds("RFC8628-3.3-1", "RFC8628-3.4-1")
def test_device_is_signed_in_when_the_citizen_types_its_code_elsewhere(portals: Party, town: Sandbox) -> None:
    screen, phone = town.walker(), town.walker()
    pending = portals.act(screen, "device", "device")
    phone.open(pending["verification_uri"])
    phone.submit("device-form", user_code=pending["user_code"])
    phone.answer_pages()
    assert {"login-form", "confirm-form", "consent-form"} <= phone.seen
    arrived = portals.act(screen, "device", "device_done")
    assert arrived["status"] == 200, arrived
    assert portals.act(screen, "device", "userinfo")["name"] == phone.person.full_name


@pytest.mark.holds("CIBA-10.1-1", "CIBA-10.1.1-1")
def test_counter_signs_the_citizen_in_when_they_say_yes_at_the_provider(portals: Party, town: Sandbox) -> None:
    counter, phone = town.walker(), town.walker()
    asked = portals.act(
        counter, "ciba", "backchannel_sign_in", login_hint=phone.person.number, binding_message="Quay 7"
    )
    assert asked["status"] == 200, asked
    phone.open(f"{town.issuer}/approvals")
    phone.submit("approvals-signin-form")
    phone.answer_pages()
    phone.submit("approval-form-1")
    phone.answer_pages()
    assert {"login-form", "confirm-form", "consent-form"} <= phone.seen
    arrived = portals.act(counter, "ciba", "backchannel_done")
    assert arrived["status"] == 200, arrived
    assert portals.act(counter, "ciba", "userinfo")["name"] == phone.person.full_name
