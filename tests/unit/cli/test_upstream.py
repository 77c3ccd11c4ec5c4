"""`idp upstream`: providers added, listed, disabled; refusals by member; no secret shown."""

import json
from pathlib import Path

from tests.unit.cli.test_commands import Terminal, terminal
from tests.unit.upstream.test_document import members

__all__ = ["terminal"]


def test_provider_is_added_listed_and_switched(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "provider.json"
    whole = members(token_endpoint_auth_method="client_secret_basic", client_secret="a secret of two")
    file.write_text(json.dumps(whole), "utf-8")
    lines = terminal.lines("upstream", "add", str(file))
    assert lines[0] == "buu-dien\tcreated\tversion 1"
    assert lines[1] == "jwks_uri\thttp://localhost:8000/upstream/jwks"
    assert lines[2].endswith("/upstream/buu-dien/callback")
    assert not any("a secret" in line for line in lines)
    assert terminal.lines("upstream", "disable", "buu-dien") == ["buu-dien disabled"]
    [listed] = terminal.lines("upstream", "list")
    assert listed.startswith("buu-dien\tdisabled\tversion 2\thttps://id.buudien.example")
    file.write_text(json.dumps(whole | {"ceiling": "high", "client_secret": 7}), "utf-8")
    status, output, errors = terminal.run("upstream", "add", str(file))
    assert (status, output) == (2, "")
    assert [line.split(": ")[1] for line in errors.splitlines()] == ["client_secret", "ceiling"]


def test_incident_is_switched_on_and_off(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "provider.json"
    file.write_text(json.dumps(members()), "utf-8")
    terminal.lines("upstream", "add", str(file))
    words = ("upstream", "cut", "buu-dien", "--reason-vi", "Sự cố")
    assert terminal.lines(*words, "--level", "loa2", "--end-sessions-since", "2026-11-28T08:00") == [
        "buu-dien cut off",
        "sessions ended\t0",
    ]
    for refused in (
        ("--agency", "nobody"),
        ("--from", "2026-11-29", "--until", "2026-11-28"),
        ("--reason-en", "x" * 301),
    ):
        status, output, errors = terminal.run(*words, *refused)
        assert (status, output) == (2, ""), errors
    assert terminal.lines("upstream", "uncut", "buu-dien") == ["buu-dien no longer cut off"]
    assert terminal.lines("upstream", "uncut", "buu-dien") == ["buu-dien was not cut off"]
    assert terminal.run("upstream", "uncut", "nobody")[0] == 2
