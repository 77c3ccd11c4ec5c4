"""The search for canaries finds what was logged, says where and not what, and fails the run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.canary import Cage

ROOT = Path(__file__).parents[2]
_CONFTEST = """
from tests import canary

def pytest_configure(config):
    config.pluginmanager.register(canary.Watch())
"""
_LEAKING = """
import logging, sys
from tests import canary

canary.plant("tweety-the-canary")

def test_log():
    logging.getLogger("idp.leaky").debug({leak!r}, extra={{"endpoint": {field!r}}})

def test_error():
    sys.stderr.write({error!r})
"""


def run(directory: Path, *arguments: str, leak: str = "-", field: str = "-", error: str = "-") -> tuple[int, str]:
    (directory / "conftest.py").write_text(_CONFTEST)
    (directory / "test_leak.py").write_text(_LEAKING.format(leak=leak, field=field, error=error))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "setup.cfg")]
    # In a folder of its own: at its start pytest closes the one it shares to other users, PostgreSQL's among them.
    environment = os.environ | {"PYTEST_DEBUG_TEMPROOT": str(directory)}
    done = subprocess.run(
        [*command, "--rootdir", str(ROOT), *arguments, str(directory)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("workers", ["0", "1"])
def test_run_fails_where_a_canary_was_logged(tmp_path: Path, workers: str) -> None:
    status, output = run(tmp_path, "-n", workers, field="x=tweety-the-canary&y")
    assert status == 1, output
    assert "A SECRET OF A TEST WAS LOGGED" in output
    assert "logger idp.leaky in" in output
    assert "test_leak.py::test_log" in output
    assert "tweety" not in output


def test_run_fails_where_a_canary_was_written_to_standard_error(tmp_path: Path) -> None:
    status, output = run(tmp_path, error='{"message": "tweety-the-canary"}')
    assert status == 1, output
    assert "standard error in" in output
    assert "test_leak.py::test_error" in output


def test_run_passes_when_no_canary_was_heard(tmp_path: Path) -> None:
    status, output = run(tmp_path, leak="tweety-the-cat", field="tweety-the-canar")
    assert status == 0, output
    assert "SECRET" not in output


@pytest.mark.parametrize(
    "text",
    [
        "979191000001",
        "a=979191000001&b",
        "x979191000001x",
        'Người "Nguyễn Thị Hoà" đăng nhập',
        "\n\nk.secret~of/portal",
    ],
)
def test_canary_is_found_wherever_it_stands(text: str) -> None:
    cage = Cage()
    cage.plant("979191000001", "Nguyễn Thị Hoà", "secret~of/portal", "Sùng", None, 12345678)
    cage.hear("somewhere", text)
    assert len(cage.findings()) == 1


@pytest.mark.parametrize("text", ["", "9791910", "97919100000", "Nguyễn Thị Hoa", "Sùng", "12345678"])
def test_nothing_else_is_found(text: str) -> None:
    cage = Cage()
    cage.plant("979191000001", "Nguyễn Thị Hoà", "Sùng", None, 12345678)
    cage.hear("somewhere", text)
    assert cage.findings() == []
