"""A client in a loop is slowed where no statement counts it, and nobody else is (shared security.md, 7)."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from idp.core.limits import Buckets
from tests.provider import Portal, Provider

BURST = 5


@pytest.fixture(autouse=True)
def _one_a_second(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    paced = replace(provider.services, requests=Buckets(1))
    monkeypatch.setitem(provider.app.extensions, "lienket", paced)


def push(portal: Portal) -> TestResponse:
    return portal.post("/par", **portal.request())


def introspect(portal: Portal) -> TestResponse:
    return portal.post("/introspect", token="of-nobody")


def revoke(portal: Portal) -> TestResponse:
    return portal.post("/revoke", token="of-nobody")


def assert_slowed(answer: TestResponse) -> None:
    assert (answer.status_code, answer.get_json()["error"]) == (429, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("ask", [push, introspect, revoke])
def test_a_client_that_asks_too_often_is_told_to_wait(
    provider: Provider, ask: Callable[[Portal], TestResponse]
) -> None:
    loud, quiet = provider.portal(), provider.portal()
    assert {ask(loud).status_code for _ in range(BURST)} <= {200, 201}
    assert_slowed(ask(loud))
    assert ask(quiet).status_code in (200, 201)


def test_userinfo_counts_the_client_of_the_token(provider: Provider) -> None:
    loud = provider.portal()
    tokens = loud.tokens(loud.arrive(provider.browser(), provider.citizen()))
    assert {loud.userinfo(tokens["access_token"]).status_code for _ in range(BURST)} == {200}
    assert_slowed(loud.userinfo(tokens["access_token"]))


def test_nobody_slows_a_client_by_its_name(provider: Provider) -> None:
    portal = provider.portal()
    wrong = {"Authorization": portal.basic("wrong")}
    for _ in range(BURST + 1):
        assert provider.http().post("/introspect", data={"token": "x"}, headers=wrong).status_code == 401
    assert introspect(portal).status_code == 200
