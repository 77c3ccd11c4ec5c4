"""`idp serve` starts and stops cleanly, whenever it is told to; docs/decisions/0001-wsgi-server.md."""

import concurrent.futures
import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.services import free_port

ROOT = Path(__file__).parents[2]
TIMES = 10  # The hundred of each that were run once are in the decision record.


class Server:
    """One `idp serve` around the stand-in, in a process group of its own."""

    def __init__(self, port: int, *, factory: str = "create_app", start_seconds: float = 0) -> None:
        self.port = port
        code = (
            "import sys; from idp.cli.serve import run; "
            f"sys.exit(run('tests.ground.standin:{factory}', host='127.0.0.1', port={port}, workers=2, threads=1))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"STANDIN_START_SECONDS": str(start_seconds)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def get(self, path: str = "/") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.get()
                return
            assert self.process.poll() is None, self.errors()
            time.sleep(0.02)
        pytest.fail("the server never answered")

    def errors(self) -> str:
        return self.process.communicate(timeout=30)[1]

    def family(self) -> list[int]:
        """Return the living processes of the server's session."""
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(pid) == self.process.pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    found.append(pid)
        return found

    def wait_until_the_family_is_gone(self) -> None:
        deadline = time.monotonic() + 25
        while (left := self.family()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left == []


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        for pid in server.family():
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
        if server.process.stderr:
            server.process.stderr.close()


@pytest.fixture
def server(servers: list[Server]) -> Server:
    servers.append(Server(free_port()))
    servers[0].wait_until_it_answers()
    return servers[0]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_serve_ends_with_status_0_when_told_to_stop(server: Server, sign: signal.Signals) -> None:
    idle = http.client.HTTPConnection("127.0.0.1", server.port)
    idle.request("GET", "/")
    idle.getresponse().read()
    server.process.send_signal(sign)
    assert server.process.wait(10) == 0
    assert server.family() == []
    idle.close()


def test_serve_ends_with_status_0_when_the_terminal_stops_the_whole_group(server: Server) -> None:
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.process.wait(10) == 0
    assert server.family() == []


def test_serve_ends_every_time_when_stopped_while_starting(servers: list[Server]) -> None:
    moments = random.Random(1)
    for _ in range(TIMES):
        server = Server(free_port(), start_seconds=0.2)
        servers.append(server)
        assert server.process.stderr
        line = server.process.stderr.readline()  # Before this line nothing of ours runs and SIGTERM simply ends it.
        assert line.startswith("Listening on")
        time.sleep(moments.uniform(0, 0.5))
        server.process.terminate()
        assert server.process.wait(5) == 0
        assert server.family() == []


def test_serve_finishes_every_request_when_told_to_stop(server: Server) -> None:
    with concurrent.futures.ThreadPoolExecutor(50) as people:
        answers = [people.submit(server.get, "/0.1") for _ in range(50)]
        time.sleep(0.4)
        stopped = time.monotonic()
        server.process.terminate()
        with contextlib.closing(socket.socket()) as late:
            time.sleep(0.3)
            assert late.connect_ex(("127.0.0.1", server.port)) != 0, "the listener closes first"
        assert [answer.result()[0] for answer in answers] == [200] * 50
    assert server.process.wait(20) == 0
    assert time.monotonic() - stopped < 20


def test_serve_starts_another_worker_when_one_dies(server: Server) -> None:
    os.kill(int(server.get()[1]), signal.SIGKILL)
    time.sleep(0.5)
    assert {server.get()[0] for _ in range(10)} == {200}
    server.process.terminate()
    assert server.process.wait(10) == 0


def test_workers_end_when_their_parent_is_killed(server: Server) -> None:
    server.process.kill()
    server.wait_until_the_family_is_gone()


def test_serve_says_so_in_one_line_when_the_port_is_busy(servers: list[Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        servers.append(Server(port))
        message = servers[0].errors()
    assert servers[0].process.returncode == 2
    assert message == (
        f"idp serve: port {port} on 127.0.0.1 is in use; stop the other program or choose another one with --port\n"
    )


def test_serve_says_so_when_another_idp_serve_has_the_port(server: Server, servers: list[Server]) -> None:
    servers.append(Server(server.port))
    assert "is in use" in servers[1].errors()
    assert servers[1].process.returncode == 2


def test_serve_gives_up_with_status_1_when_the_application_cannot_start(servers: list[Server]) -> None:
    servers.append(Server(free_port(), factory="refuse"))
    message = servers[0].errors()
    assert "the keys cannot be read" in message
    assert servers[0].process.returncode == 1
    assert servers[0].family() == []


def test_serve_refuses_before_any_worker_when_a_setting_is_bad() -> None:
    port = free_port()
    code = f"import sys; from idp.cli.serve import serve; sys.exit(serve(host='127.0.0.1', port={port}, workers=2))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"IDP_ISSUER": "ftp://example"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("idp serve: ")
    assert "IDP_ISSUER" in done.stderr
    assert "Listening" not in done.stderr
