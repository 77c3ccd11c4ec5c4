"""RFC 9068, RFC 8707, RFC 7662 and RFC 9701: tokens for resource servers, and what these learn of them."""

from typing import Any

import pytest
import sqlalchemy as sa
from jose import jwt
from joserfc.jwk import ECKey

from idp.agencies import apply
from idp.citizens.models import PairwiseSubject
from tests.browser import Browser
from tests.keyed import KeyedPortal, keyed, rsa_key
from tests.provider import Person, Portal, Provider

JWT_TYPE = "application/token-introspection+jwt"
ASKED = "openid name gender offline_access"


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def server(provider: Provider) -> Portal:
    """Return a data provider that reads tokens itself."""
    return provider.portal(
        scope="openid name birthdate", resource_identifiers=["https://api.thue.example/v1"], access_token_format="jwt"
    )


@pytest.fixture(scope="module")
def asking_server(provider: Provider) -> Portal:
    """Return a data provider that asks about tokens."""
    return provider.portal(scope="openid name", resource_identifiers=["https://api.hotich.example/"])


@pytest.fixture(scope="module")
def portal(provider: Provider, server: Portal, asking_server: Portal) -> Portal:
    return provider.portal(
        scope=ASKED,
        grant_types=["authorization_code", "refresh_token"],
        resources=["https://api.thue.example/v1", "https://api.hotich.example/"],
    )


def resource_of(server: Portal) -> str:
    resource: str = server.document["resource_identifiers"][0]
    return resource


def tokens_for(portal: Portal, browser: Browser, person: Person, server: Portal | None, **more: str) -> dict[str, Any]:
    asked = {"scope": ASKED, **({"resource": resource_of(server)} if server else {}), **more}
    return portal.tokens(portal.arrive(browser, person, **asked))


def sub_for(provider: Provider, person: Person, server: Portal) -> str:
    sector = server.redirect_uri.split("/")[2]
    statement = sa.select(PairwiseSubject.sub).where(
        PairwiseSubject.citizen_id == person.id, PairwiseSubject.sector == sector
    )
    sub: str = provider.scalars(statement)[0]
    return sub


def read(provider: Provider, token: str, *, audience: str) -> dict[str, Any]:
    """Return the claims of a token of ours as python-jose verifies it."""
    [key] = [key for key in provider.jwks() if key["kid"] == jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=[key["alg"]], audience=audience, issuer=provider.settings.issuer
    )
    return claims


# --- RFC 9068 -----------------------------------------------------------------------------------------------------


@pytest.mark.holds(
    "RFC9068-2.1-1",
    "RFC9068-2.2-1",
    "RFC9068-3-1",
    "RFC8707-2-1",
    "RFC8707-2.2-2",
    "RFC8725-3.11-1",
    "RFC9068-2.2.1-1",
    "RFC9068-2.2.3-1",
    "RFC9068-6-1",
    "RFC9470-6.1-1",
)
def test_a_token_for_a_reading_server_is_a_jwt(
    provider: Provider, portal: Portal, server: Portal, browser: Browser, person: Person
) -> None:
    tokens = tokens_for(portal, browser, person, server)
    assert jwt.get_unverified_header(tokens["access_token"])["typ"] == "at+jwt"
    claims = read(provider, tokens["access_token"], audience=resource_of(server))
    assert claims["client_id"] == portal.client_id
    assert claims["exp"] - claims["iat"] == tokens["expires_in"]
    assert claims["acr"] == portal.claims(tokens)["acr"]
    assert {"auth_time", "amr", "jti", "sub"} <= claims.keys()
    # As far as the server's own scopes reach, and under the name it knows the citizen by.
    assert claims["scope"] == "openid name"
    assert claims["sub"] == sub_for(provider, person, server) != portal.claims(tokens)["sub"]


@pytest.mark.holds("RFC9068-4-1", "RFC8707-3-1", "RFC9700-2.3-1", "RFC8707-2.2-3")
def test_a_token_for_a_server_does_not_open_userinfo(
    portal: Portal, server: Portal, asking_server: Portal, browser: Browser, person: Person
) -> None:
    for each in (server, asking_server):
        tokens = tokens_for(portal, browser, person, each)
        assert portal.userinfo(tokens["access_token"]).status_code == 401
        # Another one, for ourselves, is there for the asking.
        ours = portal.refresh(tokens["refresh_token"], resource=portal.provider.settings.issuer).get_json()
        assert portal.userinfo(ours["access_token"]).get_json()["name"] == person.full_name
        again = portal.refresh(ours["refresh_token"]).get_json()
        assert portal.userinfo(again["access_token"]).status_code == 401


@pytest.mark.holds("RFC7009-2-1", "RFC9068-4-1")
def test_a_client_may_have_jwts_for_userinfo(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(scope="openid name", access_token_format="jwt")
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid name"))
    claims = read(provider, tokens["access_token"], audience=provider.settings.issuer)
    assert claims["sub"] == portal.claims(tokens)["sub"]
    assert portal.userinfo(tokens["access_token"]).get_json()["name"] == person.full_name
    # The row stands behind it: revoked is revoked. And its name is not a token.
    assert portal.userinfo(claims["jti"]).status_code == 401
    assert portal.post("/revoke", token=tokens["access_token"]).status_code == 200
    assert portal.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.holds("RFC8725-3.12-1", "RFC9068-4-1", "RFC9068-5-1")
def test_another_token_of_ours_is_no_access_token(provider: Provider, browser: Browser, person: Person) -> None:
    portal = provider.portal(access_token_format="jwt")
    tokens = portal.tokens(portal.arrive(browser, person))
    header, payload, signature = tokens["access_token"].split(".")
    for token in (tokens["id_token"], f"{header}.{payload}.", f"{header}.{payload}.{signature[:-4]}AAAA"):
        assert portal.userinfo(token).status_code == 401
        assert portal.post("/introspect", token=token).get_json() == {"active": False}


# --- RFC 8707 -----------------------------------------------------------------------------------------------------


@pytest.mark.holds("RFC8707-2-1", "RFC8707-2-2")
@pytest.mark.parametrize(
    "resource", ["https://api.other.example/", "https://api.thue.example/", "x", "https://api.thue.example/v1#f"]
)
def test_a_resource_that_is_not_registered_is_refused(portal: Portal, browser: Browser, resource: str) -> None:
    assert portal.arrive(browser, resource=resource)["error"] == "invalid_target"


@pytest.mark.holds("RFC8707-2-1")
def test_one_resource_at_a_time(portal: Portal, server: Portal, asking_server: Portal, browser: Browser) -> None:
    address = portal.address(resource=resource_of(server)) + "&resource=" + resource_of(asking_server)
    page = browser.get(address)
    assert page.left_for is not None
    assert "invalid_target" in page.left_for


@pytest.mark.holds("RFC8707-2.1-1", "RFC8707-2.2-1", "RFC8707-2.2-3")
def test_a_token_request_may_name_what_was_agreed_and_nothing_else(
    portal: Portal, server: Portal, asking_server: Portal, browser: Browser, person: Person
) -> None:
    for resource, status in ((resource_of(server), 200), (resource_of(asking_server), 400), ("https://x.example", 400)):
        answer = portal.arrive(browser, person, scope=ASKED, resource=resource_of(server))
        response = portal.redeem(answer["code"], resource=resource)
        assert response.status_code == status
        if status == 400:
            assert response.get_json()["error"] == "invalid_target"
    tokens = tokens_for(portal, browser, person, server)
    refused = portal.refresh(tokens["refresh_token"], resource=resource_of(asking_server))
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_target")
    assert portal.refresh(tokens["refresh_token"], resource=resource_of(server)).status_code == 200


@pytest.mark.holds("RFC8707-2.1-1")
def test_a_resource_that_was_not_asked_for_cannot_be_had_later(
    portal: Portal, server: Portal, browser: Browser, person: Person
) -> None:
    tokens = tokens_for(portal, browser, person, None)
    refused = portal.refresh(tokens["refresh_token"], resource=resource_of(server))
    assert refused.get_json()["error"] == "invalid_target"


# --- introspection by the server ----------------------------------------------------------------------------------


@pytest.mark.holds("RFC7662-2.2-1", "RFC7662-2.2-2", "RFC7662-2.2-3", "RFC7662-4-1", "RFC9470-6.2-1")
def test_a_data_provider_sees_as_far_as_its_own_scopes(
    provider: Provider, portal: Portal, server: Portal, asking_server: Portal, browser: Browser, person: Person
) -> None:
    tokens = tokens_for(portal, browser, person, asking_server)
    seen = asking_server.post("/introspect", token=tokens["access_token"]).get_json()
    assert (seen["active"], seen["client_id"], seen["aud"]) == (True, portal.client_id, resource_of(asking_server))
    assert seen["scope"] == "openid name"
    assert seen["sub"] == sub_for(provider, person, asking_server) != portal.claims(tokens)["sub"]
    assert seen["auth_time"] == portal.claims(tokens)["auth_time"]
    # Nobody else learns that it exists.
    for stranger in (server, provider.portal()):
        assert stranger.post("/introspect", token=tokens["access_token"]).get_json() == {"active": False}
    # And of a token that is not for it a data provider learns nothing.
    ours = tokens_for(portal, browser, person, None)
    assert asking_server.post("/introspect", token=ours["access_token"]).get_json() == {"active": False}
    assert asking_server.post("/introspect", token=tokens["refresh_token"]).get_json() == {"active": False}


def test_a_client_sees_its_refresh_token(portal: Portal, browser: Browser, person: Person) -> None:
    tokens = tokens_for(portal, browser, person, None)
    seen = portal.post("/introspect", token=tokens["refresh_token"]).get_json()
    assert (seen["active"], seen["scope"]) == (True, tokens["scope"])
    assert seen["exp"] - seen["iat"] == portal.provider.settings.refresh_absolute
    portal.refresh(tokens["refresh_token"])
    assert portal.post("/introspect", token=tokens["refresh_token"]).get_json() == {"active": False}


@pytest.mark.holds("FAPI2MS-5.5-1", "RFC8725-3.11-1", "RFC9701-4-1", "RFC9701-5-1", "RFC9701-5-2", "RFC9701-8.1-1")
@pytest.mark.parametrize("accept", [JWT_TYPE, f"text/html, {JWT_TYPE};q=0.9", JWT_TYPE.upper()])
def test_the_answer_is_a_jwt_when_asked(
    provider: Provider, portal: Portal, asking_server: Portal, browser: Browser, person: Person, accept: str
) -> None:
    tokens = tokens_for(portal, browser, person, asking_server)
    headers = {"Authorization": asking_server.basic(), "Accept": accept}
    for token, active in ((tokens["access_token"], True), ("unheard-of", False)):
        response = provider.http().post("/introspect", data={"token": token}, headers=headers)
        assert (response.status_code, response.mimetype) == (200, JWT_TYPE)
        body = response.get_data(as_text=True)
        assert jwt.get_unverified_header(body)["typ"] == "token-introspection+jwt"
        claims = read(provider, body, audience=asking_server.client_id)
        assert claims.keys() == {"iss", "aud", "iat", "token_introspection"}
        assert claims["token_introspection"]["active"] is active
        # It is not the token it speaks of, nor any other.
        assert portal.userinfo(body).status_code == 401


@pytest.mark.holds("RFC9701-5-3", "RFC9701-6-1")
def test_the_answer_is_encrypted_to_a_registered_key(provider: Provider, browser: Browser, person: Person) -> None:
    key = rsa_key()
    jwks = {"keys": [{**key.as_dict(private=False), "use": "enc", "alg": "RSA-OAEP-256", "kid": "e"}]}
    server = provider.portal(
        scope="openid name",
        resource_identifiers=["https://sealed.example/"],
        jwks=jwks,
        introspection_signed_response_alg="ES256",
        introspection_encrypted_response_alg="RSA-OAEP-256",
        introspection_encrypted_response_enc="A256GCM",
    )
    portal = provider.portal(scope="openid name", resources=["https://sealed.example/"])
    asked = {"scope": "openid name", "resource": "https://sealed.example/"}
    tokens = portal.tokens(portal.arrive(browser, person, **asked))
    response = server.post("/introspect", token=tokens["access_token"])
    assert response.mimetype == JWT_TYPE
    reader = KeyedPortal(provider, server.client_id, server.document, server.redirect_uri, server.secret, key=key)
    claims = read(provider, reader.decrypt(response.get_data(as_text=True)), audience=server.client_id)
    assert claims["token_introspection"]["scope"] == "openid name"
    # Nobody can have the same in clear by asking for another form.
    headers = {"Authorization": server.basic(), "Accept": "application/json"}
    again = provider.http().post("/introspect", data={"token": tokens["access_token"]}, headers=headers)
    assert again.mimetype == JWT_TYPE
    assert again.get_data(as_text=True).count(".") == 4


@pytest.mark.holds("RFC9449-6-1", "RFC9449-6.1-1", "RFC9449-6.2-1")
def test_a_bound_token_says_to_which_key(provider: Provider, server: Portal, browser: Browser, person: Person) -> None:
    portal = keyed(provider, profile="fapi2", scope="openid name", resources=[resource_of(server)])
    asked = {"scope": "openid name", "resource": resource_of(server)}
    tokens = portal.tokens(portal.arrive(browser, person, **asked))
    assert tokens["token_type"] == "DPoP"
    claims = read(provider, tokens["access_token"], audience=resource_of(server))
    assert claims["cnf"] == {"jkt": portal.proof_key.thumbprint}
    seen = server.post("/introspect", token=tokens["access_token"]).get_json()
    assert (seen["cnf"], seen["token_type"]) == ({"jkt": portal.proof_key.thumbprint}, "DPoP")


# --- resource servers that were suspended -------------------------------------------------------------------------


def suspend(provider: Provider, server: Portal, *, is_back: bool = False) -> None:
    with provider.app.app_context():
        (apply.resume if is_back else apply.suspend)(server.client_id)
    provider.forget_caches()


def test_nothing_is_spent_while_the_resource_server_is_suspended(
    provider: Provider, browser: Browser, person: Person
) -> None:
    server = provider.portal(scope="openid", resource_identifiers=["https://api.nghi.example/"])
    portal = provider.portal(
        scope="openid offline_access",
        grant_types=["authorization_code", "refresh_token"],
        resources=[resource_of(server)],
    )
    answer = portal.arrive(browser, person, scope="openid offline_access", resource=resource_of(server))
    suspend(provider, server)
    refused = portal.redeem(answer["code"])
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_target")
    suspend(provider, server, is_back=True)
    tokens = portal.tokens(answer)
    suspend(provider, server)
    refused = portal.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_target")
    # For UserInfo it is as good as ever; the token of the refusal was not replayed by it.
    mine = portal.refresh(tokens["refresh_token"], resource=provider.settings.issuer).get_json()
    suspend(provider, server, is_back=True)
    assert portal.refresh(mine["refresh_token"]).status_code == 200


# --- answers that only their reader can read ----------------------------------------------------------------------


@pytest.mark.holds("B22", "OIDCC-5.3-5")
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256"])
def test_userinfo_is_signed_when_registered(
    provider: Provider, browser: Browser, person: Person, algorithm: str
) -> None:
    portal = provider.portal(scope="openid name", userinfo_signed_response_alg=algorithm)
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid name"))
    response = portal.userinfo(tokens["access_token"])
    assert (response.status_code, response.mimetype) == (200, "application/jwt")
    body = response.get_data(as_text=True)
    assert jwt.get_unverified_header(body)["alg"] == algorithm
    if algorithm != "PS256":
        claims = read(provider, body, audience=portal.client_id)
        assert (claims["sub"], claims["name"]) == (portal.claims(tokens)["sub"], person.full_name)


@pytest.mark.holds("OIDCC-2-7", "OIDCC-5.3-5", "OIDCC-10-3")
@pytest.mark.parametrize("alg", ["RSA-OAEP-256", "ECDH-ES"])
def test_id_token_and_userinfo_are_encrypted_when_registered(
    provider: Provider, browser: Browser, person: Person, alg: str
) -> None:
    key = rsa_key() if alg == "RSA-OAEP-256" else ECKey.generate_key("P-256")
    jwks = {"keys": [{**key.as_dict(private=False), "use": "enc", "kid": "e"}]}
    members = {
        f"{answer}_encrypted_response_{part}": value
        for answer in ("id_token", "userinfo")
        for part, value in (("alg", alg), ("enc", "A256GCM"))
    }
    portal = provider.portal(scope="openid name", jwks=jwks, userinfo_signed_response_alg="ES256", **members)
    reader = KeyedPortal(provider, portal.client_id, portal.document, portal.redirect_uri, portal.secret, key=key)
    tokens = portal.tokens(portal.arrive(browser, person, scope="openid name"))
    assert tokens["id_token"].count(".") == 4
    inner = {**tokens, "id_token": reader.decrypt(tokens["id_token"])}
    claims = portal.claims(inner)
    userinfo = portal.userinfo(tokens["access_token"]).get_data(as_text=True)
    assert person.full_name not in userinfo
    opened = read(provider, reader.decrypt(userinfo), audience=portal.client_id)
    assert (opened["name"], opened["sub"]) == (person.full_name, claims["sub"])
