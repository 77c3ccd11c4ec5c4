"""What the libraries do beyond a plain sign-in: refresh, pushed and signed requests, bound tokens, sealed answers."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.parties.sandbox import PARTIES, Client, Party, Sandbox, node
from tests.parties.walker import Walker

# One worker for all of them: a provider and many portals are started once.
pytestmark = pytest.mark.xdist_group("parties")

OFFLINE = "openid name email offline_access"
REFRESHES = {"grant_types": ["authorization_code", "refresh_token"]}
SEALED = {
    "id_token_signed_response_alg": "ES256",
    "id_token_encrypted_response_alg": "ECDH-ES",
    "id_token_encrypted_response_enc": "A256GCM",
    "userinfo_signed_response_alg": "ES256",
    "userinfo_encrypted_response_alg": "ECDH-ES",
    "userinfo_encrypted_response_enc": "A256GCM",
    "introspection_signed_response_alg": "ES256",
    "introspection_encrypted_response_alg": "ECDH-ES",
    "introspection_encrypted_response_enc": "A256GCM",
}
SIGNED = {
    "userinfo_signed_response_alg": "ES256",
    "introspection_signed_response_alg": "RS256",
    "authorization_signed_response_alg": "RS256",
}
FAPI = {"profile": "fapi2", "authorization_signed_response_alg": "ES256", **REFRESHES}


def registered(name: str, members: dict[str, Any], *uses: str, method: str = "private_key_jwt", **more: Any) -> Client:
    """Return a client whose library knows the same `members` as its document, as far as libraries look at them."""
    metadata = {name: value for name, value in members.items() if name.endswith(("_alg", "_enc"))}
    return Client(name, method, uses, members, {"metadata": metadata}, **more)


CLIENTS = (
    registered("refresh", REFRESHES, scope=OFFLINE),
    registered("par", {"require_pushed_authorization_requests": True}, "par"),
    registered("jar", {"request_object_signing_alg": "ES256"}, "jar"),
    registered("jar-par", {"require_signed_request_object": True}, "par", "jar"),
    registered("signed", SIGNED, "jarm"),
    registered("sealed", SEALED, "encryption"),
    registered("dpop", {"dpop_bound_access_tokens": True}, "dpop", method="client_secret_basic"),
    registered("jwt", {"access_token_format": "jwt"}),
    registered("fapi", FAPI, "par", "dpop", "jarm", scope=OFFLINE),
    registered(
        "fapi-signing", FAPI | {"require_signed_request_object": True}, "par", "jar", "dpop", "jarm", scope=OFFLINE
    ),
)
TOLD = Client(
    "told", members={"backchannel_logout_uri": "{origin}/told/backchannel", "backchannel_logout_session_required": True}
)
API = "https://api.agency.example/"
RESOURCES = (
    Client("api", members={"resource_identifiers": [API], "access_token_format": "jwt"}),
    Client("caller", members={"resources": [API]}),
)
BOUND = {"dpop", "fapi", "fapi-signing"}


@pytest.fixture(scope="module", params=["openid_client", "oauth4webapi"])
def portals(town: Sandbox, request: pytest.FixtureRequest) -> Iterator[Party]:
    """Yield the portals made with one library."""
    library = request.param
    command = [node(), str(PARTIES / f"{library}.mjs")]
    # Only one client of all may answer to an identifier.
    clients = (*CLIENTS, TOLD, *(RESOURCES if library == "oauth4webapi" else ()))
    with town.party(f"protected-{library.replace('_', '-')}", command, clients) as running:
        yield running


@pytest.mark.parametrize("client", [client.name for client in CLIENTS])
@pytest.mark.holds("RFC7009-2.2-1", "RFC7662-2.2-2", "FAPI2SP-5.3.2.1-3")
def test_citizen_signs_in_and_out_when_the_portal_is_registered_so(portals: Party, walker: Walker, client: str) -> None:
    arrived = portals.sign_in(walker, client, acr_values="loa2")
    assert arrived["status"] == 200, arrived
    assert arrived["claims"]["acr"] == "loa2"
    assert arrived["token_type"] == ("dpop" if client in BOUND else "bearer")
    assert arrived["format"] == ("jwt" if client == "jwt" else "opaque")
    person = portals.act(walker, client, "userinfo")
    assert person["status"] == 200, person
    assert (person["sub"], person["name"]) == (arrived["claims"]["sub"], walker.person.full_name)

    known = portals.act(walker, client, "introspect")
    assert (known["status"], known["active"]) == (200, True), known
    assert portals.act(walker, client, "revoke")["status"] == 200
    assert portals.act(walker, client, "introspect")["active"] is False
    assert portals.act(walker, client, "userinfo")["status"] == 502

    out = portals.act(walker, client, "signout")
    assert out == {"status": 200, "signed_out": True, "state_is_mine": True}
    refused = portals.sign_in(walker, client, prompt="none")
    assert (refused["status"], refused["error"]) == (502, "login_required"), refused


@pytest.mark.parametrize("client", ["refresh", "fapi"])
@pytest.mark.holds("B27", "F10", "OIDCC-12-2", "RFC7009-2.1-4")
def test_portal_keeps_access_when_the_citizen_agreed_to_it(portals: Party, walker: Walker, client: str) -> None:
    first = portals.sign_in(walker, client, prompt="consent", acr_values="loa2")
    assert first["refreshable"], first
    for _ in range(2):
        again = portals.act(walker, client, "refresh")
        assert again["status"] == 200, again
        assert portals.act(walker, client, "userinfo")["sub"] == first["claims"]["sub"]
    kept = ("iss", "sub", "aud", "auth_time", "acr", "amr")
    assert {name: again["newest"][name] for name in kept} == {name: first["claims"][name] for name in kept}
    assert portals.act(walker, client, "introspect", token="refresh_token")["active"] is True

    assert portals.act(walker, client, "revoke", token="refresh_token")["status"] == 200
    refused = portals.act(walker, client, "refresh")
    assert (refused["status"], refused["error"]) == (502, "invalid_grant")
    assert portals.act(walker, client, "introspect")["active"] is False


@pytest.mark.holds("F1", "RFC9470-5-1")
def test_portal_steps_up_through_pushed_requests(portals: Party, walker: Walker) -> None:
    assert portals.sign_in(walker, "fapi")["claims"]["acr"] == "loa1"
    walker.seen.clear()
    assert portals.sign_in(walker, "fapi", acr_values="loa2")["claims"]["acr"] == "loa2"
    assert "login-form" not in walker.seen


def comes_as_a_form(portals: Party, walker: Walker, client: str, mode: str) -> None:
    arrived = portals.sign_in(walker, client, response_mode=mode)
    assert arrived["status"] == 200, arrived
    assert "portal-answer" in walker.seen
    assert not any("code=" in address or "response=" in address for _, address in walker.trail)


@pytest.mark.holds("B30", "FORMPOST-4-1")
def test_answer_comes_as_a_form_when_the_portal_asks(portals: Party, walker: Walker) -> None:
    comes_as_a_form(portals, walker, "refresh", "form_post")


# openid-client asks for `jwt` and nothing else when it is told to expect signed answers.
@pytest.mark.parametrize("portals", ["oauth4webapi"], indirect=True)
@pytest.mark.parametrize("client", ["signed", "fapi-signing"])
@pytest.mark.holds("JARM-2.3.3-1")
def test_signed_answer_comes_as_a_form_when_the_portal_asks(portals: Party, walker: Walker, client: str) -> None:
    comes_as_a_form(portals, walker, client, "form_post.jwt")


@pytest.mark.holds("L5", "BCL-2.5-1")
def test_portal_ends_its_session_when_it_is_told_that_the_citizen_signed_out(portals: Party, walker: Walker) -> None:
    assert "sid" in portals.sign_in(walker, "told")["claims"]
    elsewhere = portals.sign_in(walker, "par")
    assert portals.act(walker, "told", "me")["signed_in"]
    assert portals.act(walker, "par", "signout")["signed_out"], elsewhere
    assert portals.act(walker, "told", "me") == {"status": 200, "signed_in": False}


@pytest.mark.parametrize("portals", ["oauth4webapi"], indirect=True)
def test_api_of_an_agency_reads_the_token_it_is_called_with(portals: Party, walker: Walker) -> None:
    arrived = portals.sign_in(walker, "caller", acr_values="loa2", resource=API)
    assert arrived["status"] == 200, arrived
    known = portals.act(walker, "caller", "api", audience=API)
    assert known["status"] == 200, known
    assert (known["aud"], known["client_id"], known["acr"]) == (API, "protected-oauth4webapi-caller", "loa2")
    assert portals.act(walker, "caller", "api", audience="https://other.example/")["status"] == 502
