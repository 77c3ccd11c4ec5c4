"""Canaries: every number, name, secret, code and token of the tests, searched for in everything a run has logged.

    plant("979191000001", ...)        what must not be logged; the factories of tests/provider.py do it for everybody
    heard("idp serve", text)          what a process that a test started wrote to its output
    Watch                             the plugin of tests/conftest.py: collects, searches once at the end, fails the run

Collected are the lines of all our loggers from DEBUG on, in the form the product writes them, and whatever else the
tests wrote to standard error, the line of each request above all. A finding names logger and test, never the value.
One-time codes of six digits are left out, because any time or size would be one: `test_secrets_hygiene.py` has them.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

# Shorter ones are words of any text.
SHORTEST = 8
_OUTPUT = "lienket_canaries"


@dataclass(frozen=True)
class Heard:
    """What one logger or process wrote during one test."""

    test: str
    source: str
    text: str


class Cage:
    """The canaries of one process, and what it heard."""

    def __init__(self) -> None:
        self._canaries: set[str] = set()
        self._heard: list[Heard] = []

    def plant(self, *values: object) -> None:
        """Let the texts among `values` be canaries, if they are long enough to be told from any word."""
        self._canaries.update(value for value in values if isinstance(value, str) and len(value) >= SHORTEST)

    def hear(self, source: str, text: str) -> None:
        """Keep what was written, for the search."""
        test = os.environ.get("PYTEST_CURRENT_TEST", "between tests").rpartition(" (")[0] or "between tests"
        self._heard.append(Heard(test, source, text))

    def findings(self) -> list[str]:
        """Return where a canary was heard: source and test, each once.

        Reads each text once, however many canaries there are: their first letters are looked up at every place.
        """
        beginnings: dict[str, list[str]] = {}
        for canary in self._canaries:
            beginnings.setdefault(canary[:SHORTEST], []).append(canary)
        return sorted({f"{heard.source} in {heard.test}" for heard in self._heard if _sings(heard.text, beginnings)})


def _sings(text: str, beginnings: dict[str, list[str]]) -> bool:
    for at in range(len(text) - SHORTEST + 1):
        candidates = beginnings.get(text[at : at + SHORTEST])
        if candidates and any(text.startswith(canary, at) for canary in candidates):
            return True
    return False


_cage = Cage()
plant = _cage.plant
heard = _cage.hear


class _Ear(logging.Handler):
    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        _cage.hear(f"logger {record.name}", self.format(record))


class Watch:
    """The plugin."""

    def __init__(self) -> None:
        self._findings: list[str] = []

    def pytest_sessionstart(self) -> None:
        """Listen to our loggers."""
        # Imported late: a session that only asks for --help pays nothing for the product.
        from idp.core.logging import _JsonLines

        ours = logging.getLogger("idp")
        ours.setLevel(logging.DEBUG)
        ours.addHandler(_Ear(_JsonLines()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what the test wrote to standard error."""
        for name, content in report.sections:
            # A report repeats what the ones before it had.
            if name == f"Captured stderr {report.when}":
                _cage._heard.append(Heard(report.nodeid, "standard error", content))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Search; a worker tells the controller, which fails the run."""
        self._findings += _cage.findings()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = self._findings
        elif self._findings:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker found."""
        self._findings += getattr(node, "workeroutput", {}).get(_OUTPUT, [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where it was."""
        if self._findings:
            terminalreporter.section("A SECRET OF A TEST WAS LOGGED", sep="!", red=True, bold=True)
            for finding in sorted(set(self._findings)):
                terminalreporter.line(finding)


def secrets_in(document: object) -> Iterator[str]:
    """Yield the tokens of a token response."""
    if isinstance(document, dict):
        for name in ("access_token", "refresh_token", "id_token", "device_code", "auth_req_id"):
            if isinstance(document.get(name), str):
                yield document[name]
