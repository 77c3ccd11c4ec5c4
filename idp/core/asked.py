"""What is known of the request being served, beside its answer: for whoever explains it afterwards.

One note for each request, which the edge begins. What proves a client writes its name, what reads parameters leaves
them here, what makes an error says which. Nobody decides by it, and it never leaves the process as it is: it holds
secrets (`idp.inspector.redaction`).
"""

from contextvars import ContextVar

from idp.core.errors import Entry
from idp.core.parameters import NOTHING, Parameters


class Asked:
    """The note of one request. `client_id` is a client that exists; `is_proven` says that it showed its own secret,
    key or token. `refused` is the catalogue's entry in the answer."""

    __slots__ = ("client_id", "is_proven", "parameters", "refused")

    def __init__(self) -> None:
        self.client_id: str | None = None
        self.is_proven = False
        self.parameters: Parameters = NOTHING
        self.refused: Entry | None = None


_asked: ContextVar[Asked | None] = ContextVar("asked", default=None)


def begin() -> Asked:
    """Begin the note of a request and return it."""
    note = Asked()
    _asked.set(note)
    return note


def current() -> Asked:
    """Return the note of the request being served; outside one, a note that nobody reads."""
    return _asked.get() or Asked()


def by(client_id: str, *, is_proven: bool = False) -> None:
    """Note which client asks."""
    note = _asked.get()
    if note is not None:
        note.client_id = client_id
        note.is_proven = is_proven


def refuse(entry: Entry) -> None:
    """Note what the answer says went wrong."""
    note = _asked.get()
    if note is not None:
        note.refused = entry
