"""The whole application in this process, sent the units of the load one after the other."""

import contextlib
from typing import Any

from flask.ctx import AppContext

from idp.app import create_app
from idp.core import settings, web
from idp.core.database import PostgresHotPath, db
from tests.bench import seed
from tests.bench.load import Answer, Unit
from tests.bench.units import Requests

PORT = 8000
_QUIET = {"IDP_LOG_LEVEL": "WARNING"}


class Application:
    """The whole application, sent the units of the load one request after the other."""

    def __init__(self, site: seed.Site) -> None:
        self.requests = Requests(site, PORT)
        self._client = create_app(settings.load(site.environment | _QUIET)).test_client(use_cookies=False)
        self._provider = self._client.application.extensions[web.EXTENSION]

    def do(self, *units: Unit) -> None:
        """Run units to their ends, one after the other. Raises Wrong."""
        for unit in units:
            request = next(unit)
            with contextlib.suppress(StopIteration):
                while True:
                    request = unit.send(self._answer(request))

    def app_context(self) -> AppContext:
        """Return a context in which the application's database can be asked."""
        return self._client.application.app_context()

    def extension(self, name: str) -> Any:
        """Return what the factory put on the application under `name`."""
        return self._client.application.extensions[name]

    def close(self) -> None:
        """Close the connections that the application keeps."""
        if isinstance(self._provider.hot_path, PostgresHotPath):
            self._provider.hot_path._drop_idle()
        with self._client.application.app_context():
            db.engine.dispose()

    def _answer(self, request: bytes) -> Answer:
        head, _, body = request.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        method, target, _ = line.split(" ")
        headers = [tuple(each.split(": ", 1)) for each in lines]
        answer = self._client.open(target, method=method, headers=headers, data=body)
        return Answer(answer.status_code, f"HTTP/1.1 {answer.status}\r\n{answer.headers}".strip(), answer.data)
