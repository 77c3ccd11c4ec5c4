"""Two hundred citizens come back at once to a provider that hangs, and warm logins go on (issue 5, performance)."""

import contextlib
import http.client
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from idp.core.levels import Level
from idp.upstream.login import Wish
from tests.browser import Browser
from tests.journeys.stage import Running
from tests.provider import Provider
from tests.scripted_upstream import Federated, Reply, ScriptedProvider, federate, reply
from tests.services import free_port

CITIZENS = 200
WORKERS = 2
WISH = Wish(level=Level.LOA1, least=Level.LOA1, max_age=None, must_prompt=False, language="vi")


@contextlib.contextmanager
def served(provider: Provider, log: Path) -> Iterator[int]:
    """Serve the provider's database by `idp serve`, as an operator does; yield the port."""
    port = free_port()
    settings = {
        "IDP_ISSUER": provider.settings.issuer,
        "IDP_DATABASE_URL": provider.url,
        "IDP_SECRETS_DIR": str(provider.settings.secrets_dir),
        "IDP_LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "idp.cli", "serve", "--port", str(port), "--workers", str(WORKERS)]
    running = Running(command, log=log, settings=settings)
    try:
        running.until_it_answers(port)
        yield port
    finally:
        running.end()


def get(port: int, browser: Browser, path: str) -> str:
    """Ask the served provider as `browser` would and return where it sends to."""
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path, headers={"Host": urlsplit(browser.origin).netloc, "Cookie": cookies})
        headers = connection.getresponse().headers
        return (headers["Refresh"] or headers["Location"]).removeprefix("0; url=")


def returns(federated: Federated, browser: Browser) -> list[str]:
    """Return the addresses by which CITIZENS come back, from pages that `browser` has open."""
    given = federated.provider.services
    page = browser.get(federated.provider.portal().address())
    visit = federated.choose(browser, page)
    [journey] = [given.upstream.spend(visit.request["state"])]
    found = given.providers.find(federated.slug)
    assert journey is not None
    assert found is not None
    left = (
        given.upstream.prepare(found, WISH, interaction_id=journey.interaction_id, handle=journey.handle)
        for _ in range(CITIZENS)
    )
    path = f"/upstream/{federated.slug}/callback?"
    return [path + urlencode({"code": "code", "state": departure.state}) for departure in left]


# The database of a server with two workers.
@pytest.mark.parametrize("provider", ["postgresql"], indirect=True)
def test_200_returns_to_a_hanging_provider_leave_warm_logins_alone(provider: Provider, tmp_path: Path) -> None:
    hangs, is_over = threading.Event(), threading.Event()

    def hang(_: dict[str, str]) -> Reply:
        hangs.set()
        is_over.wait(20)
        return reply({"error": "invalid_grant"}, status=400)

    log = tmp_path / "serve.log"
    with ScriptedProvider() as script, ThreadPoolExecutor(CITIZENS) as citizens, contextlib.ExitStack() as ending:
        federated = federate(provider, script)
        portal, warm, stranger = provider.portal(), provider.browser(), provider.browser()
        assert portal.sign_in(warm, provider.citizen())
        paths = returns(federated, stranger)
        script.answers["/token"] = hang
        port = ending.enter_context(served(provider, log))
        ending.callback(is_over.set)
        coming = [citizens.submit(get, port, stranger, path) for path in paths]
        assert hangs.wait(10)
        for _ in range(20):
            location = get(port, warm, portal.address())
            assert dict(parse_qsl(urlsplit(location).query))["code"]
        assert not all(each.done() for each in coming)
        is_over.set()
        assert len({urlsplit(each.result(30)).path for each in coming}) == 1
        # All but the few that hold a place are told at once: they may come by another way.
        assert len(federated.events("crowded")) > CITIZENS * 3 / 4
        federated.disable()
    assert "Traceback" not in log.read_text("utf-8")
