"""Telling a client's server that a session has ended (OpenID Connect Back-Channel Logout 1.0).

    sign-out --owes--> logout_delivery --taken with a lease--> logout token --POST--> 200/204  confirmed
                            ^                                                         400      refused
                            +---- a growing pause, while the client rests or fails ---- else

The request that signs somebody out tries at once and waits a moment; what is left is for whoever runs the deliveries
(core.runner).
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from idp.agencies.clients import Client
from idp.audit.events import Event
from idp.core import clock
from idp.core.database import DatabaseUnavailable, Row, as_instant, as_uuid
from idp.core.errors import ProtocolFailure
from idp.core.ids import new_id, new_secret
from idp.core.outbound import OutboundRefused
from idp.keys.ring import NoSigningKey
from idp.oidc.logout import statements
from idp.oidc.protected import protect
from idp.oidc.sid import sid_of
from idp.sso.models import DeliveryState
from idp.sso.services import Services

log = logging.getLogger("idp.oidc.logout")

EXTENSION = "lienket.backchannel"
"""Under which the factory puts this worker's deliveries on the application."""
EVENT = "http://schemas.openid.net/event/backchannel-logout"
TOKEN_SECONDS = 120
"""Life of a logout token (Back-Channel Logout 1.0, 2.4 and 4: two minutes at most)."""
PAUSES = (1, 10, 60, 600, 3_600, 21_600)
"""Seconds between one attempt and the next; after the last attempt the delivery is given up."""
OLDEST = timedelta(days=1)
LEASE_SECONDS = 30
"""Longer than any request out may take (core.outbound)."""
PATIENCE = 5
"""Failures in a row after which a client is left alone."""
RESTS = (60, 120, 240, 480, 900)
MOST_AT_ONCE = 32
MOST_FOR_ONE_CLIENT = 2
"""So that a client that hangs leaves room for the others."""
WAIT_SECONDS = 2.0
"""How long a sign-out waits for its clients' answers."""
_PUT_BACK_SECONDS = 5
_TAKING = {"lease": LEASE_SECONDS, "patience": PATIENCE}
_CONFIRMED = (200, 204)
_REFUSED = 400
_EVENTS = {
    DeliveryState.CONFIRMED: Event.LOGOUT_CONFIRMED,
    DeliveryState.REFUSED: Event.LOGOUT_REFUSED,
    DeliveryState.GIVEN_UP: Event.LOGOUT_GIVEN_UP,
}


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is this worker's for LEASE_SECONDS.

    `attempts` counts the one it was taken for; `is_probe` says that its client has just rested.
    """

    id: UUID
    client_id: UUID
    session_id: UUID
    sub: str
    attempts: int
    created_at: datetime
    is_probe: bool

    @classmethod
    def of(cls, row: Row) -> "Taken":
        """Return the delivery in a row of TAKE_DUE or TAKE_FIRST."""
        return cls(
            as_uuid(row["id"]),
            as_uuid(row["client_id"]),
            as_uuid(row["session_id"]),
            row["sub"],
            row["attempts"],
            as_instant(row["created_at"]),
            (row["failures"] or 0) >= PATIENCE,
        )


def logout_token(session_id: UUID, sub: str, client: Client, *, provider: Services) -> str:
    """Return a new logout token, signed and encrypted as the client's ID tokens are (Back-Channel Logout 1.0, 2.4).

    It never has a nonce, so that it cannot pass for an ID token. Raises ProtocolFailure when it cannot be encrypted.
    """
    now = clock.epoch(clock.now())
    claims = {
        "iss": provider.settings.issuer,
        "sub": sub,
        "aud": client.client_id,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "jti": new_secret(),
        "events": {EVENT: {}},
        "sid": sid_of(session_id, client, provider.keyring),
    }
    return protect(
        claims,
        client,
        algorithm=client.id_token_algorithm,
        encryption=client.id_token_encryption,
        typ="logout+jwt",
        provider=provider,
    )


class BackChannel:
    """The deliveries of one worker process: few at once, few to one client. Safe to use from several threads.

    Threads are started by the first delivery, never before: a worker is the child of a fork.
    """

    name = "logout"
    idle_seconds = 2.0

    def __init__(self, provider: Services) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._under_way: Counter[UUID] = Counter()
        self._crew: ThreadPoolExecutor | None = None

    def notify(self, session_id: UUID, clients: Iterable[Client], *, within: float = WAIT_SECONDS) -> None:
        """Try the first delivery to each of `clients` that is owed one, side by side; return after `within` seconds.

        Whoever has not answered by then goes on being tried. Without a free place the delivery is left to the runner.
        """
        deadline = time.monotonic() + within
        started = []
        for client in clients:
            if client.backchannel_logout_uri is None or not self._enter(client.id):
                continue
            row = None
            try:
                parameters = {"session_id": session_id, "client_id": client.id, **_TAKING}
                row = self._provider.hot_path.apply(statements.TAKE_FIRST, parameters)
            except DatabaseUnavailable:
                log.warning("logout deliveries left to the runner")
                return
            finally:
                if row is None:
                    self._leave(client.id)
            if row is not None:
                started.append(self._start(Taken.of(row)))
        wait(started, timeout=max(0.0, deadline - time.monotonic()))

    def run_due(self, stop: threading.Event) -> int:
        """Start every delivery that is due, as places become free, until none is or `stop` is set; return how many.

        Raises DatabaseUnavailable.
        """
        started = 0
        while not stop.is_set():
            if not self._places.acquire(timeout=0.5):
                continue
            taken = None
            try:
                taken = self._take_due()
            finally:
                if taken is None:
                    self._places.release()
            if taken is None:
                break
            with self._lock:
                has_room = self._under_way[taken.client_id] < MOST_FOR_ONE_CLIENT
                self._under_way[taken.client_id] += has_room
            if not has_room:
                self._places.release()
                back = {"id": taken.id, "attempts": taken.attempts, "pause": _PUT_BACK_SECONDS}
                self._provider.hot_path.apply(statements.PUT_BACK, back)
                continue
            self._start(taken)
            started += 1
        return started

    def close(self) -> None:
        """Wait for the deliveries under way, a few seconds at most; nothing new may be started."""
        with self._lock:
            crew, self._crew = self._crew, None
        if crew is not None:
            crew.shutdown(wait=True)

    # --- one delivery

    def _take_due(self) -> Taken | None:
        # Looking first: taking is a write, and mostly there is nothing.
        due = {"oldest": clock.now() - OLDEST}
        if self._provider.hot_path.one(statements.ANY_DUE, due) is None:
            return None
        row = self._provider.hot_path.apply(statements.TAKE_DUE, {**due, **_TAKING})
        return Taken.of(row) if row is not None else None

    def _enter(self, client_id: UUID) -> bool:
        """Take a place for a request to a client; False when there is none."""
        if not self._places.acquire(blocking=False):
            return False
        with self._lock:
            if self._under_way[client_id] < MOST_FOR_ONE_CLIENT:
                self._under_way[client_id] += 1
                return True
        self._places.release()
        return False

    def _leave(self, client_id: UUID) -> None:
        with self._lock:
            self._under_way[client_id] -= 1
            if not self._under_way[client_id]:
                del self._under_way[client_id]
        self._places.release()

    def _start(self, taken: Taken) -> "Future[None]":
        try:
            with self._lock:
                if self._crew is None:
                    self._crew = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="logout-delivery")
                future = self._crew.submit(self._deliver, taken)
        except BaseException:
            self._leave(taken.client_id)
            raise
        future.add_done_callback(lambda _: self._leave(taken.client_id))
        return future

    def _deliver(self, taken: Taken) -> None:
        """Make one attempt and record it. What cannot be recorded is tried again when the lease runs out."""
        try:
            client = self._provider.clients.by_row_id(taken.client_id)
            if client is None or client.backchannel_logout_uri is None:
                self._conclude(taken, DeliveryState.GIVEN_UP, "unregistered")
            elif taken.attempts > len(PAUSES) + 1 or taken.created_at < clock.now() - OLDEST:
                # Killed workers and a client that always rests: neither may keep a row for ever.
                self._conclude(taken, DeliveryState.GIVEN_UP, "out of time")
            else:
                self._attempt(taken, client, client.backchannel_logout_uri)
        except (DatabaseUnavailable, NoSigningKey) as error:
            log.warning("logout delivery put off", extra={"outcome": type(error).__name__})
        except Exception:
            log.exception("defect in a logout delivery")

    def _attempt(self, taken: Taken, client: Client, uri: str) -> None:
        try:
            token = logout_token(taken.session_id, taken.sub, client, provider=self._provider)
            status = self._provider.outbound.post_form(uri, {"logout_token": token}).status
            outcome = f"status {status}"
        except OutboundRefused as refused:
            status, outcome = 0, refused.reason.value
        except ProtocolFailure:
            status, outcome = 0, "no key fits"
        if status in _CONFIRMED or status == _REFUSED:
            # 2.8: 400 says that the client will not, today or later.
            state = DeliveryState.REFUSED if status == _REFUSED else DeliveryState.CONFIRMED
            self._conclude(taken, state, outcome)
            self._provider.hot_path.apply(statements.CLOSE_BREAKER, {"client_id": client.id})
            return
        log.info("logout not delivered", extra={"client": client.client_id, "outcome": outcome})
        self._count_failure(taken)
        if taken.attempts > len(PAUSES):
            self._conclude(taken, DeliveryState.GIVEN_UP, outcome)
        else:
            pause = PAUSES[taken.attempts - 1]
            again = {"id": taken.id, "attempts": taken.attempts, "outcome": outcome, "pause": pause}
            self._provider.hot_path.apply(statements.RETRY, again)

    def _count_failure(self, taken: Taken) -> None:
        failing = {"client_id": taken.client_id, "is_probe": taken.is_probe}
        row = self._provider.hot_path.apply(statements.COUNT_FAILURE, failing)
        failures = row["failures"] if row is not None else 0
        if failures >= PATIENCE:
            rest = RESTS[min(failures - PATIENCE, len(RESTS) - 1)]
            self._provider.hot_path.apply(statements.REST, {**failing, "rest": rest})

    def _conclude(self, taken: Taken, state: DeliveryState, outcome: str) -> None:
        self._provider.hot_path.apply(
            statements.CONCLUDE,
            {
                "id": taken.id,
                "state": state.value,
                "outcome": outcome,
                "event_id": new_id(),
                "event_name": _EVENTS[state].value,
                "reference": None,
            },
        )
