"""`make bench ARGS=--hanging`: warm logins alone, and while 200 citizens come back to a provider that hangs.

They come at the same moment as the measurement begins, so that it holds the burst and what follows. All of them have
left before the first round: five returns in vain, and the provider's button is gone.
"""

import multiprocessing
import os
import statistics
from multiprocessing.connection import Connection

from tests.bench.load import Result, run
from tests.bench.units import Requests
from tests.bench.upstream import Upstream

_CITIZENS = 200
_AT_ONCE_MS = 2_000
_LONGEST_SECONDS = 30.0


def measure(requests: Requests, provider: Upstream, *, seconds: float, rounds: int) -> int:
    """Measure `rounds` rounds and print each; return 1 when any answer was wrong."""
    before = os.getloadavg()[0]
    requests.stock("returns", _CITIZENS * rounds)
    times, errors = [], 0
    for _ in range(rounds):
        alone = _logins(requests, seconds)
        beside, returned = _beside_returns(requests, provider, seconds)
        times.append(beside.percentile(0.95) / alone.percentile(0.95))
        told = sum(latency < _AT_ONCE_MS for latency in returned.latencies)
        print(
            f"sso p50, p95 ms alone {_spread(alone)}, beside them {_spread(beside)}, {times[-1]:.1f} times the p95; "
            f"{told} of {len(returned.latencies)} told within {_AT_ONCE_MS / 1_000:.0f} s",
            flush=True,
        )
        for result in (alone, beside, returned):
            errors += result.errors
            if result.errors:
                print(f"  first error of {result.errors}: {result.first_error}")
    print(
        f"median {statistics.median(times):.1f} times the p95; load of the machine before and after {before:.1f}, "
        f"{os.getloadavg()[0]:.1f}"
    )
    return 1 if errors else 0


def _spread(result: Result) -> str:
    return f"{result.percentile(0.5):.1f}, {result.percentile(0.95):.1f} ({len(result.latencies)} logins)"


def _logins(requests: Requests, seconds: float) -> Result:
    return run(lambda: requests.sso("ES256"), port=requests.port, connections=1, seconds=seconds)


def _beside_returns(requests: Requests, provider: Upstream, seconds: float) -> tuple[Result, Result]:
    # A process of its own, as in passwords.py; what it spends of the stock is spent there alone.
    here, there = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=_return, args=(requests, there))
    provider.hangs.set()
    process.start()
    here.recv()
    beside = _logins(requests, seconds)
    returned = here.recv()
    process.join()
    provider.hangs.clear()
    for _ in range(_CITIZENS):
        requests.federated.returns.popleft()
    return beside, returned


def _return(requests: Requests, pipe: Connection) -> None:
    pipe.send("ready")
    pipe.send(
        run(
            requests.federated.come_back_in_vain,
            port=requests.port,
            connections=_CITIZENS,
            seconds=_LONGEST_SECONDS,
            most=_CITIZENS,
        )
    )
