"""The provider for trying federation: right in every answer, and in each fault wrong in exactly one way."""

import base64
import hashlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient
from jose import jwt

from idp.agencies.reading import DocumentRefused
from idp.sandbox.personas import demo_personas
from idp.sandbox.provider import record
from idp.sandbox.provider.faults import Fault
from idp.sandbox.provider.identity import STRANGER_NUMBER, prepared_people, subject_of
from idp.sandbox.provider.protocol import NotLoopback, PersonaProvider, Registration
from idp.sandbox.provider.views import create_provider
from idp.upstream.document import read

ISSUER = "http://127.0.0.1:8005"
CALLBACK = "http://localhost:8000/upstream/thu-nghiem/callback"
SIGNED_OUT = "http://localhost:8000/upstream/thu-nghiem/signed-out"
SECRET = "a secret: of the two +"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BINH = "901085000101"


class Client:
    """Who signs people in by the provider, and the tester's browser."""

    def __init__(self, web: FlaskClient) -> None:
        self.web = web

    def ask(self, **changes: str | None) -> Any:
        """Send a browser with an authorization request; a change to None drops a parameter."""
        whole = {
            "client_id": "lienket", "redirect_uri": CALLBACK, "response_type": "code", "state": "s t", "nonce": "n",
            "scope": "openid name birthdate gender idnum", "code_challenge": CHALLENGE,
            "code_challenge_method": "S256", **changes,
        }  # fmt: skip
        return self.web.get("/authorize", query_string={k: v for k, v in whole.items() if v is not None})

    def page(self, **changes: str | None) -> str:
        """Return where the sign-in page is."""
        answer = self.ask(**changes)
        assert answer.status_code == 303, answer.text
        return str(answer.location)

    def sign_in(self, person: str = "ordinary", fault: str = "none", **changes: str | None) -> dict[str, str]:
        """Choose a prepared person and a fault; return what the callback gets."""
        return parameters(self.web.post(self.page(**changes), data={"person": person, "fault": fault}))

    def redeem(self, code: str, *, secret: str = SECRET, **changes: str | None) -> Any:
        """Redeem a code."""
        whole = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
            **changes,
        }  # fmt: skip
        form = {name: value for name, value in whole.items() if value is not None}
        return self.web.post("/token", data=form, headers={"Authorization": basic("lienket", secret)})

    def claims(self, token: str, issuer: str = ISSUER) -> dict[str, Any]:
        """Return the claims of an ID token whose signature holds."""
        keys = self.web.get("/jwks").get_json()
        options = {"verify_at_hash": False, "verify_iss": False}
        claims: dict[str, Any] = jwt.decode(token, keys, algorithms=["ES256"], audience="lienket", options=options)
        assert claims["iss"] == issuer
        return claims


def basic(name: str, secret: str) -> str:
    quoted = secret.replace(":", "%3A").replace("+", "%2B").replace(" ", "%20")
    return "Basic " + base64.b64encode(f"{name}:{quoted}".encode()).decode()


def parameters(answer: Any) -> dict[str, str]:
    assert answer.status_code == 303, answer.text
    assert answer.location.startswith(f"{CALLBACK}?")
    return dict(parse_qsl(urlsplit(answer.location).query))


@pytest.fixture
def client() -> Iterator[Client]:
    provider = PersonaProvider(ISSUER, Registration("lienket", SECRET, (CALLBACK,), (SIGNED_OUT,)), slow_seconds=0.2)
    app = create_provider(provider)
    # What the test client calls it by.
    app.config["SERVER_NAME"] = "127.0.0.1:8005"
    with app.test_client() as web:
        yield Client(web)


def test_prepared_person_is_named_as_the_specifications_say(client: Client) -> None:
    answer = client.sign_in()
    assert (answer["state"], answer["iss"]) == ("s t", ISSUER)
    response = client.redeem(answer["code"])
    assert response.headers["Cache-Control"] == "no-store"
    tokens = response.get_json()
    assert tokens["token_type"] == "Bearer"
    claims, now = client.claims(tokens["id_token"]), time.time()
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert (claims["nonce"], claims["acr"], claims["amr"]) == ("n", "loa2", ["pwd", "otp"])
    assert claims["iat"] <= now < claims["exp"]
    assert now - 5 < claims["auth_time"] <= now
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.web.get("/userinfo", headers=bearer).get_json() == {
        "sub": claims["sub"],
        "name": "Nguyễn Văn Bình",
        "birthdate": "1985-03-12",
        "gender": "male",
        "identification_number": BINH,
    }
    # Only what was asked for, and the same subject again.
    tokens = client.redeem(client.sign_in(scope="openid")["code"]).get_json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.web.post("/userinfo", headers=bearer).get_json() == {"sub": claims["sub"]}
    refused = client.web.get("/userinfo", headers={"Authorization": "Bearer made-up"})
    assert (refused.status_code, "invalid_token" in refused.headers["WWW-Authenticate"]) == (401, True)


def test_any_person_is_named_as_typed(client: Client) -> None:
    at = client.page()
    chosen = client.web.post(at, data={"person": "typed", "fault": "none"})
    form = {
        "number": "979 1", "full_name": "Ai Đó", "birthdate": "31/02/1990", "subject": "x-1", "level": "loa3",
        "methods": "fpt face", "fault": "none",
    }  # fmt: skip
    answer = parameters(client.web.post(urlsplit(chosen.location).path, data=form))
    tokens = client.redeem(answer["code"]).get_json()
    claims = client.claims(tokens["id_token"])
    assert (claims["sub"], claims["acr"], claims["amr"]) == ("x-1", "loa3", ["fpt", "face"])
    told = client.web.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).get_json()
    assert told == {"sub": "x-1", "name": "Ai Đó", "birthdate": "31/02/1990", "identification_number": "979 1"}
    # What is left empty is not sent; the subject goes with the number.
    bare = parameters(client.web.post(f"{at}/person", data={"number": BINH, "level": ""}))
    claims = client.claims(client.redeem(bare["code"]).get_json()["id_token"])
    assert claims["sub"] == subject_of(BINH)
    assert not {"acr", "amr"} & claims.keys()


@pytest.mark.parametrize(
    ("form", "field"),
    [({"level": "loa2"}, "number"), ({"number": "1", "subject": "é", "level": "loa2"}, "subject")],
)
def test_a_person_no_provider_could_name_is_asked_for_again(client: Client, form: dict[str, str], field: str) -> None:
    answer = client.web.post(f"{client.page()}/person", data=form)
    assert answer.status_code == 200
    assert f'href="#{field}"' in answer.text
    nobody = client.web.post(client.page(), data={"fault": "slow"})
    assert 'href="#person"' in nobody.text


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "name"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"request": "x"}, "request_not_supported"),
        ({"response_mode": "fragment"}, "invalid_request"),
    ],
)
def test_a_wrong_request_is_sent_back_with_its_error(client: Client, change: dict[str, Any], error: str) -> None:
    answer = parameters(client.ask(**change))
    assert answer == {"error": error, "state": "s t", "iss": ISSUER}


def test_nobody_is_sent_to_an_address_that_is_not_on_record(client: Client) -> None:
    for change in ({"redirect_uri": f"{CALLBACK}/"}, {"client_id": "other"}, {"redirect_uri": None}):
        answer = client.ask(**change)
        assert (answer.status_code, answer.location) == (400, None)
    assert client.web.get(f"/end_session?post_logout_redirect_uri={CALLBACK}").status_code == 200
    known = client.web.get("/end_session", query_string={"post_logout_redirect_uri": SIGNED_OUT, "state": "z"})
    assert known.location == f"{SIGNED_OUT}?state=z"


def test_a_code_is_good_once_for_who_asked_for_it(client: Client) -> None:
    for change in ({"code_verifier": "w" * 43}, {"redirect_uri": SIGNED_OUT}, {"code_verifier": None}):
        refused = client.redeem(client.sign_in()["code"], **change)
        assert (refused.status_code, refused.get_json()) == (400, {"error": "invalid_grant"})
    code = client.sign_in()["code"]
    for secret in ("another", ""):
        refused = client.redeem(code, secret=secret)
        assert (refused.status_code, refused.get_json()) == (401, {"error": "invalid_client"})
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
    assert client.redeem(code, client_secret=SECRET).status_code == 401
    assert client.redeem(code, grant_type="password").get_json() == {"error": "unsupported_grant_type"}
    assert client.redeem(code).status_code == 200
    assert client.redeem(code).get_json() == {"error": "invalid_grant"}
    # The other way to say who one is.
    form = {
        "grant_type": "authorization_code", "code": client.sign_in()["code"], "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER, "client_id": "lienket", "client_secret": SECRET,
    }  # fmt: skip
    assert client.web.post("/token", data=form).status_code == 200


def test_each_fault_is_wrong_in_its_one_way(client: Client) -> None:
    usual = client.claims(client.redeem(client.sign_in()["code"]).get_json()["id_token"])
    assert client.sign_in(fault="deny") == {"error": "access_denied", "state": "s t", "iss": ISSUER}
    assert client.sign_in(fault="server-error")["error"] == "server_error"
    assert client.redeem(client.sign_in(fault="outage")["code"]).status_code == 503
    assert client.redeem(client.sign_in(fault="expired-code")["code"]).get_json() == {"error": "invalid_grant"}
    began = time.monotonic()
    assert client.redeem(client.sign_in(fault="slow")["code"]).status_code == 200
    assert time.monotonic() - began >= 0.2

    def differing(fault: Fault, issuer: str = ISSUER) -> set[str]:
        tokens = client.redeem(client.sign_in(fault=fault.value)["code"]).get_json()
        claims = client.claims(tokens["id_token"], issuer)
        assert claims.keys() == usual.keys()
        return {name for name in usual if claims[name] != usual[name]} - {"iat", "exp", "auth_time", "at_hash"}

    assert differing(Fault.WRONG_NONCE) == {"nonce"}
    assert differing(Fault.WRONG_ISSUER, f"{ISSUER}/other") == {"iss"}
    assert differing(Fault.LEVEL_TOO_LOW) == {"acr"}
    before = client.web.get("/jwks").get_json()["keys"]
    assert differing(Fault.ROTATED_KEY) == set()
    after = client.web.get("/jwks").get_json()["keys"]
    assert (after[:-1], len(after)) == (before, 2)
    lost = client.redeem(client.sign_in(fault="unpublished-key")["code"]).get_json()["id_token"]
    assert jwt.get_unverified_header(lost)["kid"] not in {key["kid"] for key in after}
    tokens = client.redeem(client.sign_in(fault="other-number")["code"]).get_json()
    assert client.claims(tokens["id_token"])["sub"] == usual["sub"]
    told = client.web.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).get_json()
    assert told["identification_number"] != BINH
    # None was forgotten here.
    assert len(Fault) == 12


def test_cancelling_says_no(client: Client) -> None:
    assert parameters(client.web.post(f"{client.page()}/cancel"))["error"] == "access_denied"
    assert client.web.get("/signin/made-up").status_code == 400


def test_pages_say_that_everything_is_invented_in_the_language_of_the_journey(client: Client) -> None:
    page = client.web.get(client.page(ui_locales="fr")).text
    assert "Tout est inventé ici" in page
    assert "Nguyễn Văn Bình" in page
    assert "Mọi thứ ở đây đều là hư cấu" in client.web.get("/").text


def test_it_is_on_this_machine_alone(client: Client) -> None:
    registration = Registration("lienket", SECRET, (CALLBACK,))
    for issuer, known in (
        ("http://192.0.2.1:8005", registration),
        ("https://dangnhap.example", registration),
        (ISSUER, Registration("lienket", SECRET, ("https://dangnhap.example/upstream/thu-nghiem/callback",))),
    ):
        with pytest.raises(NotLoopback):
            PersonaProvider(issuer, known)
    for path in ("/", "/jwks", "/.well-known/openid-configuration"):
        assert client.web.get(path, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 404
        assert client.web.get(path, headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 404


def test_its_metadata_and_its_document_agree(client: Client) -> None:
    document = record.provider_document(ISSUER, record.SLUG, SECRET)
    read(document, source="thu-nghiem", is_sandbox=True)
    with pytest.raises(DocumentRefused):
        read(document, source="thu-nghiem", is_sandbox=False)
    metadata = client.web.get("/.well-known/openid-configuration").get_json()
    assert metadata["issuer"] == document["issuer"]
    assert set(document["scope"].split()) <= set(metadata["scopes_supported"])
    assert document["token_endpoint_auth_method"] in metadata["token_endpoint_auth_methods_supported"]
    known = record.registration("http://localhost:8000", record.SLUG, SECRET)
    assert (known.redirect_uris, known.post_logout_redirect_uris) == ((CALLBACK,), (SIGNED_OUT,))


def test_prepared_people_are_those_of_the_register_and_one_stranger() -> None:
    people = prepared_people()
    assert len({each.identity.number for each in people}) == len({each.identity.subject for each in people}) == 16
    enrolled = {each.number for each in demo_personas()}
    assert len([each for each in people if each.identity.number in enrolled]) == 12
    assert STRANGER_NUMBER not in enrolled
