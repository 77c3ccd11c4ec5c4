"""FAPI 2.0 Security Profile: what the word `fapi2` in a client's record demands; and FranceConnect's habits."""

from typing import Any

import pytest

from tests.browser import Browser
from tests.keyed import KeyedPortal, keyed
from tests.provider import Answer, Person, Provider, walk


@pytest.fixture(scope="module")
def person(provider: Provider) -> Person:
    return provider.citizen()


@pytest.fixture(scope="module")
def portal(provider: Provider) -> KeyedPortal:
    return keyed(provider, profile="fapi2", scope="openid name")


@pytest.mark.holds("F1", "F4", "F6", "F7", "F11", "FAPI2SP-5.3.2.1-1")
def test_a_whole_login(portal: KeyedPortal, browser: Browser, person: Person) -> None:
    answer = portal.arrive(browser, person, scope="openid name")
    assert answer.parameters.keys() == {"code", "state", "iss"}
    assert answer["iss"] == portal.issuer
    tokens = portal.tokens(answer)
    assert tokens["token_type"] == "DPoP"
    assert portal.claims(tokens)["nonce"] == "nonce-of-the-portal"
    assert portal.userinfo(tokens["access_token"]).get_json()["name"] == person.full_name


@pytest.mark.holds("F1", "FAPI2SP-5.3.2.2-1")
def test_a_request_in_the_address_is_refused(portal: KeyedPortal, browser: Browser) -> None:
    answer = Answer(walk(browser, browser.get(portal.address())))
    assert (answer["error"], answer["iss"]) == ("invalid_request", portal.issuer)


@pytest.mark.holds("F7", "FAPI2SP-5.3.2.1-3")
def test_a_token_is_given_only_for_a_key(portal: KeyedPortal, browser: Browser, person: Person) -> None:
    code = portal.arrive(browser, person)["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": portal.redirect_uri,
        "code_verifier": portal.verifier,
    }
    refused = portal.send("/token", form, binds=False)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_dpop_proof")
    # Nothing was spent: the proof was missing, not wrong.
    assert portal.send("/token", form).status_code == 200


@pytest.mark.holds("F7")
def test_a_bound_token_is_no_bearer_token(
    provider: Provider, portal: KeyedPortal, browser: Browser, person: Person
) -> None:
    tokens = portal.tokens(portal.arrive(browser, person))
    for scheme in ("Bearer", "DPoP"):
        response = provider.http().get("/userinfo", headers={"Authorization": f"{scheme} {tokens['access_token']}"})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("DPoP")


@pytest.mark.holds("F8", "RFC9449-10-1", "RFC9449-10.1-1")
def test_a_code_is_bound_to_the_key_it_was_asked_with(
    provider: Provider, portal: KeyedPortal, browser: Browser, person: Person
) -> None:
    other = keyed(provider).proof_key
    for thumbprint, status in ((portal.proof_key.thumbprint, 200), (other.thumbprint, 400)):
        answer = portal.arrive(browser, person, dpop_jkt=thumbprint)
        response = portal.redeem(answer["code"])
        assert response.status_code == status
        if status == 400:
            assert response.get_json()["error"] == "invalid_grant"


@pytest.mark.holds("F2")
def test_the_citizen_may_come_back_after_a_mistake(portal: KeyedPortal, browser: Browser, person: Person) -> None:
    address = portal.pushed()
    browser.get(address)
    browser.submit("login-form", number=person.number, password="not it at all, sorry")
    assert portal.tokens(Answer(walk(browser, browser.get(address), person)))


@pytest.mark.holds("F11", "FAPI2SP-5.3.2.2-4", "RFC9207-2-1")
def test_turning_back_keeps_the_registered_query(provider: Provider, browser: Browser) -> None:
    portal = keyed(provider, profile="fapi2", redirect_uris=["https://quay-lai.example/cb?dummy=1&other=%20x"])
    browser.get(portal.pushed())
    page = browser.cancel()
    assert page.left_for is not None
    assert page.left_for.startswith("https://quay-lai.example/cb?dummy=1&other=%20x&error=access_denied")
    assert Answer(page.left_for)["iss"] == portal.issuer


def test_an_exemption_is_dated_and_ends_by_itself(provider: Provider, browser: Browser, person: Person) -> None:
    rule = {"pushed_authorization_requests": {"reason": "thay cổng cũ", "until": "2099-01-01"}}
    with pytest.raises(Exception, match="exceptions"):
        keyed(provider, profile="fapi2", exceptions=rule)
    from idp.core import clock

    for days, works in ((30, True), (-1, False)):
        from datetime import timedelta

        rule["pushed_authorization_requests"]["until"] = (clock.now().date() + timedelta(days=days)).isoformat()
        portal = keyed(provider, profile="fapi2", exceptions=rule)
        answer = Answer(walk(browser, browser.get(portal.address()), person))
        assert ("code" in answer.parameters) is works


HABITS: list[tuple[dict[str, Any], dict[str, str | None]]] = [
    ({"require_nonce": True}, {"nonce": None}),
    ({"require_acr_values": True}, {"acr_values": None}),
    ({"require_acr_values": True}, {"acr_values": "unheard-of"}),
    ({"refuse_prompt_none": True}, {"prompt": "none"}),
]


@pytest.mark.parametrize(("members", "changes"), HABITS)
def test_a_habit_is_a_switch_and_off_by_default(
    provider: Provider, browser: Browser, person: Person, members: dict[str, Any], changes: dict[str, str | None]
) -> None:
    plain, strict = provider.portal(), provider.portal(**members)
    plain.sign_in(browser, person, acr_values="loa1")
    assert "code" in plain.arrive(browser, person, **changes).parameters
    assert strict.arrive(browser, **changes)["error"] == "invalid_request"
    assert "code" in strict.arrive(browser, person, acr_values="loa1").parameters
