"""`idp serve`: run the provider under granian, start and stop cleanly.

Why granian, what was measured, and what is mended here: docs/decisions/0001-wsgi-server.md. The application stays
plain WSGI, so that any other server can run `wsgi:app`.
"""

import errno
import gc
import importlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess

from idp.core import settings

APPLICATION = "idp.app:create_app"
DRAIN_SECONDS = 20
"""Longest time from SIGTERM to the end: requests in flight are finished, what still runs then is killed."""
THREADS = 1
_CANNOT_START = 78  # EX_CONFIG of sysexits.h
_STOP = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def serve(*, host: str, port: int, workers: int) -> int:
    """Serve the provider on `host`:`port` with so many worker processes until SIGTERM, SIGINT or SIGHUP.

    Returns the exit status: 0 after an orderly stop, 1 when it could not start or a worker had to be killed. Every
    reason not to start is one line on stderr. Side effects: listens, forks, and ends all its children.
    """
    try:
        threads = settings.load().threads or THREADS
    except settings.SettingsRefused as refused:
        for problem in refused.problems:
            _complain(problem)
        return 1
    return run(APPLICATION, host=host, port=port, workers=workers, threads=threads)


def run(target: str, *, host: str, port: int, workers: int, threads: int) -> int:
    """Serve the WSGI application made by the factory `target` ("module:function"); `serve` for any application."""
    # From here on a stop is kept for later until the workers stand and granian's handlers are in place.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    try:
        address = _free_address(host, port)
    except OSError as refused:
        _complain(_why_not(refused, host, port))
        return 1
    module, _, factory = target.partition(":")
    # Imported once, here: the workers share these pages, and an application that cannot be imported never forks.
    make = getattr(importlib.import_module(module), factory)
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        # From Python 3.14 the default starts every worker from nothing, and no page is shared.
        multiprocessing.set_start_method("fork", force=True)
    server = _Server(
        target,
        address=address,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        # The multi-threaded runtime waits on a condition variable without looking whether it was signalled before,
        # and then never ends. One runtime thread is joined instead; for one blocking thread it is also cheaper.
        runtime_mode=RuntimeModes.st,
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN_SECONDS,
        log_level=LogLevels.warning,
    )
    sys.stderr.write(f"Listening on http://{host}:{port} ({workers} workers)\n")
    sys.stderr.flush()
    try:
        server.serve(spawn_target=_work, target_loader=_Loader(make), wrap_loader=False)
    except SystemExit as end:
        # granian counts a worker that was told to stop before its parent was as a failure; `failed` knows better.
        if not server.interrupt_signal:
            return int(end.code or 0)
    return 1 if server.failed else 0


class _Server(MPServer):
    """granian's own parent process, mended where a signal could be lost."""

    failed = False

    def _spawn_workers(self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]) -> None:
        super()._spawn_workers(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        # Signals were blocked since run(): a child is forked with them blocked, and takes them up in _work.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)

    def _respawn_workers(
        self, workers: list[int], spawn_target: Callable[..., None], target_loader: Callable[..., Any], delay: float = 0
    ) -> None:
        if any(self.wrks[index].inner.exitcode == _CANNOT_START for index in workers):
            self.failed = True
            self.signal_handler_interrupt()  # type: ignore[no-untyped-call]
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        try:
            super()._respawn_workers(workers, spawn_target, target_loader, delay)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)

    def _stop_workers(self) -> None:
        workers: list[WorkerProcess] = list(self.wrks)
        super()._stop_workers()  # type: ignore[no-untyped-call]
        self.failed = self.failed or any(worker.inner.exitcode == -signal.SIGKILL for worker in workers)

    def signal_handler_reload(self, *arguments: object) -> None:
        # A closed terminal means the end, not a second start of the workers.
        self.signal_handler_interrupt()  # type: ignore[no-untyped-call]


class _Loader:
    """Makes the application inside a worker."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __call__(self) -> Any:
        try:
            application = self._make()
        except Exception:
            traceback.print_exc()
            # Every worker would fail in the same way: say so to the parent instead of being started again.
            os._exit(_CANNOT_START)
        gc.collect()
        gc.freeze()
        return application


def _work(*arguments: Any) -> None:
    """Run one worker. Until granian takes SIGTERM over, nothing is in flight and the signal may simply end it.

    Without this the child keeps the parent's handler from the fork until then: SIGTERM sets a flag nobody reads, and
    the parent waits forever. SIGINT and SIGHUP stay blocked: a terminal sends them to the whole group, and only the
    parent shall decide.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    MPServer._spawn_wsgi_worker(*arguments)  # noqa: SLF001 - the only door granian leaves into a worker


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _free_address(host: str, port: int) -> str:
    """Return the IP address of `host` after making sure that nobody listens there on `port`; raises OSError.

    granian's workers share the port, and would silently share it with another server of the same user, too.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    return str(address[0])


def _why_not(refused: OSError, host: str, port: int) -> str:
    if refused.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop the other program or choose another one with --port"
    if refused.errno == errno.EACCES:
        return f"port {port} may not be opened by this user; choose one above 1023 with --port"
    return f"cannot listen on {host}:{port}: {refused.strerror or refused}"


def _complain(problem: str) -> None:
    sys.stderr.write(f"idp serve: {problem}\n")
