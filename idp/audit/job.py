"""Sealing beside serving: in each worker that can reach the key, or in a process of its own.

However many look, one seals (`sealing.seal`). Looking is one small statement; what it finds is sealed within two
seconds. Once an hour one of them prunes what is too old and looks for events that a wrong clock has dated back.
"""

import logging
import threading
from datetime import timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from idp.audit import notes, pruning, sealing
from idp.audit.notes import Checkpoint, CheckpointKey
from idp.core import clock
from idp.core.database import Change, DatabaseUnavailable, HotPath, Query
from idp.core.settings import Settings

log = logging.getLogger(__name__)

EVERY: Final = timedelta(hours=1)
SWEPT: Final = timedelta(hours=2)
"""How far back stragglers are looked for, each hour."""
_KEY_FILE: Final = "audit.pem"
# From the newest, which is the likeliest to be unsealed.
_ANY_UNSEALED = Query(
    """
    SELECT 1 AS found FROM audit_event e WHERE e.id >= (SELECT settled FROM audit_sealer)
        AND NOT EXISTS (SELECT 1 FROM audit_leaf l WHERE l.event_id = e.id)
    ORDER BY e.id DESC LIMIT 1
    """
)

_IS_TURN = Query("SELECT 1 AS due FROM audit_sealer WHERE kept_at < {after_less}")
_TAKE_TURN = Change(first="UPDATE audit_sealer SET kept_at = {now} WHERE kept_at < {after_less}")


def key_path(settings: Settings) -> Path:
    """Return where the key that signs checkpoints lies."""
    return settings.audit_key_file or settings.secrets_dir / _KEY_FILE


def key_of(settings: Settings) -> CheckpointKey | None:
    """Return the key, None where this machine has none; a sandbox makes one. Raises KeyringRefused."""
    path = key_path(settings)
    if settings.is_sandbox:
        notes.create(path)
    if not path.exists():
        return None
    return notes.load(path, notes.origin_of(settings.issuer), is_production=not settings.is_sandbox)


class Sealing:
    """What seals the trail; one kind of `runner.Deliveries`."""

    name = "sealing"
    idle_seconds = 2.0

    def __init__(self, engine: sa.Engine, hot_path: HotPath, key: CheckpointKey, settings: Settings) -> None:
        self._engine = engine
        self._hot_path = hot_path
        self._key = key
        self._sink = settings.audit_checkpoints_file
        self._days = settings.audit_days

    def run_due(self, stop: threading.Event) -> int:
        """Seal what is there until nothing is or `stop` is set; return how many events. Raises DatabaseUnavailable."""
        try:
            events = self._seal(stop)
            self._keep(stop)
        except sa.exc.OperationalError as error:
            raise DatabaseUnavailable(type(error).__name__) from error
        return events

    def close(self) -> None:
        """Return at once: nothing is under way beside `run_due`."""

    def _seal(self, stop: threading.Event) -> int:
        events = 0
        while not stop.is_set() and self._hot_path.one(_ANY_UNSEALED, {}) is not None:
            sealed = sealing.seal(self._engine, self._key)
            if sealed is None:
                # Another worker is at it.
                break
            events += sealed.events
            if sealed.checkpoint is not None:
                self._export(sealed.checkpoint)
            if sealed.is_all:
                break
        return events

    def _export(self, checkpoint: Checkpoint) -> None:
        """Hand the checkpoint out after the commit: one that was never committed would look like a fork."""
        if self._sink is None:
            return
        try:
            sealing.export(checkpoint, self._sink)
        except OSError as error:
            # The trail goes on; the next checkpoint covers this one.
            log.error("a checkpoint was not handed out", extra={"event": type(error).__name__})  # noqa: TRY400

    def _keep(self, stop: threading.Event) -> None:
        an_hour_ago = {"less": -int(EVERY.total_seconds())}
        if self._hot_path.one(_IS_TURN, an_hour_ago) is None or self._hot_path.apply(_TAKE_TURN, an_hour_ago) is None:
            return
        now = clock.now()
        sealing.sweep(self._engine, self._key, since=now - SWEPT)
        pruning.forget_checkpoints(self._engine, now)
        pruning.announce(self._engine, now, days=self._days)
        if not stop.is_set():
            pruning.prune(self._engine)
