"""Logging: one JSON object a line on standard error, without anything that identifies a person or opens a door.

Owns the format, the reference that ties a line to the error page of the same request, and the rule that secrets do
not reach a log: only the fields named in `ALLOWED` are written, everything else is dropped, so that a new field has
to be thought about before it appears. Leaves what happened to a person to the audit trail.
"""

import json
import logging
import sys
import traceback
from contextvars import ContextVar

from idp.core import clock

ALLOWED = frozenset(
    {"event", "code", "reference", "method", "endpoint", "status", "milliseconds", "client", "outcome", "count"}
)
# Authlib prints issued tokens at DEBUG; the others print request URLs.
_QUIET = ("authlib", "urllib3", "werkzeug", "sqlalchemy.engine", "asyncio")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_reference: ContextVar[str | None] = ContextVar("reference", default=None)


def current_reference() -> str | None:
    """Return the reference of the request being served, or None outside one."""
    return _reference.get()


def set_reference(reference: str | None) -> None:
    """Give the request being served its reference."""
    _reference.set(reference)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": clock.now().isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.msg if record.name.startswith("idp") else record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name in ALLOWED}
        if "reference" not in line and (reference := current_reference()):
            line["reference"] = reference
        if record.exc_info and record.exc_info[0] is not None:
            # Type and places only: the message of an exception may quote its input.
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = [
                f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return json.dumps(line, ensure_ascii=False)


def request_line(*, reference: str, method: str, endpoint: str | None, status: int, milliseconds: float) -> None:
    """Write the line of one request.

    By hand, because a record of the logging module costs as much as a statement of the database. Nothing in it comes
    from the request but the method, which is one of a closed list or `OTHER`.
    """
    if logging.getLogger("idp.web").isEnabledFor(logging.INFO):
        known = method if method in _METHODS else "OTHER"
        sys.stderr.write(
            f'{{"at": "{clock.now().isoformat(timespec="milliseconds")}", "level": "INFO", "logger": "idp.web", '
            f'"message": "request", "reference": "{reference}", "method": "{known}", "endpoint": "{endpoint or ""}", '
            f'"status": {status}, "milliseconds": {milliseconds:.1f}}}\n'
        )


def configure(level: str) -> None:
    """Send every log line of this process to standard error in our form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Never written, and costly to find out for every line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
