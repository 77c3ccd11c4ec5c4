"""`make bench ARGS=--passwords`: passwords against the machine's ceiling, and single sign-on in a flood of wrong ones.

Interleaved in rounds, because the machine's speed moves from one minute to the next: a round measures the ceiling
(argon2id alone on every core), right passwords, warm sign-ins alone, and warm sign-ins while others send wrong
passwords as fast as they are answered. Only the ratios within a round say something; on a busy machine only the one of
CPU times does: a server that spends S of its time on the hash reaches S of the ceiling where nobody else needs a core.
Of many short rounds the best ceiling and the best rate are the ones that others disturbed least.
"""

import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from argon2.low_level import Type, hash_secret_raw

from idp.citizens.credentials.hashing import PARAMETERS
from tests.bench.load import run
from tests.bench.units import Requests

_CONNECTIONS = 8
_FLOOD = 32


@dataclass(frozen=True, slots=True)
class Round:
    """One round: rates a second, CPU (server and database) and percentiles in ms, statuses that the flood got."""

    ceiling: float
    hash_cpu: float
    passwords: float
    passwords_cpu: float
    passwords_p95: float
    alone_p95: float
    flooded_p95: float
    flood: dict[int, int]
    errors: int

    def __str__(self) -> str:
        answered = ", ".join(f"{count} x {status}" for status, count in sorted(self.flood.items()))
        return (
            f"argon2id alone {self.ceiling:.1f}/s, passwords {self.passwords:.1f}/s "
            f"({self.passwords / self.ceiling:.0%}), p95 {self.passwords_p95:.0f} ms, CPU {self.hash_cpu:.1f} of "
            f"{self.passwords_cpu:.1f} ms ({self.hash_cpu / self.passwords_cpu:.0%}); sso p95 {self.alone_p95:.1f} ms, "
            f"in the flood {self.flooded_p95:.1f} ms ({self.flooded_p95 / self.alone_p95:.1f} times); "
            f"flood: {answered}; {self.errors} errors"
        )


def ceiling(cores: int, seconds: float) -> tuple[float, float]:
    """Return how many password hashes a second `cores` threads make that do nothing else, and the CPU of one in ms."""
    until = time.perf_counter() + seconds

    def hash_on() -> int:
        done = 0
        while time.perf_counter() < until:
            hash_secret_raw(
                b"a password of some length",
                bytes(16),
                time_cost=PARAMETERS.passes,
                memory_cost=PARAMETERS.memory_kib,
                parallelism=PARAMETERS.lanes,
                hash_len=32,
                type=Type.ID,
            )
            done += 1
        return done

    begin, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(cores) as pool:
        done = sum(future.result() for future in [pool.submit(hash_on) for _ in range(cores)])
    return done / (time.perf_counter() - begin), (time.process_time() - cpu) * 1_000 / done


def _flood(requests: Requests, seconds: float, pipe: Connection) -> None:
    """Send wrong passwords, each for another number from another address."""
    statuses: Counter[int] = Counter()
    pipe.send("ready")
    run(lambda: requests.wrong_password(statuses), port=requests.port, connections=_FLOOD, seconds=seconds)
    pipe.send(dict(statuses))


def measure(requests: Requests, *, cores: int, seconds: float, rounds: int, cpu_ms: Callable[[], float]) -> list[Round]:
    """Measure `rounds` rounds and print each; `cpu_ms` tells what server and database have used so far."""
    done = []
    for _ in range(rounds):
        most, hash_cpu = ceiling(cores, seconds)
        requests.stock("forms", int(seconds * most * 1.5))
        before = cpu_ms()
        right = run(requests.password, port=requests.port, connections=_CONNECTIONS, seconds=seconds)
        used = cpu_ms() - before
        requests.stock("forms", _FLOOD)
        alone = run(lambda: requests.sso("ES256"), port=requests.port, connections=1, seconds=seconds)
        flooded, statuses = _beside_flood(requests, seconds)
        done.append(
            Round(
                ceiling=most,
                hash_cpu=hash_cpu,
                passwords=right.rate,
                passwords_cpu=used / max(1, len(right.latencies)),
                passwords_p95=right.percentile(0.95),
                alone_p95=alone.percentile(0.95),
                flooded_p95=flooded.percentile(0.95),
                flood=statuses,
                errors=right.errors + alone.errors + flooded.errors,
            )
        )
        print(done[-1], flush=True)
        for result in (right, alone, flooded):
            if result.errors:
                print(f"  first error: {result.first_error}")
    shares = [each.hash_cpu / each.passwords_cpu for each in done]
    times = [each.flooded_p95 / each.alone_p95 for each in done]
    best, most = max(done, key=lambda each: each.passwords), max(each.ceiling for each in done)
    print(
        f"medians: {statistics.median(shares):.0%} of the CPU is the hash; {statistics.median(times):.1f} times the p95"
    )
    print(
        f"best rounds: argon2id alone {most:.1f}/s, passwords {best.passwords:.1f}/s ({best.passwords / most:.0%}) "
        f"at p95 {best.passwords_p95:.0f} ms"
    )
    return done


def _beside_flood(requests: Requests, seconds: float) -> tuple[Any, dict[int, int]]:
    # A process of its own: in this one the flood would hold up the clock of what is measured.
    here, there = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=_flood, args=(requests, seconds + 2, there))
    process.start()
    here.recv()
    time.sleep(1)
    result = run(lambda: requests.sso("ES256"), port=requests.port, connections=1, seconds=seconds)
    statuses = here.recv()
    process.join()
    return result, statuses
