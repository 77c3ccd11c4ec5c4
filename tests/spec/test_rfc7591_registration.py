"""RFC 7591: dynamic client registration, and DR-03: what a registered address can reach."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from idp.agencies import invitations
from idp.agencies.models import Client, ClientSecret
from idp.audit.models import AuditEvent
from idp.cli import db as schema
from idp.core.ids import digest
from tests.provider import Provider, provider_at
from tests.publishing import Publisher
from tests.registering import Stranger, bearer, plain, post, register


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Yield a production provider that registers whoever has an initial access token."""
    directory = tmp_path_factory.mktemp("production")
    url = f"sqlite:///{directory / 'lienket.sqlite3'}"
    schema.upgrade(url)
    with provider_at(url, directory / "secrets", profile="production", registration="token") as made:
        from idp.agencies import apply, document

        members = {
            "agency": {"slug": "tax", "name": {"vi": "Thuế"}},
            "client_name": "Thuế điện tử",
            "redirect_uris": ["https://thue.example/cb"],
            "basis": "consent",
        }
        with made.app.app_context():
            apply.apply([document.read(members, source="tax", is_sandbox=False)], is_sandbox=False)
        yield made


def invite(provider: Provider, **changes: Any) -> str:
    agreed = {"label": "test", "scopes": ["openid", "name"], "clients": 1, "life": timedelta(days=1), **changes}
    with provider.app.app_context():
        return invitations.invite(agreed.pop("agency", "tax"), **agreed)


def whole(host: str = "moi.example", **changes: Any) -> dict[str, Any]:
    """Return metadata with what our own rules ask for, as production needs it."""
    members = {
        "redirect_uris": [f"https://{host}/cb"],
        "client_name": "Cổng mới",
        "scope": "openid name",
        "basis": "consent",
        "purposes": {"name": {"vi": "Để gọi đúng tên"}},
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


def error(response: Any, status: int = 400) -> tuple[str, str]:
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    body = response.get_json()
    assert set(body) == {"error", "error_description"}
    assert all(0x20 <= ord(sign) <= 0x7E and sign not in '"\\' for sign in body["error_description"])
    return body["error"], body["error_description"]


# --- registering ------------------------------------------------------------------------------------------------


@pytest.mark.holds("RFC7591-3-1", "RFC7591-3.2.1-1", "RFC7591-3.2.1-2")
def test_plain_metadata_is_enough_in_the_sandbox(provider: Provider) -> None:
    response = post(provider, plain(contacts=["dev@stranger.example"]))
    assert response.status_code == 201
    assert response.mimetype == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    body = response.get_json()
    assert body["client_secret_expires_at"] == 0
    assert body["client_id_issued_at"] > 1_700_000_000
    assert body["registration_client_uri"] == f"{provider.settings.issuer}/register/{body['client_id']}"
    assert len(body["registration_access_token"]) >= 43
    assert len(body["client_secret"]) >= 43
    assert body["grant_types"] == ["authorization_code"]
    assert body["response_types"] == ["code"]
    assert body["token_endpoint_auth_method"] == "client_secret_basic"
    assert body["contacts"] == ["dev@stranger.example"]


@pytest.mark.holds("OIDCC-15.2-2")
def test_a_registered_client_signs_citizens_in_without_anything_of_ours(provider: Provider) -> None:
    portal = register(provider, grant_types=["authorization_code"]).portal()
    person = provider.citizen()
    request = {"code_challenge": None, "code_challenge_method": None, "scope": "openid profile"}
    answer = portal.arrive(provider.browser(), person, **request)
    tokens = portal.redeem(answer["code"], code_verifier=None).get_json()
    assert portal.claims(tokens)["sub"]
    assert portal.userinfo(tokens["access_token"]).get_json()["name"] == person.full_name


@pytest.mark.holds("RFC7591-3.2.1-1", "OIDCR-3.2-2")
def test_identifiers_are_ours_and_secrets_are_not_kept(provider: Provider) -> None:
    first = register(provider, client_id="mine", client_secret="chosen-by-the-client-itself")
    second = register(provider)
    assert first.client_id != "mine"
    assert first.client_id != second.client_id
    assert first.record["client_secret"] != "chosen-by-the-client-itself"
    row = provider.scalars(sa.select(Client.id).where(Client.client_id == first.client_id))[0]
    kept = provider.scalars(sa.select(ClientSecret.digest).where(ClientSecret.client_id == row))
    assert kept == [digest(first.record["client_secret"])]
    names = provider.scalars(sa.select(AuditEvent.name).where(AuditEvent.client_id == row))
    assert {"agencies:client:applied", "agencies:client:registered", "agencies:secret:issued"} == set(names)


def test_no_secret_is_made_when_the_method_needs_none(provider: Provider) -> None:
    from idp.keys import signer

    jwks = {"keys": [signer.generate("ES256")[1]]}
    record = register(provider, token_endpoint_auth_method="private_key_jwt", jwks=jwks).record
    assert "client_secret" not in record
    assert "client_secret_expires_at" not in record


@pytest.mark.holds("RFC7591-2-2", "RFC7591-2-3", "RFC7591-3.2.1-2")
def test_unknown_members_are_left_out_and_the_answer_says_what_was_registered(provider: Provider) -> None:
    members = plain(
        **{
            "client_name#vi": "Thư viện",
            "client_name#fr": "Bibliothèque",
            "client_name#ja": "図書館",
            "policy_uri": "https://stranger.example/p",
            "policy_uri#fr": "https://stranger.example/fr/p",
            "unheard_of": {"deep": [1]},
            "request_uris": ["https://stranger.example/r"],
            "default_max_age": 60,
            "tos_uri": None,
            "agency": {"slug": "tax", "name": {"vi": "Cục Thuế"}},
            "sector_identifier": "thue.example",
        }
    )
    members["jwks_uri"] = None
    record = post(provider, members).get_json()
    assert not {"unheard_of", "request_uris", "default_max_age", "client_name#ja", "agency"} & record.keys()
    # The one without a language is Vietnamese here; a name that says so goes first.
    assert (record["client_name"], record["client_name#fr"]) == ("Thư viện", "Bibliothèque")
    assert record["policy_uri#fr"] == "https://stranger.example/fr/p"
    assert record["sector_identifier"] == members["redirect_uris"][0].split("/")[2]


@pytest.mark.parametrize(
    ("changes", "code", "member"),
    [
        ({"redirect_uris": None}, "invalid_redirect_uri", "redirect_uris"),
        ({"redirect_uris": []}, "invalid_redirect_uri", "redirect_uris"),
        ({"redirect_uris": "https://a.example/cb"}, "invalid_redirect_uri", "redirect_uris"),
        ({"redirect_uris": ["https://a.example/cb#x"]}, "invalid_redirect_uri", "redirect_uris[0]"),
        ({"redirect_uris": ["http://a.example/cb"]}, "invalid_redirect_uri", "redirect_uris[0]"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri", "redirect_uris[0]"),
        ({"redirect_uris": ["https://*.a.example/"]}, "invalid_redirect_uri", "redirect_uris[0]"),
        ({"scope": "openid everything"}, "invalid_client_metadata", "scope"),
        ({"scope": "profile"}, "invalid_client_metadata", "scope"),
        ({"grant_types": ["implicit"]}, "invalid_client_metadata", "grant_types[0]"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata", "grant_types[0]"),
        ({"grant_types": ["password"]}, "invalid_client_metadata", "grant_types[0]"),
        ({"response_types": ["code", "id_token"]}, "invalid_client_metadata", "response_types"),
        ({"token_endpoint_auth_method": "none"}, "invalid_client_metadata", "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata", "jwks"),
        ({"jwks_uri": "https://a.example/k", "jwks": {"keys": []}}, "invalid_client_metadata", "jwks"),
        ({"jwks_uri": "http://a.example/k"}, "invalid_client_metadata", "jwks_uri"),
        ({"contacts": ["nobody"]}, "invalid_client_metadata", "contacts[0]"),
        ({"client_name": "a" * 101}, "invalid_client_metadata", "client_name"),
        ({"client_name": "Thu\u202e"}, "invalid_client_metadata", "client_name"),
        ({"purposes": {'\u202e"><b>': 7}}, "invalid_client_metadata", "purposes"),
        ({"profile": "fapi2"}, "invalid_client_metadata", "token_endpoint_auth_method"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
@pytest.mark.holds("RFC7591-3.2.2-1", "RFC7591-2-1", "RFC7591-2.1-1", "RFC7591-5-1", "OIDCR-2-2", "OIDCR-3.3-1")
def test_metadata_is_refused_by_its_member(provider: Provider, changes: dict[str, Any], code: str, member: str) -> None:
    found, description = error(post(provider, plain(**changes)))
    assert found == code
    assert f": {member}" in description


@pytest.mark.parametrize(
    "body",
    [
        b'{"redirect_uris": ["https://a.example/"], "contacts": ["\\ud800@b.example"]}',
        b'{"redirect_uris": ["https://a.example/"], "\\ud800": 1, "policy_uri#\\ud800": 1, "purposes": {"\\ud800": 1}}',
        b'{"redirect_uris": ["https://a.example/"], "jwks": {"keys": [{"kty": "EC", "kid": "\\udfff"}]}}',
        b'{"redirect_uris": [["https://a.example/"]], "scope": {}, "grant_types": {"a": 1}, "exceptions": []}',
        b'{"redirect_uris": [1], "sector_identifier_uri": 7, "client_name": [], "purposes": 7, "profile": {}}',
    ],
)
def test_odd_json_is_refused_and_breaks_nothing(provider: Provider, body: bytes) -> None:
    response = provider.http().post("/register", data=body, content_type="application/json")
    assert error(response)[0] in ("invalid_client_metadata", "invalid_redirect_uri")


def test_a_long_host_is_a_name_as_far_as_it_goes(provider: Provider) -> None:
    host = ".".join(["a" * 60] * 3) + ".example"
    assert (
        register(provider, redirect_uris=[f"https://{host}/cb"], client_name=None).record["client_name"] == host[:100]
    )


@pytest.mark.holds("RFC7591-2.3-1")
def test_a_software_statement_is_refused(provider: Provider) -> None:
    assert error(post(provider, plain(software_statement="a.b.c")))[0] == "unapproved_software_statement"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b"7", "application/json"),
        (b"{", "application/json"),
        (b'{"redirect_uris": ["https://a.example/"], "redirect_uris": ["https://b.example/"]}', "application/json"),
        (b'{"redirect_uris": [NaN]}', "application/json"),
        (b"\xff\xfe{}", "application/json"),
        (b"[" * 60_000, "application/json"),
        (b'{"a":' * 60_00 + b"1" + b"}" * 60_00, "application/json"),
        (b'{"redirect_uris": ["https://a.example/"]}', "text/plain"),
        (b"redirect_uris=https://a.example/", "application/x-www-form-urlencoded"),
    ],
)
@pytest.mark.holds("RFC7591-3-1")
def test_a_body_is_refused_when_it_is_no_json_object(provider: Provider, body: bytes, media_type: str) -> None:
    response = provider.http().post("/register", data=body, content_type=media_type)
    assert error(response)[0] == "invalid_client_metadata"


def test_other_requests_are_answered_with_json(provider: Provider) -> None:
    http = provider.http()
    assert http.get("/register").status_code == 405
    assert http.get("/register").mimetype == "application/json"
    assert http.post("/register?x=1", json=plain()).status_code == 400
    assert http.post("/register", data=b"{" + b" " * 70_000, content_type="application/json").status_code == 413


def test_registrations_from_one_address_are_counted(provider: Provider) -> None:
    answers = [post(provider, {}, address="192.0.2.99") for _ in range(31)]
    assert [answer.status_code for answer in answers[:30]] == [400] * 30
    assert answers[30].status_code == 429
    assert int(answers[30].headers["Retry-After"]) > 0


@pytest.mark.holds("RFC7591-5-3", "OIDCR-9-1")
def test_a_client_nobody_vouches_for_speaks_only_for_its_host(provider: Provider) -> None:
    owner = provider.portal()
    host = owner.redirect_uri.split("/")[2]
    response = post(provider, plain(redirect_uris=[f"https://{host}/other"]))
    assert error(response)[0] == "invalid_client_metadata"
    # Two clients of one host belong together: their citizens are the same to them.
    uri = "https://together.example/cb"
    first, second = (register(provider, redirect_uris=[uri]) for _ in range(2))
    agencies = [provider.services.clients.find(each.client_id).agency_slug for each in (first, second)]  # type: ignore[union-attr]
    assert agencies == ["sandbox-together-example"] * 2


# --- who may ----------------------------------------------------------------------------------------------------


def test_nothing_is_there_when_registration_is_off(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lienket.sqlite3'}"
    schema.upgrade(url)
    with provider_at(url, tmp_path / "secrets", profile="production") as closed:
        assert "registration_endpoint" not in closed.http().get("/.well-known/openid-configuration").get_json()
        assert closed.http().post("/register", json=plain()).status_code == 404
        for method in ("GET", "PUT", "DELETE"):
            assert closed.http().open("/register/x", method=method, headers=bearer("x"), json={}).status_code == 404


def test_the_endpoint_is_published_when_it_is_on(provider: Provider, production: Provider) -> None:
    for each in (provider, production):
        published = each.http().get("/.well-known/openid-configuration").get_json()
        assert published["registration_endpoint"] == f"{each.settings.issuer}/register"


@pytest.mark.holds("RFC7591-3-1", "RFC7591-3.1-1", "RFC7591-5-4")
def test_an_invitation_makes_a_client_of_its_agency(production: Provider) -> None:
    token = invite(production, clients=2)
    response = post(production, whole("mot.example"), token=token)
    assert response.status_code == 201, response.text
    client = production.services.clients.find(response.get_json()["client_id"])
    assert client is not None
    assert (client.agency_slug, client.scopes) == ("tax", ("openid", "name"))
    assert client.requires_pkce
    # Whoever says nothing gets what was agreed.
    second = post(production, whole("hai.example", purposes=None, scope="openid"), token=token).get_json()
    assert second["scope"] == "openid"


@pytest.mark.holds("RFC7591-3.1-1", "RFC7591-5-2")
def test_an_invitation_is_refused_when_it_is_not_good_any_more(production: Provider) -> None:
    token = invite(production)
    assert post(production, whole("ba.example"), token=token).status_code == 201
    revoked = invite(production)
    with production.app.app_context():
        newest = invitations.issued()[0]
        invitations.revoke(newest.id)
    old = invite(production, life=timedelta(seconds=-1))
    for wrong in (token, revoked, old, "made-up", None):
        response = post(production, whole("bon.example"), token=wrong)
        assert error(response, 401)[0] == "invalid_token"
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.holds("RFC7591-5-2")
def test_an_invitation_is_not_used_up_when_the_metadata_is_refused(production: Provider) -> None:
    token = invite(production)
    for wrong in ({"redirect_uris": ["http://a.example/"]}, {"scope": "openid email"}, {"redirect_uris": []}):
        assert post(production, whole("nam.example", **wrong), token=token).status_code == 400
    assert post(production, whole("nam.example"), token=token).status_code == 201


@pytest.mark.holds("RFC7591-3.2.2-1", "RFC7591-5-4")
@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"scope": "openid name idnum", "purposes": {"name": "a", "idnum": "b"}}, "scope"),
        ({"basis": None}, "basis"),
        ({"purposes": None}, "purposes.name"),
        ({"require_pkce": False}, "exceptions"),
        ({"exceptions": {"pkce": {"reason": "x", "until": "2026-12-01"}}}, "exceptions"),
        ({"redirect_uris": ["http://127.0.0.1/cb"]}, "redirect_uris"),
        ({"redirect_uris": ["https://localhost/cb", "https://b.example/cb"]}, "sector_identifier"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_production_asks_for_everything_a_document_would(
    production: Provider, changes: dict[str, Any], member: str
) -> None:
    assert f": {member}" in error(post(production, whole("sau.example", **changes), token=invite(production)))[1]


def test_production_agrees_no_exception_with_a_program(production: Provider) -> None:
    stranger = Stranger(production, post(production, whole("chin.example"), token=invite(production)).get_json())
    assert stranger.put(client_name="Tên khác").status_code == 200
    exception = {"reason": "x", "until": "2026-12-31"}
    for changes in (
        {"require_pkce": {"value": False, **exception}},
        {"require_pkce": False},
        {"exceptions": {"pkce": exception}},
    ):
        assert ": exceptions" in error(stranger.put(**changes))[1]
    assert "exceptions" not in stranger.ask().get_json()
    # Nor does it get more than its invitation said, now that the invitation is used up.
    more = {"scope": "openid name email", "purposes": {"name": "a", "email": "b"}}
    assert ": scope" in error(stranger.put(**more))[1]


def test_an_invitation_is_used_once_however_many_ask_at_once(provider: Provider) -> None:
    from concurrent.futures import ThreadPoolExecutor

    agency = provider.portal().document["agency"]["slug"]
    token = invite(provider, agency=agency)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(provider, plain(scope="openid"), token=token).status_code, range(4)))
    assert sorted(answers) == [201, 401, 401, 401]


def test_a_sandbox_invitation_counts_when_it_is_sent(provider: Provider) -> None:
    agency = provider.portal().document["agency"]["slug"]
    made = register(provider, token=invite(provider, agency=agency), scope="openid")
    client = provider.services.clients.find(made.client_id)
    assert client is not None
    assert client.agency_slug == agency
    assert error(post(provider, plain(), token="made-up"), 401)[0] == "invalid_token"


# --- DR-03: what a registered address can reach -----------------------------------------------------------------


@pytest.fixture
def canary() -> Iterator[Publisher]:
    """Yield a server inside that nobody outside may make us ask."""
    with Publisher() as server:
        server.serve("/", {"keys": []})
        yield server


@pytest.mark.holds("RFC7591-5-1", "OIDCC-8-3")
def test_production_never_asks_an_address_inside(production: Provider, canary: Publisher) -> None:
    inside = canary.origin.replace("http://", "https://")
    for uri in (f"{inside}/", inside.replace("127.0.0.1", "localhost") + "/"):
        token = invite(production)
        response = post(production, whole("bay.example", sector_identifier_uri=uri), token=token)
        assert error(response)[0] == "invalid_client_metadata"
    logo = post(production, whole("tam.example", logo_uri=f"{inside}/"), token=invite(production))
    assert logo.status_code == 201
    assert canary.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1]/",
    ],
)
def test_the_sandbox_never_asks_a_private_address(provider: Provider, address: str) -> None:
    response = post(provider, plain(sector_identifier_uri=address))
    assert "sector_identifier_uri: could not be read (network)" in error(response)[1]


def test_a_redirect_does_not_lead_inside(provider: Provider, canary: Publisher) -> None:
    with Publisher() as outside:
        uri = outside.serve("/s", b"", status=302, headers={"Location": f"{canary.origin}/"})
        assert "(redirect)" in error(post(provider, plain(sector_identifier_uri=uri)))[1]
    assert canary.asked == []


def test_a_list_inside_is_not_told_when_it_is_no_list(provider: Provider, canary: Publisher) -> None:
    uri = canary.serve("/s", {"secret": "of the host"})
    description = error(post(provider, plain(sector_identifier_uri=uri)))[1]
    assert "must answer with a JSON list" in description
    assert "secret" not in description
