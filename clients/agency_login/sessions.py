"""The portal's own session: who is signed in here, and until when.

The browser holds only a random session id, inside Flask's signed cookie. What we know about the person, and the ID
token kept as the hint for sign-out, stay on the server: Flask signs its cookie but does not encrypt it, so a name or a
number in it could be read on a shared computer, a copied cookie would survive sign-out, and an ID token might not fit
into its 4 kB.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

# Strongest last. LienKet answers with the first name; the others are its documented aliases.
_LEVELS = (("loa1", "eidas1"), ("loa2", "eidas2"), ("loa3", "eidas3"))


def rank(level: object) -> int:
    """Order levels of assurance: 1 to 3, or 0 for anything we do not know, which satisfies no demand."""
    name = level.lower() if isinstance(level, str) else ""
    return next((place for place, names in enumerate(_LEVELS, start=1) if name in names), 0)


@dataclass(frozen=True, slots=True)
class Person:
    """Describe the citizen as this agency knows them.

    `sub` is this agency's own name for the person (pairwise), stable for ever. `claims` is the UserInfo answer.
    `sid` names the session at LienKet it came from, where the agency registered for back-channel logout. Times are
    seconds since 1970, UTC.
    """

    sub: str
    acr: str
    auth_time: int | None
    signed_in_at: int
    expires_at: int
    claims: Mapping[str, Any] = field(repr=False)
    id_token: str = field(repr=False)
    sid: str | None = None

    def reaches(self, level: str) -> bool:
        """Tell whether this sign-in proved at least `level` ("loa1" to "loa3")."""
        return rank(self.acr) >= rank(level) > 0


class Sessions(Protocol):
    """Keep signed-in people by session id.

    `open` returns a new unguessable id each time; `get` returns None for an unknown, closed or expired id; `close` may
    be called twice; `close_all` forgets the sessions of one `sid`, or with none named all those of `sub`. A portal with
    several worker processes brings its own, over storage that all of them share.
    """

    def open(self, person: Person) -> str: ...

    def get(self, session_id: str) -> Person | None: ...

    def close(self, session_id: str) -> None: ...

    def close_all(self, *, sub: str | None, sid: str | None) -> None: ...


class MemorySessions:
    """Keep sessions in this process: right for one process with threads; a restart signs everybody out here."""

    def __init__(self, *, limit: int = 10_000) -> None:
        self._people: dict[str, Person] = {}
        self._limit = limit
        self._lock = threading.Lock()

    def open(self, person: Person) -> str:
        """Store `person` under a new id; drops expired sessions, then the oldest ones above the limit."""
        session_id = secrets.token_urlsafe(32)
        now = time.time()
        with self._lock:
            if len(self._people) >= self._limit:
                self._people = {key: kept for key, kept in self._people.items() if kept.expires_at > now}
            while len(self._people) >= self._limit:
                del self._people[next(iter(self._people))]
            self._people[session_id] = person
        return session_id

    def get(self, session_id: str) -> Person | None:
        """Return the person, or None when the session is unknown, closed or expired."""
        with self._lock:
            person = self._people.get(session_id)
        return person if person is not None and person.expires_at > time.time() else None

    def close(self, session_id: str) -> None:
        """Forget the session."""
        with self._lock:
            self._people.pop(session_id, None)

    def close_all(self, *, sub: str | None, sid: str | None) -> None:
        """Forget the sessions that came from `sid` at LienKet, or without one all sessions of `sub`."""
        with self._lock:
            for key, person in list(self._people.items()):
                if (person.sid == sid if sid is not None else person.sub == sub) and sub in (None, person.sub):
                    del self._people[key]
