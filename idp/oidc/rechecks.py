"""The register's word, heeded: asking again about a citizen, and ending everything where it forbids the account.

Owns the asking at a sign-in, the asking about those who do not sign in because they are signed in, and what follows.
Leaves reading the answer to `citizens.verification`.

    walk: live sessions, then live offline grants, BITE rows at a time, each worker from a place of its own
          a citizen due --taken by one UPDATE--> asked, no lock held --> heeded

The taking writes `registry_asked_at`, which is also what keeps a silent register from being asked about a citizen again
for `registry_retry`: whoever is killed in between loses nothing, and two workers never ask about one citizen at once.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from idp.citizens import verification
from idp.citizens.assurance import RegistryStatus
from idp.citizens.models import Citizen, CitizenState
from idp.citizens.verification import RecheckOutcome
from idp.core.database import DatabaseUnavailable, database_now, db
from idp.oidc import endings
from idp.oidc.models import OfflineGrant
from idp.sso.models import SsoSession
from idp.sso.services import Services

log = logging.getLogger("idp.oidc.rechecks")

STOPPING: Final = verification.STOPPING
REASON = "register"
BITE = 200
PAUSE_SECONDS = 600.0
"""Between the end of one walk and the next."""
SILENCE_SECONDS = 60.0
"""How long a register that did not answer is left alone by this walk; its breaker may leave it alone for longer."""


def recheck(citizen_id: UUID, *, provider: Services, but: UUID | None = None) -> RecheckOutcome:
    """Ask the register about a citizen, and end everything but one session where it forbids the account.

    One transaction writes the answer and its consequences. Raises LookupError for an unknown citizen.
    """

    def heed(status: RegistryStatus) -> None:
        if status in STOPPING:
            endings.end_everything(citizen_id, reason=REASON, but=but)

    return verification.recheck(
        citizen_id, settings=provider.settings, keyring=provider.keyring, registry=provider.registry, heed=heed
    )


class Rechecks:
    """The walk of one worker process. `context` gives the application's, in which the ORM works."""

    name = "rechecks"
    idle_seconds = 60.0

    def __init__(self, provider: Services, context: Callable[[], AbstractContextManager[Any]]) -> None:
        self._provider = provider
        self._context = context
        self._sources = (SsoSession, OfflineGrant)
        self._source = 0
        # Workers start apart, so that they do not look at the same rows one after the other.
        self._after = UUID(int=secrets.randbits(128))
        self._rests_until = 0.0

    def run_due(self, stop: threading.Event) -> int:
        """Go on with the walk until its end, or until the register is silent; return how many were asked about.

        Raises DatabaseUnavailable.
        """
        asked = 0
        if time.monotonic() < self._rests_until:
            return asked
        while not stop.is_set():
            with self._context():
                found, has_more = self._bite()
                for citizen_id in found:
                    if stop.is_set():
                        return asked
                    if not self._take(citizen_id):
                        continue
                    asked += 1
                    if self._ask(citizen_id) is RecheckOutcome.SILENT:
                        self._rest(SILENCE_SECONDS)
                        return asked
            if not has_more:
                self._rest(PAUSE_SECONDS)
                return asked
        return asked

    def close(self) -> None:
        """Return at once: nothing is under way beside `run_due`."""

    def _rest(self, seconds: float) -> None:
        self._rests_until = time.monotonic() + seconds

    def _ask(self, citizen_id: UUID) -> RecheckOutcome:
        try:
            return recheck(citizen_id, provider=self._provider)
        except DatabaseUnavailable:
            raise
        except Exception:
            # One account that cannot be read must not keep the others from being asked about.
            db.session.rollback()
            log.exception("defect in a recheck")
            return RecheckOutcome.DIFFERS

    def _bite(self) -> tuple[list[UUID], bool]:
        """Return citizens among the next rows who are due, and whether the walk goes on."""
        model = self._sources[self._source]
        now = database_now()
        rows = db.session.execute(
            sa.select(
                model.id,
                model.citizen_id,
                Citizen.registry_status,
                Citizen.registry_checked_at,
                Citizen.registry_asked_at,
            )
            .join(Citizen, Citizen.id == model.citizen_id)
            .where(model.id > self._after, *_lives(model, now))
            .order_by(model.id)
            .limit(BITE)
        ).all()
        due = dict.fromkeys(row.citizen_id for row in rows if self._is_due(row, now))
        db.session.rollback()
        if len(rows) == BITE:
            self._after = rows[-1].id
            return list(due), True
        self._after = UUID(int=0)
        self._source = (self._source + 1) % len(self._sources)
        return list(due), self._source != 0

    def _is_due(self, citizen: Any, now: Any) -> bool:
        # Stopped and yet signed in: a sign-in that nobody finished, or one that came between answer and end.
        return verification.is_due(
            citizen.registry_checked_at, citizen.registry_asked_at, settings=self._provider.settings, now=now
        ) or (citizen.registry_status in STOPPING and _was_not_asked_lately(citizen, now, self._provider))

    def _take(self, citizen_id: UUID) -> bool:
        """Take a citizen, for as long as a silent register would be left alone about them; False if somebody did."""
        now = database_now()
        settings = self._provider.settings
        lease = now - timedelta(seconds=settings.registry_retry)
        old = now - timedelta(seconds=settings.registry_recheck)
        taken = db.session.execute(
            sa.update(Citizen)
            .where(
                Citizen.id == citizen_id,
                Citizen.state != CitizenState.CLOSED,
                sa.or_(
                    Citizen.registry_asked_at.is_(None),
                    Citizen.registry_asked_at <= lease,
                    # The last question was answered, and long ago.
                    sa.and_(
                        Citizen.registry_asked_at <= Citizen.registry_checked_at,
                        Citizen.registry_checked_at <= old,
                    ),
                ),
            )
            .values(registry_asked_at=now)
            .returning(Citizen.id)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        db.session.commit()
        return taken is not None


def _was_not_asked_lately(citizen: Any, now: Any, provider: Services) -> bool:
    asked = citizen.registry_asked_at
    return asked is None or now - asked > timedelta(seconds=provider.settings.registry_retry)


def _lives(model: Any, now: Any) -> tuple[sa.ColumnElement[bool], ...]:
    ended = model.ended_at if model is SsoSession else model.revoked_at
    return (ended.is_(None), model.idle_expires_at > now, model.expires_at > now)
