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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, NoReturn

import granian._signals
from granian._granian import WorkerSignal
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess

from idp.citizens.credentials import blocklist
from idp.citizens.registry import RegistryRefused, registry
from idp.cli import schema
from idp.core import keyring, settings
from idp.notify.deliveries import senders_of
from idp.upstream.places import MOST_TOGETHER

APPLICATION = "idp.app:create_app"
DRAIN_SECONDS = 20
"""Longest time from SIGTERM to the end: requests in flight are finished, what still runs then is killed."""
SPARE_THREADS = 14
"""Threads of a worker beside those that may wait for a password hash or an identity provider: they answer the rest."""
_REFUSED = 2
_STOP = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def serve(*, host: str, port: int, workers: int) -> int:
    """Serve the provider on `host`:`port` with so many worker processes until SIGTERM, SIGINT or SIGHUP.

    Returns the exit status: 0 after an orderly stop, 2 when settings, keyring, schema or address are refused before
    anything starts, 1 when the application could not start or a worker had to be killed. Every refusal is one line on
    stderr.
    Side effects: listens, forks, and ends all its children.
    """
    try:
        chosen = settings.load()
        # Read here once for their refusals alone: a worker could only say them in a traceback.
        keys = keyring.load(chosen.secrets_dir, is_production=not chosen.is_sandbox)
        registry(chosen, keyring=keys)
        senders_of(chosen)
        if chosen.password_blocklist is not None:
            blocklist.summary(chosen.password_blocklist)
        if problem := schema.problem_of(chosen.database_url):
            _complain(problem)
            return _REFUSED
    except (keyring.KeyringRefused, RegistryRefused, blocklist.BlocklistRefused) as refused_files:
        _complain(str(refused_files))
        return _REFUSED
    except settings.SettingsRefused as refused:
        _complain(*refused.problems)
        return _REFUSED
    # What a worker would import on its first request, so that the workers share these pages too.
    for name in ("psycopg",) if chosen.database_url.startswith("postgresql") else ():
        importlib.import_module(name)
    threads = chosen.threads or chosen.hash_queue + MOST_TOGETHER + SPARE_THREADS
    return run(APPLICATION, host=host, port=port, workers=workers, threads=threads, beside=_deliver)


def run(
    target: str,
    *,
    host: str,
    port: int,
    workers: int,
    threads: int,
    beside: Callable[[Any], AbstractContextManager[None]] = nullcontext,
) -> int:
    """Serve the WSGI application made by the factory `target` ("module:function"); `serve` for any application.

    `beside(application)` is entered in each worker while it serves.
    """
    # Blocked for good, here and in every thread and child: one thread fetches them with sigwait. A Python handler can
    # miss a signal that comes just before its thread goes to sleep on a lock, and then never runs.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    try:
        address = _free_address(host, port)
    except OSError as refused:
        _complain(_why_not(refused, host, port))
        return _REFUSED
    module, _, factory = target.partition(":")
    # Made once, here: the workers share these pages, and an application that cannot be made never forks. It holds no
    # connection and no thread before its first request.
    try:
        application = getattr(importlib.import_module(module), factory)()
    except Exception:
        traceback.print_exc()
        return 1
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
        # and then never ends. The single-threaded one is joined.
        runtime_mode=RuntimeModes.st,
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN_SECONDS,
        log_level=LogLevels.error,
    )
    sys.stderr.write(f"Listening on http://{host}:{port} ({workers} workers)\n")
    sys.stderr.flush()
    try:
        server.serve(
            spawn_target=partial(_work, partial(beside, application)),
            target_loader=_Loader(application),
            wrap_loader=False,
        )
    except SystemExit as end:
        # granian counts a worker that was told to stop before its parent was as a failure; `failed` knows better.
        if not server.interrupt_signal:
            return int(end.code or 0)
    return 1 if server.failed else 0


class _Server(MPServer):
    """granian's own parent process, told to stop by a thread of its own."""

    failed = False

    def _spawn_workers(self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]) -> None:
        super()._spawn_workers(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        # Only now: a stop that came meanwhile is still pending.
        threading.Thread(target=self._wait_for_stop, daemon=True).start()

    def _wait_for_stop(self) -> None:
        signal.sigwait(_STOP)
        self.signal_handler_interrupt()  # type: ignore[no-untyped-call]

    def _stop_workers(self) -> None:
        workers: list[WorkerProcess] = list(self.wrks)
        super()._stop_workers()  # type: ignore[no-untyped-call]
        killed = sum(worker.inner.exitcode == -signal.SIGKILL for worker in workers)
        if killed:
            self.failed = True
            _complain(
                f"{killed} of {len(workers)} workers did not finish within {DRAIN_SECONDS} seconds and were killed"
            )


class _Loader:
    """Hands the application that the parent made to a worker."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self) -> Any:
        return self._application


@contextmanager
def _deliver(application: Any) -> Iterator[None]:
    """Deliver what is owed to portals and citizens while the worker serves; what is under way is finished."""
    from idp.core import runner  # noqa: PLC0415 (the application has imported it by then)

    with runner.running(application.extensions[runner.EXTENSION]):
        yield


def _work(beside: Callable[[], AbstractContextManager[None]], *arguments: Any) -> None:
    """Run one worker, the child of a fork."""
    stop = _Stop()
    threading.Thread(target=stop.wait_for_signal, daemon=True).start()
    threading.Thread(target=stop.wait_for_parent, daemon=True).start()
    # The only doors granian leaves into a worker.
    granian._signals.set_sync_signals = stop.stand_ready  # noqa: SLF001
    with beside():
        MPServer._spawn_wsgi_worker(*arguments)  # noqa: SLF001


class _Stop:
    """Ends a worker: at once while it is starting, after its requests once it serves.

    It takes the place of granian's own handlers, which a starting worker does not have yet: there it keeps those of
    the parent from the fork, and SIGTERM sets a flag that nobody reads. SIGINT and SIGHUP stay blocked in a worker: a
    terminal sends them to the whole group, and only the parent shall decide.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serving: WorkerSignal | None = None

    def stand_ready(self) -> WorkerSignal:
        """Return the event on which granian finishes its requests and ends."""
        with self._lock:
            self._serving = WorkerSignal()
            return self._serving

    def wait_for_signal(self) -> None:
        """Stop when the parent, or anybody, asks for it."""
        signal.sigwait({signal.SIGTERM})
        with self._lock:
            if self._serving is None:
                _exit(0)
            self._serving.set()

    def wait_for_parent(self) -> None:
        """Stop when the parent was killed: a worker nobody can reach must not keep the port."""
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)


def _exit(status: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(status)


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


def _complain(*problems: str) -> None:
    for problem in problems:
        sys.stderr.write(f"idp serve: {problem}\n")
