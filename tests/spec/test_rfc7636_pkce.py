"""RFC 7636 and RFC 9700, 2.1.1: a proof key for every client, S256 only, bound to its code."""

from datetime import timedelta

import pytest

from idp.core import clock
from tests.browser import Browser
from tests.provider import Portal, Provider


@pytest.fixture(scope="module")
def portal(provider: Provider) -> Portal:
    return provider.portal()


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge_method": "S512"},
        {"code_challenge": "short"},
        {"code_challenge": "a" * 42},
        {"code_challenge": "a" * 44},
        {"code_challenge": "a" * 42 + "="},
        {"code_challenge": "a" * 42 + "é"},
    ],
)
@pytest.mark.holds("RFC7636-4.2-1", "RFC7636-4.3-1", "RFC7636-4.4.1-1", "RFC7636-7.2-1", "RFC9700-2.1.1-1")
def test_a_request_without_an_s256_challenge_is_refused(
    portal: Portal, browser: Browser, changes: dict[str, str | None]
) -> None:
    for prompt in (None, "none"):
        answer = portal.arrive(browser, prompt=prompt, **changes)
        assert (answer["error"], answer["state"]) == ("invalid_request", "state-of-the-portal")


@pytest.mark.parametrize(
    ("verifier", "error"),
    [
        (None, "invalid_grant"),
        ("", "invalid_grant"),
        ("a" * 43, "invalid_grant"),
        ("challenge", "invalid_grant"),
        ("a" * 42, "invalid_request"),
        ("a" * 129, "invalid_request"),
        ("a" * 42 + "é", "invalid_request"),
        ("a" * 42 + "+", "invalid_request"),
    ],
)
@pytest.mark.holds("RFC7636-4.1-1", "RFC7636-4.6-1")
def test_a_code_is_lost_when_the_verifier_is_wrong(
    portal: Portal, provider: Provider, browser: Browser, verifier: str | None, error: str
) -> None:
    code = portal.arrive(browser, provider.citizen())["code"]
    if verifier == "challenge":
        verifier = portal.challenge
    refused = portal.redeem(code, code_verifier=verifier)
    assert (refused.status_code, refused.get_json()["error"]) == (400, error)
    again = portal.redeem(code)
    if error == "invalid_grant":
        # One try: whoever guesses verifiers has stolen the code.
        assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")
    else:
        assert again.status_code == 200


@pytest.mark.holds("RFC7636-4.4-1", "RFC7636-4.6-1", "RFC9700-4.5-1")
def test_the_verifier_of_another_login_is_refused(provider: Provider, portal: Portal, browser: Browser) -> None:
    person = provider.citizen()
    first = portal.arrive(browser, person)
    second = portal.arrive(browser, code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    assert portal.redeem(second["code"]).get_json()["error"] == "invalid_grant"
    assert portal.redeem(first["code"]).status_code == 200


@pytest.mark.holds("RFC7636-4.2-1")
def test_the_example_of_the_specification_is_accepted(provider: Provider, portal: Portal, browser: Browser) -> None:
    answer = portal.arrive(browser, provider.citizen(), code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    redeemed = portal.redeem(answer["code"], code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert redeemed.status_code == 200


@pytest.fixture(scope="module")
def exempt(provider: Provider) -> Portal:
    until = (clock.now() + timedelta(days=30)).date().isoformat()
    return provider.portal(require_pkce={"value": False, "reason": "Cổng cũ", "until": until})


@pytest.mark.holds("B28")
def test_a_client_with_a_dated_exception_may_leave_the_challenge_out(
    provider: Provider, exempt: Portal, browser: Browser
) -> None:
    answer = exempt.arrive(browser, provider.citizen(), code_challenge=None, code_challenge_method=None)
    assert exempt.redeem(answer["code"], code_verifier=None).status_code == 200


@pytest.mark.holds("B28", "RFC9700-2.1.1-2", "RFC9700-4.8-1")
def test_neither_half_can_be_dropped_on_the_way_when_a_client_is_exempt(
    provider: Provider, exempt: Portal, browser: Browser
) -> None:
    with_challenge = exempt.arrive(browser, provider.citizen())
    assert exempt.redeem(with_challenge["code"], code_verifier=None).get_json()["error"] == "invalid_grant"
    without = exempt.arrive(browser, code_challenge=None, code_challenge_method=None)
    assert exempt.redeem(without["code"]).get_json()["error"] == "invalid_grant"
    assert exempt.arrive(browser, code_challenge=None)["error"] == "invalid_request"
    assert exempt.arrive(browser, code_challenge_method="plain")["error"] == "invalid_request"


@pytest.mark.holds("B28", "RFC9700-2.1.1-1")
def test_an_exception_ends_with_its_day(provider: Provider, browser: Browser) -> None:
    until = (clock.now() - timedelta(days=1)).date().isoformat()
    late = provider.portal(require_pkce={"value": False, "reason": "Cổng cũ", "until": until})
    answer = late.arrive(browser, code_challenge=None, code_challenge_method=None)
    assert answer["error"] == "invalid_request"
