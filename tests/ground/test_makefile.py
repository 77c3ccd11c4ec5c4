"""The commands a newcomer types first say what they do, and what is missing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(directory: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a directory with the Makefile and what its targets look at first."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_help_explains_every_target_in_one_line(copy: Path) -> None:
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    for arguments in ([], ["help"]):
        shown = make(copy, *arguments).stdout.splitlines()
        assert sorted(line.split()[0] for line in shown) == sorted(targets[1].split())
        assert all(len(line.split(maxsplit=1)[1]) > 20 for line in shown)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_names_the_python_it_needs_when_this_one_is_too_old(copy: Path, target: str) -> None:
    old = copy / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make(copy, f"PYTHON={old}", target)
    assert done.returncode == 2
    assert "LienKet needs Python 3.11 or newer" in done.stderr
    assert not (copy / ".venv").exists()


def test_make_names_the_debian_package_when_python_cannot_make_environments(copy: Path) -> None:
    crippled = copy / "debian-python"
    crippled.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    crippled.chmod(0o755)
    done = make(copy, f"PYTHON={crippled}", "demo")
    assert done.returncode == 2
    assert "apt-get install python3-venv" in done.stderr
    assert not (copy / ".venv").exists()


def test_environment_is_made_anew_when_the_folder_was_moved(copy: Path) -> None:
    environment = copy / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / ".path").write_text("/elsewhere")
    plan = make(copy, "-n", "demo").stdout
    assert "-m venv --clear .venv" in plan
    (environment / ".path").write_text(str(copy))
    for stamp in (".runtime", ".dev"):
        (environment / stamp).touch()
    assert "venv --clear" not in make(copy, "-n", "demo").stdout


def test_gate_lets_nothing_be_left_out() -> None:
    gate = ROOT / ".ci" / "run"
    assert os.access(gate, os.X_OK)
    assert "export CI=true LIENKET_NO_LEFT_OUT=1\nexec make test\n" in gate.read_text()


@pytest.mark.parametrize(("no_left_out", "status"), [("0", 0), ("1", 1)])
def test_missing_system_packages_are_named_when_they_cannot_be_installed(
    tmp_path: Path, no_left_out: str, status: int
) -> None:
    # A PATH without chromium and without apt-get: any other system than Debian.
    for command in ("cat", "id"):
        (tmp_path / command).symlink_to(f"/usr/bin/{command}")
    done = subprocess.run(
        ["/bin/bash", str(ROOT / "tests" / "system_packages.sh")],
        env={"PATH": str(tmp_path), "LIENKET_NO_LEFT_OUT": no_left_out},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "TESTS WILL BE LEFT OUT: this machine lacks chromium" in done.stderr
    assert done.returncode == status


def test_npm_packages_are_named_when_they_cannot_be_installed(tmp_path: Path) -> None:
    (tmp_path / "parties").mkdir()
    for name in ("system_packages.sh", "parties/package-lock.json"):
        shutil.copy(ROOT / "tests" / name, tmp_path / name)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, line in (("npm", "exit 1"), ("node", ""), ("chromium", ""), ("id", "echo 1000"), ("sudo", "exit 1")):
        (commands / name).write_text(f"#!/bin/sh\n{line}\n")
        (commands / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", str(tmp_path / "system_packages.sh")],
        env={"PATH": f"{commands}:/usr/bin:/bin", "LIENKET_NO_LEFT_OUT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "TESTS WILL BE LEFT OUT: npm could not install" in done.stderr
    assert done.returncode == 0
