"""The Foundation's Basic, Config and Form Post plans, module by module, against the running provider."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.parties.certification.relying_party import (
    CHALLENGE,
    VERIFIER,
    RelyingParty,
    judged,
    refused,
    register,
    unsigned,
)
from tests.parties.certification.visitor import Visitor
from tests.parties.sandbox import Sandbox

pytestmark = pytest.mark.xdist_group("certification")
EVERYTHING = "openid profile email address phone"
SCOPE_CLAIMS = {
    "email": {"email", "email_verified"},
    "address": {"address"},
    "phone": {"phone_number", "phone_number_verified"},
}


@pytest.fixture(scope="module")
def rp(town: Sandbox) -> RelyingParty:
    """Return a client of the Basic plan: a secret, no code challenge, RS256."""
    host = "https://basic.rp.example"
    return register(
        town.issuer,
        "basic",
        redirect_uris=[f"{host}/callback", f"{host}/callback?dummy1=lorem&dummy2=ipsum"],
    )


@pytest.fixture(scope="module")
def second(town: Sandbox) -> RelyingParty:
    """Return the plan's second client, which authenticates the other way and may refresh."""
    return register(
        town.issuer,
        "second",
        token_endpoint_auth_method="client_secret_post",
        grant_types=["authorization_code", "refresh_token"],
        scope=f"{EVERYTHING} offline_access",
    )


def proper_error(parameters: dict[str, str], *errors: str) -> None:
    """Check an authorization error response (RFC 6749, 4.1.2.1; RFC 9207)."""
    assert parameters["error"] in errors
    assert parameters.keys() <= {"error", "error_description", "error_uri", "state", "iss"}
    assert all(" " <= sign <= "~" and sign not in '"\\' for sign in parameters.get("error_description", ""))


@pytest.mark.holds("B23", "B26", "B29")
def test_discovery_says_what_a_relying_party_needs(rp: RelyingParty) -> None:
    found = rp.provider
    for name in (
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
        "registration_endpoint",
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "scopes_supported",
        "claims_supported",
    ):
        assert found[name], name
    assert "RS256" in found["id_token_signing_alg_values_supported"]
    assert "openid" in found["scopes_supported"]
    assert all(re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", scope) for scope in found["scopes_supported"])
    assert all(re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", locale) for locale in found["ui_locales_supported"])
    assert found["claims_parameter_supported"] is True
    assert found["request_uri_parameter_supported"] is False
    keys = requests.get(found["jwks_uri"], timeout=10).json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not any({"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys() for key in keys)
    assert {key["kty"] for key in keys} == {"RSA", "EC"}


@pytest.mark.holds("B4", "B5", "B25")
def test_code_flow_answers_with_state_nonce_and_a_good_id_token(rp: RelyingParty, visitor: Visitor) -> None:
    state, nonce = "s" * 384 + "%+/= é", "n" * 384
    arrived = rp.authorize(visitor, state=state, nonce=nonce)
    assert arrived.parameters.keys() == {"code", "state", "iss"}
    assert (arrived["state"], arrived["iss"]) == (state, rp.issuer)
    claims = rp.claims(rp.tokens(arrived))
    assert claims["nonce"] == nonce
    bare = rp.authorize(visitor, nonce=None, state=None)
    assert bare.parameters.keys() == {"code", "iss"}
    assert "nonce" not in rp.claims(rp.tokens(bare))


@pytest.mark.holds("B1", "F11")
@pytest.mark.parametrize("tail", ["/", "?foo=bar", "/../callback", "#x", " ", None])
def test_redirect_uri_counts_only_as_registered(rp: RelyingParty, visitor: Visitor, tail: str | None) -> None:
    address = None if tail is None else rp.client["redirect_uris"][0] + tail
    for changes in ({}, {"response_type": "token"}, {"prompt": "none"}, {"scope": "profile"}):
        arrived = rp.authorize(visitor, redirect_uri=address, **changes)
        assert arrived.by == "page"
        assert 400 <= arrived.status < 500
        assert "rp.example/callback" not in arrived.html
        assert "Location" not in visitor.answer.headers


@pytest.mark.holds("B1")
def test_registered_query_of_the_redirect_uri_is_kept(rp: RelyingParty, visitor: Visitor) -> None:
    address = rp.client["redirect_uris"][1]
    arrived = rp.authorize(visitor, redirect_uri=address)
    assert arrived.parameters.keys() == {"dummy1", "dummy2", "code", "state", "iss"}
    assert rp.redeem(arrived, redirect_uri=address).status_code == 200
    assert rp.authorize(visitor, redirect_uri=f"{address}&more=1").by == "page"
    again = rp.authorize(visitor, redirect_uri=address)
    # The code was sent to the other address (RFC 6749, 4.1.3).
    refused(rp.redeem(again), "invalid_grant")


@pytest.mark.holds("B2", "B3")
def test_request_without_response_type_goes_back_as_an_error(rp: RelyingParty, visitor: Visitor) -> None:
    arrived = rp.authorize(visitor, response_type=None, state="Çà \\ \" 'x'")
    proper_error(arrived.parameters, "invalid_request", "unsupported_response_type")
    assert arrived["state"] == "Çà \\ \" 'x'"
    for unoffered in ("token", "id_token", "code id_token", "code token"):
        proper_error(rp.authorize(visitor, response_type=unoffered).parameters, "unsupported_response_type")


@pytest.mark.holds("B6", "B7")
def test_prompt_none_needs_a_session_and_changes_nothing(rp: RelyingParty, visitor: Visitor) -> None:
    first = rp.authorize(visitor, prompt="none")
    proper_error(first.parameters, "login_required")
    claims = rp.sign_in(visitor, max_age="10000")
    time.sleep(1.1)
    again = rp.sign_in(visitor, prompt="none", max_age="10000")
    assert (again["sub"], again["auth_time"]) == (claims["sub"], claims["auth_time"])


@pytest.mark.holds("B8", "B9", "B10")
def test_citizen_signs_in_again_when_the_portal_asks(rp: RelyingParty, visitor: Visitor) -> None:
    first = rp.sign_in(visitor, max_age="10000")
    for changes in ({"prompt": "login"}, {"max_age": "1"}):
        time.sleep(2.1)
        visitor.seen.clear()
        later = rp.sign_in(visitor, **changes)
        assert "login-form" in visitor.seen
        assert later["sub"] == first["sub"]
        assert later["auth_time"] > first["auth_time"]
        first = later
    visitor.seen.clear()
    assert rp.sign_in(visitor, max_age="10000")["auth_time"] == first["auth_time"]
    assert visitor.seen == set()
    rp.sign_in(visitor, prompt="consent")
    assert visitor.seen == {"consent-form"}
    proper_error(rp.authorize(visitor, prompt="none login").parameters, "invalid_request")


@pytest.mark.holds("B11")
def test_hint_names_the_citizen(rp: RelyingParty, visitor: Visitor, somebody: Callable[[], Visitor]) -> None:
    hint = rp.tokens(rp.authorize(visitor))["id_token"]
    assert rp.authorize(visitor, prompt="none", id_token_hint=hint).error is None
    other = somebody()
    rp.sign_in(other)
    proper_error(rp.authorize(other, prompt="none", id_token_hint=hint).parameters, "login_required")


@pytest.mark.holds("B12", "B13", "B14")
@pytest.mark.parametrize(
    "changes",
    [
        {"acr_values": "1 2"},
        {"acr_values": "urn:mace:incommon:iap:silver loa1"},
        {"display": "page"},
        {"display": "popup"},
        {"ui_locales": "se xx"},
        {"claims_locales": "se"},
        {"login_hint": "buffy@rp.example"},
        {"extra": "foobar"},
        {"scope": "profile unheard-of openid"},
        {"claims": '{"userinfo": {"unheard-of": null}}'},
    ],
    ids="-".join,
)
def test_wishes_that_are_not_understood_are_no_error(
    rp: RelyingParty, visitor: Visitor, changes: dict[str, str]
) -> None:
    claims = rp.sign_in(visitor, **changes)
    assert claims["acr"] == "loa1"


@pytest.mark.holds("B15")
def test_request_may_be_posted(rp: RelyingParty, visitor: Visitor) -> None:
    assert rp.claims(rp.tokens(rp.authorize(visitor, method="POST")))["sub"]


@pytest.mark.holds("B16", "F14")
def test_claims_parameter_is_honoured(rp: RelyingParty, visitor: Visitor) -> None:
    wish = {
        "userinfo": {"name": {"essential": True}, "x": {"essential": True, "unknown": 1}},
        "id_token": {"acr": None},
    }
    tokens = rp.tokens(rp.authorize(visitor, claims=json.dumps(wish)))
    assert "name" not in rp.claims(tokens)
    assert rp.userinfo(tokens["access_token"]).json().keys() == {"sub", "name"}
    everything = {"userinfo": dict.fromkeys(rp.provider["claims_supported"])}
    assert rp.authorize(visitor, claims=json.dumps(everything)).error is None


@pytest.mark.holds("B17")
def test_request_objects_are_judged_or_refused_and_never_passed_over(rp: RelyingParty, visitor: Visitor) -> None:
    inside = rp.request(state="inside", redirect_uri="https://evil.example/callback")
    arrived = rp.authorize(visitor, request=unsigned(inside))
    assert arrived.by == "page" or arrived.error in ("invalid_request_object", "request_not_supported")
    assert not arrived.address.startswith("https://evil.example")
    by_url = rp.authorize(visitor, request_uri="https://basic.rp.example/request.jwt")
    proper_error(by_url.parameters, "request_uri_not_supported")
    for changes in ({"request": unsigned(inside)}, {"request_uri": "https://basic.rp.example/request.jwt"}):
        assert rp.authorize(visitor, redirect_uri="https://evil.example/callback", **changes).by == "page"


@pytest.mark.holds("B18", "B19", "B20", "B21")
def test_claims_of_scopes_come_from_userinfo_with_their_types(rp: RelyingParty, town: Sandbox) -> None:
    visitor = Visitor(town.somebody_known_wholly(), issuer=town.issuer)
    tokens = rp.tokens(rp.authorize(visitor, scope=EVERYTHING))
    claims = rp.claims(tokens)
    person = rp.userinfo(tokens["access_token"]).json()
    assert person["sub"] == claims["sub"]
    assert not (person.keys() - {"sub"}) & claims.keys()
    assert set().union(*SCOPE_CLAIMS.values()) <= person.keys()
    assert {
        "name",
        "given_name",
        "family_name",
        "middle_name",
        "nickname",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "updated_at",
        "preferred_username",
    } <= person.keys()
    assert isinstance(person["updated_at"], int)
    assert (person["email_verified"], person["phone_number_verified"]) == (True, False)
    assert isinstance(person["address"], dict)
    assert re.fullmatch(r"\d{4}(-\d\d-\d\d)?", person["birthdate"])
    for scope, expected in SCOPE_CLAIMS.items():
        tokens = rp.tokens(rp.authorize(visitor, scope=f"openid {scope}"))
        assert rp.userinfo(tokens["access_token"]).json().keys() == {"sub", *expected}


@pytest.mark.holds("B20")
def test_what_is_not_known_is_left_out(rp: RelyingParty, visitor: Visitor) -> None:
    tokens = rp.tokens(rp.authorize(visitor, scope=EVERYTHING))
    person = rp.userinfo(tokens["access_token"]).json()
    assert "website" not in person
    assert not any(value in ("", None, {}, []) for value in person.values())


@pytest.mark.holds("B21", "F13a")
def test_userinfo_takes_the_token_from_the_header_alone(rp: RelyingParty, visitor: Visitor) -> None:
    tokens = rp.tokens(rp.authorize(visitor))
    token, address = tokens["access_token"], rp.provider["userinfo_endpoint"]
    for method in ("GET", "POST"):
        for accept in ("*/*", "application/json;q=0.9, text/html", "application/jwt", "text/plain"):
            answer = rp.userinfo(token, method=method, Accept=accept)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("application/json")
            assert "Date" in answer.headers
    for answer in (
        requests.get(address, timeout=10),
        rp.userinfo(token[:-2] + "xx"),
        rp.userinfo("é".encode().decode("latin-1")),
    ):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert requests.get(f"{address}?access_token={token}", timeout=10).status_code == 400


@pytest.mark.holds("B24")
def test_code_counts_once_and_its_tokens_end_when_it_comes_again(rp: RelyingParty, visitor: Visitor) -> None:
    arrived = rp.authorize(visitor)
    tokens = rp.tokens(arrived)
    assert rp.userinfo(tokens["access_token"]).status_code == 200
    refused(rp.redeem(arrived), "invalid_grant")
    assert rp.userinfo(tokens["access_token"]).status_code == 401


@pytest.mark.slow
@pytest.mark.holds("B24", "F6")
def test_code_is_refused_when_it_comes_late(rp: RelyingParty, visitor: Visitor) -> None:
    used, late = rp.authorize(visitor), rp.authorize(visitor)
    rp.tokens(used)
    time.sleep(31)
    for arrived in (used, late):
        refused(rp.redeem(arrived), "invalid_grant")


@pytest.mark.holds("B25", "B26")
def test_client_that_proves_nothing_or_the_wrong_thing_is_refused(
    rp: RelyingParty, second: RelyingParty, visitor: Visitor
) -> None:
    arrived = second.authorize(visitor)
    refused(second.redeem(arrived, client_secret="wrong"), "invalid_client", status=(400, 401))
    refused(second.redeem(arrived, client_secret=None), "invalid_client", status=(400, 401))
    # The code of another client, redeemed by an honest one.
    refused(rp.redeem(arrived, redirect_uri=second.client["redirect_uris"][0]), "invalid_grant")
    assert second.client["token_endpoint_auth_method"] in second.provider["token_endpoint_auth_methods_supported"]
    assert second.tokens(second.authorize(visitor))


@pytest.mark.holds("B27")
def test_refresh_token_works_for_its_client_alone(rp: RelyingParty, second: RelyingParty, visitor: Visitor) -> None:
    arrived = second.authorize(visitor, scope="openid offline_access", prompt="consent")
    tokens = second.tokens(arrived)
    first = second.claims(tokens)
    refused(rp.refresh(tokens["refresh_token"]), "invalid_grant", "unauthorized_client")
    time.sleep(1.1)
    renewed = judged(second.refresh(tokens["refresh_token"]))
    again = second.claims(renewed)
    for name in ("iss", "sub", "aud", "auth_time"):
        assert again[name] == first[name]
    assert again["iat"] > first["iat"]
    assert second.userinfo(renewed["access_token"]).json()["sub"] == first["sub"]
    # The old one is from a thief, or the new one is: both stop (RFC 9700, 4.14.2).
    refused(second.refresh(tokens["refresh_token"]), "invalid_grant")
    refused(second.refresh(renewed["refresh_token"]), "invalid_grant")


@pytest.mark.holds("B28")
def test_challenge_that_was_sent_binds_a_client_that_need_not(rp: RelyingParty, visitor: Visitor) -> None:
    challenge = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    assert rp.tokens(rp.authorize(visitor, **challenge), code_verifier=VERIFIER)
    for verifier in (None, VERIFIER[:-1] + "x"):
        refused(
            rp.redeem(rp.authorize(visitor, **challenge), code_verifier=verifier), "invalid_grant", "invalid_request"
        )
    # A verifier where there was no challenge: somebody stripped it (RFC 9700, 2.1.1).
    refused(rp.redeem(rp.authorize(visitor), code_verifier=VERIFIER), "invalid_grant", "invalid_request")


@pytest.mark.holds("B30")
def test_form_post_brings_code_and_error_by_a_form(rp: RelyingParty, visitor: Visitor) -> None:
    arrived = rp.authorize(visitor, response_mode="form_post")
    assert (arrived.by, arrived.address) == ("form", rp.client["redirect_uris"][0])
    assert arrived.parameters.keys() == {"code", "state", "iss"}
    assert rp.tokens(arrived)
    assert f"form-action {rp.client['redirect_uris'][0].removesuffix('/callback')}" in visitor.answer.headers[
        "Content-Security-Policy"
    ].replace("'self' ", "")
    declined = rp.authorize(visitor, response_mode="form_post", prompt="none", max_age="0")
    assert declined.by == "form"
    proper_error(declined.parameters, "login_required")
    assert "?" not in declined.address
    missing = rp.authorize(visitor, response_mode="form_post", response_type=None)
    assert missing.by == "form"
    fragment: dict[str, Any] = rp.authorize(visitor, response_mode="fragment").parameters
    proper_error(fragment, "invalid_request", "unsupported_response_mode")
