"""The units of a login by an identity provider: leaving for `tests.bench.upstream`, and coming back from there."""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.bench.load import Answer, Spent, Unit, Wrong
from tests.bench.pages import csrf_of, path_of
from tests.bench.seed import client_id
from tests.bench.upstream import SLUG, code_of, request_of

if TYPE_CHECKING:
    from tests.bench.units import Requests


@dataclass(frozen=True, slots=True)
class Return:
    """A browser at the provider, about to come back: the address, its cookies, and the pages it left."""

    address: str
    cookie: str
    path: str


@dataclass(slots=True)
class Federated:
    """The units; `returns` are spent once."""

    requests: "Requests"
    returns: deque[Return] = field(default_factory=deque)

    def login(self) -> Unit:
        """Sign in from nothing: authorize, the pages, away to the provider and back, the code."""
        yield from self.leave()
        yield from self._signed_in(self.returns.pop())

    def leave(self) -> Unit:
        """Open the pages, press the provider's button, and stay there."""
        asked = self.requests
        opened = (yield asked._authorize(client_id("ES256"), "")).expect(303)
        path, cookie = path_of(opened), opened.cookies()
        page = (yield asked._get(f"{path}/login", f"Cookie: {cookie}\r\n")).expect(200)
        button = {"csrf": csrf_of(page)}
        left = (yield asked._post(f"{path}/upstream/{SLUG}", button, f"Cookie: {cookie}\r\n")).expect(303)
        request = request_of(left.header("location"))
        if "nonce" not in request:
            raise Wrong(f"not sent to the provider but to {left.header('location')[:120]}")
        answer = {"code": code_of(asked.next_number(), request["nonce"]), "state": request["state"]}
        self.returns.append(Return(f"/upstream/{SLUG}/callback?{urlencode(answer)}", cookie, path))

    def come_back(self) -> Unit:
        """Come back from the provider, and on to the code."""
        yield from self._signed_in(self._next())

    def come_back_in_vain(self) -> Unit:
        """Come back while the provider hangs, to the pages and what they say."""
        back = self._next()
        self._pages(back, (yield self._bring(back)))

    def _signed_in(self, back: Return) -> Unit:
        answer = yield self._bring(back)
        self._pages(back, answer)
        if "sid=" not in answer.cookies():
            raise Wrong("no session was opened")
        cookie = f"Cookie: {back.cookie}; {answer.cookies()}\r\n"
        self.requests._code_of((yield self.requests._get(back.path, cookie)))

    def _next(self) -> Return:
        if not self.returns:
            raise Spent
        return self.returns.popleft()

    def _bring(self, back: Return) -> bytes:
        return self.requests._get(back.address, f"Cookie: {back.cookie}\r\n")

    def _pages(self, back: Return, answer: Answer) -> None:
        onward = answer.expect(200).header("refresh").removeprefix("0; url=")
        if onward.partition("?")[0] != back.path:
            raise Wrong(f"sent to {onward[:120]}")
