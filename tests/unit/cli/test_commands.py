"""The `idp` command: fast help, single-line refusals with exit status 2, nothing done on error, no secret shown."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session

from idp.citizens.erasure import ClosedNumber
from idp.cli import db as schema
from idp.cli.settings import shown
from idp.core import clock
from idp.core.database import driver_url
from tests.commands import ROOT, operate
from tests.publishing import Publisher
from tests.registering import png
from tests.unit.agencies.documents import members


class Terminal:
    """A shell with one provider's settings."""

    def __init__(self, **settings: str) -> None:
        self._settings = settings

    def run(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        """Return exit status, output and errors of `idp ARGUMENTS`."""
        done = operate(*arguments, settings=self._settings | more)
        return done.returncode, done.stdout, done.stderr

    def lines(self, *arguments: str) -> list[str]:
        """Return the output lines of a command that must succeed, with nothing to say but the linter's warnings."""
        status, output, errors = self.run(*arguments)
        assert (status, [line for line in errors.splitlines() if "\twarning\t" not in line]) == (0, [])
        return output.splitlines()


@pytest.fixture
def terminal(database_url: str, tmp_path: Path) -> Terminal:
    """Return a shell where an operator has prepared keyring and database."""
    given = Terminal(IDP_DATABASE_URL=database_url, IDP_SECRETS_DIR=str(tmp_path / "secrets"))
    given.lines("secrets", "init")
    given.lines("db", "upgrade")
    return given


def write(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def whole_help() -> str:
    """Return what a new process says when asked for help."""
    command = [sys.executable, "-W", "error", "-m", "idp.cli", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "noun",
    ["citizens", "clients", "db", "deliveries", "housekeeping", "keys", "passwords", "secrets", "serve", "settings"],
)
def test_help_is_given_when_asked(noun: str, whole_help: str) -> None:
    assert f"  {noun} " in whole_help
    status, output, errors = Terminal().run(noun, "--help")
    assert (status, errors) == (0, "")
    assert output.startswith(f"Usage: idp {noun}")


def test_an_agency_is_invited_once_when_it_is_known(terminal: Terminal, tmp_path: Path) -> None:
    status, _, errors = terminal.run("clients", "invite", "tax")
    assert (status, errors) == (2, "tax: there is no such agency; apply a first client of it\n")
    terminal.lines("clients", "apply", write(tmp_path / "etax.json", members()))
    [line] = terminal.lines("clients", "invite", "tax", "--scope", "openid name", "--clients", "2", "--label", "Bộ")
    token = line.removeprefix("initial_access_token for tax: ")
    assert len(token) == 43
    [listed] = terminal.lines("clients", "invitations")
    name, agency, left, _, label = listed.split("\t")
    assert (agency, left, label) == ("tax", "2 left", "Bộ")
    assert token not in listed
    assert terminal.lines("clients", "revoke-invitation", name) == [f"{name} revoked"]
    assert terminal.run("clients", "revoke-invitation", name)[0] == 2
    assert "revoked" in terminal.lines("clients", "invitations")[0]
    assert terminal.run("clients", "invite", "tax", "--scope", "openid everything")[0] == 2
    assert terminal.run("clients", "invite", "tax", "--scope", "name")[0] == 2


def test_findings_are_told_when_a_document_is_linted_or_applied(terminal: Terminal, tmp_path: Path) -> None:
    file = write(tmp_path / "etax.json", members())
    status, _, errors = terminal.run("clients", "apply", file)
    assert (status, "\twarning\tno-contacts\tcontacts\t" in errors, "\tnote\t" in errors) == (0, True, False)
    assert any("\tnote\tno-logo\t" in line for line in terminal.lines("clients", "lint", "etax"))
    mixed = write(tmp_path / "mixed.json", members(client_name="Thu\N{CYRILLIC SMALL LETTER IE}"))
    status, output, errors = terminal.run("clients", "lint", mixed, "--lang", "fr")
    assert (status, errors) == (1, "")
    assert output.startswith(f"{mixed}\terror\tmixed-scripts\tclient_name\tLe nom")
    assert terminal.run("clients", "lint", "nobody")[0] == 2


def test_a_logo_is_fetched_when_its_document_is_applied(terminal: Terminal, tmp_path: Path) -> None:
    with Publisher() as publisher:
        picture = members(logo_uri=publisher.serve("/logo.png", png()))
        terminal.lines("clients", "apply", "--check", write(tmp_path / "etax.json", picture))
        terminal.lines("clients", "apply", str(tmp_path / "etax.json"))
        assert publisher.asked == ["/logo.png"] * 2
        program = members(logo_uri=publisher.serve("/logo.svg", b"<svg/>"))
        status, _, errors = terminal.run("clients", "apply", write(tmp_path / "svg.json", program))
    assert status == 2
    assert errors.endswith("svg.json: logo_uri: must be a PNG, JPEG or WebP picture\n")
    status, _, errors = terminal.run("clients", "apply", str(tmp_path / "etax.json"))
    assert status == 0
    assert "logo_uri: did not answer" in errors


def test_help_loads_no_heavy_library_when_asked() -> None:
    code = "import sys; from idp.cli import main; main(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"flask", "sqlalchemy", "pydantic", "authlib", "granian", "alembic", "cryptography"}
    assert not {name for name in heavy if f"'{name}'" in done.stdout}


def test_settings_are_refused_in_single_lines_when_wrong() -> None:
    for command in (["settings"], ["db", "current"], ["keys", "list"], ["secrets", "init"]):
        status, output, errors = Terminal().run(*command, IDP_COLOUR="blue", IDP_THREADS="many")
        assert (status, output) == (2, "")
        assert [line.split(":")[0] for line in errors.splitlines()] == [
            "environment variable IDP_COLOUR",
            "environment variable IDP_THREADS",
        ]


def test_a_missing_keyring_is_one_line_when_needed(migrated_sqlite_url: str, tmp_path: Path) -> None:
    given = Terminal(IDP_DATABASE_URL=migrated_sqlite_url, IDP_SECRETS_DIR=str(tmp_path / "nowhere"))
    status, _, errors = given.run("keys", "list", IDP_PROFILE="production", IDP_ISSUER="https://id.example")
    assert status == 2
    assert errors == f"{tmp_path / 'nowhere'} does not exist; `idp secrets init` makes it\n"


def test_settings_show_no_password_when_printed() -> None:
    status, output, _ = Terminal().run("settings", IDP_DATABASE_URL="postgresql://lk:Geheim1@db.example/lk")
    assert status == 0
    assert "Geheim1" not in output
    assert "IDP_DATABASE_URL = postgresql://***@db.example/lk" in output
    assert shown("postgresql://h/db?user=x&password=Geheim1") == "postgresql://h/db?user=x&password=***"
    assert shown("redis://:p/w@h") == "redis://***@h"
    assert Terminal().run("settings", "--check") == (0, "", "")
    assert Terminal().run("settings", "--markdown")[1] == (ROOT / "docs" / "settings.md").read_text("utf-8")


def test_clients_live_their_life_when_driven_from_the_terminal(terminal: Terminal, tmp_path: Path) -> None:
    file = write(tmp_path / "clients.json", [members(), members(client_id="b", client_name="Hai")])
    assert terminal.lines("clients", "apply", "--check", file)[-1] == "nothing was changed"
    assert terminal.lines("clients", "list") == []
    assert terminal.lines("clients", "apply", file) == ["etax\ttax\tcreated\tversion 1", "b\ttax\tcreated\tversion 1"]
    assert terminal.lines("clients", "apply", file)[0] == "etax\ttax\tunchanged\tversion 1"
    assert terminal.lines("clients", "suspend", "etax") == ["etax suspended"]
    assert terminal.lines("clients", "suspend", "etax") == ["etax was suspended already"]
    assert "etax\ttax\tsuspended\tversion 1\tThuế điện tử" in terminal.lines("clients", "list")
    assert terminal.lines("clients", "resume", "etax") == ["etax active"]
    assert re.fullmatch(r"client_secret of etax: [\w-]{43}", terminal.lines("clients", "renew-secret", "etax")[0])
    for act in ("suspend", "resume", "renew-secret"):
        status, output, errors = terminal.run("clients", act, "nobody")
        assert (status, output) == (2, "")
        assert errors == "nobody: there is no such client; `idp clients list` shows all\n"


def test_a_made_secret_is_shown_once_when_applied(terminal: Terminal, tmp_path: Path) -> None:
    file = write(tmp_path / "client.json", members(client_secret=None))
    assert re.fullmatch(r"client_secret of etax: [\w-]{43}", terminal.lines("clients", "apply", file)[1])
    assert len(terminal.lines("clients", "apply", file)) == 1


def test_nothing_is_applied_when_one_file_is_wrong(terminal: Terminal, tmp_path: Path) -> None:
    good = write(tmp_path / "good.json", members())
    bad = write(tmp_path / "bad.json", [members(client_id="b"), members(scope="everything", basis="x")])
    broken = write(tmp_path / "broken.json", '{"client_id": "c",\n "client_id": "d"}')
    torn = write(tmp_path / "torn.json", '{"client_id":\n')
    status, output, errors = terminal.run("clients", "apply", good, bad, broken, torn, str(tmp_path / "missing.json"))
    assert (status, output) == (2, "")
    assert [line.split(": ")[:2] for line in errors.splitlines()] == [
        [f"{bad}[1]", "scope"],
        [f"{bad}[1]", "basis"],
        [broken, "is not JSON in UTF-8 with distinct members (client_id is given twice)"],
        [f"{torn}:2:1", "is not JSON (Expecting value)"],
        [str(tmp_path / "missing.json"), "cannot be read (No such file or directory)"],
    ]
    assert terminal.lines("clients", "list") == []


def test_keys_are_made_and_listed_when_rotated(terminal: Terminal) -> None:
    listed = [line.split("\t")[1:3] for line in terminal.lines("keys", "list")]
    assert sorted(listed) == [["ES256", "active"], ["PS256", "active"], ["RS256", "active"]]
    assert [line.split("\t")[2] for line in terminal.lines("keys", "rotate", "--algorithm", "ES256")] == ["pending"]
    assert terminal.lines("keys", "rotate", "--algorithm", "ES256") == ["no key changed"]
    assert len(terminal.lines("keys", "list")) == 4
    assert len(terminal.lines("keys", "rotate", "--emergency", "--algorithm", "ES256")) == 3
    assert terminal.lines("housekeeping") == ["no key changed"]


def test_secrets_are_kept_when_initialised_again(terminal: Terminal) -> None:
    assert terminal.lines("secrets", "init")[0].endswith("complete, nothing made")


def test_a_key_goes_from_prepared_to_retired_when_driven_from_the_terminal(terminal: Terminal) -> None:
    assert terminal.lines("secrets", "rotate", "signing")[0] == "signing: k2 is made, and does not write yet"
    status, _, errors = terminal.run("secrets", "rotate", "signing")
    assert (status, errors) == (2, "k2 is waiting: `idp secrets rotate signing --write k2` comes next\n")
    assert "signing\tk2\twaits\t0 values\t-" in terminal.lines("secrets", "status")
    assert "      idp secrets reseal" in terminal.lines("secrets", "rotate", "signing", "--write", "k2")
    status, _, errors = terminal.run("secrets", "retire", "signing", "k1")
    assert status == 2
    assert errors.startswith("signing k1 is needed by 3 values (signing_key.private 3); `idp secrets reseal`")
    assert terminal.lines("secrets", "reseal", "--batch", "2") == ["signing_key.private\t3 made anew"]
    assert terminal.lines("secrets", "reseal") == ["nothing to make anew"]
    assert {"signing\tk2\twrites\t3 values\tsigning_key.private 3", "signing\tk1\treads\t0 values\t-"} <= set(
        terminal.lines("secrets", "status")
    )
    assert terminal.lines("secrets", "retire", "signing", "k1")[0] == "signing: k1 is gone"
    assert terminal.run("secrets", "retire", "signing", "k2")[0] == 2


def test_a_key_that_cannot_be_counted_is_retired_when_the_operator_has_waited(terminal: Terminal) -> None:
    terminal.lines("secrets", "rotate", "form")
    terminal.lines("secrets", "rotate", "form", "--write", "k2")
    status, _, errors = terminal.run("secrets", "retire", "form", "k1")
    assert status == 2
    assert errors.splitlines()[-1] == "once that is over: --waited"
    assert terminal.lines("secrets", "retire", "form", "k1", "--waited")[0] == "form: k1 is gone"


def test_index_of_closed_accounts_is_given_up_when_the_operator_says_so(terminal: Terminal, database_url: str) -> None:
    row = ClosedNumber(
        id=UUID(int=1), citizen_id=UUID(int=2), scheme="vn-pin", index_key_id="k1", number_index="0" * 64,
        closed_at=clock.now(),
    )  # fmt: skip
    engine = sa.create_engine(driver_url(database_url))
    with Session(engine) as database:
        database.add(row)
        database.commit()
    engine.dispose()
    terminal.lines("secrets", "rotate", "number-index")
    terminal.lines("secrets", "rotate", "number-index", "--write", "k2")
    status, _, errors = terminal.run("secrets", "retire", "number-index", "k1")
    assert status == 2
    assert "--forget-closed" in errors
    said = terminal.lines("secrets", "retire", "number-index", "k1", "--forget-closed")
    assert said[:2] == ["1 numbers of closed accounts are forgotten", "number-index: k1 is gone"]
    assert "number-index\tk2\twrites\t0 values\t-" in terminal.lines("secrets", "status")


def test_the_schema_is_reported_when_asked(terminal: Terminal, sqlite_url: str) -> None:
    newest = ScriptDirectory.from_config(schema.configuration()).get_current_head()
    assert terminal.lines("db", "current") == [f"schema {newest}"]
    status, output, _ = terminal.run("db", "current", IDP_DATABASE_URL=f"{sqlite_url}-other")
    assert (status, output) == (1, f"schema empty, this version needs {newest}\n")
