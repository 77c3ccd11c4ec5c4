"""What the kernel counts for processes, and what this machine can do: the yardsticks beside the measurements."""

import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def descendants(root: int) -> set[int]:
    """Return the process `root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        process = waiting.pop()
        found.add(process)
        waiting += children.get(process, [])
    return found


def parent(process: int) -> int:
    """Return the parent of `process`, 0 when it is not on this machine."""
    fields = _stat(process)
    return int(fields[1]) if fields else 0


def cpu_ms(processes: Iterable[int]) -> float:
    """Return user and system time of the processes so far, in ms; those that have ended count nothing."""
    ticks = sum(int(fields[11]) + int(fields[12]) for process in processes if (fields := _stat(process)))
    return ticks * 1_000 / _TICKS


def pss_mib(processes: Iterable[int]) -> float:
    """Return the memory of the processes in MiB, shared pages divided among those that share them."""
    total = 0
    for process in processes:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text("ascii")
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total / 1_024


def _stat(process: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name: state, parent, ... (proc(5))."""
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def rs256_sign_us() -> float:
    """Return the CPU time in us of one RS256 signature with a 2048-bit key: how fast this machine is right now."""
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    key = rsa.generate_private_key(65_537, 2_048)
    times = []
    for _ in range(9):
        begin = time.process_time()
        for _ in range(40):
            key.sign(b"calibration", padding.PKCS1v15(), SHA256())
        times.append((time.process_time() - begin) / 40 * 1e6)
    return statistics.median(times)
