"""The Foundation's Dynamic plan: clients register, look after themselves, and are held to what they registered."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from jose import jwt
from joserfc.jwk import ECKey

from tests.parties.certification.relying_party import RelyingParty, ask_to_register, discover, refused, register
from tests.parties.certification.visitor import Visitor
from tests.parties.sandbox import Sandbox
from tests.publishing import Publisher

pytestmark = pytest.mark.xdist_group("certification")


@pytest.fixture(scope="module")
def rp(town: Sandbox) -> RelyingParty:
    """Return a client that registered with the least it may say."""
    return register(town.issuer, "dynamic", client_name=None, jwks=None)


@pytest.fixture(scope="module")
def publisher() -> Iterator[Publisher]:
    """Yield the web server of a client."""
    with Publisher() as opened:
        yield opened


def own(rp: RelyingParty, method: str = "GET", token: str | None = None, **sent: Any) -> requests.Response:
    """Read, replace or end a client's own record (RFC 7592)."""
    headers = {"Authorization": f"Bearer {token or rp.client['registration_access_token']}"}
    return requests.request(
        method, rp.client["registration_client_uri"], headers=headers, json=sent or None, timeout=10
    )


@pytest.mark.holds("OIDCR-3.2-1", "RFC7591-3.2.1-1")
def test_answer_to_a_registration_is_whole(rp: RelyingParty) -> None:
    client = rp.client
    assert client["client_secret_expires_at"] == 0
    assert len(client["client_secret"]) >= 32
    assert client["token_endpoint_auth_method"] == "client_secret_basic"
    assert client["id_token_signed_response_alg"] == "RS256"
    assert client["grant_types"] == ["authorization_code"]
    assert client["response_types"] == ["code"]
    assert client["registration_client_uri"].startswith(rp.issuer)


@pytest.mark.holds("OIDCR-4-1", "RFC7592-2.1-1")
def test_client_reads_and_ends_its_own_record_alone(town: Sandbox, rp: RelyingParty) -> None:
    other = register(town.issuer, "dynamic-other")
    answer = own(rp)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.json()["client_id"] == rp.client_id
    for method in ("GET", "PUT", "DELETE"):
        stranger = own(rp, method, other.client["registration_access_token"], client_id=rp.client_id)
        assert stranger.status_code in (401, 403)
    assert own(other, "DELETE").status_code == 204
    assert own(other).status_code == 401


@pytest.mark.holds("OIDCR-3.3-1", "RFC7591-3.2.2-1")
@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"redirect_uris": []}, {"invalid_redirect_uri", "invalid_client_metadata"}),
        ({"redirect_uris": None}, {"invalid_redirect_uri", "invalid_client_metadata"}),
        ({"redirect_uris": ["https://bad.rp.example/callback#fragment"]}, {"invalid_redirect_uri"}),
        ({"redirect_uris": ["http://bad.rp.example/callback"]}, {"invalid_redirect_uri"}),
        ({"redirect_uris": ["javascript:alert(1)"]}, {"invalid_redirect_uri"}),
        ({"id_token_signed_response_alg": "none"}, {"invalid_client_metadata"}),
        ({"token_endpoint_auth_method": "none"}, {"invalid_client_metadata"}),
        ({"response_types": ["code token"]}, {"invalid_client_metadata"}),
        ({"grant_types": ["password"]}, {"invalid_client_metadata"}),
        ({"scope": "openid unheard-of"}, {"invalid_client_metadata"}),
        ({"subject_type": "public"}, {"invalid_client_metadata"}),
        ({"userinfo_signed_response_alg": "none"}, {"invalid_client_metadata"}),
        ({"jwks_uri": "https://bad.rp.example/jwks", "jwks": {"keys": []}}, {"invalid_client_metadata"}),
        ({"sector_identifier_uri": "http://10.0.0.1/sector.json"}, {"invalid_client_metadata"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_registration_that_cannot_be_is_refused(town: Sandbox, metadata: dict[str, Any], error: set[str]) -> None:
    sent = {"client_name": "Bad", "redirect_uris": ["https://bad.rp.example/callback"]} | metadata
    sent = {name: value for name, value in sent.items() if value is not None}
    answer = ask_to_register(discover(town.issuer), sent)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] in error


@pytest.mark.holds("B22", "OIDCC-5.3-5")
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_userinfo_is_signed_when_the_client_registered_so(town: Sandbox, visitor: Visitor, algorithm: str) -> None:
    rp = register(town.issuer, f"signed-{algorithm.lower()}", userinfo_signed_response_alg=algorithm)
    tokens = rp.tokens(rp.authorize(visitor, scope="openid email"))
    answer = rp.userinfo(tokens["access_token"])
    assert answer.headers["Content-Type"].split(";")[0] == "application/jwt"
    keys = requests.get(rp.provider["jwks_uri"], timeout=10).json()["keys"]
    header = jwt.get_unverified_header(answer.text)
    [key] = [key for key in keys if key["kid"] == header["kid"]]
    person = jwt.decode(answer.text, key, algorithms=[algorithm], audience=rp.client_id, issuer=rp.issuer)
    assert person["sub"] == rp.claims(tokens)["sub"]


@pytest.mark.holds("OIDCC-8-2", "OIDCC-8-3")
def test_clients_of_one_sector_know_a_citizen_by_one_sub(town: Sandbox, visitor: Visitor, publisher: Publisher) -> None:
    hosts = ["https://one.sector.example/callback", "https://two.sector.example/callback"]
    uri = publisher.serve("/sector.json", hosts)
    first, second = (
        register(town.issuer, f"sector{n}", redirect_uris=[host], sector_identifier_uri=uri)
        for n, host in enumerate(hosts)
    )
    lone = register(town.issuer, "lone")
    subs = [rp.sign_in(visitor)["sub"] for rp in (first, second, lone)]
    assert subs[0] == subs[1] != subs[2]
    sent = {"redirect_uris": ["https://three.sector.example/callback"], "sector_identifier_uri": uri}
    answer = ask_to_register(first.provider, sent)
    assert answer.json()["error"] == "invalid_client_metadata"


@pytest.mark.holds("OIDCC-10-2", "OIDCC-9-2")
def test_client_changes_its_key_at_its_own_address(town: Sandbox, visitor: Visitor, publisher: Publisher) -> None:
    keys = [ECKey.generate_key("P-256", {"kid": f"key-{number}", "use": "sig"}, private=True) for number in (1, 2)]
    uri = publisher.serve("/jwks", {"keys": [keys[0].as_dict(private=False)]})
    rp = register(town.issuer, "rotating", jwks_uri=uri, token_endpoint_auth_method="private_key_jwt")

    def redeem(key: ECKey) -> requests.Response:
        return rp.redeem(rp.authorize(visitor), client_assertion=rp.assertion(key=key, kid=key.kid))

    assert redeem(keys[0]).status_code == 200
    publisher.serve("/jwks", {"keys": [keys[1].as_dict(private=False)]})
    assert redeem(keys[1]).status_code == 200
    refused(redeem(keys[0]), "invalid_client", status=(400, 401))


@pytest.mark.holds("OIDCR-2-1")
def test_texts_of_the_client_are_shown_before_the_citizen_agrees(town: Sandbox, visitor: Visitor) -> None:
    host = "https://texts.rp.example"
    rp = register(
        town.issuer, "texts", policy_uri=f"{host}/policy", tos_uri=f"{host}/terms", client_name="Cổng của tôi"
    )
    visitor.open(rp.address())
    visitor.answer_page()
    assert "consent-form" in visitor.page.forms
    assert {f"{host}/policy", f"{host}/terms"} <= set(visitor.page.links)
    assert "Cổng của tôi" in visitor.page.text
