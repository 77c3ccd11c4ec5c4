"""`idp sandbox`: a register and a provider to try answers with, and what is said when one cannot be asked."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.commands import operate
from tests.services import free_port

ROOT = Path(__file__).parents[3]
WHO = {
    "SoDinhDanh": "901085000101",
    "HoVaTen": "NGUYENVANBINH",
    "NgayThangNamSinh": {"NgayThangNam": "19850312"},
}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "idp.cli", *arguments]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(port: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command("sandbox", "register", "--port", str(port), "--token", "abc"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until and process.poll() is None:
            try:
                requests.get(f"http://127.0.0.1:{port}/control", timeout=1)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_register_answers_obeys_and_ends(running: subprocess.Popen[str], port: int) -> None:
    origin = f"http://127.0.0.1:{port}"
    known = {"Authorization": "Bearer abc"}

    def ask() -> requests.Response:
        return requests.post(f"{origin}/questions", json=WHO, headers=known, timeout=5)

    def order(**members: object) -> int:
        return requests.put(f"{origin}/control", json=members, timeout=5).status_code

    assert requests.post(f"{origin}/questions", json=WHO, timeout=5).status_code == 401
    assert ask().json()["CongdanCollection"]["CongDan"]["HoVaTen"]["Ten"] == "Bình"
    assert order(number="901085000101", says="004") == 200
    assert ask().json()["MaLoi"] == "004"
    assert order(mood="down") == 200
    assert ask().status_code == 503
    assert order(mood=None) == 200
    assert order(number="nobody", says="004") == order(mood="angry") == order(seconds="long") == 400
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=20)
    assert running.returncode == 0
    assert f"IDP_REGISTRY=http IDP_REGISTRY_URL={origin}/questions" in output
    assert "several" in output


def test_a_busy_port_is_told_in_one_line(running: subprocess.Popen[str], port: int) -> None:
    assert running.poll() is None
    done = subprocess.run(
        command("sandbox", "register", "--port", str(port)), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"port {port} is in use: choose another one with --port\n"


@pytest.mark.parametrize("arguments", [("serve", "--port", "{port}"), ("clients", "list")])
@pytest.mark.parametrize("registry", [{"IDP_REGISTRY": "htpp"}, {"IDP_REGISTRY_AUTHENTICATION": "bearer"}])
def test_a_register_that_cannot_be_asked_is_told_in_one_line(
    tmp_path: Path, port: int, arguments: tuple[str, ...], registry: dict[str, str]
) -> None:
    settings = {
        "IDP_SECRETS_DIR": str(tmp_path / "secrets"),
        "IDP_DATABASE_URL": f"sqlite:///{tmp_path / 'lienket.sqlite3'}",
        "IDP_REGISTRY": "http",
        "IDP_REGISTRY_URL": "http://127.0.0.1:1/",
        **registry,
    }
    done = subprocess.run(
        command(*(argument.format(port=port) for argument in arguments)),
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "htpp" in line or "registry.token: needs the register's bearer token" in line or "cannot be read" in line


def test_the_provider_listens_on_loopback_alone_and_writes_its_document(tmp_path: Path, port: int) -> None:
    document = tmp_path / "provider.json"
    for option, value in (("--host", "0.0.0.0"), ("--host", "192.0.2.1"), ("--ours", "https://dangnhap.example")):
        done = operate("sandbox", "provider", option, value, "--document", str(document), settings={})
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert done.stderr.startswith(f"{option}: ")
    assert not document.exists()
    arguments = ("sandbox", "provider", "--port", str(port), "--document", str(document))
    process = subprocess.Popen(command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        while "Ctrl-C ends it" not in process.stdout.readline():
            assert process.poll() is None
        known = json.loads(document.read_text("utf-8"))
        assert document.stat().st_mode & 0o777 == 0o600
        metadata = requests.get(f"{known['issuer']}/.well-known/openid-configuration", timeout=5).json()
        assert metadata["issuer"] == known["issuer"] == f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
