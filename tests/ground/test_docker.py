"""The container's entry script, run directly, and the files beside it, read: no engine runs in the build."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import free_port

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE = [DOCKER / "compose.yaml", DOCKER / "compose.scale.yaml"]


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Return a directory for PATH with this Python, and an `idp` that notes how it was called."""
    directory = tmp_path / "bin"
    directory.mkdir()
    # Not a link: Python finds its virtual environment by the path it is called by.
    python = directory / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    idp = directory / "idp"
    idp.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n[ "$1" != serve ] || {{ echo $$ >{tmp_path}/pid; exec sleep 30; }}\n'
    )
    idp.chmod(0o755)
    return directory


def entry(commands: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start the entry script as an engine would."""
    return subprocess.Popen(
        ["sh", str(DOCKER / "entry.sh"), *arguments],
        env={"PATH": f"{commands}:/usr/bin:/bin", "HOME": str(commands.parent)} | environment,
        cwd=commands.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def calls(commands: Path) -> list[str]:
    return (commands.parent / "calls").read_text().splitlines()


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)
    return path.read_text().strip()


def test_entry_becomes_the_server_when_told_to_serve(commands: Path, tmp_path: Path) -> None:
    run = entry(
        commands,
        "serve",
        LIENKET_MIGRATE="1",
        LIENKET_SECRETS_INIT="1",
        IDP_SECRETS_DIR=str(tmp_path / "secrets"),
        WORKERS="3",
        PORT="8123",
    )
    # The very process the engine knows: SIGTERM must reach the server, not a shell in front of it.
    assert int(wait_for(tmp_path / "pid")) == run.pid
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=10)
    assert run.returncode == -signal.SIGTERM
    assert calls(commands) == ["secrets init", "db upgrade", "serve --host 0.0.0.0 --port 8123 --workers 3"]


def test_entry_leaves_secrets_and_schema_alone_when_not_asked(commands: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "made-before").touch()
    run = entry(commands, LIENKET_SECRETS_INIT="1", IDP_SECRETS_DIR=str(secrets))
    wait_for(tmp_path / "pid")
    run.terminate()
    run.communicate(timeout=10)
    assert calls(commands) == ["serve --host 0.0.0.0 --port 8000 --workers 2"]


def test_entry_migrates_when_the_database_answers(commands: Path, postgres_url: str) -> None:
    run = entry(commands, "migrate", IDP_DATABASE_URL=postgres_url)
    assert run.communicate(timeout=30)[1] == ""
    assert run.returncode == 0
    assert calls(commands) == ["db upgrade"]


def test_entry_gives_up_in_time_when_the_database_does_not_answer(commands: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    run = entry(
        commands,
        "serve",
        IDP_DATABASE_URL=f"postgresql://lienket:hidden@127.0.0.1:{free_port()}/lienket",
        LIENKET_WAIT="1",
    )
    _, message = run.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert run.returncode == 1
    assert message.startswith("lienket: the database did not answer within 1 seconds: ")
    assert "hidden" not in message
    assert not (tmp_path / "calls").exists()


def test_entry_names_no_password_when_the_address_is_nonsense(commands: Path) -> None:
    run = entry(commands, "migrate", IDP_DATABASE_URL="postgresql://lienket:hidden@[::1/x")
    _, message = run.communicate(timeout=20)
    assert run.returncode == 1
    assert message == "lienket: IDP_DATABASE_URL is not an address that PostgreSQL understands\n"


def test_entry_hands_other_commands_on_when_given_some(commands: Path) -> None:
    run = entry(commands, "clients", "apply", "/registrations/tax portal.json")
    run.communicate(timeout=10)
    assert run.returncode == 0
    assert calls(commands) == ["clients apply /registrations/tax portal.json"]


def test_entry_reports_ill_health_when_nobody_listens(commands: Path) -> None:
    run = entry(commands, "healthy", PORT=str(free_port()), IDP_ISSUER="http://127.0.0.1:8000")
    _, message = run.communicate(timeout=10)
    assert run.returncode == 1
    assert message == "lienket: no answer: Connection refused\n"


def test_entry_serves_the_provider_when_it_stands_on_an_empty_volume(commands: Path, tmp_path: Path) -> None:
    idp = commands / "idp"
    idp.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec python -m idp.cli "$@"\n')
    port = free_port()
    environment = {
        "IDP_ISSUER": f"http://127.0.0.1:{port}",
        "IDP_DATABASE_URL": f"sqlite:///{tmp_path}/lienket.sqlite3",
        "IDP_SECRETS_DIR": str(tmp_path / "secrets"),
        "PORT": str(port),
    }
    run = entry(commands, "serve", HOST="127.0.0.1", LIENKET_MIGRATE="1", LIENKET_SECRETS_INIT="1", **environment)
    try:
        deadline = time.monotonic() + 30
        while True:
            health = entry(commands, "healthy", **environment)
            health.communicate(timeout=10)
            if health.returncode == 0:
                break
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
    finally:
        run.terminate()
        _, message = run.communicate(timeout=25)
    assert run.returncode == 0, message


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_compose_services_cannot_write_or_gain_rights_when_they_run_our_image(file: Path) -> None:
    services = ours(file)
    assert services
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["stop_grace_period"] == "25s", name


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_compose_names_only_settings_that_exist(file: Path) -> None:
    from idp.core.settings import Settings

    for service in ours(file).values():
        given = {name for name in service["environment"] if name.startswith("IDP_")}
        assert given
        assert {name.removeprefix("IDP_").lower() for name in given} <= set(Settings.model_fields)


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_compose_calls_only_commands_that_exist(file: Path) -> None:
    for service in ours(file).values():
        if service["command"][0] not in ("serve", "migrate"):
            command = [sys.executable, "-m", "idp.cli", *service["command"], "--help"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ))
            assert done.returncode == 0, done.stderr


def test_compose_mounts_only_files_of_ours_that_exist() -> None:
    for file in COMPOSE:
        for service in ours(file, every=True).values():
            for volume in service.get("volumes", []):
                source = str(volume).split(":", maxsplit=1)[0]
                # What an operator puts there: certificates and secrets.
                if source.startswith(".") and not source.startswith(("./tls", "./secrets")):
                    assert (DOCKER / source).exists(), source


def test_dockerfile_copies_only_what_the_context_lets_in() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE):
        copied.update(word for word in line.split()[:-1] if not word.startswith("--"))
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied), copied


def test_dockerfile_ends_as_a_numeric_user_without_tools() -> None:
    final = (DOCKER / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert "\nUSER 10001:10001\n" in final
    assert not re.search(r"pip install|apt-get|gcc", final)


@pytest.mark.parametrize("file", ["nginx.conf.template", "nginx-mtls.conf.template"])
def test_proxy_overwrites_every_header_by_which_a_browser_could_lie(file: str) -> None:
    configuration = (DOCKER / file).read_text()
    forwarded = ("Host", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP")
    for header in (*forwarded, "ClientCertificate", "ClientVerified"):
        assert re.search(rf"^    proxy_set_header {header} ", configuration, re.MULTILINE), header
    # A location with one of its own would inherit none of the list above, and an added-to header keeps the lie.
    assert not re.search(r"^        proxy_set_header", configuration, re.MULTILINE)
    assert "$proxy_add_x_forwarded_for" not in configuration


def ours(file: Path, *, every: bool = False) -> dict[str, dict[str, Any]]:
    """Return the services of a compose file that run our image, or all of them."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["services"]
    return {name: service for name, service in services.items() if every or service["image"] == "lienket"}
