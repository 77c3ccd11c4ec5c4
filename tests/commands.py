"""`idp` commands as an operator runs them: processes with an environment, a folder and a status of their own.

They are forked from one process that has imported the product and done nothing else; starting Python and importing is
most of what a command costs, and a run of the tests gives hundreds. What starting itself loads is tested elsewhere
(tests/unit/cli/test_commands.py, tests/ground), with processes that begin from nothing.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SECONDS = 60
_LONGEST_REQUEST = 128 << 10


def operate(
    *arguments: str, settings: Mapping[str, str], cwd: Path = ROOT, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `idp ARGUMENTS` with these `settings` and no other of ours; return what it printed and its status.

    `typed` is what it reads from its standard input.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")} | dict(settings)
    request = json.dumps({"arguments": arguments, "environment": environment, "cwd": str(cwd)}).encode()
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
        tempfile.TemporaryFile("w+") as given,
    ):
        given.write(typed)
        given.seek(0)
        status = _starter().run(request, [output.fileno(), errors.fileno(), given.fileno()])
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(["idp", *arguments], status, output.read(), errors.read())


@cache
def _starter() -> "_Starter":
    return _Starter()


class _Starter:
    """The process from which commands are forked; it ends with this one."""

    def __init__(self) -> None:
        # Each message arrives whole, and the end of one side is told to the other.
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._here.settimeout(_SECONDS)
        program = f"from tests.commands import start; start({there.fileno()})"
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", program], cwd=ROOT, pass_fds=[there.fileno()], process_group=0
            )

    def run(self, request: bytes, files: list[int]) -> int:
        socket.send_fds(self._here, [request], files)
        try:
            answer = self._here.recv(64)
        except TimeoutError:
            # The command that hangs, too.
            os.killpg(self._process.pid, signal.SIGKILL)
            _starter.cache_clear()
            raise
        return int(answer)


def start(fd: int) -> None:
    """Fork a command for each request at the socket `fd`, until nobody is there to ask."""
    import psycopg  # noqa: F401

    from idp import app  # noqa: F401
    from idp.cli import (  # noqa: F401
        audit,
        citizens,
        clients,
        db,
        deliveries,
        housekeeping,
        keys,
        main,
        officers,
        secrets,
        settings,
        upstream,
    )

    gc.collect()
    gc.freeze()
    asked = socket.socket(fileno=fd)
    while True:
        message, files, *_ = socket.recv_fds(asked, _LONGEST_REQUEST, 3)
        if not message:
            asked.close()
            return
        pid = os.fork()
        if pid == 0:
            break
        for each in files:
            os.close(each)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            asked.send(str(os.waitstatus_to_exitcode(status)).encode())
    asked.close()
    request = json.loads(message)
    for ours, theirs in ((files[0], 1), (files[1], 2), (files[2], 0)):
        os.dup2(ours, theirs)
        os.close(ours)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    main(request["arguments"], prog_name="idp")
