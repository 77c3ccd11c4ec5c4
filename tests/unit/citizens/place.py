"""A provider's database with citizens in it, for this process or for several that race."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, current_app

import idp.audit.models  # noqa: F401 (a table of its own)
from idp.citizens.documents import Row, parse
from idp.citizens.enrolment import EnrolmentResult, enrol
from idp.citizens.registry import PopulationRegistry, registry
from idp.core import keyring as keyrings
from idp.core.database import HotPath, db, driver_url, engine_options, hot_path, prepare_engine
from idp.core.keyring import Key, Keyring, Purpose
from idp.core.settings import Settings
from tests import patience
from tests.unit.core.provider import close

# 979: stands for Ho Chi Minh City in numbers reserved for tests.
NUMBER = "979191000001"
OTHER_NUMBER = "979191000002"
NEW_NUMBER = "979191000003"
PASSWORD = "đường về nhà xa lắm"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@dataclass(frozen=True)
class Place:
    """Where a test stands: settings and keyring of a provider whose application context is pushed."""

    settings: Settings
    keyring: Keyring
    registry: PopulationRegistry
    hot_path: HotPath

    def enrol(self, **members: Any) -> EnrolmentResult:
        """Enrol the person of `document(**members)`."""
        today = datetime(2026, 1, 1, tzinfo=UTC).date()
        made = parse(Row("test", document(**members)), settings=self.settings, today=today)
        return enrol(made, settings=self.settings, keyring=self.keyring, registry=self.registry)

    def with_new_key(self, purpose: Purpose) -> "Place":
        """Return this place with the key of `purpose` rotated; the old one still reads."""
        ring = self.keyring
        keys = {each: tuple(ring.key(each, key_id) for key_id in ring.key_ids(each)) for each in Purpose}
        keys[purpose] = (Key("k2", bytes(range(32))), *keys[purpose])
        rotated = Keyring(keys)
        return Place(self.settings, rotated, registry(self.settings, keyring=rotated), self.hot_path)


def document(**members: Any) -> dict[str, Any]:
    """Return a citizen document; a member given as None is left out."""
    whole = {"number": NUMBER, "full_name": "Nguyễn Thị Hoà", "birthdate": "1991-02-28", "gender": "female", **members}
    return {name: value for name, value in whole.items() if value is not None}


@contextmanager
def place_at(url: str, secrets: Path, **settings: Any) -> Iterator[Place]:
    """Yield a place on the database at `url`, which has its tables, with the keyring in `secrets`."""
    app = Flask(__name__)
    app.config |= {"SQLALCHEMY_DATABASE_URI": driver_url(url), "SQLALCHEMY_ENGINE_OPTIONS": engine_options(url)}
    db.init_app(app)
    ring = keyrings.load(secrets, is_production=False)
    with app.app_context():
        prepare_engine(db.engine)
        path = hot_path(url)
        try:
            chosen = Settings(**{"hash_workers": 2, **settings})
            yield Place(chosen, ring, registry(chosen, keyring=ring), path)
        finally:
            db.session.remove()
            db.engine.dispose()
            close(path)


def race(
    act: Callable[..., Any], url: str, secrets: Path, *, processes: int, threads: int = 1, **arguments: Any
) -> list[Any]:
    """Return what `act(place, **arguments)` gave in each thread of each process; all start it at the same moment."""
    # Forked from a clean process that has imported everything once: many starts cost one.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Manager() as shared:
        gate = shared.Barrier(processes * threads)
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            runs = [pool.submit(_run, act, url, secrets, gate, threads, arguments) for _ in range(processes)]
            return [result for run in runs for result in run.result(timeout=60)]


def _run(
    act: Callable[..., Any], url: str, secrets: Path, gate: Any, threads: int, arguments: dict[str, Any]
) -> list[Any]:
    patience.wait_long()
    with place_at(url, secrets) as place, ThreadPoolExecutor(threads) as pool:
        app = current_app._get_current_object()

        def run() -> Any:
            with app.app_context():
                gate.wait(timeout=60)
                return act(place, **arguments)

        return [one.result() for one in [pool.submit(run) for _ in range(threads)]]
