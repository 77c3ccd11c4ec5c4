"""The servers the other tests stand on are real, separate and gone afterwards."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
import sqlalchemy

from tests import services

ROOT = Path(__file__).parents[2]


def test_database_keeps_a_row_when_another_connection_reads(database_url: str) -> None:
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (word TEXT)")
        connection.exec_driver_sql("INSERT INTO kept VALUES ('Đặng')")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT word FROM kept").scalar() == "Đặng"
    engine.dispose()


def test_databases_do_not_see_each_other_when_both_are_in_use(
    postgresql: services.PostgreSQL, postgres_url: str
) -> None:
    other = postgresql.create()
    try:
        with connect(postgres_url) as one, connect(postgresql.url(other)) as two:
            one.execute("CREATE TABLE mine (n INTEGER)")
            one.commit()
            assert two.execute("SELECT to_regclass('mine')").fetchone() == (None,)
    finally:
        postgresql.drop(other)


def test_dropping_a_database_works_when_a_connection_is_left_open(postgresql: services.PostgreSQL) -> None:
    name = postgresql.create()
    with connect(postgresql.url(name)):
        postgresql.drop(name)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(postgresql.url(name))


def test_template_is_prepared_once_when_asked_twice(postgresql: services.PostgreSQL) -> None:
    prepared: list[str] = []

    def prepare(url: str) -> None:
        prepared.append(url)
        with connect(url) as connection:
            connection.execute("CREATE TABLE from_template (n INTEGER)")

    template = f"lk_{os.getpid()}"
    copies = [postgresql.create(template=postgresql.template(template, prepare)) for _ in range(2)]
    try:
        assert len(prepared) == 1
        for copy in copies:
            with connect(postgresql.url(copy)) as connection:
                assert connection.execute("SELECT count(*) FROM from_template").fetchone() == (0,)
    finally:
        for name in [*copies, template]:
            postgresql.drop(name)


def test_valkey_gives_one_winner_when_two_take_the_same_name(valkey: redis.Redis) -> None:
    assert valkey.set("once", "1", nx=True, ex=10) is True
    assert valkey.set("once", "2", nx=True, ex=10) is None


@pytest.mark.parametrize("turn", [1, 2])
def test_valkey_is_empty_when_a_test_begins(valkey_url: str, turn: int) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
        client.set(f"left by turn {turn}", "x")


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param(lambda: socket.create_connection(("192.0.2.1", 80), timeout=1), id="tcp"),
        pytest.param(lambda: socket.getaddrinfo("example.org", 443), id="name"),
        pytest.param(lambda: send_datagram(), id="udp"),  # noqa: PLW0108 - defined below
    ],
)
def test_socket_guard_refuses_when_a_test_leaves_loopback(reach: Callable[[], object]) -> None:
    with pytest.raises(services.OutsideConnection):
        reach()


def test_socket_guard_lets_pass_when_both_ends_are_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_left_out_fails_when_nothing_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(services.NO_LEFT_OUT, "1")
    with pytest.raises(pytest.fail.Exception, match="no browser here"):
        services.left_out("no browser here")


@pytest.mark.parametrize(("no_left_out", "status"), [("0", 0), ("1", 1)])
def test_run_fails_when_a_test_is_skipped_and_nothing_may_be(tmp_path: Path, no_left_out: str, status: int) -> None:
    run = start_pytest(
        tmp_path,
        """
        import pytest
        @pytest.mark.skip(reason="later")
        def test_it(): pass
        """,
        {services.NO_LEFT_OUT: no_left_out},
    )
    output, _ = run.communicate(timeout=60)
    assert "1 TESTS LEFT OUT" in output
    assert run.returncode == status


def test_servers_are_gone_when_the_run_is_ended_by_sigterm(tmp_path: Path) -> None:
    run = start_pytest(
        tmp_path,
        """
        import os, time
        def test_it(postgres_url, valkey_url):
            os.write(2, b"ready " + valkey_url.encode() + b"\\n")
            time.sleep(60)
        """,
    )
    assert run.stdout
    while "ready" not in (line := run.stdout.readline()):
        assert line, "the run ended before its servers were up"
    valkey_directory = Path(line.strip().partition("unix://")[2]).parent
    assert processes_naming(tmp_path)
    assert processes_naming(valkey_directory)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert processes_naming(tmp_path) == []
    assert processes_naming(valkey_directory) == []


def start_pytest(directory: Path, test: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a pytest of its own, with this project's conftest, on a file holding `test`."""
    file = directory / "test_inner.py"
    file.write_text(textwrap.dedent(test))
    command = [sys.executable, "-m", "pytest", "-s", "-c", "setup.cfg", "--rootdir", ".", "-p", "tests.conftest"]
    return subprocess.Popen(
        [*command, "-p", "no:cacheprovider", f"--basetemp={directory / 'base'}", str(file)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_naming(path: Path) -> list[int]:
    """Return the processes, other than pytest's, whose command line names `path`."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(path) in word for word in words) and "pytest" not in words:
            found.append(process.info["pid"])
    return found


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"))


def send_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("192.0.2.1", 9))
