"""Requests that wait to be written: filled at the edge by one append, written beside serving once a second.

Nothing here may slow or fail a request. The queue is bounded, and so is what one client, and all that succeeds, may put
into it in one second; what goes beyond is counted and forgotten. A request that waits is held in memory as it came, and
is redacted on the way to the table.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from idp.core import clock
from idp.core.asked import Asked
from idp.core.database import DatabaseUnavailable
from idp.core.ids import id_at
from idp.core.parameters import NOTHING
from idp.inspector.entry import ENDPOINTS, OK, PAGES, Endpoint, Entry, Shown
from idp.inspector.models import InspectedRequest
from idp.inspector.redaction import Directory, Record, claimed_client, redact

log = logging.getLogger(__name__)

MOST_WAITING: Final = 1_000
"""Requests that wait in one worker; one more is dropped."""
SUCCESSES_OF_ONE: Final = 2
"""Successes kept in a second, for each client and endpoint in one worker."""
SUCCESSES: Final = 25
"""Successes kept in a second, of all clients in one worker."""
FAILURES_OF_ONE: Final = 20
"""Failures kept in a second, of each client in one worker; those that name none count as one client's."""
FAILURES: Final = 50
"""Failures kept in a second, of all clients in one worker: a flood of them for a week must not fill a disk."""
_FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class _Waiting:
    at: datetime
    reference: str
    status: int
    endpoint: Endpoint
    asked: Asked
    authorization: str | None
    proof: str | None


class Inspection:
    """Looks at requests once they are answered, and writes them down; one kind of `runner.Deliveries`."""

    name = "inspection"
    idle_seconds = 1.0

    def __init__(self, engine: sa.Engine, directory: Directory, *, most_waiting: int = MOST_WAITING) -> None:
        self._engine = engine
        self._insert: Any = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        self._directory = directory
        self._most = most_waiting
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._dropped = 0
        self._told = 0
        self._second = 0
        self._counts: dict[object, int] = {}
        # What could not be written yet. Of the thread that writes alone.
        self._unwritten: list[dict[str, Any]] = []

    @property
    def dropped(self) -> int:
        """Return how many requests were not kept because the queue was full or the database away."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return len(self._waiting)

    def observe(self, environ: Mapping[str, Any], asked: Asked, *, reference: str, status: int) -> None:
        """Keep a request that was answered, if it came from a client and its share of this second is not used up."""
        path: str = environ["PATH_INFO"]
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            if asked.refused is None or not path.startswith(PAGES):
                return
            endpoint = Endpoint.SIGN_IN
            # What people type on our pages is none of the client's, and does not wait here: it may be a password.
            asked.parameters = NOTHING
        if not self._has_share(endpoint, asked):
            return
        if len(self._waiting) >= self._most:
            with self._lock:
                self._dropped += 1
            return
        self._waiting.append(
            _Waiting(
                clock.now(),
                reference,
                status,
                endpoint,
                asked,
                environ.get("HTTP_AUTHORIZATION"),
                environ.get("HTTP_DPOP"),
            )
        )

    def _has_share(self, endpoint: Endpoint, asked: Asked) -> bool:
        """Count a request. Threads may lose a count to each other; the bound of the queue is what holds."""
        client_id = asked.client_id
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._counts = second, {}
        counts = self._counts
        if asked.refused is not None:
            return self._is_within(counts, (client_id,), FAILURES_OF_ONE, _FAILED, FAILURES)
        if client_id is None:
            # A person who typed the address.
            return False
        return self._is_within(counts, (client_id, endpoint), SUCCESSES_OF_ONE, OK, SUCCESSES)

    @staticmethod
    def _is_within(counts: dict[object, int], key: object, most_of_one: int, kind: str, most: int) -> bool:
        of_one, of_all = counts.get(key, 0), counts.get(kind, 0)
        if of_one >= most_of_one or of_all >= most:
            return False
        counts[key], counts[kind] = of_one + 1, of_all + 1
        return True

    def run_due(self, stop: threading.Event) -> int:
        """Write what waits, by one statement; return how many. Raises DatabaseUnavailable, and keeps them then."""
        room = self._most - len(self._unwritten)
        for _ in range(min(room, len(self._waiting))):
            # Taken out afterwards: looking for its client may find the database away.
            self._unwritten.append(_row(self._entry(self._waiting[0])))
            self._waiting.popleft()
        self._tell()
        if not self._unwritten:
            return 0
        try:
            with self._engine.begin() as connection:
                # RETURNING makes SQLAlchemy send all rows in one statement. Rows may be there already: of a commit that
                # broke off nobody knows whether it was one.
                statement = self._insert(InspectedRequest).on_conflict_do_nothing().returning(InspectedRequest.status)
                connection.execute(statement, self._unwritten)
        except (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.TimeoutError) as error:
            raise DatabaseUnavailable(type(error).__name__) from error
        except sa.exc.SQLAlchemyError:
            log.exception("inspected requests lost", extra={"count": len(self._unwritten)})
            self._unwritten = []
            return 0
        written, self._unwritten = len(self._unwritten), []
        return written

    def close(self) -> None:
        """Write what still waits; a database that is away now is not waited for."""
        try:
            self.run_due(threading.Event())
        except DatabaseUnavailable:
            log.warning("inspected requests lost", extra={"count": len(self._unwritten) + len(self._waiting)})

    def _tell(self) -> None:
        if (dropped := self._dropped) > self._told:
            log.warning("requests not inspected", extra={"count": dropped - self._told})
            self._told = dropped

    def _entry(self, waiting: _Waiting) -> Entry:
        asked = waiting.asked
        claimed = asked.client_id or claimed_client(asked.parameters, waiting.authorization)
        record = None if claimed is None else self._record(claimed, waiting.reference)
        refused = asked.refused
        oauth_error = None
        if refused is not None:
            oauth_error = refused.oauth_error
        elif waiting.status >= 400:  # noqa: PLR2004 (HTTP)
            log.error("an error without an entry", extra={"endpoint": waiting.endpoint, "status": waiting.status})
        return Entry(
            id=id_at(waiting.at),
            at=waiting.at,
            reference=waiting.reference,
            endpoint=waiting.endpoint,
            outcome=OK if refused is None else refused.code,
            oauth_error=oauth_error,
            status=waiting.status,
            client_id=None if record is None else record.client_id,
            is_proven=asked.is_proven,
            parameters={} if waiting.endpoint is Endpoint.SIGN_IN else _redacted(waiting, record),
        )

    def _record(self, claimed: str, reference: str) -> Record | None:
        try:
            return self._directory(claimed)
        except DatabaseUnavailable:
            raise
        except Exception:
            # As with redaction: one record that cannot be read must not stop the queue.
            log.exception("defect in a record of a client", extra={"reference": reference})
            return None


def _redacted(waiting: _Waiting, record: Record | None) -> dict[str, Shown]:
    try:
        return redact(waiting.asked.parameters, record, authorization=waiting.authorization, proof=waiting.proof)
    except Exception:
        # Whatever somebody has thought of must not keep all others from being written.
        log.exception("defect in redaction", extra={"reference": waiting.reference})
        return {}


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "reference": entry.reference,
        "endpoint": entry.endpoint.value,
        "outcome": entry.outcome,
        "oauth_error": entry.oauth_error,
        "status": entry.status,
        "client_id": entry.client_id,
        "is_proven": entry.is_proven,
        "parameters": {name: shown.document() for name, shown in entry.parameters.items()},
    }
