"""No open redirect: a sign-in ends on a page of the portal itself (RFC 9700, 4.11)."""

import pytest

from clients.agency_login.return_to import own_path
from tests.unit.clients.conftest import Browser

ELSEWHERE = [
    "https://attacker.example",
    "//attacker.example",
    "///attacker.example",
    "/\\attacker.example",
    "\\\\attacker.example",
    "/\t/attacker.example",
    "/\n/attacker.example",
    "/%09/attacker.example",
    "/%0d%0aLocation:%20https://attacker.example",
    "/%2f/attacker.example",
    "/%2Fattacker.example",
    "/%5Cattacker.example",
    "/page/..//attacker.example",
    "javascript:alert(1)",
    "attacker.example",
    " /page",
    "/trang/đích",
    "/" + "x" * 500,
    "",
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_return_to_is_the_start_page_when_it_leads_elsewhere(browser: Browser, target: str) -> None:
    assert own_path(target) is None
    response = browser.portal.get("/signin", query_string={"return_to": target})
    assert browser.portal.get(browser.answer_of(response.location)).location == "/"


@pytest.mark.parametrize("target", ["/", "/page", "/page?next=//other", "/trang/%C4%91%C3%ADch?a=1&b=%2F", "/a#b"])
def test_return_to_is_kept_when_it_is_a_path_of_the_portal(browser: Browser, target: str) -> None:
    assert own_path(target) == target
    response = browser.portal.get("/signin", query_string={"return_to": target})
    assert browser.portal.get(browser.answer_of(response.location)).location == target
