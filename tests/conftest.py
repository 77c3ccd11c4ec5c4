"""Fixtures for every test: real PostgreSQL, SQLite and Valkey, and the rules of a test run.

A test asks for `database_url` (empty) or `migrated_database_url` and runs twice, on SQLite and on PostgreSQL.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from _pytest.nodeid import coerce_node_id
from hypothesis import settings as hypothesis_settings

from tests import canary, services

ROOT = Path(__file__).parent.parent

# pytest runs no atexit on SIGTERM, and the database servers would outlive the run.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
# A shell starts what it puts into the background without SIGINT, and so would every program that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of programs are started that import the same modules. Without caches each takes three times as long.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_ROOM_NEEDED = 4 << 30


def _place_for_files() -> Path:
    """Return where this checkout's runs keep their files: in memory where there is room.

    SQLite waits for the disk at each commit. A place for each checkout, because pytest closes its folder to other users
    at every start, and PostgreSQL, which is another user when we are root, would lose its data to a run elsewhere.
    """
    place = Path(tempfile.gettempdir())
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        told = os.statvfs(memory)
        # Programs are started from there, too.
        is_usable = os.access(memory, os.W_OK) and not told.f_flag & os.ST_NOEXEC
        if is_usable and told.f_bavail * told.f_frsize >= _ROOM_NEEDED:
            place = memory
    mine = place / f"lienket-{os.getuid()}-{zlib.crc32(bytes(ROOT)):08x}"
    mine.mkdir(mode=0o755, exist_ok=True)
    return mine


os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_place_for_files()))

# Timings on a shared machine say nothing about correctness; the same examples each time make a failure repeatable.
hypothesis_settings.register_profile("lienket", deadline=None, derandomize=True, database=None)
hypothesis_settings.load_profile("lienket")


def pytest_configure(config: pytest.Config) -> None:
    """Close this process to the outside and to settings of the caller's shell; listen for secrets in its logs."""
    config.pluginmanager.register(canary.Watch())
    services.guard_sockets()
    for name in [name for name in os.environ if name.startswith("IDP_")]:
        del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of one `xdist_group` on one worker.

    pytest-xdist 3.8 writes the group where pytest 9.2 no longer reads it, and every test would go anywhere.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is not None and not item.nodeid.endswith(f"@{mark.args[0]}"):
            item._id = coerce_node_id(f"{item.nodeid}@{mark.args[0]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what did not run."""
    if skipped := terminalreporter.stats.get("skipped", []):
        terminalreporter.section(f"{len(skipped)} TESTS LEFT OUT", sep="!", red=True, bold=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was left out although nothing may be."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(services.NO_LEFT_OUT) == "1" and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def postgresql(run_directory: Path) -> services.PostgreSQL:
    """Return the run's PostgreSQL cluster."""
    return services.start_postgresql(run_directory)


@pytest.fixture
def postgres_url(postgresql: services.PostgreSQL) -> Iterator[str]:
    """Yield the SQLAlchemy address of a fresh, empty PostgreSQL database."""
    name = postgresql.create()
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the SQLAlchemy address of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'lienket.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the address of an empty database, once for each kind the product supports."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(scope="session")
def migrate() -> Callable[[str], None]:
    """Return the act that brings the database at an address to the newest schema, without signing keys or rows."""

    def upgrade(url: str) -> None:
        # Imported late: a session that only asks for the services pays nothing for the product.
        from idp.cli import db

        db.upgrade(url)

    return upgrade


@pytest.fixture
def migrated_postgres_url(postgresql: services.PostgreSQL, migrate: Callable[[str], None]) -> Iterator[str]:
    """Yield the address of a migrated PostgreSQL database without rows: a copy of one migrated once per run."""
    name = postgresql.create(template=postgresql.template("lk_template", migrate))
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest.fixture
def migrated_sqlite_url(run_directory: Path, migrate: Callable[[str], None], sqlite_url: str) -> str:
    """Return the address of a migrated SQLite database without rows: a copy of one migrated once per run."""
    template = run_directory / "lk_template.sqlite3"
    with services.alone(run_directory / "lk_template.sqlite3.lock"):
        if not template.exists():
            draft = template.with_suffix(".draft")
            draft.unlink(missing_ok=True)
            migrate(f"sqlite:///{draft}")
            draft.rename(template)
    shutil.copyfile(template, sqlite_url.removeprefix("sqlite:///"))
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_database_url(request: pytest.FixtureRequest) -> str:
    """Return the address of a migrated database without rows, once for each kind the product supports."""
    name = "migrated_sqlite_url" if request.param == "sqlite" else "migrated_postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture(scope="session")
def _valkey_url() -> Iterator[str]:
    with services.valkey_server() as url:
        yield url


@pytest.fixture
def valkey(_valkey_url: str) -> Iterator[redis.Redis]:
    """Yield a client of this worker's Valkey server, emptied."""
    with redis.Redis.from_url(_valkey_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def valkey_url(_valkey_url: str, valkey: redis.Redis) -> str:
    """Return the address of this worker's Valkey server, emptied."""
    return _valkey_url
