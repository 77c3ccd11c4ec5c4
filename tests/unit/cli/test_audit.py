"""`idp audit`: sealed, verified, proven and exported as an operator does; an extract checked by the script alone."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ROOT, operate
from tests.unit.audit.trail import Trail, trail_at


@pytest.fixture
def settings(migrated_database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "IDP_DATABASE_URL": migrated_database_url,
        "IDP_SECRETS_DIR": str(tmp_path / "secrets"),
        "IDP_AUDIT_CHECKPOINTS_FILE": str(tmp_path / "checkpoints"),
    }


def write(settings: dict[str, str], tmp_path: Path, count: int, **columns: Any) -> None:
    with trail_at(settings["IDP_DATABASE_URL"], tmp_path / "another.pem") as trail:
        trail.write(count, **columns)


def test_the_trail_is_sealed_verified_and_proven(settings: dict[str, str], tmp_path: Path) -> None:
    key = operate("audit", "init", settings=settings).stdout.strip()
    write(settings, tmp_path, 3)
    assert operate("audit", "seal", settings=settings).stdout == "3 events sealed\n"
    write(settings, tmp_path, 2)
    operate("audit", "seal", settings=settings)
    handed = settings["IDP_AUDIT_CHECKPOINTS_FILE"]
    whole = operate("audit", "verify", "--checkpoint", handed, "--key", key, settings=settings)
    assert (whole.returncode, whole.stdout) == (0, "")
    assert "5 events sealed" in whole.stderr
    consistency = json.loads(operate("audit", "prove", "3", "5", settings=settings).stdout)
    assert (consistency["first"], consistency["second"]) == (3, 5)
    assert operate("audit", "prove", "9", settings=settings).returncode == 2
    with trail_at(settings["IDP_DATABASE_URL"], tmp_path / "another.pem") as trail:
        tamper(trail)
    found = operate("audit", "verify", settings=settings)
    assert (found.returncode, found.stdout) == (1, "edited\t1\n")


def tamper(trail: Trail) -> None:
    trail.sql("UPDATE audit_event SET outcome = 'x' WHERE id = :id", id=trail.event_at(1))


def test_an_extract_is_checked_by_the_script_alone(settings: dict[str, str], tmp_path: Path) -> None:
    from idp.core.ids import new_id

    person = new_id()
    key = operate("audit", "init", settings=settings).stdout.strip()
    write(settings, tmp_path, 2)
    write(settings, tmp_path, 3, citizen_id=person)
    operate("audit", "seal", settings=settings)
    printed = operate("audit", "extract", "--citizen-key", str(person), settings=settings).stdout
    assert [event["seq"] for event in json.loads(printed)["events"]] == [2, 3, 4]
    assert checked(tmp_path, key, printed).returncode == 0
    refused = checked(tmp_path, key, printed.replace("done", "lost", 1))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "NOT PROVEN: event 2" in refused.stderr
    assert operate("audit", "extract", settings=settings).returncode == 2


def checked(tmp_path: Path, key: str, extract: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "extract.json"
    file.write_text(extract, "utf-8")
    # From elsewhere and isolated: nothing of ours is in reach.
    command = [sys.executable, "-I", str(ROOT / "clients" / "verify_extract.py"), key, str(file)]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)


def test_events_are_exported_from_a_cursor_on(settings: dict[str, str], tmp_path: Path) -> None:
    cursor = tmp_path / "cursor"
    write(settings, tmp_path, 3)
    operate("audit", "seal", settings=settings)
    lines = operate("audit", "export", "--cursor", str(cursor), "--to", "1", settings=settings).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [0, 1]
    assert json.loads(lines[0])["detail"] == {"level": 1}
    framed = operate("audit", "export", "--cursor", str(cursor), "--form", "syslog", settings=settings).stdout
    length, _, message = framed.partition(" ")
    assert int(length) == len(message.encode())
    assert re.match(r'<109>1 \S+Z localhost lienket - sso:session:opened \[event@32473 seq="2" ', message)
    assert operate("audit", "export", "--cursor", str(cursor), settings=settings).stdout == ""
    cursor.write_text("")
    refused = operate("audit", "export", "--cursor", str(cursor), settings=settings)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is no cursor" in refused.stderr
