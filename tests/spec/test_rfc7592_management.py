"""RFC 7592: a client looks after its own registration, and after no other (DR-05, CVE-2026-116672)."""

from typing import Any

import pytest
import sqlalchemy as sa

from idp.agencies import apply
from idp.agencies.models import Client, ClientLogo, ClientRegistration
from idp.audit.models import AuditEvent
from idp.core.ids import digest
from idp.keys import signer
from tests.provider import Provider
from tests.registering import Stranger, bearer, register


def row(stranger: Stranger) -> Client:
    [found] = stranger.provider.scalars(sa.select(Client).where(Client.client_id == stranger.client_id))
    return found  # type: ignore[no-any-return]


def events(stranger: Stranger) -> list[str]:
    statement = sa.select(AuditEvent.name).where(AuditEvent.client_id == row(stranger).id)
    return sorted(stranger.provider.scalars(statement))


@pytest.mark.holds("RFC7592-2.1-1", "RFC7592-3-1", "OIDCR-4-1")
def test_a_client_reads_its_own_record(provider: Provider) -> None:
    stranger = register(provider, client_name="Đọc lại", contacts=["a@stranger.example"])
    response = stranger.ask()
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    shown_once = {"client_secret", "client_secret_expires_at"}
    assert response.get_json() == {name: value for name, value in stranger.record.items() if name not in shown_once}


@pytest.mark.holds("RFC7592-2.2-1")
def test_nothing_changes_when_a_record_is_written_back_as_it_was_read(provider: Provider) -> None:
    keys = [signer.generate("ES256")[1], {**signer.generate("ES256")[1], "use": "enc", "alg": "ECDH-ES"}]
    stranger = register(
        provider,
        **{
            "redirect_uris": ["https://rich.example/b", "https://rich.example/a"],
            "client_name#en": "Rich",
            "policy_uri": "https://rich.example/p",
            "policy_uri#fr": "https://rich.example/fr",
            "grant_types": ["refresh_token", "authorization_code"],
            "jwks": {"keys": keys},
            "id_token_encrypted_response_alg": "ECDH-ES",
            "backchannel_logout_uri": "https://rich.example/out",
            "backchannel_logout_session_required": True,
            "default_acr_values": ["eidas2"],
        },
    )
    before, written = stranger.ask().get_json(), events(stranger)
    response = stranger.put()
    assert response.status_code == 200
    assert response.get_json() == before == stranger.ask().get_json()
    assert row(stranger).version == 1
    assert events(stranger) == written


@pytest.mark.holds("RFC7592-2.2-1")
def test_what_is_left_out_goes_back_to_its_default_when_replaced(provider: Provider) -> None:
    stranger = register(
        provider, contacts=["a@stranger.example"], require_nonce=True, id_token_signed_response_alg="ES256"
    )
    changed = stranger.put(contacts=None, require_nonce=None, id_token_signed_response_alg=None, client_name="Khác")
    assert changed.status_code == 200
    assert not {"contacts", "require_nonce"} & changed.get_json().keys()
    assert changed.get_json()["id_token_signed_response_alg"] == "RS256"
    assert changed.get_json()["client_name"] == "Khác"
    assert "client_secret" not in changed.get_json()
    assert row(stranger).version == 2
    # A null says the same as silence.
    body = {**stranger.writable(), "software_id": None}
    assert stranger.ask("PUT", json=body).status_code == 200


@pytest.mark.holds("RFC7592-2.2-2")
def test_the_secret_may_be_said_and_not_chosen(provider: Provider) -> None:
    stranger = register(provider)
    assert stranger.put(client_secret=stranger.record["client_secret"]).status_code == 200
    for wrong in ("chosen-by-the-client", "", 7):
        response = stranger.put(client_secret=wrong)
        assert (response.status_code, response.get_json()["error"]) == (400, "invalid_client_metadata")
    assert provider.services.clients.find(stranger.client_id).accepts_secret(stranger.record["client_secret"])  # type: ignore[union-attr]


def test_a_secret_comes_and_goes_with_the_method(provider: Provider) -> None:
    stranger = register(provider)
    jwks = {"keys": [signer.generate("ES256")[1]]}
    keyed = stranger.put(token_endpoint_auth_method="private_key_jwt", jwks=jwks)
    assert keyed.status_code == 200
    assert "client_secret" not in keyed.get_json()
    provider.forget_caches()
    assert provider.services.clients.find(stranger.client_id).secrets == ()  # type: ignore[union-attr]
    again = stranger.put(token_endpoint_auth_method="client_secret_post", jwks=None).get_json()
    assert again["client_secret"] not in (None, stranger.record["client_secret"])
    assert again["client_secret_expires_at"] == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": None}, "invalid_client_metadata"),
        ({"client_id": "another"}, "invalid_client_metadata"),
        ({"registration_access_token": "x"}, "invalid_client_metadata"),
        ({"registration_client_uri": "https://dangnhap.example/register/x"}, "invalid_client_metadata"),
        ({"client_secret_expires_at": 0}, "invalid_client_metadata"),
        ({"client_id_issued_at": 1}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://x.example/#f"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://elsewhere.example/cb"]}, "invalid_client_metadata"),
        ({"scope": "openid everything"}, "invalid_client_metadata"),
        ({"software_statement": "a.b.c"}, "unapproved_software_statement"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
@pytest.mark.holds("RFC7592-2.2-1", "RFC7592-2.2-2", "RFC7592-2.2-3")
def test_nothing_is_changed_when_something_may_not_be(provider: Provider, changes: dict[str, Any], code: str) -> None:
    stranger = register(provider)
    before = stranger.ask().get_json()
    if changes == {"redirect_uris": ["https://elsewhere.example/cb"]}:
        # The sector decides who citizens are to it; written out as GET gives it, it stays.
        changes = {**changes, "sector_identifier": None}
    response = stranger.put(**changes)
    assert (response.status_code, response.get_json()["error"]) == (400, code), response.text
    assert stranger.ask().get_json() == before


@pytest.mark.holds("RFC7592-2-1", "RFC7592-2.1-1", "OIDCR-4-2")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_token_opens_no_other_client(provider: Provider, method: str) -> None:
    owner, other = register(provider), register(provider)
    before = other.ask().get_json()
    body = {"json": other.writable(client_name="Bị chiếm")} if method == "PUT" else {}
    response = owner.ask(method, path=other.path, **body)
    assert response.status_code == 401
    assert response.get_json()["error"] == "invalid_token"
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="registration", error="invalid_token"'
    assert other.ask().get_json() == before
    # It is written down with the client whose token it was.
    assert "agencies:registration:refused" in events(owner)
    assert "agencies:registration:refused" not in events(other)


@pytest.mark.holds("RFC7592-2.1-1", "OIDCR-4-2")
def test_unknown_clients_and_wrong_tokens_are_told_alike(provider: Provider) -> None:
    stranger = register(provider)
    documented = provider.portal()
    answers = [
        stranger.ask(token="wrong"),
        stranger.ask(path="/register/nobody"),
        stranger.ask(path=f"/register/{documented.client_id}"),
        stranger.ask(token=stranger.record["client_secret"]),
        provider.http().get(stranger.path),
        provider.http().get(stranger.path, headers={"Authorization": "Basic eDp5"}),
        provider.http().get(stranger.path, headers={"Authorization": "Bearer"}),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.get_json()["error"] for answer in answers} == {"invalid_token"}


def test_guessing_is_slowed_down(provider: Provider) -> None:
    stranger = register(provider)
    here = {"REMOTE_ADDR": "192.0.2.77"}
    wrong = [provider.http().get(stranger.path, headers=bearer("wrong"), environ_base=here) for _ in range(21)]
    assert [answer.status_code for answer in wrong] == [401] * 20 + [429]
    # The client itself is not locked out by that, not even from there.
    assert provider.http().get(stranger.path, headers=bearer(stranger.token), environ_base=here).status_code == 200


@pytest.mark.holds("RFC7592-2.3-1")
def test_a_removed_client_is_of_no_use_to_anybody(provider: Provider) -> None:
    stranger = register(provider)
    portal = stranger.portal()
    tokens = portal.tokens(portal.arrive(provider.browser(), provider.citizen()))
    assert portal.userinfo(tokens["access_token"]).status_code == 200
    response = stranger.ask("DELETE")
    assert (response.status_code, response.data) == (204, b"")
    provider.forget_caches()
    assert stranger.ask().status_code == 401
    assert stranger.ask("DELETE").status_code == 401
    assert provider.http().get(portal.address()).status_code == 403
    assert portal.redeem("anything").status_code == 401
    assert portal.userinfo(tokens["access_token"]).status_code == 401
    assert "agencies:client:removed" in events(stranger)
    gone = row(stranger).id
    for table in (ClientRegistration, ClientLogo):
        assert provider.scalars(sa.select(table.client_id).where(table.client_id == gone)) == []
    with provider.app.app_context(), pytest.raises(apply.UnknownClient):
        apply.resume(stranger.client_id)


@pytest.mark.holds("RFC7592-5-1")
def test_the_token_itself_is_not_kept(provider: Provider) -> None:
    stranger = register(provider)
    statement = sa.select(ClientRegistration.token_digest).where(ClientRegistration.client_id == row(stranger).id)
    assert provider.scalars(statement) == [digest(stranger.token)]


def test_other_methods_are_answered_with_json(provider: Provider) -> None:
    response = register(provider).ask("PATCH", json={})
    assert (response.status_code, response.mimetype) == (405, "application/json")
    assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
