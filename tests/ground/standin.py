"""A WSGI application that stands in for the provider where only starting and stopping matter."""

import os
import time
from collections.abc import Iterable
from typing import Any


def create_app() -> Any:
    """Return an application that answers at once, or after the seconds in its path (`/0.5`)."""
    time.sleep(float(os.environ.get("STANDIN_START_SECONDS", "0")))

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        time.sleep(float(environ["PATH_INFO"].strip("/") or "0"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(os.getpid()).encode()]

    return application


def refuse() -> Any:
    """Fail as an application does whose keys cannot be read."""
    raise PermissionError("the keys cannot be read")
